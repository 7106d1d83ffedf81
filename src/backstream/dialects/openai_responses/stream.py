"""The stream of a response: bytes to blocks of chunks.

The hot path: a block of bytes is split at once, and each piece of text is decoded by one typed decoder. Whatever is no
plain piece of the text being written takes the slow path, event by event.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.chunks import Content
from backstream.dialects.openai_responses.reading import ResponseReader
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json
from backstream.wire.sse_data import EventDataDecoder

__all__ = ["ResponsesParser"]

_DONE = b"[DONE]"


class _TextDelta(msgspec.Struct, tag_field="type", tag="response.output_text.delta", gc=False):
    """The members of a piece of text that matter; the others are skipped without being decoded."""

    delta: str
    output_index: int
    content_index: int
    logprobs: list[msgspec.Raw] = []


_decode: Callable[[bytes], _TextDelta] = msgspec.json.Decoder(_TextDelta).decode


class ResponsesParser:
    """Parse one streamed answer; see :class:`backstream.dialects.base.StreamParser`.

    Done is what the back-end calls so: ``response.completed`` or ``response.incomplete``.

    Args:
        options: The caps of the call.
    """

    __slots__ = ("_content_index", "_decoder", "_ended", "_index", "_number", "_output_index", "_reader")

    def __init__(self, options: CallOptions) -> None:
        self._decoder = EventDataDecoder(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)
        self._reader = ResponseReader()
        self._ended = False
        self._index = 0
        # The text being written, once a piece of it took the slow path.
        self._output_index = self._content_index = self._number = -1

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._ended:
            return []
        block: Block = []
        try:
            block += self._parse(self._decoder.feed(data))
        except TooLargeError as error:
            self._end(block, error)
        if self._decoder.failure is not None and not self._ended:
            self._end(block, self._decoder.failure)
        return block

    def _parse(self, frames: list[bytes]) -> Block:
        output, content, number = self._output_index, self._content_index, self._number
        try:
            pieces = list(map(_decode, frames))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._parse_one_by_one(frames)
        block: Block = [
            Content(content=piece.delta, part=number)
            for piece in pieces
            if piece.output_index == output and piece.content_index == content and piece.delta and not piece.logprobs
        ]
        if len(block) != len(frames):
            return self._parse_one_by_one(frames)
        self._index += len(frames)
        return block

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        block: Block = []
        for frame in frames:
            try:
                piece = _decode(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self._parse_event(frame, block)
            else:
                self._parse_piece(piece, frame, block)
            self._index += 1
            if self._ended:
                break
        return block

    def _parse_piece(self, piece: _TextDelta, frame: bytes, block: Block) -> None:
        here = piece.output_index == self._output_index and piece.content_index == self._content_index
        if here and piece.delta and not piece.logprobs:
            block.append(Content(content=piece.delta, part=self._number))
            return
        self._parse_event(frame, block)
        if piece.delta and piece.output_index >= 0 and piece.content_index >= 0:
            self._output_index, self._content_index = piece.output_index, piece.content_index
            self._number = self._reader.number_of(piece.output_index, piece.content_index)

    def _parse_event(self, frame: bytes, block: Block) -> None:
        if frame == _DONE:
            return
        try:
            members = decode_json(frame.decode("utf-8", "replace"))
        except DecodeError as error:
            self._end(block, DecodeError(f"the event is {error.problem}", index=self._index))
            return
        if not isinstance(members, dict):
            kind = type(members).__name__
            self._end(block, DecodeError(f"the event is a JSON {kind}, not an object", index=self._index))
            return
        block += self._reader.read(members)
        self._ended = bool(block) and isinstance(block[-1], End)

    def _end(self, block: Block, error: BackstreamError) -> None:
        self._ended = True
        block.append(End("failed", ("error",), error))

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._ended:
            return []
        block: Block = []
        decoder = self._decoder
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
