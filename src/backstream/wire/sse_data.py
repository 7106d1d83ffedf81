"""The data of server-sent events, and nothing else of them, at the speed of ``bytes.split``.

For streams whose events say everything in their data, and whose names and ids nobody asks for. What is one event
follows the standard; what its data means is not known here.

Source: WHATWG HTML, 9.2 Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from backstream.wire.lines import MAX_BYTES, LineAssembler, LineDecoder, split_alike

__all__ = ["EventDataDecoder"]


class EventDataDecoder(LineDecoder[bytes]):
    """Decode a ``text/event-stream`` into the data of its events, as bytes; events without data are passed over.

    ``finish`` gives nothing: by the standard an event whose blank line never came is dropped. Its data is in
    ``unfinished``, for back-ends that leave out the last blank line.

    Args:
        max_line_bytes: Cap of one line, in bytes, without its line end (default 32 MiB).
        max_event_bytes: Cap of one event's data and the line being read together, in bytes (default 32 MiB).

    Attributes:
        unfinished: After ``finish``, the data of an event that was cut off or not closed; ``b""`` where there is none.
        stray_lines: How many lines had no field of the standard (an HTML page, say).
    """

    __slots__ = ("stray_lines", "unfinished")

    def __init__(self, *, max_line_bytes: int = MAX_BYTES, max_event_bytes: int = MAX_BYTES) -> None:
        super().__init__(LineAssembler(bare_cr=True), max_line_bytes, max_event_bytes)
        self.unfinished = b""
        self.stray_lines = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the stream; see :class:`backstream.wire.lines.LineDecoder`.

        A piece that is one event of one line, as paced streams bring them, is read at a glance.
        """
        if (
            data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and data.count(b"\n") == 2
            and self._data is None
            and self._lines.is_fresh
            and len(data) <= self._room
            and b"\r" not in data
            and not (self._closed or self._failure or self._done)
        ):
            frame = data[6:-2]
            return [frame] if frame else []
        return super().feed(data)

    def _read(self, block: bytes) -> list[bytes]:
        frames: list[bytes] = []
        if len(block) > self._room:
            self._read_lines(block, frames)
            return frames
        before, _, parts, after = split_alike(block, mid_event=self._data is not None)
        if not before and not after and all(parts):
            return parts
        self._read_lines(before, frames)
        frames += filter(None, parts)
        self._read_lines(after, frames)
        return frames

    def _read_lines(self, block: bytes, frames: list[bytes]) -> None:
        lines = block.split(b"\n")
        lines.pop()
        for line in lines:
            if len(line) > self._room:
                self._fail()
                return
            if line:
                self._read_line(line)
            elif data := self._take_data():
                frames.append(data)

    def _read_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._collect(value.removeprefix(b" "))
        elif name not in (b"event", b"id", b"retry", b""):
            self.stray_lines += 1

    def _end(self, rest: bytes) -> list[bytes]:
        if rest:
            self._read_line(rest)
        self.unfinished = self._take_data()
        return []
