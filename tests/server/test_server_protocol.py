"""One connection against slow, huge, malformed and hasty clients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from backstream.server import BodyLimits, Settings, create_app
from backstream.server.protocol import ConnectionLimits
from support_server import CONVERSATION, HELLO, close, head_and_body, provider_of, running, saying

QUICK = ConnectionLimits(head_seconds=0.03)
SOON = ConnectionLimits(head_seconds=0.2, drain_seconds=0.03, stall_seconds=0.03)  # where a first head must get through
HEALTH = head_and_body("GET", "/healthz", keep=True)


async def read_all(port: int, *pieces: bytes) -> bytes:
    """Write pieces, then read until the server closes; hangs if it never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        received = await reader.read()
    await close(writer)
    return received


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"\r\n",),
        (b"G",),
        (b"GET /healthz HTTP/1.1\r\nHost: localh",),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",),
        tuple(bytes([byte]) for byte in HEALTH[:12]),
    ],
    ids=["nothing", "a line end", "one byte", "half a field", "no blank line", "byte by byte"],
)
async def test_an_unfinished_head_is_closed(pieces: tuple[bytes, ...]) -> None:
    async with running([saying()], limits=QUICK) as server:
        assert await read_all(server.port, *pieces) == b""


@pytest.mark.parametrize("start", [b"", b"\r\n", b"GET /heal"])
async def test_an_unfinished_second_head_is_closed_too(start: bytes) -> None:
    async with running([saying()], limits=SOON) as server:
        server.listener._config.timeout_keep_alive = 0.05  # type: ignore[assignment]
        received = await read_all(server.port, HEALTH, start)
        assert received.count(b"HTTP/1.1 200") == 1


async def test_a_connection_is_kept_for_further_requests() -> None:
    async with running([saying()]) as server:
        last = head_and_body("GET", "/healthz")
        conversation = head_and_body("POST", CONVERSATION, HELLO, keep=True)
        answers = await server.send_all(HEALTH + conversation + HEALTH + last)  # all at once, too
    assert [answer.status for answer in answers] == [200, 200, 200, 200]
    assert answers[1].events()[-1]["type"] == "finish"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["long field", "many bytes of fields", "long path", "many fields"],
)
async def test_a_head_above_the_cap_is_refused(head: bytes) -> None:
    async with running([saying()]) as server:
        answers = await server.send_all(head)
        assert [answer.status for answer in answers] in ([431], [])  # [] where the reset overtook the answer
        assert (await server.ask("GET", "/healthz")).status == 200


async def test_a_head_that_never_ends_is_refused_at_the_cap() -> None:
    async with running([saying()], limits=ConnectionLimits(max_head_bytes=4096)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 100_000:
                writer.write(b"x" * 512)
                await writer.drain()
                await asyncio.sleep(0)
                sent += 512
        assert sent < 100_000
        received = b""
        with contextlib.suppress(ConnectionError):
            received = await reader.read()
        assert received.startswith(b"HTTP/1.1 431") or not received
        await close(writer)


async def test_a_head_just_below_the_cap_is_served() -> None:
    async with running([saying()]) as server:
        answer = await server.ask("GET", "/healthz", headers={"X": "x" * 60_000})
    assert answer.status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: \x00\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
async def test_malformed_heads(raw: bytes) -> None:
    async with running([saying()], limits=SOON) as server:
        answers = await server.send_all(raw)
        assert [answer.status for answer in answers] in ([400], [])
        for answer in answers:
            assert answer.message == "Malformed request"
        assert (await server.ask("GET", "/healthz")).status == 200


async def test_a_malformed_second_request_is_not_a_second_answer_inside_the_first() -> None:
    """The first answer is cut; the client cannot take a part of the other for it."""
    go = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield "one"
        await go.wait()

    async with running([provider_of(generate)]) as server:
        received = await read_all(
            server.port, head_and_body("POST", CONVERSATION, HELLO, keep=True), b"GARBAGE\r\n\r\n"
        )
    assert b" 400 " not in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("keep", [True, False])
async def test_a_refused_body_is_drained_so_that_the_answer_arrives(keep: bool) -> None:
    limits = BodyLimits(max_body_bytes=1000)
    app = create_app([saying()], Settings(keys_file=None, limits=limits))
    body = b'{"messages": "' + b"x" * 3_000_000 + b'"}'
    raw = head_and_body("POST", CONVERSATION, body, keep=keep)
    async with running(app=app) as server:
        answers = await server.send_all(raw + (head_and_body("GET", "/healthz") if keep else b""))
    assert [answer.status for answer in answers] == ([413, 200] if keep else [413])


@pytest.mark.parametrize("keep", [True, False])
async def test_draining_has_an_end(keep: bool) -> None:
    raw = head_and_body("POST", "/nowhere", b"x" * 100, keep=keep)
    async with running([saying()], limits=SOON) as server:
        received = await read_all(server.port, raw[:-50])
    assert received.startswith(b"HTTP/1.1 404")


async def test_nothing_is_served_on_a_connection_that_closes() -> None:
    raw = head_and_body("POST", "/nowhere", b"x" * 100)
    async with running([saying()]) as server:
        received = await read_all(server.port, raw[:-50], raw[-50:] + HEALTH)
    assert received.count(b"HTTP/1.1") == 1


async def test_a_body_that_stops_is_a_408() -> None:
    raw = head_and_body("POST", CONVERSATION, HELLO)
    async with running([saying()], limits=SOON, body_idle_seconds=0.03) as server:
        received = await read_all(server.port, raw[:-5])
    assert received.startswith(b"HTTP/1.1 408")


async def test_a_client_that_reads_nothing_is_left() -> None:
    closed = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            while True:
                yield "x" * 100_000
        finally:
            closed.set()

    async with running([provider_of(generate)], limits=SOON) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(head_and_body("POST", CONVERSATION, HELLO))
        async with asyncio.timeout(20):
            await closed.wait()
        writer.transport.abort()


async def test_a_client_that_reads_slowly_is_served() -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        for _ in range(40):
            yield "x" * 100_000

    limits = ConnectionLimits(stall_seconds=10)
    async with running([provider_of(generate)], limits=limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(head_and_body("POST", CONVERSATION, HELLO))
        received = 0
        while data := await reader.read(200_000):
            received += len(data)
            await asyncio.sleep(0.0005)
        await close(writer)
    assert received > 4_000_000


async def test_more_connections_than_allowed_are_a_503() -> None:
    async with running([saying()], limits=ConnectionLimits(max_connections=1)) as server:
        _, first = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.sleep(0.01)
        received = await read_all(server.port)
        await close(first)
    assert received.startswith(b"HTTP/1.1 503")


async def test_half_open_connections_hold_nobody_up() -> None:
    async with running([saying()]) as server:
        others = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
        for _, writer in others:
            writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert (await server.ask("GET", "/healthz")).status == 200
        for _, writer in others:
            await close(writer)


async def test_answers_are_dated() -> None:
    async with running([saying()]) as server:
        assert (await server.ask("GET", "/healthz")).header("date")
