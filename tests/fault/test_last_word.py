"""A back-end that has said its last word: the answer is over at once, whatever becomes of its connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.testing.upstream import Close, ExpectEOF, ReadRequest, ScriptedUpstream, Send, Step, Wait
from backstream.transport import connection as connections
from backstream.transport.pool import aclose_pools, pool_of

RECORDED = Path(__file__).parents[1] / "data" / "recorded"
TYPES = {
    "openai_chat": "text/event-stream",
    "openai_responses": "text/event-stream",
    "anthropic_messages": "text/event-stream",
    "ollama": "application/x-ndjson",
}
HI = [{"role": "user", "content": "Hi"}]


def answer(dialect: str, *, more: bytes = b"", last: bool = False) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[dialect]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = (RECORDED / "aimock" / dialect / "text.body").read_bytes()
    pieces = [head, b"%x\r\n%b\r\n" % (len(body), body)]
    if more:
        pieces.append(b"%x\r\n%b\r\n" % (len(more), more))
    return b"".join([*pieces, b"0\r\n\r\n"] if last else pieces)


def provider(upstream: ScriptedUpstream, dialect: str) -> DialectProvider:
    return DialectProvider(
        Row(name="up", label="Up", url=upstream.url, dialect=dialect, documentation="here", key_needed=False)
    )


async def ask(asked: DialectProvider) -> str:
    async with asked.create_async_generator("m", HI, stream=True) as stream:
        text = "".join([str(chunk) async for chunk in stream])
        assert stream.end is not None
        assert stream.end.state == "complete"
        return text


@pytest.mark.parametrize("dialect", TYPES)
async def test_the_answer_is_over_though_the_socket_stays_open(dialect: str) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(answer(dialect)), ExpectEOF()]) as upstream:
        async with asyncio.timeout(20):
            assert await ask(provider(upstream, dialect))
        await aclose_pools()
        await upstream.closed()


async def test_an_open_body_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LEAVE_SECONDS", 0.02)
    async with ScriptedUpstream([ReadRequest(), Send(answer("openai_chat")), ExpectEOF()]) as upstream:
        await ask(provider(upstream, "openai_chat"))
        await upstream.closed()


async def test_a_body_that_ends_later_leaves_its_connection_for_the_next_request() -> None:
    over = asyncio.Event()
    steps: list[Step] = [
        ReadRequest(),
        Send(answer("openai_chat")),
        Wait(over),
        Send(b"0\r\n\r\n"),
        ReadRequest(),
        Send(answer("openai_chat", last=True)),
    ]
    async with ScriptedUpstream(steps) as upstream:
        asked = provider(upstream, "openai_chat")
        first = await ask(asked)
        over.set()
        async with asyncio.timeout(20):
            while not await _is_idle():  # the body's end is on its way
                await asyncio.sleep(0.001)
        assert await ask(asked) == first
        assert upstream.connections == 1
        await aclose_pools()
        await upstream.closed()


async def _is_idle() -> bool:
    return bool(pool_of(asyncio.get_running_loop())._idle)


async def test_more_after_the_end_is_ignored_and_the_connection_is_closed() -> None:
    go = asyncio.Event()
    more = b"7\r\ndata: {\r\n"
    async with ScriptedUpstream(
        [ReadRequest(), Send(answer("openai_chat")), Wait(go), Send(more), ExpectEOF()]
    ) as upstream:
        await ask(provider(upstream, "openai_chat"))
        go.set()
        await upstream.closed()


async def test_a_server_that_closes_then_disturbs_nobody() -> None:
    go = asyncio.Event()
    async with ScriptedUpstream([ReadRequest(), Send(answer("openai_chat")), Wait(go), Close()]) as upstream:
        await ask(provider(upstream, "openai_chat"))
        go.set()
        await upstream.closed()


async def test_what_follows_in_the_same_read_is_ignored() -> None:
    raw = answer("openai_chat", more=b'data: {"choices":[{"delta":{"content":"more"}}]}\n\n', last=True)
    async with ScriptedUpstream([ReadRequest(), Send(raw)]) as upstream:
        assert "more" not in await ask(provider(upstream, "openai_chat"))
        await aclose_pools()
        await upstream.closed()
