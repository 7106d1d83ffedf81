"""What a server may do wrong, from the connection to the end of the body: each test is a conversation."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
import socket

import pytest

from backstream.errors import (
    ConnectError,
    DisconnectedError,
    FramingError,
    IncompleteStream,
    MisuseError,
    ProviderError,
    TooLargeError,
)
from backstream.testing.upstream import (
    Close,
    Do,
    ExpectEOF,
    HalfClose,
    ReadRequest,
    Reset,
    ScriptedUpstream,
    Send,
    SendSlowly,
    Stall,
    Step,
    Wait,
)
from backstream.transport.session import StreamResponse, StreamSession
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, ok

pytestmark = pytest.mark.usefixtures("no_leaks")

session = StreamSession()


async def collect(response: StreamResponse, into: list[bytes]) -> bytes:
    """Read to the end; what came is in ``into`` even when an error follows."""
    while block := await response.read_block():
        into.append(block)
    return b"".join(into)


async def fetch(upstream: ScriptedUpstream) -> bytes:
    async with session.post(upstream.url, json={}) as response:
        return await collect(response, [])


# --- connecting (rows 1, 2) ---


async def test_a_name_without_address_is_a_connect_error() -> None:
    with pytest.raises(ConnectError, match="cannot be resolved") as caught:
        await session.post("http://no-such-host.invalid/", json={})
    assert caught.value.phase == "connect"
    assert caught.value.retryable
    assert not caught.value.request_sent


async def test_a_refused_connection_is_a_connect_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectError, match="no connection to") as caught:
        await session.get(f"http://127.0.0.1:{port}/")
    assert caught.value.retryable


# --- before the head (rows 5, 6, 9, 13) ---


@pytest.mark.parametrize("end", [Close(), HalfClose(), Reset()], ids=["close", "half-close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-"], ids=["nothing", "half a head"])
async def test_an_end_before_a_whole_head_is_a_disconnection(sent: bytes, end: Close | HalfClose | Reset) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(sent), end]) as upstream:
        with pytest.raises(DisconnectedError) as caught:
            await fetch(upstream)
        await upstream.closed()
    assert caught.value.phase == "headers"
    assert caught.value.request_sent
    assert caught.value.retryable is (not sent)  # who began to answer has acted on the request
    assert upstream.connections == 1  # a fresh connection is not replaced


BAD_HEADS = {
    "obs-fold": head("A: b", " c", "Content-Length: 0"),
    "nul in a value": head("A: b\0c"),
    "control in a value": head("A: b\x01c"),
    "space in a name": head("A b: c"),
    "space before the colon": head("A : c"),
    "bare LF": b"HTTP/1.1 200 OK\nA: b\n\n",
    "two lengths": head("Content-Length: 3", "Content-Length: 4") + b"abcd",
    "one length twice": head("Content-Length: 3", "Content-Length: 3") + b"abc",
    "length and chunked": head("Content-Length: 3", "Transfer-Encoding: chunked") + b"abc",
    "negative length": head("Content-Length: -1"),
    "overflowing length": head("Content-Length: 99999999999999999999"),
    "unasked transfer coding": head("Transfer-Encoding: gzip, chunked") + LAST_CHUNK,
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"<html><body>hello</body></html>",
    "bad status": b"HTTP/1.1 20 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "switch of protocols": head("Upgrade: websocket", "Connection: Upgrade", status="101 Switching Protocols"),
    "1000 fields": head(*(f"F{n}: v" for n in range(1000))),
}


@pytest.mark.parametrize("answer", BAD_HEADS.values(), ids=BAD_HEADS.keys())
async def test_a_malformed_head_is_refused_and_the_connection_closed(answer: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(answer), ExpectEOF()]) as upstream:
        with pytest.raises(FramingError) as caught:
            await fetch(upstream)
        await upstream.closed()
    assert caught.value.phase == "headers"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "answer",
    [
        head("A: " + "b" * 70_000),
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,  # never ends
        head(*(f"Field-{n}: {'v' * 500}" for n in range(150))),
        head(status="200 " + "O" * 70_000),
    ],
    ids=["one field", "endless field", "many fields", "reason"],
)
async def test_a_head_over_64_kib_is_too_large(answer: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(answer), ExpectEOF()]) as upstream:
        with pytest.raises(TooLargeError, match="answer head") as caught:
            await fetch(upstream)
        await upstream.closed()
    assert caught.value.phase == "headers"


async def test_interim_answers_are_passed_over() -> None:
    interim = head(status="100 Continue") + head("Link: </a>", status="103 Early Hints")
    async with ScriptedUpstream([ReadRequest(), SendSlowly(interim + ok(b"hi", "A: b"))]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert response.status == 200
            assert dict(response.headers) == {"a": "b", "content-length": "2"}
            assert await response.text() == "hi"


# --- the body (rows 11, 12, 14, 15, 16, 17, 23, 24, 27) ---


async def test_a_close_delimited_body_ends_normally_and_says_how_it_was_framed() -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\nall of it"
    async with ScriptedUpstream([ReadRequest(), Send(answer), Close()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert response.framing == "close"
            assert await response.text() == "all of it"
        await upstream.closed()


CUT_BODIES = {
    "length": head("Content-Length: 100") + b"received",
    "chunked": CHUNKED + chunk(b"received"),
    "inside a chunk": CHUNKED + b"64\r\nreceived",
    "before the last chunk's end": CHUNKED + chunk(b"received") + b"0\r\n",
}


@pytest.mark.parametrize("answer", CUT_BODIES.values(), ids=CUT_BODIES.keys())
async def test_a_cut_body_is_incomplete_after_all_it_brought(answer: bytes) -> None:
    received: list[bytes] = []
    async with ScriptedUpstream([ReadRequest(), Send(answer), Close()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            with pytest.raises(IncompleteStream, match="closed before the announced end"):
                await collect(response, received)
            with pytest.raises(IncompleteStream):  # also when asked again
                await response.read_block()
        await upstream.closed()
    assert b"".join(received) == b"received"


async def test_a_reset_in_the_body_is_incomplete_after_all_it_brought() -> None:
    read = asyncio.Event()
    script = [ReadRequest(), Send(CHUNKED + chunk(b"received")), Wait(read), Reset()]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.read_block() == b"received"
            read.set()
            with pytest.raises(IncompleteStream, match="was reset"):
                await response.read_block()


async def test_a_reset_ends_a_close_delimited_body_with_an_error() -> None:
    read = asyncio.Event()
    script = [ReadRequest(), Send(head() + b"received"), Wait(read), Reset()]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.read_block() == b"received"
            read.set()
            with pytest.raises(IncompleteStream):
                await response.read_block()


@pytest.mark.parametrize(
    "answer",
    [head("Content-Length: 2") + b"okjunk", CHUNKED + chunk(b"ok") + LAST_CHUNK + b"junk", ok(b"ok") + ok(b"no")],
    ids=["length", "chunked", "a second answer"],
)
async def test_surplus_after_the_end_is_ignored_and_the_connection_not_reused(answer: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(answer), ExpectEOF()]) as upstream:
        assert await fetch(upstream) == b"ok"
        await upstream.closed()
        assert await fetch(upstream) == b"ok"
    assert upstream.connections == 2


async def test_chunk_extensions_and_trailers_are_read_over() -> None:
    body = b'5;name=value;q="x"\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n'
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + body)]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.text() == "hello"
            assert "trailer" not in response.headers


async def test_endless_trailers_are_too_large() -> None:
    trailers = b"".join(b"T%d: %s\r\n" % (n, b"v" * 1000) for n in range(200))
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + b"0\r\n" + trailers), ExpectEOF()]) as upstream:
        with pytest.raises(TooLargeError, match="trailers"):
            await fetch(upstream)


@pytest.mark.parametrize(
    "body",
    [b"zz\r\nhello\r\n", b"5\r\nhelloX\r\n", b"fffffffffffffffff\r\n", b"-1\r\n", b"5\nhello\n", b"5 \r\nhello\r\n"],
    ids=["no number", "no line end", "huge", "negative", "bare LF", "space"],
)
async def test_bad_chunk_framing_is_refused(body: bytes) -> None:
    received: list[bytes] = []
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"good") + body), ExpectEOF()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            with pytest.raises(FramingError) as caught:
                await collect(response, received)
        await upstream.closed()
    assert received[0].startswith(b"good")
    assert caught.value.phase == "body"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_a_body_sent_byte_by_byte_arrives_whole(framing: str) -> None:
    body = "data: héllo 👨‍👩‍👧 €\r\n\r\n".encode() * 3
    answer = {
        "chunked": CHUNKED + b"".join(chunk(body[i : i + 1]) for i in range(len(body))) + LAST_CHUNK,
        "length": ok(body),
        "close": head() + body,
    }[framing]
    async with ScriptedUpstream([ReadRequest(), SendSlowly(answer), Close()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert response.framing == framing
            assert await collect(response, []) == body


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_body_is_whole_at_its_head(status: str) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(head(status=status))]) as upstream:
        async with session.get(upstream.url) as response:
            assert response.framing == "none"
            assert await response.read_block() == b""


async def test_an_answer_to_head_has_no_body() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(head("Content-Length: 1000"))]) as upstream:
        async with session.head(upstream.url) as response:
            assert response.headers["content-length"] == "1000"
            assert await response.read_block() == b""
    assert upstream.requests[0].method == "HEAD"


async def test_data_that_arrived_together_are_read_together() -> None:
    body = b"".join(chunk(b"event %d\n" % n) for n in range(100))
    more = asyncio.Event()
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + body), Wait(more), Send(LAST_CHUNK)]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.read_block() == b"".join(b"event %d\n" % n for n in range(100))
            more.set()
            assert await response.read_block() == b""
            assert await response.read_block() == b""


# --- back-pressure (row 43) ---


async def test_a_slow_reader_stops_the_server_within_a_bound() -> None:
    """The server must not be able to write far ahead: its last step is reached only once the reader reads on."""
    piece = b"x" * (1 << 20)
    reached: list[None] = []
    script: list[Step] = [ReadRequest(), Send(head(f"Content-Length: {len(piece) * 64}"))]
    for _ in range(64):
        script += [Send(piece), Do(lambda: reached.append(None))]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, json={}) as response:
            for _ in range(200):
                await asyncio.sleep(0.001)
            assert len(reached) < 32
            buffered = sum(len(block) for block in response._blocks)
            assert buffered <= (256 + 256) * 1024 + 1024
            size = 0
            while block := await response.read_block():
                size += len(block)
            assert size == len(piece) * 64
    assert len(reached) == 64


# --- leaving (row 42) ---


async def test_leaving_early_closes_the_connection() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"a")), ExpectEOF()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.read_block() == b"a"
        await upstream.closed()
        with pytest.raises(MisuseError, match="closed"):
            await response.read_block()


async def test_a_dropped_response_closes_its_connection_without_a_word() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"a")), ExpectEOF()]) as upstream:
        response = await session.post(upstream.url, json={})
        del response
        await upstream.closed()


async def test_a_request_that_is_never_awaited_sends_nothing() -> None:
    async with ScriptedUpstream([]) as upstream:
        session.post(upstream.url, json={})
        assert upstream.connections == 0


CANCELLED: dict[str, list[Step]] = {
    "sending": [Stall()],
    "waiting for the head": [ReadRequest(), ExpectEOF()],
    "within the head": [ReadRequest(), Send(b"HTTP/1.1 200"), ExpectEOF()],
    "within the body": [ReadRequest(), Send(CHUNKED + chunk(b"received")), ExpectEOF()],
}


@pytest.mark.parametrize("stage", CANCELLED)
async def test_a_cancelled_task_closes_the_connection(stage: str) -> None:
    body = b"x" * (64 << 20) if stage == "sending" else b"{}"
    received: list[bytes] = []
    async with ScriptedUpstream(CANCELLED[stage]) as upstream:

        async def call() -> None:
            response = await session.post(upstream.url, data=body)
            await collect(response, received)

        task = asyncio.create_task(call())
        while not upstream.connections or (stage == "within the body" and not received):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if stage != "sending":  # there the script stalls, reading nothing; the audit of sockets tells
            await upstream.closed()


async def test_an_abort_from_another_thread_closes_the_connection() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"a")), ExpectEOF()]) as upstream:
        response = await session.post(upstream.url, json={})
        await asyncio.get_running_loop().run_in_executor(None, response.abort)
        await upstream.closed()


async def test_an_abort_wakes_a_waiting_reader() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED), ExpectEOF()]) as upstream:
        response = await session.post(upstream.url, json={})
        reader = asyncio.create_task(response.read_block())
        await asyncio.sleep(0)
        response.abort()
        with pytest.raises((ProviderError, MisuseError)):
            await reader
        await upstream.closed()


async def test_two_readers_at_once_are_a_misuse() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED), ExpectEOF()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            reader = asyncio.create_task(response.read_block())
            await asyncio.sleep(0)
            with pytest.raises(MisuseError, match="another task"):
                await response.read_block()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader


async def test_leaving_a_session_closes_what_it_left_open() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED), ExpectEOF()]) as upstream:
        async with StreamSession() as own:
            response = await own.post(upstream.url, json={})
        await upstream.closed()
        with pytest.raises(MisuseError):
            await response.read_block()
        with pytest.raises(MisuseError, match="session is closed"):
            await own.get(upstream.url)
