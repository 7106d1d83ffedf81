"""The stream of an answer: bytes to blocks of chunks.

The hot path: a block of bytes is split at once, each event is decoded by one typed decoder that knows only plain text,
and one comprehension makes the chunks. Whatever else an event holds fails that decoder and is read at leisure.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec

from backstream.chunks import Content, Reasoning
from backstream.dialects.openai_chat.answer import BROKEN_OFF, AnswerReader
from backstream.dialects.openai_chat.failures import failure_in, parse_error
from backstream.dialects.openai_chat.quirks import Quirks
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError, UnavailableError
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json
from backstream.wire.sse_data import EventDataDecoder

__all__ = ["ChatStreamParser", "decode_event"]

_DONE: Final = b"[DONE]"

_NoList = Annotated[list[Any], msgspec.Meta(max_length=0)]


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A delta with nothing but text: what must be noticed is unknown, or not null, and fails the decoder."""

    content: str
    role: str | None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    reasoning_details: _NoList | None = None
    tool_calls: _NoList | None = None
    function_call: None = None
    audio: None = None


class _Thought(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A delta with nothing but reasoning."""

    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
    content: Annotated[str, msgspec.Meta(max_length=0)] | None = None
    refusal: None = None
    reasoning_details: _NoList | None = None
    tool_calls: _NoList | None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Text
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    usage: None = None


class _Event(msgspec.Struct, gc=False):
    choices: tuple[_Choice]
    usage: None = None
    error: None = None
    citations: None = None
    search_results: None = None


class _ThoughtChoice(msgspec.Struct, gc=False):
    delta: _Thought
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    usage: None = None


class _ThoughtEvent(msgspec.Struct, gc=False):
    choices: tuple[_ThoughtChoice]
    usage: None = None
    error: None = None
    citations: None = None
    search_results: None = None


_decode_text: Callable[[bytes], _Event] = msgspec.json.Decoder(_Event).decode
_decode_thought: Callable[[bytes], _ThoughtEvent] = msgspec.json.Decoder(_ThoughtEvent).decode
_DAMAGE = (msgspec.MsgspecError, ValueError, RecursionError)


def _read_texts(frames: list[bytes]) -> Block:
    return [Content(content=text) for event in map(_decode_text, frames) if (text := event.choices[0].delta.content)]


def _read_thoughts(frames: list[bytes]) -> Block:
    return [
        Reasoning(token=text)
        for event in map(_decode_thought, frames)
        if (text := (delta := event.choices[0].delta).reasoning_content or delta.reasoning)
    ]


class ChatStreamParser:
    """Parse one streamed answer; a :class:`backstream.dialects.base.StreamParser`.

    Args:
        quirks: What is odd about the back-end.
        options: Whose caps hold.
    """

    __slots__ = ("_decoder", "_done", "_failed", "_index", "_quick", "_quirks", "_reader", "_slow")

    def __init__(self, quirks: Quirks, options: CallOptions) -> None:
        self._quirks = quirks
        self._decoder = EventDataDecoder(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)
        self._reader = AnswerReader(quirks)
        self._quick, self._slow = _read_texts, _read_thoughts
        self._done = False
        self._failed = False
        self._index = 0

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._failed or self._done:
            return []
        try:
            frames = self._decoder.feed(data)
        except TooLargeError as error:
            return self._end_failed([], error)
        if not frames:
            return []
        block = self._parse(frames)
        if self._decoder.failure is not None and not self._failed:
            self._end_failed(block, self._decoder.failure)
        return block

    def _parse(self, frames: list[bytes]) -> Block:
        if self._reader.plain:
            try:
                block = self._quick(frames)
            except _DAMAGE:
                pass
            else:
                self._index += len(frames)
                return block
        return self._parse_one_by_one(frames)

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        block: Block = []
        for frame in frames:
            if frame == _DONE:
                self._done = True
                block += self._reader.finish()
                break
            if self._reader.plain:
                try:
                    block += self._quick([frame])
                except _DAMAGE:
                    pass
                else:
                    self._index += 1
                    continue
                try:
                    block += self._slow([frame])
                except _DAMAGE:
                    pass
                else:  # reasoning comes in runs, as text does
                    self._quick, self._slow = self._slow, self._quick
                    self._index += 1
                    continue
            self._read(frame, block)
            self._index += 1
            if self._failed:
                break
        return block

    def _read(self, frame: bytes, block: Block) -> None:
        try:
            event = decode_event(frame)
        except DecodeError as error:
            self._end_failed(block, DecodeError(error.problem, index=self._index))
            return
        block += self._reader.read(event)
        if failure_in(event):
            self._end_failed(block, parse_error(None, {}, frame))
        elif self._reader.reason in BROKEN_OFF:
            said = "the back-end broke the answer off"
            self._end_failed(block, UnavailableError(said, kind=self._reader.reason))

    def _end_failed(self, block: Block, error: BackstreamError) -> Block:
        self._failed = True
        block.append(End("failed", ("error",), error))
        return block

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        del framed  # the protocol has words of its own for done
        if self._failed:
            return []
        if self._done:
            return [self._end()]
        self._decoder.finish()
        block = self._read_unfinished(self._decoder.unfinished)
        return block if _is_over(block) else [*block, *self._reader.finish(), self._end()]

    def _read_unfinished(self, frame: bytes) -> Block:
        """Read an event whose blank line never came: some servers leave out the last one; it counts if it is whole."""
        if frame == _DONE:
            return self._parse_one_by_one([frame])
        try:
            decode_event(frame)
        except DecodeError:
            return []
        return self._parse_one_by_one([frame])

    def _end(self) -> End:
        evidence = tuple(
            word for word, seen in (("finish_reason", self._reader.reason is not None), ("[DONE]", self._done)) if seen
        )
        if evidence:
            return End("complete", evidence)
        if self._index == 0:
            stray = self._decoder.stray_lines
            problem = f"the back-end sent no event, but {stray} lines of other text" if stray else "the answer is empty"
            return End("failed", (), IncompleteStream(problem))
        if self._decoder.unfinished:
            return End("incomplete", ("cut event",), IncompleteStream("the answer ended inside an event"))
        problem = "the answer ended without a finish reason and without [DONE]"
        return End("incomplete", ("closed",), IncompleteStream(problem))


def _is_over(block: Block) -> bool:
    return bool(block) and isinstance(block[-1], End)


def decode_event(frame: bytes) -> dict[str, Any]:
    """Decode one event's data; bad UTF-8 and half characters become U+FFFD.

    Raises:
        DecodeError: Not a JSON object.
    """
    try:
        event = decode_json(frame.decode("utf-8", "replace"))
    except DecodeError as error:
        raise DecodeError(f"the event is {error.problem}") from None
    if not isinstance(event, dict):
        raise DecodeError(f"the event is a JSON {type(event).__name__}, not an object")
    return event
