"""The stream of an answer: bytes to blocks of chunks. The framing is told by the first byte.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from backstream.chunks import Content, Reasoning
from backstream.dialects.gemini.reading import Reader
from backstream.dialects.last_word import LastWord
from backstream.errors import BackstreamError, DecodeError
from backstream.options import MEBIBYTE
from backstream.reply import Block, End
from backstream.wire.json_array import JSONArrayDecoder
from backstream.wire.json_text import HalfJoiner, decode_json
from backstream.wire.sse import SSEDecoder

__all__ = ["GeminiParser"]


class _TextPart(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _TextContent(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_TextPart]
    role: str = ""


class _TextCandidate(msgspec.Struct, forbid_unknown_fields=True):
    content: _TextContent
    index: int = 0
    safetyRatings: msgspec.Raw = msgspec.Raw()  # noqa: N815 - as it is on the wire


class _TextEvent(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The usual event: text or thoughts alone. Any other fails this decoder and takes the slow path."""

    candidates: tuple[_TextCandidate]
    usage_metadata: dict[str, Any] = {}
    model_version: str = ""
    response_id: str = ""


_decode: Final[Callable[[str | bytes], _TextEvent]] = msgspec.json.Decoder(_TextEvent).decode
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


class GeminiParser:
    """Parse one streamed answer: server-sent events, a JSON array that comes bit by bit, or one JSON object.

    Args:
        max_line_bytes: Cap on one line of an event stream. Default 32 MiB.
        max_event_bytes: Cap on one event. Default 32 MiB.
    """

    __slots__ = (
        "_array",
        "_bare",
        "_halves",
        "_head",
        "_index",
        "_last_word",
        "_max_event",
        "_reader",
        "_sse",
        "finished",
    )

    def __init__(self, *, max_line_bytes: int = 32 * MEBIBYTE, max_event_bytes: int = 32 * MEBIBYTE) -> None:
        self._sse: SSEDecoder | None = SSEDecoder(max_line_bytes=max_line_bytes, max_event_bytes=max_event_bytes)
        self._array: JSONArrayDecoder | None = None
        self._max_event = max_event_bytes
        self._head: bytes | None = b""
        self._bare = False
        self._halves = HalfJoiner()
        self._reader = Reader()
        self._index = 0
        self._last_word = LastWord(beside=True)
        self.finished = False

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return False  # usage may follow the finish reason

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._reader.failed:
            return []
        if self._head is not None:
            data = self._choose(data)
        block: Block = []
        decoder = self._array if self._array is not None else self._sse
        assert decoder is not None
        try:
            frames = decoder.feed(data)
        except BackstreamError as error:
            self._fail(block, error)
            return block
        self._parse([frame if isinstance(frame, bytes) else frame.data for frame in frames], block)
        if decoder.failure is not None and not self._reader.failed:
            self._fail(block, decoder.failure)
        if self._array is not None and self._array.done and self._reader.finished:
            self.finished = True
        return block

    def _choose(self, data: bytes) -> bytes:
        """Choose the framing by the first byte that is not white space."""
        head = (self._head or b"") + data
        text = head.removeprefix(_BOM).lstrip(_BLANK)
        if not text or (len(head) < len(_BOM) and _BOM.startswith(head)):
            self._head = head[-len(_BOM) :] if len(head) < len(_BOM) else b" "
            return b""
        self._head = None
        if text[:1] in (b"[", b"{"):
            self._bare = text[:1] == b"{"
            self._array = JSONArrayDecoder(max_event_bytes=self._max_event)
            self._sse = None
            return b"[" + text if self._bare else text
        return text

    def _fail(self, block: Block, error: BackstreamError) -> None:
        if isinstance(error, DecodeError) and error.index is None:
            error = DecodeError(error.problem, index=self._index)
        self._reader.failed = True
        block.append(End("failed", ("error",), error))

    def _parse(self, frames: list[str] | list[bytes] | list[str | bytes], block: Block) -> None:
        reader = self._reader
        for frame in frames:
            try:
                event = _decode(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                event = None
            if event is None or not reader.started or event.candidates[0].index:
                self._parse_slowly(frame, block)
                if reader.failed:
                    return
            else:
                reader.usage.update(event.usage_metadata)
                for part in event.candidates[0].content.parts:
                    text = part.text
                    if not text:
                        continue
                    if part.thought:
                        block.append(Reasoning(token=text, part=reader.open("reasoning")))
                    else:
                        number = reader.open("text")
                        reader.said.append(text)
                        block.append(Content(content=text, part=number))
                    if not self._last_word.is_settled:
                        self._note(block[-1:], marker=False)
            self._index += 1

    def _parse_slowly(self, frame: str | bytes, block: Block) -> None:
        """The slow path: calls, media, signatures, the finish, failures, members we do not know, nulls, damage."""
        if not frame.strip() or frame in ("[DONE]", b"[DONE]"):
            return
        try:
            text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
            event = self._halves.decode(text)
        except DecodeError as error:
            self._fail(block, DecodeError(f"the event is {error.problem}", index=self._index))
            return
        if not isinstance(event, dict):
            self._fail(block, DecodeError(f"the event is a JSON {type(event).__name__}", index=self._index))
            return
        reader = self._reader
        before = len(block)
        reader.read(event, block)
        if self._bare:
            self.finished = reader.finished
        else:
            self._note(block[before:], marker=reader.finished)

    def _note(self, chunks: Sequence[object], *, marker: bool) -> None:
        self._last_word.note(chunks, marker=marker)
        self.finished = self._last_word.is_said

    def _parse_last(self, sse: SSEDecoder, block: Block) -> bool:
        """Parse an event whose blank line never came, if its JSON is whole: a cut object is none."""
        with contextlib.suppress(BackstreamError):
            frames = [event.data for event in sse.feed(b"\n\n")]
            if frames and isinstance(decode_json(frames[-1]), dict):
                self._parse(frames, block)
                return True
        return False

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        del framed  # Google says a word of its own when an answer is over
        if self._reader.failed:
            return []
        block: Block = []
        cut = False
        if self._array is not None:
            cut = not self._reader.started if self._bare else self._array.pending
        elif self._sse is not None and self._sse.pending:
            cut = not self._parse_last(self._sse, block)
        if not self._reader.failed:
            self._reader.finish(block, whole=self._bare, cut=cut)
        self._reader.failed = True
        return block
