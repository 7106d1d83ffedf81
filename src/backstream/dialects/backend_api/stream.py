"""The stream of a conversation: bytes to blocks of chunks, and blocks to bytes in either framing.

The hot path of the client: a block of bytes is split at once, and each frame is decoded by one typed decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Union

import msgspec

from backstream.chunks import KNOWN_TYPES, AuthEvent, ErrorEvent, Finish, OpenResponse, RawResponse
from backstream.dialects.backend_api.failures import parse_failure
from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.dialects.last_word import LastWord
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, TooLargeError
from backstream.options import MEBIBYTE
from backstream.reply import Block, End
from backstream.wire.json_text import HalfJoiner, decode_json, encode_json

__all__ = ["BackendApiParser", "Framing", "decode_event", "encode_event", "render_block"]

Framing = Literal["sse", "jsonl"]

# What the parser must notice is left out on purpose: its tag then fails the fast decoder and takes the slow path, so
# that no chunk of the fast path needs a type test.
_NOTICED = (Finish, ErrorEvent, AuthEvent)
_Fast: Any = Union[tuple(cls for cls in KNOWN_TYPES.values() if cls not in _NOTICED)]  # noqa: UP007
_decode: Callable[[bytes], RawResponse] = msgspec.json.Decoder(_Fast).decode


class BackendApiParser:
    """Parse one answer of a backend-api server, in whichever framing its lines are.

    Args:
        max_line_bytes: Cap on one line. Default 32 MiB.
        max_event_bytes: Cap on one event. Default 32 MiB.
    """

    __slots__ = ("_decoder", "_failed", "_finish_seen", "_halves", "_index", "_last_word", "finished")

    def __init__(self, *, max_line_bytes: int = 32 * MEBIBYTE, max_event_bytes: int = 32 * MEBIBYTE) -> None:
        self._decoder = TolerantDecoder(max_line_bytes=max_line_bytes, max_event_bytes=max_event_bytes)
        self._halves = HalfJoiner()
        self._finish_seen = False
        self._failed = False
        self._index = 0
        self._last_word = LastWord()
        self.finished = False

    @property
    def done(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return False  # anything may follow a finish event

    def feed(self, data: bytes) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        if self._failed:
            return []
        decoder = self._decoder
        try:
            frames = decoder.feed(data)
        except TooLargeError:  # raised at once where there is no frame before it
            frames = []
        block = self._parse(frames)
        if decoder.failure is not None and not self._failed:
            self._end_failed(block, decoder.failure)
        return block

    def _parse(self, frames: list[bytes]) -> Block:
        try:
            block: Block = list(map(_decode, frames))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            block = self._parse_one_by_one(frames)
        else:
            if not self._last_word.is_settled:
                self._note(block, marker=False)
        self._index += len(frames)
        return block

    def _parse_one_by_one(self, frames: list[bytes]) -> Block:
        """The slow path: the finish, failures, events with members we do not know, nulls, damage."""
        block: Block = []
        for offset, frame in enumerate(frames):
            try:
                chunk = decode_event(frame, self._halves)
            except DecodeError as error:
                self._end_failed(block, DecodeError(error.problem, index=self._index + offset))
                break
            failure = parse_failure(chunk)
            if failure is not None:
                self._end_failed(block, failure)
                break
            last = False
            if isinstance(chunk, Finish):
                self._finish_seen = True
                last = chunk.reason != "tool_calls"  # after which some go on
            self._note([chunk], marker=last)
            block.append(chunk)
        return block

    def _note(self, chunks: Sequence[object], *, marker: bool) -> None:
        self._last_word.note(chunks, marker=marker)
        self.finished = self._last_word.is_said or self._decoder.done

    def _end_failed(self, block: Block, error: BackstreamError) -> None:
        self._failed = True
        block.append(End("incomplete" if isinstance(error, IncompleteStream) else "failed", ("error",), error))

    def finish(self, *, framed: bool) -> Block:
        """See :class:`backstream.dialects.base.StreamParser`."""
        block = [] if self._failed else self._parse(self._decoder.finish())
        if self._failed:
            return block
        evidence = [
            word
            for word, seen in (("finish", self._finish_seen), ("done", self._decoder.done), ("framed", framed))
            if seen
        ]
        if self._index == 0:
            stray = self._decoder.stray_lines
            problem = f"the back-end sent no event, but {stray} lines of other text" if stray else "the answer is empty"
            return [*block, End("failed", tuple(evidence), IncompleteStream(problem))]
        if self._decoder.truncated:
            return [*block, End("incomplete", ("cut event",), IncompleteStream("the answer ended inside an event"))]
        if evidence:
            return [*block, End("complete", tuple(evidence))]
        problem = "the connection closed without a word that the answer was over"
        return [*block, End("incomplete", ("closed",), IncompleteStream(problem))]


def decode_event(frame: bytes, halves: HalfJoiner | None = None) -> RawResponse:
    """Decode one event, whatever its type.

    Args:
        frame: Its JSON.
        halves: Joins characters that were cut into two events; one for each stream. ``None`` for an event by itself.

    Raises:
        DecodeError: Not a JSON object.
    """
    try:
        return _decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        members = _decode_leniently(frame, decode_json if halves is None else halves.decode)
    if not isinstance(members, dict):
        raise DecodeError(f"the event is a JSON {type(members).__name__}, not an object")
    return RawResponse.from_dict(members)


def _decode_leniently(frame: bytes, decode: Callable[[str], Any]) -> Any:
    """Decode JSON that peers really send: bad UTF-8 becomes U+FFFD, and halves of a character are joined."""
    try:
        return decode(frame.decode("utf-8", "replace"))
    except DecodeError as error:
        raise DecodeError(f"the event is {error.problem}") from None


def encode_event(chunk: RawResponse) -> bytes:
    """Encode one chunk as JSON, UTF-8, on one line; half characters become U+FFFD."""
    if isinstance(chunk, OpenResponse) or getattr(chunk, "extra", None):
        return encode_json(chunk.get_dict())
    return encode_json(chunk)


def render_block(chunks: Iterable[RawResponse], framing: Framing) -> bytes:
    """Render chunks as a server sends them; the bytes of a block are meant for one write.

    Args:
        chunks: The chunks; their JSON holds no line end, so none can add a line or a field.
        framing: ``sse``: ``event:`` and ``data:`` lines and a blank one; ``jsonl``: one line each.
    """
    if framing == "jsonl":
        return b"".join([encode_event(chunk) + b"\n" for chunk in chunks])
    return b"".join([b"event: %b\ndata: %b\n\n" % (_event_name(chunk.type), encode_event(chunk)) for chunk in chunks])


def _event_name(kind: str) -> bytes:
    """A type that could break its line is not written: nothing needs the field, ``data`` holds the type."""
    return kind.encode() if kind.isprintable() and kind.isascii() else b"message"
