"""Whole answers in the form of OpenAI's chat completions, both ways.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Finish, Start, Usage
from backstream.dialects.base import Envelope
from backstream.dialects.openai_chat.answer import BROKEN_OFF, AnswerReader
from backstream.dialects.openai_chat.deltas import Delta, DeltaWriter, merge
from backstream.dialects.openai_chat.failures import failure_in, parse_error
from backstream.dialects.openai_chat.quirks import Quirks
from backstream.dialects.openai_chat.stream_out import head_of, render_finish, render_usage
from backstream.errors import DecodeError, IncompleteStream, UnavailableError
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["make_reply", "parse_reply", "render_reply"]


def parse_reply(body: bytes, quirks: Quirks) -> Block:
    """See :meth:`backstream.dialects.base.Dialect.parse_reply`."""
    answer = decode_json(body)
    if not isinstance(answer, Mapping):
        raise DecodeError(f"the answer is a JSON {type(answer).__name__}, not an object")
    if not failure_in(answer) and not isinstance(answer.get("choices"), list):
        raise DecodeError("the answer has no member 'choices' that is a list")
    reader = AnswerReader(quirks)
    chunks: Block = [*reader.read(answer)]
    if failure_in(answer):
        return [*chunks, End("failed", ("error",), parse_error(None, {}, body))]
    chunks += reader.finish()
    if reader.reason in BROKEN_OFF:
        error = UnavailableError("the back-end broke the answer off", kind=reader.reason)
        return [*chunks, End("failed", ("error",), error)]
    if reader.reason is None:
        return [*chunks, End("incomplete", (), IncompleteStream("the answer has no finish reason"))]
    return [*chunks, End("complete", ("finish_reason",))]


def render_reply(chunks: Block, envelope: Envelope, quirks: Quirks) -> bytes:
    """See :meth:`backstream.dialects.base.Dialect.render_reply`."""
    return encode_json(make_reply(chunks, envelope, quirks))


def make_reply(chunks: Block, envelope: Envelope, quirks: Quirks) -> dict[str, Any]:
    """Make the object that a whole answer is."""
    start, finish, usage = Start(), None, None
    writer = DeltaWriter(envelope.id, quirks)
    deltas: list[Delta] = []
    for chunk in chunks:
        if isinstance(chunk, Start):
            start = chunk
        elif isinstance(chunk, Finish):
            finish = chunk
        elif isinstance(chunk, Usage):
            usage = chunk
        elif not isinstance(chunk, End):
            deltas += writer.write(chunk)
    deltas += writer.flush()
    message, logprobs = merge(deltas)
    message = {"role": "assistant", "content": None, "refusal": None, **message}
    if not set(message) - {"role", "content", "refusal"} and message["content"] is message["refusal"] is None:
        message["content"] = ""
    choice: dict[str, Any] = {"index": 0, "message": message, "logprobs": logprobs}
    choice |= render_finish(finish, called=writer.called)
    answer = {**head_of(start, envelope, "chat.completion"), "choices": [choice]}
    if usage is not None:
        answer["usage"] = render_usage(usage)
    return answer
