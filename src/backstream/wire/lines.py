"""Whole lines out of pieces of any size, and the rules all line decoders share: caps, one error, then silence.

It knows nothing of what a line means, and nothing of where the bytes come from.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from backstream.errors import MisuseError, TooLargeError

__all__ = ["MAX_BYTES", "LineAssembler", "LineDecoder", "split_alike"]

MAX_BYTES = 32 * 1024 * 1024
"""The default cap of one line, and of one event: 32 MiB."""

FrameT = TypeVar("FrameT")

_BOM = b"\xef\xbb\xbf"
_HEAD = re.compile(rb"(?:event:[^\n]*\n)?data: ")


class LineAssembler:
    """Turn pieces into blocks of whole lines. Every byte is moved a fixed number of times, however it is cut.

    A byte order mark at the very start is dropped.

    Args:
        bare_cr: Whether CR alone ends a line too. Then every line end (CR, LF, CRLF) becomes one LF in the blocks;
            otherwise only LF ends a line, and a CR before it stays.
    """

    __slots__ = ("_at_start", "_bare_cr", "_rest", "_skip_lf")

    def __init__(self, *, bare_cr: bool) -> None:
        self._bare_cr = bare_cr
        self._rest = bytearray()
        self._at_start = True
        self._skip_lf = False

    @property
    def rest(self) -> bytes:
        """Give the bytes after the last line end so far."""
        return bytes(self._rest)

    @property
    def rest_size(self) -> int:
        """Give how many bytes of a line there are so far; a beginning byte order mark is none."""
        return 0 if self._at_start else len(self._rest)

    @property
    def is_fresh(self) -> bool:
        """Whether the next piece begins a line, and not the stream."""
        return not (self._rest or self._at_start or self._skip_lf)

    def feed(self, data: bytes) -> bytes:
        """Take the next piece.

        Args:
            data: Any number of bytes.

        Returns:
            All lines that are whole by now, each with its line end, or ``b""``.
        """
        if self._at_start:
            data = self._drop_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        cut = data.rfind(b"\n") + 1
        if self._bare_cr:
            cut = max(cut, data.rfind(b"\r") + 1)
        if not cut:
            self._rest += data
            return b""
        if cut == len(data) and not self._rest:  # the usual case of a server that writes whole events
            block = data
        else:
            block = b"".join((self._rest, data[:cut]))
            self._rest = bytearray(data[cut:])
        if self._bare_cr and b"\r" in block:
            # A LF that follows in the next piece belongs to this CR: the line ended here and ends once.
            self._skip_lf = cut == len(data) and block.endswith(b"\r")
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return block

    def _drop_bom(self, data: bytes) -> bytes:
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)


def split_alike(block: bytes, *, mid_event: bool) -> tuple[bytes, bytes, list[bytes], bytes]:
    """Find the one-line events of a block that all begin alike, at the speed of ``bytes.split``.

    Args:
        block: Whole lines with LF line ends.
        mid_event: Whether the block goes on with an event begun before it.

    Returns:
        What to read line by line before them; their common head (an ``event:`` line, if there is one, and ``data: ``);
        the data of each; what to read line by line after them. Where there are no such events, or any of them has
        another form, everything is in the first member.
    """
    start = block.find(b"\n\n") + 2 if mid_event else 0
    end = block.rfind(b"\n\n") + 2
    match = _HEAD.match(block, start)
    if match is None or match.end() >= end:
        return block, b"", [], b""
    head = match[0]
    parts = block[match.end() : end - 2].split(b"\n\n" + head)
    # As many line ends as the heads and blank lines have: then no part holds one, and each part is one data line.
    if block.count(b"\n", start, end) != len(parts) * (2 + head.count(b"\n")):
        return block, b"", [], b""
    return block[:start], head, parts, block[end:]


class LineDecoder(ABC, Generic[FrameT]):
    """The common contract of decoders that read lines: ``feed`` pieces, then ``finish`` once.

    The frames, and the error after them, are the same however the input is cut: frames that were whole before an
    oversized one are given out first, and the error is raised by the next call.

    Args:
        lines: Where the lines come from.
        max_line_bytes: Cap of one line, in bytes, without its line feed.
        max_event_bytes: Cap of the data collected for one event plus the line being read, in bytes.
    """

    __slots__ = ("_closed", "_data", "_done", "_failure", "_lines", "_max_event", "_max_line", "_room")

    def __init__(self, lines: LineAssembler, max_line_bytes: int, max_event_bytes: int) -> None:
        if max_line_bytes < 1 or max_event_bytes < 1:
            raise MisuseError("max_line_bytes and max_event_bytes must be at least 1")
        self._lines = lines
        self._max_line = max_line_bytes
        self._max_event = max_event_bytes
        self._room = min(max_line_bytes, max_event_bytes)
        self._data: bytes | bytearray | None = None
        self._failure: TooLargeError | None = None
        self._done = False
        self._closed = False

    def feed(self, data: bytes) -> list[FrameT]:
        """Take the next piece of the stream.

        Args:
            data: Any number of bytes.

        Returns:
            The frames that are whole by now, in order.

        Raises:
            TooLargeError: A line or an event is over its cap.
            MisuseError: The decoder has finished or failed before.
        """
        self._check_open()
        if self._done:
            return []
        block = self._lines.feed(data)
        frames = self._read(block) if block else []
        if self._lines.rest_size > self._room and not self._done:
            self._fail()
        if self._failure is not None and not frames:
            self._check_open()
        return frames

    @property
    def failure(self) -> TooLargeError | None:
        """What the next call would raise: known at once, though frames before it were given out first.

        Look at it after each ``feed``, and do not wait for more of a stream that has failed already.
        """
        return self._failure

    def finish(self) -> list[FrameT]:
        """Say that the stream is over.

        Returns:
            The frames that only the end makes whole; each decoder says which.

        Raises:
            TooLargeError: A line or an event was over its cap.
            MisuseError: The decoder has finished or failed before.
        """
        self._check_open()
        self._closed = True
        return [] if self._done else self._end(self._lines.rest)

    @abstractmethod
    def _read(self, block: bytes) -> list[FrameT]:
        """Read a block of whole lines; stop after ``_fail``."""

    @abstractmethod
    def _end(self, rest: bytes) -> list[FrameT]:
        """Give what the end of the stream makes whole."""

    def _check_open(self) -> None:
        if self._closed:
            raise MisuseError(f"{type(self).__name__} has finished or failed; make a new one for each stream")
        if self._failure is not None:
            self._closed = True
            raise self._failure

    def _fail(self) -> None:
        if self._failure is None:
            if self._room < self._max_line:
                self._failure = TooLargeError("event", self._max_event, setting="max_event_bytes")
            else:
                self._failure = TooLargeError("line", self._max_line, setting="max_line_bytes")

    def _collect(self, value: bytes) -> None:
        # One value, the common case, is kept as it is; more are joined in place, so that many short lines cost no more
        # memory than the cap allows.
        if self._data is None:
            self._data = value
        else:
            if isinstance(self._data, bytes):
                self._data = bytearray(self._data)
            self._data += b"\n"
            self._data += value
        self._room = min(self._max_line, self._max_event - len(self._data))

    def _take_data(self) -> bytes:
        data = self._data or b""
        self._data = None
        self._room = min(self._max_line, self._max_event)
        return bytes(data)
