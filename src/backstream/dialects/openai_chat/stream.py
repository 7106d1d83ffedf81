"""The stream of an answer: bytes to blocks of chunks.

The hot path: a block of bytes is split at once, and read as events of one kind (``quick.py``). Whatever else an event
holds is read at leisure.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backstream.dialects.last_word import LastWord
from backstream.dialects.openai_chat.answer import BROKEN_OFF, AnswerReader
from backstream.dialects.openai_chat.failures import failure_in, parse_error
from backstream.dialects.openai_chat.quick import NOT_QUICK, READERS, QuickReader
from backstream.dialects.openai_chat.quirks import Quirks
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError, UnavailableError
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.wire.json_text import HalfJoiner
from backstream.wire.sse_data import EventDataDecoder

__all__ = ["ChatStreamParser", "decode_event"]

_DONE: Final = b"[DONE]"


class ChatStreamParser:
    """Parse one streamed answer; a :class:`backstream.dialects.base.StreamParser`.

    Args:
        quirks: What is odd about the back-end.
        options: Whose caps hold.
    """

    __slots__ = ("_decoder", "_done", "_failed", "_halves", "_index", "_last_word", "_quick", "_reader", "finished")

    def __init__(self, quirks: Quirks, options: CallOptions) -> None:
        self._decoder = EventDataDecoder(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)
        self._halves = HalfJoiner()
        self._reader = AnswerReader(quirks)
        self._quick: list[QuickReader] = list(READERS)  # the one that fitted last comes first: kinds come in runs
        self._done = False
        self._failed = False
        self._index = 0
        self._last_word = LastWord()
        self.finished = False

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._done

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
                block = self._quick[0](frames, self._reader.call_parts)
            except NOT_QUICK:
                pass
            else:
                self._index += len(frames)
                if not self._last_word.is_settled:
                    self._note(block, marker=False)
                return block
        return self._parse_one_by_one(frames)

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        block: Block = []
        for frame in frames:
            if frame == _DONE:
                self._done = self.finished = True
                block += self._reader.finish()
                break
            if not (self._reader.plain and self._read_quickly(frame, block)):
                self._read(frame, block)
            self._index += 1
            if self._failed:
                break
        return block

    def _read_quickly(self, frame: bytes, block: Block) -> bool:
        for position, quick in enumerate(self._quick):
            try:
                chunks = quick([frame], self._reader.call_parts)
            except NOT_QUICK:
                continue
            block += chunks
            self._note(chunks, marker=False)
            if position:
                self._quick.insert(0, self._quick.pop(position))
            return True
        return False

    def _read(self, frame: bytes, block: Block) -> None:
        try:
            event = decode_event(frame, self._halves)
        except DecodeError as error:
            self._end_failed(block, DecodeError(error.problem, index=self._index))
            return
        chunks = self._reader.read(event)
        block += chunks
        if failure_in(event):
            self._end_failed(block, parse_error(None, {}, frame))
        elif self._reader.reason in BROKEN_OFF:
            said = "the back-end broke the answer off"
            self._end_failed(block, UnavailableError(said, kind=self._reader.reason))
        else:
            self._note(chunks, marker=self._reader.reason is not None)  # usage and [DONE] may follow

    def _note(self, chunks: Sequence[object], *, marker: bool) -> None:
        self._last_word.note(chunks, marker=marker)
        self.finished = self._last_word.is_said

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
            decode_event(frame, HalfJoiner())
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


def decode_event(frame: bytes, halves: HalfJoiner) -> dict[str, Any]:
    """Decode one event's data; bad UTF-8 becomes U+FFFD, and halves of a character are joined.

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
