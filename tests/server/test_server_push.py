"""Events that are passed on in the callback that brings them: nothing lost, bounded, and never round a middleware."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream.chunks import Content
from backstream.dialects.openai_chat.stream_out import ChatStreamRenderer
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.reply import Block
from backstream.server import Settings, create_app
from backstream.server.asgi import Message, Receive, Scope, Send
from backstream.server.listener import Listener, bind
from backstream.transport.pool import aclose_pools
from support_server import Running, head_and_body

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
FLOOD = 64 * 1024 * 1024


def event(text: str) -> bytes:
    value = {"id": "i", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    data = b"data: %b\n\n" % json.dumps(value).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Upstream:
    """A back-end that writes events when told, as fast as they are taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.gone = asyncio.Event()
        self.writer: asyncio.StreamWriter
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        self.asked.set()
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
        self.gone.set()
        writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)


@contextlib.asynccontextmanager
async def serving(
    *, dialect: str = "openai_chat", wrap: Any = None, **settings: Any
) -> AsyncIterator[tuple[Running, Upstream]]:
    upstream = Upstream()
    back = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = back.sockets[0].getsockname()[1]
    row = Row(
        name="up", label="Up", url=f"http://127.0.0.1:{port}", dialect=dialect, documentation="", key_needed=False
    )
    app: Any = create_app({"up": DialectProvider(row)}, Settings(keys_file=None, **settings))
    listener = Listener(app if wrap is None else wrap(app))
    listener.adopt(bind("127.0.0.1", 0))
    await listener.start()
    try:
        yield Running(listener.port, listener), upstream
    finally:
        await listener.aclose()
        await aclose_pools()
        back.close()
        await back.wait_closed()
        await app.aclose()


@contextlib.asynccontextmanager
async def asking(server: Running, upstream: Upstream) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(head_and_body("POST", "/v1/chat/completions", CHAT))
        await upstream.asked.wait()
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_every_event_arrives_in_order_however_they_come() -> None:
    async with serving() as (server, upstream), asking(server, upstream) as reader:
        for number in range(300):
            upstream.writer.write(event(f"word-{number:03} "))
            if number % 7 == 0:
                await asyncio.sleep(0)
            if number % 50 == 0:
                await reader.readuntil(f"word-{number:03} ".encode())
        upstream.writer.write(END)
        rest = await reader.read()
    numbers = [int(piece[:3]) for piece in rest.split(b"word-")[1:]]
    assert numbers == list(range(251, 300))
    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_a_client_that_reads_nothing_stops_the_back_end() -> None:
    async with serving() as (server, upstream):
        async with asking(server, upstream) as reader:
            await upstream.send(event("begin"))
            await reader.readuntil(b"begin")
            big = event("x" * 65_000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    while upstream.sent < FLOOD:
                        await upstream.send(big)
            assert upstream.sent < FLOOD
        await asyncio.wait_for(upstream.gone.wait(), 20)


async def test_a_client_that_reads_again_gets_everything() -> None:
    async with serving() as (server, upstream), asking(server, upstream) as reader:
        await upstream.send(event("begin"))
        await reader.readuntil(b"begin")
        big = [event(f"[{number:04}]" + "x" * 65_000) for number in range(200)]
        sending = asyncio.create_task(_send_all(upstream, [*big, END]))
        got = await asyncio.wait_for(reader.read(), 60)
        await sending
    assert [int(piece[:4]) for piece in got.split(b'"content": "[')[1:]] == list(range(200))
    assert b"[DONE]" in got


async def _send_all(upstream: Upstream, pieces: list[bytes]) -> None:
    for piece in pieces:
        await upstream.send(piece)


async def test_a_client_that_goes_away_closes_the_back_end() -> None:
    async with serving() as (server, upstream):
        async with asking(server, upstream) as reader:
            for word in ("one", "two", "three"):
                await upstream.send(event(word))
                await reader.readuntil(word.encode())
        await asyncio.wait_for(upstream.gone.wait(), 20)


async def test_a_middleware_sees_every_piece() -> None:
    seen: list[bytes] = []

    def wrap(app: Any) -> Any:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            async def look(message: Message) -> None:
                seen.append(message.get("body", b""))
                await send(message)

            await app(scope, receive, look)

        return wrapped

    async with serving(wrap=wrap) as (server, upstream), asking(server, upstream) as reader:
        for word in ("one", "two", "three"):
            await upstream.send(event(word))
            await reader.readuntil(word.encode())
        upstream.writer.write(END)
        await reader.read()
    assert all(word in b"".join(seen) for word in (b"one", b"two", b"three"))


async def test_keep_alives_go_out_while_the_back_end_is_silent() -> None:
    async with serving(keepalive_seconds=0.02) as (server, upstream), asking(server, upstream) as reader:
        await upstream.send(event("one"))
        await reader.readuntil(b"one")
        await upstream.send(event("two"))
        await reader.readuntil(b"two")
        await reader.readuntil(b": keep-alive\n\n\r\n")
        upstream.writer.write(END)
        assert b"[DONE]" in await reader.read()


async def test_a_defect_while_passing_on_cuts_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ChatStreamRenderer.render

    def render(self: ChatStreamRenderer, block: Block) -> bytes:
        if any(isinstance(chunk, Content) and "boom" in chunk.text for chunk in block):
            raise ZeroDivisionError
        return plain(self, block)

    monkeypatch.setattr(ChatStreamRenderer, "render", render)
    async with serving(dialect="openai_responses") as (server, upstream), asking(server, upstream) as reader:
        for word in ("one", "two", "boom"):
            data = b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"%b"}\n\n'
            data %= word.encode()
            await upstream.send(b"%x\r\n%b\r\n" % (len(data), data))
            if word != "boom":
                await reader.readuntil(word.encode())
        rest = await reader.read()
        await asyncio.wait_for(upstream.gone.wait(), 20)
    assert b"[DONE]" not in rest
