"""The stream of a response: bytes to blocks of chunks.

The hot path: a block of bytes is split at once, and read as pieces of the part that is being written (``quick.py``).
Whatever else there is takes the slow path, event by event.
"""

from __future__ import annotations

from collections.abc import Sequence

from backstream.dialects.openai_responses.members import text_of
from backstream.dialects.openai_responses.numbering import Numbering
from backstream.dialects.openai_responses.quick import NOT_QUICK, READERS, Place
from backstream.dialects.openai_responses.reading import ResponseReader
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End, EndState
from backstream.wire.json_text import HalfJoiner, decode_json
from backstream.wire.sse_data import EventDataDecoder

__all__ = ["ResponsesParser"]

_DONE = b"[DONE]"


class ResponsesParser:
    """Parse one streamed answer; see :class:`backstream.dialects.base.StreamParser`.

    Done is what the back-end calls so: ``response.completed`` or ``response.incomplete``; whatever follows is ignored.
    Where events are numbered, one that came before is dropped, and after a gap the answer is incomplete.

    Args:
        options: The caps of the call.
    """

    __slots__ = ("_decoder", "_ended", "_halves", "_index", "_numbering", "_place", "_quick", "_reader")

    def __init__(self, options: CallOptions) -> None:
        self._decoder = EventDataDecoder(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)
        self._halves = HalfJoiner()
        self._reader = ResponseReader()
        self._numbering = Numbering()
        self._ended = False
        self._index = 0
        self._place: Place | None = None
        self._quick = READERS["response.output_text.delta"]

    @property
    def finished(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return bool(self._reader.ending)

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return bool(self._reader.ending)

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._over:
            return []
        block: Block = []
        try:
            block += self._parse(self._decoder.feed(data))
        except TooLargeError as error:
            self._end(block, error)
            return block
        if self._decoder.failure is not None and not self._over:
            self._end(block, self._decoder.failure)
        return block

    @property
    def _over(self) -> bool:
        return self._ended or bool(self._reader.ending)

    def _parse(self, frames: list[bytes]) -> Block:
        block = self._read_quickly(frames)
        if block is None:
            return self._parse_one_by_one(frames)
        self._index += len(frames)
        return block

    def _read_quickly(self, frames: Sequence[bytes]) -> Block | None:
        """Read plain pieces of the part that is being written; ``None`` where there is anything else."""
        if self._place is None:
            return None
        try:
            block = self._quick(frames, self._place, self._numbering.expected())
        except NOT_QUICK:
            return None
        if len(block) != len(frames):
            return None
        self._numbering.note(len(frames))
        return block

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        block: Block = []
        for frame in frames:
            quick = self._read_quickly((frame,))
            if quick is None:
                self._parse_event(frame, block)
            else:
                block += quick
            self._index += 1
            if self._over:
                break
        return block

    def _parse_event(self, frame: bytes, block: Block) -> None:
        if frame == _DONE:
            return
        try:
            members = self._halves.decode(frame.decode("utf-8", "replace"))
        except DecodeError as error:
            self._end(block, DecodeError(f"the event is {error.problem}", index=self._index))
            return
        if not isinstance(members, dict):
            kind = type(members).__name__
            self._end(block, DecodeError(f"the event is a JSON {kind}, not an object", index=self._index))
            return
        try:
            if not self._numbering.admit(members, frame):
                return
        except IncompleteStream as error:
            self._end(block, error, "incomplete", "gap")
            return
        chunks = self._reader.read(members)
        block += chunks
        self._ended = bool(chunks) and isinstance(chunks[-1], End)
        quick = READERS.get(text_of(members, "type") or "")
        if quick is not None and len(chunks) == 1:  # the pieces after it can be read quickly
            self._quick = quick
            number = getattr(chunks[0], "part", -1)
            self._place = Place(members["output_index"], members.get("content_index"), number)

    def _end(self, block: Block, error: BackstreamError, state: EndState = "failed", evidence: str = "error") -> None:
        self._ended = True
        block.append(End(state, (evidence,), error))

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._ended:
            return []
        block: Block = []
        decoder = self._decoder
        if not self._reader.ending:
            decoder.finish()  # gives no event: one that is not closed is in ``unfinished``
        cut = bool(decoder.unfinished) and not self._parse_unfinished(decoder.unfinished, block)
        if block and isinstance(block[-1], End):
            return block
        self._ended = True
        if self._reader.ending:
            return [*block, End("complete", (self._reader.ending, *(("framed",) if framed else ())))]
        if cut:
            return [*block, End("incomplete", ("cut event",), IncompleteStream("the answer ended inside an event"))]
        if self._index == 0:
            stray = decoder.stray_lines
            problem = f"the back-end sent no event, but {stray} lines of other text" if stray else "the answer is empty"
            return [*block, End("failed", ("framed",) if framed else (), IncompleteStream(problem))]
        problem = "the connection closed without a word that the answer was over"
        return [*block, End("incomplete", ("closed",), IncompleteStream(problem))]

    def _parse_unfinished(self, data: bytes, block: Block) -> bool:
        """Take an event whose blank line is missing, if it is whole: only an object cannot be a cut one."""
        try:
            whole = isinstance(decode_json(data.decode("utf-8", "replace")), dict)
        except DecodeError:
            whole = data == _DONE
        if whole:
            block += self._parse_one_by_one([data])
        return whole
