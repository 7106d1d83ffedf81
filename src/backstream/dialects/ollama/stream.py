"""The stream of an answer: a JSON object on each line, the last of them with ``"done": true``.

A line of plain text or thinking takes a fast path; whatever else a line may hold makes its typed decoder fail on
purpose, and is read with care.

Source: https://docs.ollama.com/api/streaming and https://docs.ollama.com/api/errors ("Errors that occur while
streaming").
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.chunks import Content, RawResponse, Reasoning
from backstream.dialects.ollama.answer import AnswerReader
from backstream.dialects.ollama.failures import parse_error
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End, EndState
from backstream.wire.json_text import HalfJoiner, decode_json
from backstream.wire.jsonlines import JSONLinesDecoder

__all__ = ["OllamaParser"]


class _PlainMessage(msgspec.Struct, gc=False):
    content: str = ""
    thinking: str = ""
    reasoning_content: None = None
    tool_calls: None = None
    images: None = None


class _PlainEvent(msgspec.Struct, gc=False):
    message: _PlainMessage
    done: bool = False
    error: None = None
    logprobs: None = None


_decode_plain: Callable[[bytes], _PlainEvent] = msgspec.json.Decoder(_PlainEvent).decode


class OllamaParser:
    """Parse one streamed answer; a :class:`backstream.dialects.base.StreamParser`.

    Args:
        options: The caps.
        think_tags: See :class:`backstream.dialects.ollama.Ollama`.
    """

    __slots__ = ("_decoder", "_ended", "_halves", "_index", "_reader")

    def __init__(self, options: CallOptions, *, think_tags: bool) -> None:
        self._decoder = JSONLinesDecoder(max_line_bytes=min(options.max_line_bytes, options.max_event_bytes))
        self._halves = HalfJoiner()
        self._reader = AnswerReader(think_tags=think_tags)
        self._ended = False
        self._index = 0

    @property
    def finished(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._reader.done

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._reader.done

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if not self._is_open():
            return []
        try:
            lines = self._decoder.feed(data)
        except TooLargeError:  # raised at once where there is no line before it
            lines = []
        block = self._parse(lines)
        failure = self._decoder.failure
        if failure is not None and self._is_open():
            self._end(block, "failed", "damage", failure)
        return block

    def _is_open(self) -> bool:
        return not self._ended and not self._reader.done

    def _parse(self, lines: list[bytes]) -> Block:
        block: Block = []
        at = self._parse_plain(lines, block) if self._reader.settled else 0
        for line in lines[at:]:
            if not self._is_open():
                break
            self._parse_line(line, block)
        return block

    def _parse_plain(self, lines: list[bytes], block: Block) -> int:
        """Parse the lines up to the first that is not plain; return its place."""
        chunks: list[RawResponse] = []
        at = 0
        try:
            for line in lines:
                event = _decode_plain(line)
                if event.done:
                    break
                message = event.message
                if message.thinking:
                    chunks.append(Reasoning(token=message.thinking))
                if message.content:
                    chunks.append(Content(content=message.content))
                at += 1
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # the careful way tells what it is
        block += chunks
        self._index += at
        return at

    def _parse_line(self, line: bytes, block: Block) -> None:
        try:
            event = self._halves.decode(line.decode("utf-8", "replace"))
        except DecodeError as error:
            self._end(block, "failed", "damage", DecodeError(error.problem, index=self._index))
            return
        if not isinstance(event, dict):
            problem = f"the event is a JSON {type(event).__name__}, not an object"
            self._end(block, "failed", "damage", DecodeError(problem, index=self._index))
            return
        self._index += 1
        if event.get("error"):
            self._end(block, "failed", "error", parse_error(None, {}, line))
        else:
            block += self._reader.read(event)

    def _end(self, block: Block, state: EndState, evidence: str, error: BackstreamError) -> None:
        self._ended = True
        block += self._reader.flush()
        block.append(End(state, (evidence,), error))

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        rest = self._decoder.finish() if self._is_open() else []
        cut = bool(rest) and not _is_whole(rest[0])
        block = [] if cut else self._parse(rest)
        if self._reader.done and not self._ended:
            self._ended = True
            block.append(End("complete", ("done",)))
        if self._ended:
            return block
        if cut:
            self._end(block, "incomplete", "cut line", IncompleteStream("the answer ended inside a line"))
        elif self._index == 0:
            self._end(block, "failed", "empty", IncompleteStream("the answer is empty"))
        else:
            problem = "the answer ended without a line that says it is done"
            self._end(block, "incomplete", "framed" if framed else "closed", IncompleteStream(problem))
        return block


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(decode_json(line.decode("utf-8", "replace")), dict)
    except DecodeError:
        return False
