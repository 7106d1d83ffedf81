"""How large a picture is, read from its header alone. Pure; decodes no picture."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["pixel_size"]

_MAX_HEAD: Final = 64 * 1024
# Start-of-frame markers; C4, C8 and CC are tables and an extension.
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE: Final = frozenset((0x01, *range(0xD0, 0xD9)))


def pixel_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, JPEG, GIF, WebP or BMP picture.

    Args:
        data: The picture, or its first 64 KiB; more is not looked at.

    Returns:
        Width and height in pixels as the file stores them (a turned photograph is not turned back), or ``None`` where
        the head does not tell.
    """
    head = bytes(data[:_MAX_HEAD])
    for start, read in _READERS:
        if head.startswith(start):
            try:
                width, height = read(head)
            except (struct.error, IndexError, LookupError):
                return None
            return (width, height) if width > 0 and height > 0 else None
    return None


def _read_png(head: bytes) -> tuple[int, int]:
    # Apple's variant has a CgBI chunk in front.
    at = 12 if head[12:16] == b"IHDR" else head.index(b"IHDR", 0, 64) if b"IHDR" in head[:64] else len(head)
    width, height = struct.unpack_from(">II", head, at + 4)
    return width, height


def _read_gif(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _read_bmp(head: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", head, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", head, 18)
        return width, height
    width, height = struct.unpack_from("<ii", head, 18)
    # A negative height means that rows go downwards.
    return width, abs(height)


def _read_jpeg(head: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if head[at] != 0xFF:
            raise LookupError
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", head, at + 2)
            at += 2 + max(length, 2)


def _read_webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", head, 24)
        return (high_w << 16 | low_w) + 1, (high_h << 16 | low_h) + 1
    if kind == b"VP8L" and head[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise LookupError


def _read_riff(head: bytes) -> tuple[int, int]:
    if head[8:12] != b"WEBP":
        raise LookupError
    return _read_webp(head)


_READERS: Final = (
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"\xff\xd8\xff", _read_jpeg),
    (b"GIF8", _read_gif),
    (b"RIFF", _read_riff),
    (b"BM", _read_bmp),
)
