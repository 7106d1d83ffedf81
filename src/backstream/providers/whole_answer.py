"""An answer that comes whole, where a stream could be: one document, parsed when it is all there."""

from __future__ import annotations

from typing import Final

from backstream.dialects.base import Dialect, StreamParser
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End, EndState
from backstream.wire.json_text import decode_json

__all__ = ["WholeAnswerParser", "answer_parser"]

_STREAMS_JSON: Final = frozenset({"gemini", "ollama", "backend_api"})
_STREAMS: Final = frozenset({"text/event-stream", "application/x-ndjson", "application/jsonl"})


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

    __slots__ = ("_blocks", "_dialect", "_ended", "_limit", "_size")

    def __init__(self, dialect: Dialect, options: CallOptions) -> None:
        self._dialect = dialect
        self._limit = options.max_event_bytes
        self._blocks: list[bytes] = []
        self._size = 0
        self._ended = False

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


def _is_json(body: bytes) -> bool:
    """Tell whether a body is a whole document, as which it was not cut off, whatever else is wrong with it."""
    try:
        decode_json(body)
    except DecodeError:
        return False
    return True
