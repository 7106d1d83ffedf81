"""Bare samples of sound, and the header that makes them a file every player opens."""

from __future__ import annotations

import re
import struct

__all__ = ["render_wav", "sample_form"]

_SAMPLES = re.compile(r"audio/(?:l16|pcm)\s*(;.*)?", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r";\s*(rate|channels)\s*=\s*([0-9]{1,7})", re.IGNORECASE)


def sample_form(media_type: str) -> tuple[int, int] | None:
    """Return the rate (samples a second) and channels of a type of bare 16-bit samples; ``None`` for another type.

    Where the type does not say, they are 24000 and 1: what the makers of speech send.
    """
    found = _SAMPLES.fullmatch(media_type.strip())
    if found is None:
        return None
    said = {name.lower(): int(number) for name, number in _PARAMETER.findall(found[1] or "")}
    return said.get("rate") or 24000, said.get("channels") or 1


def render_wav(samples: bytes, rate: int, channels: int) -> bytes:
    """Put a WAV header before 16-bit samples, lowest byte first.

    Args:
        samples: The samples.
        rate: How many a second.
        channels: How many at a time.

    Source: "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991), the format ``WAVE``.
    """
    frame = 2 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 16)
    head = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples))
    return struct.pack("<4sI", b"RIFF", len(head) + len(samples)) + head + samples
