"""JSON lines: one frame a line. Whether a frame is JSON is not asked here."""

from __future__ import annotations

from backstream.errors import MisuseError
from backstream.wire.lines import MAX_BYTES, LineAssembler, LineDecoder

__all__ = ["JSONLinesDecoder", "encode_line"]


class JSONLinesDecoder(LineDecoder[bytes]):
    """Decode a stream of lines into frames: each line's bytes without its LF or CRLF.

    Blank lines (nothing, or white space only) and a byte order mark at the start are skipped. ``finish`` gives a last
    line that has no line end; ``pending`` then tells so, and the caller decides whether it is whole.

    Args:
        max_line_bytes: Cap of one line, in bytes, without its line feed (default 32 MiB).

    Source:
        https://jsonlines.org and https://github.com/ndjson/ndjson-spec
    """

    __slots__ = ()

    def __init__(self, *, max_line_bytes: int = MAX_BYTES) -> None:
        super().__init__(LineAssembler(bare_cr=False), max_line_bytes, max_line_bytes)

    @property
    def pending(self) -> bool:
        """Tell whether there is, or at the end was, a line without its line end."""
        return bool(self._lines.rest.strip())

    def _read(self, block: bytes) -> list[bytes]:
        lines = block.split(b"\n")
        lines.pop()
        if len(block) > self._room:
            lines = self._within_cap(lines)
        if b"\r" in block:
            lines = [line.removesuffix(b"\r") for line in lines]
        return [line for line in lines if line.strip()]

    def _within_cap(self, lines: list[bytes]) -> list[bytes]:
        for number, line in enumerate(lines):
            if len(line) > self._room:
                self._fail()
                return lines[:number]
        return lines

    def _end(self, rest: bytes) -> list[bytes]:
        return [rest.removesuffix(b"\r")] if rest.strip() else []


def encode_line(data: bytes) -> bytes:
    """Encode one frame as a line.

    Args:
        data: The frame, e.g. a JSON text.

    Returns:
        The frame with its line feed.

    Raises:
        MisuseError: The frame is blank or holds CR or LF, and so would not be one line.
    """
    if b"\n" in data or b"\r" in data:
        raise MisuseError("a line must not hold a line end")
    if not data.strip():
        raise MisuseError("a blank line is no frame")
    return data + b"\n"
