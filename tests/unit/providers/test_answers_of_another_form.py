"""Answers that come in another form than was asked for, whole or cut: what they say is said, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import BackstreamError, DecodeError, IncompleteStream, RefusedError
from backstream.providers.dialect_provider import DialectProvider
from backstream.registry.rows import row_at
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send
from support_transport import no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

ASKED: Any = [{"role": "user", "content": "Hi"}]
EVENTS = b'data: {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
LINES = b'{"message": {"content": "Hello"}, "done": true, "done_reason": "stop"}\n'


def until_close(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body


async def answer(dialect: str, reply: bytes, **parameters: Any) -> str:
    async with ScriptedUpstream([ReadRequest(), Send(reply), Close()]) as upstream:
        provider = DialectProvider(row_at(upstream.url, dialect=dialect))
        return "".join([str(chunk) async for chunk in provider.create_async_generator("m", ASKED, **parameters)])


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        ("openai_chat", ok(EVENTS, "Content-Type: text/event-stream")),
        ("ollama", ok(LINES, "Content-Type: application/x-ndjson")),
    ],
)
async def test_a_stream_is_read_also_where_none_was_asked_for(dialect: str, reply: bytes) -> None:
    assert await answer(dialect, reply, stream=False) == "Hello"


@pytest.mark.parametrize("body", [b'{"error": {"message": "no"}}', b'{"type": "message"}', b"[]"])
async def test_a_whole_document_that_is_no_answer_was_not_cut_off(body: bytes) -> None:
    with pytest.raises(BackstreamError) as framed:
        await answer("anthropic_messages", ok(body, "Content-Type: application/json"))
    with pytest.raises(BackstreamError) as closed:
        await answer("anthropic_messages", until_close(body))
    assert (type(closed.value), str(closed.value)) == (type(framed.value), str(framed.value))
    assert isinstance(closed.value, RefusedError if b"error" in body else DecodeError)
    with pytest.raises(IncompleteStream, match="closed inside"):
        await answer("anthropic_messages", until_close(body[:-1]))
