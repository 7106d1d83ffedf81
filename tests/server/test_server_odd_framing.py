"""One connection against clients that frame their requests in odd ways, or read in them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from backstream.server import create_app
from backstream.server.protocol import ConnectionLimits
from backstream.server.settings import Settings
from support_server import CONVERSATION, HELLO, Journal, close, head_and_body, provider_of, running, saying

HELLO_RAW = head_and_body("POST", CONVERSATION, HELLO, keep=True)
CHUNKED = b"POST /backend-api/v2/conversation HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
BODY = HELLO_RAW.partition(b"\r\n\r\n")[2]
IN_ONE_CHUNK = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)


async def test_trailer_fields_are_not_header_fields() -> None:
    trailers = b"Host: evil.example\r\nOrigin: http://evil.example\r\nContent-Encoding: gzip\r\n\r\n"
    async with running([saying()]) as server:
        answer = await server.send(CHUNKED + b"Connection: close\r\n\r\n" + IN_ONE_CHUNK + trailers)
    assert answer.status == 200
    assert answer.events()[-1]["type"] == "finish"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"0\r\n", b"A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
        (b"0\r\nA: ", b"b" * 32),
        (b"5;a=", b"b" * 32),
    ],
    ids=["trailer fields", "one long trailer field", "a chunk extension"],
)
async def test_what_is_neither_head_nor_body_has_an_end(start: bytes, piece: bytes) -> None:
    """Without one, a client could fill the memory behind a body that it never ends."""
    async with running([saying()], limits=ConnectionLimits(max_head_bytes=4096)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(CHUNKED + b"\r\n" + start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100_000:
                writer.write(piece * 32)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(piece) * 32
        assert sent < 100_000
        await close(writer)


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED.replace(b"chunked", b"gzip, chunked"),
        CHUNKED.replace(b"chunked", b"identity"),
        CHUNKED.replace(b"chunked", b"xchunked"),
        CHUNKED + b"Transfer-Encoding: chunked\r\n",
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_a_transfer_coding_that_is_not_just_chunked_is_refused(head: bytes) -> None:
    async with running([saying()]) as server:
        answers = await server.send_all(head + b"\r\n" + IN_ONE_CHUNK + b"\r\n")
    assert [answer.status for answer in answers] in ([400], [])


@pytest.mark.parametrize("length", ["Content-Length: 45", "Transfer-Encoding: chunked"])
async def test_an_upgrade_cannot_hide_a_request_in_a_body(length: str) -> None:
    """The parser takes nothing behind such a head for its body."""
    head = f"POST {CONVERSATION} HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n{length}\r\n\r\n"
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with running([saying()]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode())
        await writer.drain()
        await asyncio.sleep(0.01)
        received = b""
        with contextlib.suppress(ConnectionError):
            writer.write(hidden)
            received = await reader.read()
        await close(writer)
    assert b" 200 " not in received
    assert received.count(b"HTTP/1.1 ") <= 1


async def test_an_upgrade_without_a_body_is_answered_as_if_it_were_none() -> None:
    fields = {"Upgrade": "h2c", "Connection": "upgrade"}
    async with running([saying()]) as server:
        answers = await server.send_all(head_and_body("GET", "/healthz", headers=fields, keep=True))
    assert [answer.status for answer in answers] == [200]
    assert answers[0].header("connection") == "close"


async def test_an_answer_to_http_1_0_is_not_chunked() -> None:
    raw = HELLO_RAW.replace(b"HTTP/1.1", b"HTTP/1.0")
    async with running([saying("Hi")]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        await close(writer)
    assert b"transfer-encoding" not in head
    assert body.startswith(b"event: provider\n")
    assert body.endswith(b'data: {"type":"content","content":"Hi"}\n\n')


async def test_an_answer_to_http_1_0_of_known_length_says_its_length() -> None:
    async with running([saying()]) as server:
        answer = await server.send(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize("tail", [b"\r\n", b"GET /heal"])
async def test_what_follows_a_request_does_not_end_its_answer(tail: bytes) -> None:
    """Some clients write a line end behind a body; the time for the next head runs from the end of the answer on."""
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield "one"
        await journal.wait_for("head clock would have run out")
        yield "two"

    async with running([provider_of(generate)], limits=ConnectionLimits(head_seconds=0.02)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HELLO_RAW)
        await reader.readuntil(b"one")
        writer.write(tail)
        await asyncio.sleep(0.05)
        journal.note("head clock would have run out")
        received = b""
        with contextlib.suppress(ConnectionError):
            received = await reader.read()  # ends, since the second head does not
        await close(writer)
    assert b"two" in received
    assert received.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_with_a_second_request_waiting_ends_the_first() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            yield "one"
            await asyncio.sleep(1000)
        finally:
            journal.note("closed")

    async with running([provider_of(generate)]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HELLO_RAW + HELLO_RAW)
        await reader.readuntil(b"one")
        await close(writer)
        await journal.wait_for("closed")


async def test_a_client_that_takes_one_large_chunk_slowly_is_served() -> None:
    """As long as it takes anything: a large picture in one event outlasts the time to take no byte at all."""
    async with running([saying("x" * 20_000_000)], limits=ConnectionLimits(stall_seconds=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(head_and_body("POST", CONVERSATION, HELLO))
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100_000):
                received += len(data)
                await asyncio.sleep(0.002)
        await close(writer)
    assert received > 20_000_000


async def test_a_refused_body_that_breaks_brings_no_second_answer(tmp_path: Any) -> None:
    from backstream.server.keys import add_key

    add_key(tmp_path / "keys.json", "somebody")
    app = create_app([saying()], Settings(keys_file=tmp_path / "keys.json"))
    async with running(app=app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(CHUNKED + b"\r\n1\r\n")
        received = await reader.readuntil(b"Not authenticated")
        writer.write(b"xGARBAGE\r\n\r\n")
        received += await reader.read()
        await close(writer)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 401")


async def test_not_even_an_odd_exception_shows_its_text(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(BaseException):
        pass

    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield "one"
        raise Odd("canary-secret")

    caplog.set_level(logging.DEBUG)
    async with running([provider_of(generate)]) as server:
        with contextlib.suppress(AssertionError):  # the answer is cut; there may be none
            answer = await server.converse()
            assert not answer.whole
    assert "canary-secret" not in caplog.text
