"""Find out what some bytes are: by their first 4 KiB, then by the name that came with them.

Bytes win over names, except where a name says more than the bytes can (an MP4 file that holds only sound). Every
test is a comparison at a fixed place or one bounded scan. Knows no files.

Source:
    https://mimesniff.spec.whatwg.org/ for the signatures it has, under the names back-ends document; the formats'
    own specifications for the rest (``docs/decisions/2026-11-22-media-types.md``).
"""

from __future__ import annotations

from typing import Final

from backstream.media.containers import sniff_ebml, sniff_iso_media, sniff_ogg, sniff_riff
from backstream.media.names import is_textual, media_type_of
from backstream.media.sound_frames import sniff_id3, sniff_sound_frames
from backstream.media.text import HEAD_BYTES, is_binary, sniff_text

__all__ = ["HEAD_BYTES", "sniff"]

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00\x08\x00\x00\x00", "image/tiff"),
    (b"MM\x00+\x00\x08\x00\x00", "image/tiff"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"fLaC", "audio/flac"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"#!AMR", "audio/amr"),
    (b"ADIF", "audio/aac"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "video/x-ms-wmv"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
)

# What a name may add where the bytes leave it open: (seen, named).
_REFINEMENTS: Final = frozenset(
    (
        ("video/mp4", "audio/mp4"),
        ("video/webm", "audio/webm"),
        ("video/x-matroska", "audio/x-matroska"),
        ("video/x-ms-wmv", "audio/x-ms-wma"),
        ("audio/mpeg", "audio/flac"),
        ("audio/mpeg", "audio/aac"),
        ("image/heif", "image/heic"),
        ("image/heif", "image/avif"),
    )
)


def sniff(data: bytes, filename: str | None = None) -> str | None:
    """Return the media type of some bytes.

    Args:
        data: The bytes, or only their beginning; not more than the first 4 KiB are looked at.
        filename: The name that came with them: it decides where the bytes do not, and names the kind of a text.

    Returns:
        A type as vendors write it (``image/png``, ``audio/wav``, ``text/markdown``), or ``None`` where neither bytes
        nor name tell, or where a name promises text and the bytes are none.

    Source:
        https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
    """
    head = bytes(data[:HEAD_BYTES])
    named = media_type_of(filename) if filename else None
    seen = _sniff_binary(head)
    if seen is not None:
        return named if named is not None and (seen, named) in _REFINEMENTS else seen
    if not head:
        return named
    if named is not None and is_textual(named):
        return None if is_binary(head) else sniff_text(head, named)
    if is_binary(head):
        return named
    text = sniff_text(head, None)
    return named if named is not None and text in (None, "text/plain") else text


def _sniff_binary(head: bytes) -> str | None:
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    for test in (sniff_riff, sniff_iso_media, sniff_ebml, sniff_ogg, sniff_id3, sniff_sound_frames, _sniff_odd_ones):
        seen = test(head)
        if seen is not None:
            return seen
    return None


def _sniff_odd_ones(head: bytes) -> str | None:
    """Find formats whose marks are so short that a second look is needed."""
    # "BM" alone also begins English text: the four reserved bytes of a real header are zero.
    if head == b"BM" or (head.startswith(b"BM") and head[6:10] == bytes(4)):
        return "image/bmp"
    # After the containers: an old QuickTime file may begin with such a length.
    if head.startswith((b"\x00\x00\x01\x00", b"\x00\x00\x02\x00")):
        return "image/x-icon"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47 and is_binary(head):
        return "video/mp2t"
    return None
