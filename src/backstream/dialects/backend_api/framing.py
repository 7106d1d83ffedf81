"""The framing of backend-api answers, which is decided line by line: server-sent events, JSON lines, or both mixed.

Servers send JSON lines or events under one and the same content type, so the lines themselves must tell. What a frame
means is not known here.
"""

from __future__ import annotations

from backstream.errors import DecodeError
from backstream.wire.json_text import decode_json
from backstream.wire.lines import MAX_BYTES, LineAssembler, LineDecoder, split_alike

__all__ = ["TolerantDecoder"]

_DONE = b"[DONE]"
_IGNORED = (b"id:", b"retry:", b":")
_RECORD_HEADS = (b"data:", b"event:", _DONE)


class TolerantDecoder(LineDecoder[bytes]):
    """Decode an answer into the JSON texts of its events, whichever way they are framed.

    A line that begins with ``{`` is an event. ``data:`` lines are joined by LF until a blank line, or an event on a
    line of its own, ends them. ``[DONE]``, bare or as data, ends the stream; what follows is ignored. ``finish`` gives
    an event whose line end or blank line is missing, if its JSON is whole.

    Args:
        max_line_bytes: Cap of one line, in bytes, without its line feed (default 32 MiB).
        max_event_bytes: Cap of one event's data and the line being read together, in bytes (default 32 MiB).

    Attributes:
        stray_lines: How many lines were of no known form (HTML, say); they are dropped.
        truncated: Whether the stream ended inside an event; known after ``finish``.
    """

    __slots__ = ("_named", "stray_lines", "truncated")

    def __init__(self, *, max_line_bytes: int = MAX_BYTES, max_event_bytes: int = MAX_BYTES) -> None:
        super().__init__(LineAssembler(bare_cr=False), max_line_bytes, max_event_bytes)
        self._named = False
        self.stray_lines = 0
        self.truncated = False

    @property
    def done(self) -> bool:
        """Tell whether ``[DONE]`` has come."""
        return self._done

    def _read(self, block: bytes) -> list[bytes]:
        frames: list[bytes] = []
        plain = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        if len(block) > self._room or b"\r" in plain:
            self._read_lines(block, frames)
            return frames
        block = plain
        # Below the cap as a whole, so that no line and no event of this block can be over it.
        mid_event = self._named or self._data is not None
        if block.startswith(b"{") and not mid_event:
            lines = block.split(b"\n")
            lines.pop()
            if block.count(b"\n{") == len(lines) - 1:
                return lines
        before, _, parts, after = split_alike(block, mid_event=mid_event)
        if _DONE in parts or not all(parts):
            before, parts, after = block, [], b""
        if not before and not after:
            return parts
        self._read_lines(before, frames)
        if not self._done:
            frames += parts
            self._read_lines(after, frames)
        return frames

    def _read_lines(self, block: bytes, frames: list[bytes]) -> None:
        lines = block.split(b"\n")
        lines.pop()
        for line in lines:
            if self._done:
                return
            if len(line) > self._room:
                self._fail()
                return
            self._read_line(line.removesuffix(b"\r"), frames)

    def _read_line(self, line: bytes, frames: list[bytes]) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            if value == _DONE:
                self._end_event(frames)
                self._done = True
            else:
                self._collect(value)
        elif not line:
            self._end_event(frames)
        elif line.startswith(b"event:"):
            self._named = True
        elif line.startswith(b"{"):
            self._end_event(frames)
            frames.append(line)
        elif line == _DONE:
            self._end_event(frames)
            self._done = True
        elif not line.startswith(_IGNORED):
            self.stray_lines += 1

    def _end_event(self, frames: list[bytes]) -> None:
        self._named = False
        data = self._take_data()
        if data.strip(b"\n"):
            frames.append(data)

    def _end(self, rest: bytes) -> list[bytes]:
        frames: list[bytes] = []
        line = rest.removesuffix(b"\r")
        if line.startswith(b"{"):
            self._end_event(frames)
            self._collect(line)
        elif line and line != _DONE and any(head.startswith(line) for head in _RECORD_HEADS):
            self._named = True
        elif line:
            self._read_line(line, frames)
        if self._named or self._data is not None:
            self._named = False
            data = self._take_data()
            if _is_whole(data):
                frames.append(data)
            else:
                self.truncated = True
        return frames


def _is_whole(frame: bytes) -> bool:
    """Tell whether a frame is one JSON object; only an object cannot be mistaken for whole when it was cut."""
    try:
        return isinstance(decode_json(frame.decode("utf-8", "replace")), dict)
    except DecodeError:
        return False
