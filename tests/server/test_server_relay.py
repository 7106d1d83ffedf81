"""A client and a provider of one dialect: the provider's own frames reach the client, and an end is never invented."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.server import Settings, create_app
from backstream.testing.upstream import Close, ReadRequest, Reset, ScriptedUpstream, Send, Step, Wait
from backstream.transport.pool import aclose_pools
from support_server import Running, head_and_body, running
from support_transport import ok

FIRST = (
    b'data: {"id":"up-1","object":"chat.completion.chunk","model":"real","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"Hel"},"finish_reason":null}],"vendor_member":{"kept":true}}\n\n'
)
SECOND = b'data: {"id":"up-1","model":"real","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}\n\n'
STOP = b'data: {"id":"up-1","model":"real","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"up-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextlib.asynccontextmanager
async def serving(*steps: Step, **settings: Any) -> AsyncIterator[tuple[Running, ScriptedUpstream]]:
    async with ScriptedUpstream([ReadRequest(), *steps]) as upstream:
        row = Row(
            name="work", label="Work", url=upstream.url, dialect="openai_chat", documentation="here", key_needed=False
        )
        app = create_app({"work": DialectProvider(row, "sk-canary-0123456789")}, Settings(keys_file=None, **settings))
        async with running(app=app) as server:
            yield server, upstream
            await aclose_pools()
            await upstream.closed()


@contextlib.asynccontextmanager
async def asking(server: Running) -> AsyncIterator[asyncio.StreamReader]:
    """Ask, and read the answer as it comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(head_and_body("POST", "/v1/chat/completions", CHAT))
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def test_frames_reach_the_client_as_they_came(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "backstream.server")
    body = FIRST + SECOND + STOP + USAGE + DONE
    async with serving(Send(HEAD + chunked(body) + chunked(b""))) as (server, _):
        answer = await server.ask("POST", "/v1/chat/completions", {**CHAT, "stream_options": {"include_usage": True}})
    assert answer.body == body
    assert answer.whole
    (record,) = [each for each in caplog.records if hasattr(each, "request")]
    assert (record.request["end"], record.request["output_tokens"]) == ("complete", 4)


async def test_the_usage_is_counted_though_the_client_did_not_ask(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "backstream.server")
    async with serving(Send(HEAD + chunked(FIRST + STOP + USAGE + DONE) + chunked(b""))) as (server, upstream):
        answer = await server.ask("POST", "/v1/chat/completions", CHAT)
        assert b"include_usage" in upstream.requests[0].body
    assert answer.body == FIRST + STOP + DONE
    (record,) = [each for each in caplog.records if hasattr(each, "request")]
    assert record.request["input_tokens"] == 3


@pytest.mark.parametrize("ending", [Reset(), Close()], ids=["reset", "closed"])
async def test_a_cut_ends_with_an_error_and_never_with_done(ending: Step) -> None:
    seen = asyncio.Event()
    half = SECOND[:40]
    steps = [Send(HEAD + chunked(FIRST)), Wait(seen), Send(chunked(SECOND + half)), ending]
    async with serving(*steps) as (server, _), asking(server) as reader:
        got = await reader.readuntil(b"\n\n\r\n")
        seen.set()
        got += await reader.read()
    assert b"vendor_member" in got
    assert b"[DONE]" not in got
    assert got.count(b'"error":') == 1
    assert half not in got.split(b'"error":')[0].split(SECOND)[-1]


async def test_an_error_in_the_stream_is_told_in_our_words() -> None:
    error = b'data: {"error":{"message":"overloaded: sk-canary-0123456789","code":503}}\n\n'
    async with serving(Send(HEAD + chunked(FIRST + error + SECOND) + chunked(b""))) as (server, _):
        answer = await server.ask("POST", "/v1/chat/completions", CHAT)
    assert answer.body.startswith(FIRST)
    assert b"canary" not in answer.body
    assert answer.body.count(b'"error":') == 1
    assert SECOND not in answer.body
    assert b"[DONE]" not in answer.body


async def test_a_whole_answer_to_a_streamed_request_is_written_anew() -> None:
    whole = (
        b'{"id":"up-1","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},'
        b'"finish_reason":"stop"}]}'
    )
    async with serving(Send(ok(whole, "Content-Type: application/json", "Connection: close"))) as (server, _):
        answer = await server.ask("POST", "/v1/chat/completions", CHAT)
    assert b'"content":"Hello"' in answer.body
    assert answer.body.endswith(DONE)


async def test_a_slow_first_word_is_waited_for_with_keep_alives() -> None:
    go = asyncio.Event()
    steps = [Send(HEAD + chunked(b": quiet\n\n")), Wait(go), Send(chunked(FIRST + STOP + DONE) + chunked(b""))]
    async with serving(*steps, gate_seconds=0.01) as (server, _), asking(server) as reader:
        got = await reader.readuntil(b": keep-alive\n\n")
        go.set()
        got += await reader.read()
    assert b"200 OK" in got
    assert FIRST in got
    assert DONE in got
