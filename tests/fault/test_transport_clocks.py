"""Each clock raises its own error, closes the connection, and counts what it should."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from backstream.errors import (
    BetweenContentTimeout,
    ConnectTimeout,
    DeadlineError,
    FirstContentTimeout,
    HeadersTimeout,
    IdleTimeout,
    TotalTimeout,
)
from backstream.options import Deadlines
from backstream.testing.upstream import Do, ExpectEOF, ReadRequest, ScriptedUpstream, Send, Stall, Step, Wait
from backstream.transport.session import StreamSession
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, ok

pytestmark = pytest.mark.usefixtures("no_leaks")

SHORT = 0.04
PING = CHUNKED + chunk(b": ping\n\n")


class Pulse(asyncio.Event):
    """An event that is set, again and again, a short time after it was waited for."""

    async def wait(self) -> bool:
        await asyncio.sleep(SHORT / 8)
        return True


def pings(first: bytes, then: bytes, times: int = 40) -> list[Step]:
    script: list[Step] = [ReadRequest(), Send(first)]
    for _ in range(times):
        script += [Wait(Pulse()), Send(then)]
    return [*script, ExpectEOF()]


CASES: dict[str, tuple[list[Step], Deadlines, type[DeadlineError], str]] = {
    "no head": ([ReadRequest(), ExpectEOF()], Deadlines(headers=SHORT), HeadersTimeout, "headers"),
    "a head that trickles": (
        pings(b"HTTP/1.1 200 OK\r\nA: ", b"b"),
        Deadlines(headers=SHORT, idle=10),
        HeadersTimeout,
        "headers",
    ),
    "nothing at all": ([ReadRequest(), ExpectEOF()], Deadlines(idle=SHORT), IdleTimeout, "headers"),
    "silence in the body": ([ReadRequest(), Send(PING), ExpectEOF()], Deadlines(idle=SHORT), IdleTimeout, "body"),
    "pings only": (
        pings(PING, chunk(b": ping\n\n")),
        Deadlines(idle=10, first_content=SHORT * 2),
        FirstContentTimeout,
        "body",
    ),
    "pings after content": (
        pings(CHUNKED + chunk(b"data: 1\n\n"), chunk(b": ping\n\n")),
        Deadlines(idle=10, between_content=SHORT * 2),
        BetweenContentTimeout,
        "body",
    ),
    "content without end": (
        pings(CHUNKED + chunk(b"data: 1\n\n"), chunk(b"data: 1\n\n")),
        Deadlines(first_content=10, between_content=10, total=SHORT * 2),
        TotalTimeout,
        "body",
    ),
    "total before the head": ([ReadRequest(), ExpectEOF()], Deadlines(total=SHORT), TotalTimeout, "headers"),
    "content that stays away": (
        [ReadRequest(), ExpectEOF()],
        Deadlines(first_content=SHORT),
        FirstContentTimeout,
        "headers",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_clock_that_runs_out(case: str) -> None:
    script, deadlines, expected, phase = CASES[case]
    async with ScriptedUpstream(script) as upstream:
        with pytest.raises(expected) as caught:
            async with StreamSession(deadlines=deadlines).post(upstream.url, json={}) as response:
                while block := await response.read_block():
                    if block.startswith(b"data"):
                        response.note_content()
        await upstream.closed()
    assert type(caught.value) is expected
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.phase == phase
    assert caught.value.request_sent
    assert caught.value.seconds in (SHORT, SHORT * 2)


async def test_what_came_before_the_clock_ran_out_is_read_first() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(b"early")), ExpectEOF()]) as upstream:
        async with StreamSession(deadlines=Deadlines(total=SHORT)).post(upstream.url, json={}) as response:
            await upstream.closed()
            assert await response.read_block() == b"early"
            with pytest.raises(TotalTimeout):
                await response.read_block()


async def test_pings_feed_the_idle_clock() -> None:
    script = pings(PING, chunk(b": ping\n\n"), times=24)  # three idle times long
    async with ScriptedUpstream([*script[:-1], Send(LAST_CHUNK)]) as upstream:
        async with StreamSession(timeout=SHORT * 2).post(upstream.url, json={}) as response:
            assert (await response.text()).count("ping") == 25


async def test_a_slow_reader_is_not_taken_for_a_silent_server() -> None:
    deadlines = Deadlines(idle=SHORT, first_content=SHORT, between_content=SHORT)
    sent = asyncio.Event()
    script = [ReadRequest(), Send(CHUNKED + chunk(b"a")), Do(sent.set), Wait(Pulse()), Send(chunk(b"b") + LAST_CHUNK)]
    async with ScriptedUpstream(script) as upstream:
        async with StreamSession(deadlines=deadlines).post(upstream.url, json={}) as response:
            await sent.wait()
            for _ in range(6):
                await asyncio.sleep(SHORT / 2)
            assert await response.text() == "ab"


async def test_a_server_that_does_not_read_is_idle() -> None:
    async with ScriptedUpstream([Stall()]) as upstream:
        with pytest.raises(IdleTimeout) as caught:
            await StreamSession(timeout=SHORT).post(upstream.url, data=b"x" * (32 << 20))
    assert caught.value.phase == "send"


class Pipe:
    """A source of unknown size that blocks its reader, as a pipe does."""

    size = None
    replayable = False

    def blocks(self) -> Iterator[bytes]:
        for _ in range(3):
            time.sleep(SHORT / 2)
            yield b"x"


async def test_the_headers_clock_starts_when_the_request_is_out() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"fine"))]) as upstream:
        session = StreamSession(deadlines=Deadlines(headers=SHORT))
        async with session.post(upstream.url, data=[b"a", Pipe()]) as response:
            assert await response.text() == "fine"
    assert upstream.requests[0].body == b"axxx"
    assert upstream.requests[0].headers["transfer-encoding"] == "chunked"


async def test_no_timer_stays_after_the_end() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"fine")), ReadRequest(), Send(ok(b"fine"))]) as upstream:
        session = StreamSession(deadlines=Deadlines(idle=SHORT, total=SHORT, headers=SHORT))
        for _ in range(2):
            async with session.post(upstream.url, json={}) as response:
                assert await response.text() == "fine"
                for _ in range(4):
                    await asyncio.sleep(SHORT / 2)
                assert await response.read_block() == b""


async def test_a_connection_that_nobody_accepts_is_a_connect_timeout() -> None:
    """A listening socket whose queue is full drops the first packet of a connection: a black hole."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        address = hole.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        try:
            with pytest.raises(ConnectTimeout) as caught:
                await StreamSession(timeout=(SHORT, None)).get(f"http://127.0.0.1:{address[1]}/")
            with pytest.raises(TotalTimeout):
                await StreamSession(deadlines=Deadlines(total=SHORT)).get(f"http://127.0.0.1:{address[1]}/")
        finally:
            for filler in fillers:
                filler.close()
    assert caught.value.phase == "connect"
    assert caught.value.retryable
    assert not caught.value.request_sent


async def test_a_refusal_whose_body_never_ends_is_still_told() -> None:
    answer = head("Content-Length: 100", status="503 Service Unavailable") + b'{"error": "overl'
    async with ScriptedUpstream([ReadRequest(), Send(answer), ExpectEOF()]) as upstream:
        async with StreamSession(timeout=SHORT).post(upstream.url, json={}) as response:
            assert response.status == 503
        await upstream.closed()
