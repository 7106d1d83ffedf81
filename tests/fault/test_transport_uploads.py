"""Request bodies going out: framing, steps, early refusals, sources that fail."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from backstream.errors import (
    BackendRequestError,
    ConfigurationError,
    DisconnectedError,
    InvalidMediaError,
    InvalidRequestError,
)
from backstream.testing.upstream import (
    Close,
    Do,
    ExpectEOF,
    ReadHead,
    ReadRequest,
    Reset,
    ScriptedUpstream,
    Send,
    Wait,
)
from backstream.transport.session import StreamSession
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, ok

pytestmark = pytest.mark.usefixtures("no_leaks")

session = StreamSession()


class Source:
    """A segment of blocks; notes how often it was opened and whether it was closed."""

    def __init__(self, *blocks: bytes, size: int | None = -1, replayable: bool = True, fail: bool = False) -> None:
        self._blocks = blocks
        self.size = sum(map(len, blocks)) if size == -1 else size
        self.replayable = replayable
        self._fail = fail
        self.opened = self.closed = 0

    def blocks(self) -> Iterator[bytes]:
        self.opened += 1
        try:
            yield from self._blocks
            if self._fail:
                raise InvalidMediaError("the file went away", index=0)
        finally:
            self.closed += 1


async def test_a_body_of_known_size_goes_out_with_its_length() -> None:
    source = Source(b"b" * 100_000, b"", b"c")
    progress: list[tuple[int, int | None]] = []
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:
        body = [b'{"a": "', source, b'"}']
        async with session.post(
            upstream.url, data=body, on_progress=lambda *at: progress.append(at), headers={"Content-Type": "x/y"}
        ):
            pass
    (request,) = upstream.requests
    assert request.body == b'{"a": "' + b"b" * 100_000 + b'c"}'
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["content-type"] == "x/y"
    assert "transfer-encoding" not in request.headers
    assert progress[-1] == (len(request.body), len(request.body))
    assert [sent for sent, _ in progress] == sorted({sent for sent, _ in progress})
    assert max(b - a for (a, _), (b, _) in itertools.pairwise(progress)) <= 64 * 1024
    assert source.opened == source.closed == 1


async def test_a_body_of_unknown_size_goes_out_in_chunks() -> None:
    source = Source(b"x" * 70_000, b"y", size=None, replayable=False)
    progress: list[tuple[int, int | None]] = []
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"1")), ReadRequest(), Send(ok(b"2"))]) as upstream:
        async with session.put(upstream.url, data=[source], on_progress=lambda *at: progress.append(at)) as response:
            assert await response.text() == "1"
        async with session.post(upstream.url, data=b"small", on_progress=lambda *at: progress.append(at)) as response:
            assert await response.text() == "2"
    assert upstream.requests[0].body == b"x" * 70_000 + b"y"
    assert "content-length" not in upstream.requests[0].headers
    assert progress[-2:] == [(70_001, None), (5, 5)]
    assert upstream.connections == 1
    assert source.closed == source.opened


@pytest.mark.parametrize(
    ("method", "expected"), [("get", None), ("delete", None), ("options", None), ("post", "0"), ("patch", "0")]
)
async def test_requests_without_a_body(method: str, expected: str | None) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:
        async with getattr(session, method)(upstream.url):
            pass
    assert upstream.requests[0].method == method.upper()
    assert upstream.requests[0].headers.get("content-length") == expected


async def test_json_goes_out_as_utf8() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok()), ReadRequest(), Send(ok())]) as upstream:
        for value in ({"text": "é€😀", "n": None}, {"text": "lone \ud83d"}):
            async with session.post(upstream.url, json=value):
                pass
    first, second = upstream.requests
    assert first.body == '{"text":"é€😀","n":null}'.encode()
    assert first.headers["content-type"] == "application/json"
    assert json.loads(second.body) == {"text": "lone \ufffd"}


@pytest.mark.parametrize("value", [object(), {1: object()}, {"a": {("t",): 1}}], ids=["object", "within", "key"])
async def test_a_value_without_json_form_is_an_invalid_request(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="JSON has no form for"):
        session.post("http://127.0.0.1:1/", json=value)


@pytest.mark.parametrize("data", ["text", 3, ["text"], {"a": 1}, [object()]])
async def test_data_of_another_type_is_a_configuration_error(data: object) -> None:
    with pytest.raises(ConfigurationError, match="data is a"):
        session.post("http://127.0.0.1:1/", data=data)  # type: ignore[arg-type]


async def test_json_and_data_together_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="both"):
        session.post("http://127.0.0.1:1/", data=b"x", json={})


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_other_bytes_are_bytes(kind: type) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:
        async with session.post(upstream.url, data=kind(b"abc")):
            pass
    assert upstream.requests[0].body == b"abc"


async def test_an_early_refusal_stops_the_upload_and_is_delivered() -> None:
    source = Source(*[b"x" * 65536] * 2000)
    progress: list[int] = []
    answer = ok(b'{"error": "too large"}', status="413 Too Large")
    async with ScriptedUpstream([ReadHead(), Send(answer), ExpectEOF()], [ReadRequest(), Send(ok())]) as upstream:
        async with session.post(upstream.url, data=[source], on_progress=lambda at, _: progress.append(at)) as response:
            with pytest.raises(BackendRequestError, match="too large"):
                response.raise_for_status()
        await upstream.closed()
        assert progress[-1] < 2000 * 65536
        assert source.closed == source.opened
        async with session.post(upstream.url, data=b"x") as response:  # not on that connection
            assert response.ok
    assert upstream.connections == 2


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["close", "reset"])
async def test_an_early_refusal_before_a_broken_connection_is_delivered(end: Close | Reset) -> None:
    """The server refuses and goes away, so that the write fails: its words, not the failure, reach the caller."""
    told = asyncio.Event()
    answer = ok(b'{"error": "too large"}', status="413 Too Large")

    class Patient(Source):
        def blocks(self) -> Iterator[bytes]:
            while not told.is_set():
                yield b"x" * 1000
            yield from super().blocks()

    source = Patient(*[b"x" * 65536] * 200, size=1 << 40)
    script = [ReadHead(), Send(answer), Do(told.set), Wait(told), end]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, data=[source]) as response:
            assert response.status == 413


async def test_an_early_refusal_is_read_from_a_connection_whose_write_has_failed() -> None:
    """The refusal and the close come while the sender is busy, so that its next write is what meets them."""
    listening, over = threading.Event(), threading.Event()
    ports: list[int] = []

    def serve() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports.append(server.getsockname()[1])
            listening.set()
            connection, _ = server.accept()
            with connection:
                connection.recv(100)  # the rest stays unread, so that the close becomes a reset
                connection.sendall(ok(b'{"error": "too large"}', status="413 Too Large"))
        over.set()

    class Busy(Source):
        def blocks(self) -> Iterator[bytes]:
            yield b"x" * 1000
            over.wait(5)
            for _ in range(10):
                yield b"x" * 1000

    thread = threading.Thread(target=serve)
    thread.start()
    listening.wait(5)
    try:
        source = Busy(size=11_000)
        async with session.post(f"http://127.0.0.1:{ports[0]}/", data=[source]) as response:
            with pytest.raises(BackendRequestError, match="too large"):
                response.raise_for_status()
    finally:
        thread.join()


async def test_an_early_success_lets_the_upload_finish() -> None:
    source = Source(*[b"x" * 65536] * 50)
    script = [ReadHead(), Send(CHUNKED), ExpectEOF()]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, data=[source]) as response:
            assert response.status == 200
        await upstream.closed()


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["close", "reset"])
async def test_a_connection_lost_while_sending_is_a_disconnection(end: Close | Reset) -> None:
    source = Source(*[b"x" * 65536] * 2000)
    async with ScriptedUpstream([ReadHead(), end]) as upstream:
        with pytest.raises(DisconnectedError) as caught:
            await session.post(upstream.url, data=[source])
    assert caught.value.phase == "send"
    assert caught.value.request_sent
    assert source.closed == source.opened
    assert upstream.connections == 1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source(b"x" * 100_000, fail=True), "went away"),
        (Source(b"x", size=None, fail=True), "went away"),
        (Source(b"x" * 10, size=9), "grew"),
        (Source(b"x" * 10, size=11), "shrank"),
    ],
    ids=["fails", "fails in chunks", "grew", "shrank"],
)
async def test_a_source_that_fails_cuts_the_request_off(source: Source, text: str) -> None:
    async with ScriptedUpstream([ReadHead(), ExpectEOF()]) as upstream:
        with pytest.raises(InvalidMediaError, match=text):
            await session.post(upstream.url, data=[b"a", source])
        await upstream.closed()
    assert source.closed == source.opened


async def test_progress_that_raises_cuts_the_request_off() -> None:
    def fail(sent: int, total: int | None) -> None:
        raise ZeroDivisionError

    async with ScriptedUpstream([ReadHead(), ExpectEOF()]) as upstream:
        for body in (b"x", [Source(b"x" * 10)]):
            with pytest.raises(ZeroDivisionError):
                await session.post(upstream.url, data=body, on_progress=fail)
        await upstream.closed()


async def test_others_get_their_turn_while_a_body_goes_out() -> None:
    """No stretch of sending may be long: another task gets many turns, also where the receiver takes everything."""
    turns: list[int] = []
    sent: list[int] = [0]

    async def other() -> None:
        while True:
            turns.append(sent[0])
            await asyncio.sleep(0)

    class Busy(Source):
        def blocks(self) -> Iterator[bytes]:
            for block in super().blocks():
                end = time.perf_counter() + 0.001
                while time.perf_counter() < end:
                    pass
                sent[0] += 1
                yield block

    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:
        task = asyncio.create_task(other())
        async with session.post(upstream.url, data=[Busy(*[b"x" * 100] * 60)]):
            task.cancel()
    assert len(set(turns)) >= 10
    assert max(later - before for before, later in itertools.pairwise(turns)) <= 6


async def test_a_cancelled_upload_closes_source_and_connection() -> None:
    source = Source(*[b"x" * 65536] * 2000)
    went: asyncio.Event = asyncio.Event()
    async with ScriptedUpstream([ReadHead(), Do(went.set), Wait(asyncio.Event())]) as upstream:
        task = asyncio.create_task(session.post(upstream.url, data=[source]).__aenter__())
        await went.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert source.closed == source.opened


async def test_a_whole_body_larger_than_a_step_is_sent_in_steps() -> None:
    progress: list[int] = []
    body = bytes(range(256)) * 1000
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"a") + LAST_CHUNK)]) as upstream:
        async with session.post(upstream.url, data=body, on_progress=lambda at, _: progress.append(at)):
            pass
    assert upstream.requests[0].body == body
    assert progress == [65536, 131072, 196608, 256000]


async def test_the_head_alone_may_be_refused_too() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(head("Content-Length: 0", status="405 No"))]) as upstream:
        with pytest.raises(BackendRequestError):
            (await session.delete(upstream.url)).raise_for_status()
