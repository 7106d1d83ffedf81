"""Whole answers in Ollama's form, both ways: one object that says all that the lines of a stream say.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Finish, Start, Usage
from backstream.dialects.base import Envelope
from backstream.dialects.ollama.answer import AnswerReader
from backstream.dialects.ollama.answer_out import AnswerWriter, Piece, finish_members
from backstream.dialects.ollama.failures import parse_error
from backstream.dialects.ollama.stream_out import head_of
from backstream.errors import DecodeError, IncompleteStream
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_reply", "render_reply", "reply_members"]


def parse_reply(body: bytes, *, think_tags: bool) -> Block:
    """See :meth:`backstream.dialects.base.Dialect.parse_reply`."""
    answer = decode_json(body)
    if not isinstance(answer, Mapping):
        raise DecodeError(f"the answer is a JSON {type(answer).__name__}, not an object")
    if answer.get("error"):
        return [End("failed", ("error",), parse_error(None, {}, body))]
    if not isinstance(answer.get("message"), Mapping) and answer.get("done") is not True:
        raise DecodeError("the answer has no member 'message' that is an object")
    reader = AnswerReader(think_tags=think_tags)
    chunks: Block = [*reader.read(answer)]
    if reader.done:
        return [*chunks, End("complete", ("done",))]
    return [*chunks, *reader.flush(), End("incomplete", (), IncompleteStream("the answer does not say it is done"))]


def render_reply(chunks: Block, envelope: Envelope) -> bytes:
    """See :meth:`backstream.dialects.base.Dialect.render_reply`."""
    return encode_json(reply_members(chunks, envelope))


def reply_members(chunks: Block, envelope: Envelope) -> dict[str, Any]:
    """Return the members of a whole answer; what it says is its ``message``."""
    start, finish, usage = Start(), None, None
    writer = AnswerWriter()
    pieces: list[Piece] = []
    for chunk in chunks:
        if isinstance(chunk, Start):
            start = chunk
        elif isinstance(chunk, Finish):
            finish = chunk
        elif isinstance(chunk, Usage):
            usage = chunk
        elif not isinstance(chunk, End):
            pieces += writer.write(chunk)
    pieces += writer.flush()
    answer = {**head_of(start, envelope), "message": _merge(pieces), **finish_members(finish, usage)}
    logprobs = [entry for piece in pieces for entry in piece.logprobs or ()]
    if logprobs:
        answer["logprobs"] = logprobs
    return answer


def _merge(pieces: list[Piece]) -> dict[str, Any]:
    """Join messages: texts to one, lists to one."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for piece in pieces:
        for name, value in piece.message.items():
            message[name] = message[name] + value if name in message else value
    return message
