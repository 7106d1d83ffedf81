"""Recognise MP3 and AAC, which have no signature: a frame header must lead to another one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["sniff_id3", "sniff_sound_frames"]

# Bit rates in kbit/s by index; 0 is "free" and leads nowhere.
_RATES: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_FREQUENCIES: Final = (44100, 48000, 32000)


def sniff_id3(head: bytes) -> str | None:
    """Name a file that begins with an ID3 tag: MP3, unless the tag is seen to end before something else."""
    if not head.startswith(b"ID3") or (len(head) > 3 and head[3] not in (2, 3, 4)):
        return None
    if len(head) >= 10:
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        behind = head[10 + length :]
        if behind.startswith(b"fLaC"):
            return "audio/flac"
        if sniff_sound_frames(behind) == "audio/aac":
            return "audio/aac"
    return "audio/mpeg"


def sniff_sound_frames(head: bytes) -> str | None:
    """Name a bare MP3 or AAC stream, if the first frame is followed by a second one.

    Source:
        https://mimesniff.spec.whatwg.org/#signature-for-mp3-without-id3; ISO/IEC 13818-7 for ADTS.
    """
    if _is_adts(head, 0):
        length = (head[3] & 0x03) << 11 | head[4] << 3 | head[5] >> 5
        return "audio/aac" if length > 6 and _is_adts(head, length) else None
    if _is_mpeg(head, 0) and any(_is_mpeg(head, length) for length in _frame_lengths(head)):
        return "audio/mpeg"
    return None


def _is_adts(head: bytes, at: int) -> bool:
    # Sync word, layer 0, a sampling frequency that is not reserved.
    return len(head) >= at + 6 and head[at] == 0xFF and head[at + 1] & 0xF6 == 0xF0 and head[at + 2] >> 2 & 0x0F < 13


def _is_mpeg(head: bytes, at: int) -> bool:
    return (
        len(head) >= at + 4
        and head[at] == 0xFF
        and head[at + 1] & 0xE0 == 0xE0
        and head[at + 1] & 0x06 != 0
        and head[at + 2] >> 4 not in (0, 15)
        and head[at + 2] & 0x0C != 0x0C
    )


def _frame_lengths(head: bytes) -> Iterator[int]:
    """Yield where the second frame may begin: by the MPEG tables, then by those of the sniffing standard."""
    version, layer = head[1] >> 3 & 0x03, 4 - (head[1] >> 1 & 0x03)
    index, frequency, padding = head[2] >> 4, _FREQUENCIES[head[2] >> 2 & 0x03], head[2] >> 1 & 0x01
    if version != 1:
        generation = 1 if version == 3 else 2
        rate = _RATES[generation, layer][index] * 1000
        frequency_here = frequency >> {3: 0, 2: 1, 0: 2}[version]
        if layer == 1:
            yield (12 * rate // frequency_here + padding) * 4
        else:
            yield (72 if generation == 2 and layer == 3 else 144) * rate // frequency_here + padding
    # The standard takes the frequencies of MPEG 1 for all, and lets the reserved version pass.
    rate = _RATES[1 if version & 1 else 2, 3][index] * 1000
    yield (72 if version == 1 else 144) * rate // frequency + padding
