"""An answer that comes whole, where a stream could be: one document, parsed when it is all there."""

from __future__ import annotations

import re
from typing import Final

from backstream.dialects.base import Dialect, StreamParser
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End, EndState
from backstream.wire.json_text import decode_json

__all__ = ["WholeAnswerParser", "answer_parser"]

_STREAMS_JSON: Final = frozenset({"gemini", "ollama", "backend_api"})
_STREAMS: Final = frozenset({"text/event-stream", "application/x-ndjson", "application/jsonl"})
_MARK: Final = re.compile(rb'[{\[]|[}\]]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|"', re.DOTALL)  # a lone quote: a string goes on
_IN_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


def answer_parser(dialect: Dialect, content_type: str, *, streamed: bool, options: CallOptions) -> StreamParser:
    """Make the parser of an answer.

    Args:
        dialect: The dialect it is in.
        content_type: Its media type, without parameters.
        streamed: Whether a stream was asked for.
        options: The caps of the call.
    """
    whole = content_type == "application/json" and dialect.name not in _STREAMS_JSON
    if whole or (not streamed and content_type not in _STREAMS):
        return WholeAnswerParser(dialect, options)
    return dialect.stream_parser(options)


class WholeAnswerParser:
    """Parse an answer that was not streamed; a :class:`backstream.dialects.base.StreamParser`.

    Args:
        dialect: The dialect it is in.
        options: The caps of the call: the answer may be as large as an event.
    """

    __slots__ = ("_blocks", "_brackets", "_dialect", "_ended", "_limit", "_size")

    def __init__(self, dialect: Dialect, options: CallOptions) -> None:
        self._dialect = dialect
        self._limit = options.max_event_bytes
        self._blocks: list[bytes] = []
        self._size = 0
        self._brackets = _Brackets()
        self._ended = False

    @property
    def finished(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._brackets.closed

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return False

    def feed(self, data: bytes) -> Block:
        """Keep what has arrived."""
        if self._ended:
            return []
        self._size += len(data)
        if self._size > self._limit:
            return self._fail(TooLargeError("answer", self._limit, setting="max_event_bytes"))
        self._blocks.append(data)
        self._brackets.feed(data)
        return []

    def finish(self, *, framed: bool) -> Block:
        """Parse the answer; one that HTTP did not frame to its end is whole if it is a whole JSON document."""
        if self._ended:
            return []
        body = b"".join(self._blocks)
        if not body:
            return self._fail(IncompleteStream("the answer is empty"))
        try:
            block = self._dialect.parse_reply(body)
        except BackstreamError as error:
            whole = framed or not isinstance(error, DecodeError) or _is_json(body)
            return self._fail(error if whole else IncompleteStream("the connection closed inside the answer"))
        self._ended = True
        return block

    def _fail(self, error: BackstreamError) -> Block:
        self._ended = True
        self._blocks.clear()
        state: EndState = "incomplete" if isinstance(error, IncompleteStream) and self._size else "failed"
        return [End(state, (type(error).__name__,), error)]


class _Brackets:
    """Tells whether the brackets of a JSON document that comes in pieces are closed; not whether it is one.

    Attributes:
        closed: Whether the last one is.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "closed")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        position = self._read_string(data, int(self._escaped)) if self._in_string and data else 0
        for found in _MARK.finditer(data, position):
            mark = found[0]
            if mark in b"{[":
                self._depth += 1
            elif mark in b"]}":
                self._depth -= 1
                self.closed = self.closed or self._depth == 0
            elif mark == b'"':
                self._read_string(data, found.end())
                return

    def _read_string(self, data: bytes, position: int) -> int:
        """Read on in a string; return where it ends, or the data do."""
        found = _IN_STRING.match(data, position)
        assert found is not None
        end = found.end()
        self._in_string = data[end : end + 1] != b'"'
        self._escaped = self._in_string and end < len(data)
        return end + 1


def _is_json(body: bytes) -> bool:
    """Tell whether a body is a whole document, as which it was not cut off, whatever else is wrong with it."""
    try:
        decode_json(body)
    except DecodeError:
        return False
    return True
