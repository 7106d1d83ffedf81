"""The stream of an answer: bytes to blocks of chunks.

The hot path: a block of bytes is split at once, and each event that is a piece of text is decoded by one typed decoder.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from backstream.chunks import Content, RawResponse, Reasoning
from backstream.dialects.anthropic_messages.answer_in import AnswerState
from backstream.dialects.anthropic_messages.failures import parse_error
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.wire.json_text import HalfJoiner
from backstream.wire.sse_data import EventDataDecoder

__all__ = ["AnthropicParser"]


class _Text(msgspec.Struct, tag="text_delta", gc=False):
    text: str


class _Thinking(msgspec.Struct, tag="thinking_delta", gc=False):
    thinking: str


class _Input(msgspec.Struct, tag="input_json_delta", gc=False):
    partial_json: str


_Delta = _Text | _Thinking | _Input


class _Piece(msgspec.Struct, tag="content_block_delta", gc=False):
    """Every other event fails this decoder, and takes the slow path."""

    index: int
    delta: _Delta


class _TextPiece(msgspec.Struct, tag="content_block_delta", gc=False):
    """The usual event; a block that has only these takes the fast path."""

    index: int
    delta: _Text


_decode_piece = msgspec.json.Decoder(_Piece).decode
_decode_text = msgspec.json.Decoder(_TextPiece).decode


class AnthropicParser:
    """Parse one streamed answer.

    Args:
        options: Its caps on lines and events.
    """

    __slots__ = ("_decoder", "_ended", "_halves", "_index", "_state", "finished")

    def __init__(self, options: CallOptions) -> None:
        self._decoder = EventDataDecoder(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)
        self._halves = HalfJoiner()
        self._state = AnswerState()
        self._index = 0
        self._ended = False
        self.finished = False

    @property
    def _over(self) -> bool:
        return self._ended or self._state.stopped

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._state.stopped

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._over:
            return []
        try:
            block = self._parse(self._decoder.feed(data))
        except TooLargeError:  # nothing was whole before it
            block = []
        if self._decoder.failure is not None and not self._over:
            self._fail(block, self._decoder.failure)
        return block

    def _parse(self, frames: list[bytes]) -> Block:
        try:
            texts = list(map(_decode_text, frames))
        except (ValueError, RecursionError):  # msgspec's own are ValueErrors
            return self._parse_one_by_one(frames)
        self._index += len(frames)
        self._state.started = self._state.started or bool(frames)
        return [Content(content=text.delta.text, part=text.index) for text in texts if text.delta.text]

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        block: Block = []
        for frame in frames:
            try:
                piece = _decode_piece(frame)
            except (ValueError, RecursionError):
                self._parse_slowly(frame, block)
                if self._over:
                    break
            else:
                chunk = self._chunk(piece)
                if chunk is not None:
                    block.append(chunk)
            self._index += 1
        return block

    def _chunk(self, piece: _Piece) -> RawResponse | None:
        self._state.started = True
        delta = piece.delta
        if isinstance(delta, _Text):
            return Content(content=delta.text, part=piece.index) if delta.text else None
        if isinstance(delta, _Thinking):
            return Reasoning(token=delta.thinking, part=piece.index) if delta.thinking else None
        return self._state.note_input(piece.index, delta.partial_json)

    def _parse_slowly(self, frame: bytes, block: Block) -> None:
        try:
            event = _decode_event(frame, self._halves)
        except DecodeError as error:
            self._fail(block, DecodeError(error.problem, index=self._index))
            return
        kind = event.get("type")
        if kind == "error" or (kind is None and "error" in event):
            self._fail(block, parse_error(None, {}, frame))
        elif isinstance(kind, str):
            block.extend(self._state.take(kind, event))
            if self._state.stopped or self._state.is_whole:
                self.finished = True

    def _fail(self, block: Block, error: BackstreamError) -> None:
        self._ended = True
        block.extend(self._state.close())
        block.append(End("failed", ("error",), error))

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        del framed  # only the back-end's own word counts
        if self._ended:
            return []
        self._ended = True
        if self._state.stopped:
            return [End("complete", self._state.evidence)]
        self._decoder.finish()
        evidence = self._state.evidence
        block: Block = list(self._state.close())
        if not self._state.started and not self._index:
            stray = self._decoder.stray_lines
            problem = f"the back-end sent no event, but {stray} lines of other text" if stray else "the answer is empty"
            return [*block, End("failed", evidence, IncompleteStream(problem))]
        if self._decoder.unfinished:
            problem = "the answer ended inside an event"
            return [*block, End("incomplete", (*evidence, "cut event"), IncompleteStream(problem))]
        if self._state.is_whole:  # message_stop repeats it, as [DONE] does elsewhere
            return [*block, End("complete", evidence)]
        problem = "the stream ended before the back-end said that the answer was over"
        return [*block, End("incomplete", (*evidence, "closed"), IncompleteStream(problem))]


def _decode_event(frame: bytes, halves: HalfJoiner) -> Mapping[str, object]:
    """Decode one event, whatever it is; bad UTF-8 becomes U+FFFD, and halves of a character are joined.

    Raises:
        DecodeError: Not a JSON object.
    """
    try:
        event = halves.decode(frame.decode("utf-8", "replace"))
    except DecodeError as error:
        raise DecodeError(f"the event is {error.problem}") from None
    if not isinstance(event, dict):
        raise DecodeError(f"the event is a JSON {type(event).__name__}, not an object")
    return event
