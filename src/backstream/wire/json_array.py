"""A JSON array that comes bit by bit, one frame an element. Whether a frame is JSON is not asked here.

Source: RFC 8259, 5.
"""

from __future__ import annotations

import re
from typing import Final

from backstream.errors import DecodeError, MisuseError, ProtocolError, TooLargeError
from backstream.wire.lines import MAX_BYTES

__all__ = ["JSONArrayDecoder"]

_BOM: Final = b"\xef\xbb\xbf"
_WHITE: Final = b" \t\r\n"
_OUTSIDE: Final = re.compile(rb'[\[\]{},"]')
_WITHIN: Final = re.compile(rb'[{\[]|[}\]]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|"', re.DOTALL)  # a lone quote: a string goes on
_INSIDE: Final = re.compile(rb'["\\]')


class JSONArrayDecoder:
    """Decode a JSON array into frames: each element's bytes without the white space around it.

    An object or array is given out with its last bracket, another value with the comma or bracket after it. White space
    and a byte order mark before the array, and whatever follows it, are passed over. Work is linear however the input
    is cut, and so are the frames and the error after them: frames that were whole before damage are given out first,
    and the error is raised by the next call.

    Args:
        max_event_bytes: Cap of one element, in bytes (default 32 MiB).

    Attributes:
        done: Whether the array's own end has come.
    """

    __slots__ = ("_closed", "_depth", "_element", "_escaped", "_failure", "_in_string", "_max", "_whole", "done")

    def __init__(self, *, max_event_bytes: int = MAX_BYTES) -> None:
        if max_event_bytes < 1:
            raise MisuseError("max_event_bytes must be at least 1")
        self._max = max_event_bytes
        self._element = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._whole = False  # the element before the next comma has been given out
        self._failure: ProtocolError | None = None
        self._closed = False
        self.done = False

    @property
    def failure(self) -> ProtocolError | None:
        """What the next call would raise: known at once, though frames before it were given out first."""
        return self._failure

    @property
    def pending(self) -> bool:
        """Tell whether there is, or at the end was, an array or an element begun and not ended."""
        return not self.done and (self._depth > 0 or bool(self._element.strip(_WHITE)))

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the array.

        Args:
            data: Any number of bytes.

        Returns:
            The elements that are whole by now, in order.

        Raises:
            TooLargeError: An element is over its cap.
            DecodeError: It is no JSON array.
            MisuseError: The decoder has finished or failed before.
        """
        self._check_open()
        frames: list[bytes] = []
        position = 0
        while position < len(data) and not self.done and self._failure is None:
            position = self._read_string(data, position) if self._in_string else self._read(data, position, frames)
        if self._failure is None and len(self._element) > self._max:
            self._failure = TooLargeError("event", self._max, setting="max_event_bytes")
        if self._failure is not None and not frames:
            self._check_open()
        return frames

    def finish(self) -> list[bytes]:
        """Say that the stream is over; ``pending`` tells whether it was too early.

        Returns:
            Nothing: every whole element has been given out.

        Raises:
            TooLargeError: An element was over its cap.
            DecodeError: It was no JSON array.
            MisuseError: The decoder has finished or failed before.
        """
        self._check_open()
        self._closed = True
        return []

    def _check_open(self) -> None:
        if self._closed:
            raise MisuseError("JSONArrayDecoder has finished or failed; make a new one for each stream")
        if self._failure is not None:
            self._closed = True
            raise self._failure

    def _read_string(self, data: bytes, position: int) -> int:
        """Read inside a string, up to its end."""
        start = position
        if self._escaped:
            self._escaped = False
            position += 1
        while (found := _INSIDE.search(data, position)) is not None:
            position = found.end()
            if found[0] == b'"':
                self._in_string = False
                break
            if position == len(data):
                self._escaped = True
                break
            position += 1
        else:
            position = len(data)
        self._element += data[start:position]
        return position

    def _read_element(self, data: bytes, position: int, frames: list[bytes]) -> int:
        """Read inside an object or array that is an element, up to its end; whole strings are passed over at once."""
        depth = self._depth
        for found in _WITHIN.finditer(data, position):
            mark = found[0]
            if mark in (b"{", b"["):
                depth += 1
            elif mark in (b"}", b"]"):
                depth -= 1
                if depth == 1:
                    self._element += data[position : found.end()]
                    self._depth = 1
                    self._give(frames)
                    self._whole = True
                    return found.end()
            elif mark == b'"':
                self._element += data[position : found.end()]
                self._depth = depth
                self._in_string = True
                return found.end()
        self._element += data[position:]
        self._depth = depth
        return len(data)

    def _read(self, data: bytes, position: int, frames: list[bytes]) -> int:
        """Read outside a string, up to the next mark."""
        if self._depth > 1:
            return self._read_element(data, position, frames)
        found = _OUTSIDE.search(data, position)
        if found is None:
            self._element += data[position:]
            self._check_between()
            return len(data)
        self._element += data[position : found.start()]
        self._check_between()
        mark = found[0]
        if self._failure is None:
            self._take(mark, frames)
        return found.end()

    def _check_between(self) -> None:
        """Nothing but white space stands before the array, or between an element's end and its comma."""
        if self._depth == 0:
            if _BOM.startswith(self._element) or self._element.startswith(_BOM):
                return
            if self._element.strip(_WHITE):
                self._failure = DecodeError("not a JSON array")
            else:
                self._element.clear()
        elif self._depth == 1 and not self._element.strip(_WHITE):
            self._element.clear()
        elif self._whole:
            self._failure = DecodeError("no comma between two elements of a JSON array")

    def _take(self, mark: bytes, frames: list[bytes]) -> None:
        if self._depth == 0:
            if mark != b"[" or self._element.removeprefix(_BOM).strip(_WHITE):
                self._failure = DecodeError("not a JSON array")
            self._element.clear()
            self._depth = 1
        elif self._depth == 1 and mark in b",]":
            self._end_element(mark, frames)
        elif self._whole:
            self._failure = DecodeError("no comma between two elements of a JSON array")
        else:
            self._element += mark
            if mark == b'"':
                self._in_string = True
            elif mark in b"[{":
                self._depth = 2
            else:
                self._failure = DecodeError("not a JSON array")

    def _end_element(self, mark: bytes, frames: list[bytes]) -> None:
        if self._element.strip(_WHITE):
            self._give(frames)
        elif mark == b"," and not self._whole:
            self._failure = DecodeError("an empty element in a JSON array")
        self._element.clear()
        self._whole = False
        if mark == b"]":
            self.done = True

    def _give(self, frames: list[bytes]) -> None:
        frame = self._element.strip(_WHITE)
        self._element.clear()
        if len(frame) > self._max:
            self._failure = TooLargeError("event", self._max, setting="max_event_bytes")
        else:
            frames.append(bytes(frame))
