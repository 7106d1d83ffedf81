"""Chunks to the stream of an answer, as Ollama sends it: a JSON object a line.

Source: https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from backstream.chunks import Finish, RawResponse, Start, Usage
from backstream.dialects.base import Envelope
from backstream.dialects.ollama.answer_out import AnswerWriter, Piece, finish_members
from backstream.dialects.ollama.failures import render_failure
from backstream.dialects.ollama.vendor import render_time
from backstream.errors import IncompleteStream
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["OllamaRenderer", "head_of"]


class OllamaRenderer:
    """Render one streamed answer; a :class:`backstream.dialects.base.StreamRenderer`.

    Args:
        envelope: What the server says of the answer.

    Attributes:
        content_type: The type of JSON lines.
        keep_alive: Nothing: clients of Ollama read no comments and no blank lines, and take any other line for a piece
            of the answer.
    """

    content_type = "application/x-ndjson"
    keep_alive = b""
    _around: ClassVar = (b',"message":{"role":"assistant","content":', b'},"done":false}\n')

    __slots__ = ("_before", "_envelope", "_finish", "_head", "_over", "_usage", "_writer")

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._writer = AnswerWriter()
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._over = False
        self._begin(Start())

    def _begin(self, start: Start) -> None:
        self._head = head_of(start, self._envelope)
        self._before = encode_json(self._head)[:-1] + self._around[0]

    def render(self, block: Block) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`."""
        lines: list[bytes] = []
        for chunk in block:
            if self._over:
                break
            if isinstance(chunk, End):
                self._render_end(chunk, lines)
            else:
                self._render_chunk(chunk, lines)
        return b"".join(lines)

    def _render_chunk(self, chunk: RawResponse, lines: list[bytes]) -> None:
        if isinstance(chunk, Start):
            self._begin(chunk)
        elif isinstance(chunk, Finish):
            self._finish = chunk  # said at the end: until then nobody knows whether the answer is whole
        elif isinstance(chunk, Usage):
            self._usage = chunk
        else:
            lines += map(self._line, self._writer.write(chunk))

    def _line(self, piece: Piece) -> bytes:
        if piece.logprobs is None and len(piece.message) == 1:
            return b"".join((self._before, encode_json(piece.message["content"]), self._around[1]))
        members: dict[str, Any] = {**self._head, **self._wrap(piece.message), "done": False}
        if piece.logprobs is not None:
            members["logprobs"] = piece.logprobs
        return _encode(members)

    def _render_end(self, end: End, lines: list[bytes]) -> None:
        self._over = True
        if end.state != "complete":  # a tool call that was under way is not said, since it may be cut
            lines.append(_encode(render_failure(end.error or IncompleteStream("the answer was cut off"))))
            return
        lines += map(self._line, self._writer.flush())
        last = self._wrap({"content": ""})
        lines.append(_encode({**self._head, **last, **finish_members(self._finish, self._usage)}))

    @staticmethod
    def _wrap(message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the members that a line says a message by."""
        return {"message": {"role": "assistant", **message}}


def _encode(members: Mapping[str, Any]) -> bytes:
    return encode_json(members) + b"\n"


def head_of(start: Start, envelope: Envelope) -> dict[str, Any]:
    """Make the members that every line, or the answer, begins with."""
    created = start.created if start.created is not None else envelope.created
    return {"model": start.model or envelope.model, "created_at": render_time(created)}
