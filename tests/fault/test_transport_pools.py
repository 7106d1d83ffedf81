"""Connections that are used again: when, for whom, and what becomes of those that died meanwhile."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.errors import DisconnectedError
from backstream.testing.upstream import Close, Do, ExpectEOF, ReadRequest, Reset, ScriptedUpstream, Send, Step, Wait
from backstream.transport import pool
from backstream.transport.loop_scope import on_loop_shutdown
from backstream.transport.pool import aclose_pools, pool_of
from backstream.transport.session import StreamSession
from support_transport import CHUNKED, chunk, ok, settle

pytestmark = pytest.mark.usefixtures("no_leaks")

ANSWER: list[Step] = [ReadRequest(), Send(ok(b"fine"))]


async def post(upstream: ScriptedUpstream, **options: Any) -> str:
    async with StreamSession().post(upstream.url, json={"a": 1}, **options) as response:
        return await response.text()


async def test_sessions_of_one_loop_share_connections() -> None:
    async with ScriptedUpstream(ANSWER * 3) as upstream:
        assert [await post(upstream) for _ in range(3)] == ["fine"] * 3
    assert upstream.connections == 1


async def test_an_answer_left_unread_but_whole_gives_its_connection_back() -> None:
    async with ScriptedUpstream(ANSWER * 2) as upstream:
        for _ in range(2):
            async with StreamSession().post(upstream.url, json={}) as response:
                assert response.ok
    assert upstream.connections == 1


async def test_concurrent_requests_have_connections_of_their_own() -> None:
    async with ScriptedUpstream(ANSWER * 2) as upstream:
        assert await asyncio.gather(*(post(upstream) for _ in range(5))) == ["fine"] * 5
        assert upstream.connections == 5
        assert await asyncio.gather(*(post(upstream) for _ in range(5))) == ["fine"] * 5
        assert upstream.connections == 5


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"fine", "Connection: close"),
        ok(b"fine", "Keep-Alive: timeout=1"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine",
        ok(b"fine") + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["close", "a short life", "HTTP/1.0", "surplus"],
)
async def test_a_connection_that_must_not_be_used_again_is_closed(answer: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(answer), ExpectEOF()]) as upstream:
        assert await post(upstream) == "fine"
        await upstream.closed()
        assert await post(upstream) == "fine"
    assert upstream.connections == 2


@pytest.mark.parametrize("value", ["timeout=30, max=5", "timeout=soon", "max=5"])
async def test_a_longer_or_unknown_life_changes_nothing(value: str) -> None:
    script: list[Step] = [ReadRequest(), Send(ok(b"fine", f"Keep-Alive: {value}"))] * 2
    async with ScriptedUpstream(script) as upstream:
        assert [await post(upstream), await post(upstream)] == ["fine", "fine"]
    assert upstream.connections == 1


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["close", "reset"])
async def test_a_connection_closed_while_idle_is_not_used(end: Close | Reset) -> None:
    async with ScriptedUpstream([*ANSWER, end], ANSWER) as upstream:
        assert await post(upstream) == "fine"
        await upstream.closed()
        assert await post(upstream) == "fine"
    assert upstream.connections == 2
    assert len(upstream.requests) == 2


async def test_bytes_on_an_idle_connection_close_it() -> None:
    go = asyncio.Event()
    async with ScriptedUpstream([*ANSWER, Wait(go), Send(b"HTTP/1.1 408 Timeout\r\n\r\n"), ExpectEOF()]) as upstream:
        assert await post(upstream) == "fine"
        go.set()
        await upstream.closed()


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["close", "reset"])
async def test_a_used_connection_that_dies_before_an_answer_is_replaced_once(end: Close | Reset) -> None:
    async with ScriptedUpstream([*ANSWER, ReadRequest(), end], ANSWER) as upstream:
        assert [await post(upstream), await post(upstream)] == ["fine", "fine"]
    assert upstream.connections == 2
    assert [request.connection for request in upstream.requests] == [0, 0, 1]


async def test_it_is_not_replaced_a_second_time() -> None:
    async with ScriptedUpstream([*ANSWER, ReadRequest(), Close()], [ReadRequest(), Close()]) as upstream:
        await post(upstream)
        with pytest.raises(DisconnectedError):
            await post(upstream)
    assert upstream.connections == 2


async def test_it_is_not_replaced_after_a_byte_of_an_answer() -> None:
    async with ScriptedUpstream([*ANSWER, ReadRequest(), Send(b"H"), Close()]) as upstream:
        await post(upstream)
        with pytest.raises(DisconnectedError):
            await post(upstream)
    assert upstream.connections == 1


async def test_it_is_not_replaced_where_the_body_cannot_be_sent_again() -> None:
    class Once:
        size = 1
        replayable = False

        def blocks(self) -> Iterator[bytes]:
            yield b"x"

    async with ScriptedUpstream([*ANSWER, ReadRequest(), Close()]) as upstream:
        await post(upstream)
        with pytest.raises(DisconnectedError):
            await StreamSession().post(upstream.url, data=[Once()])
    assert upstream.connections == 1


async def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.02)
    async with ScriptedUpstream(ANSWER * 2) as upstream:
        await asyncio.gather(post(upstream), post(upstream))
        await upstream.closed()
        monkeypatch.setattr(pool, "IDLE_SECONDS", 15.0)
        assert await post(upstream) == "fine"
    assert upstream.connections == 3


async def test_only_so_many_idle_connections_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE", 2)
    closed: list[None] = []
    async with ScriptedUpstream([*ANSWER, ExpectEOF(), Do(lambda: closed.append(None))]) as upstream:
        await asyncio.gather(*(post(upstream) for _ in range(5)))
        while len(closed) < 3:
            await asyncio.sleep(0.001)
        await settle()
        assert len(closed) == 3


async def test_pools_can_be_closed_by_hand() -> None:
    async with ScriptedUpstream([*ANSWER, ExpectEOF()]) as upstream:
        await post(upstream)
        await aclose_pools()
        await upstream.closed()
        assert await post(upstream) == "fine"


async def test_an_event_loop_has_one_pool() -> None:
    loop = asyncio.get_running_loop()
    assert pool_of(loop) is pool_of(loop)


# --- loops that end; these tests run their own ---


async def _use(script: list[Step], log: list[str]) -> None:
    async with ScriptedUpstream(script) as upstream:
        await post(upstream)
        response = await StreamSession().post(upstream.url, json={})
        assert await response.read_block() == b"a"
        log.append("used")
        del response


def _factories() -> list[Any]:
    try:
        import uvloop
    except ImportError:
        return [asyncio.new_event_loop]
    return [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("factory", _factories())
def test_a_loop_that_ends_closes_its_pool_and_the_next_has_its_own(factory: Any) -> None:
    log: list[str] = []
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_use([*ANSWER, ReadRequest(), Send(CHUNKED + chunk(b"a")), ExpectEOF()], log))
                assert pool._pools
            gc.collect()
    assert log == ["used", "used"]
    assert not [loop for loop in pool._pools if loop.is_closed()]


@pytest.mark.parametrize("factory", _factories())
def test_an_answer_still_held_is_closed_with_its_loop(factory: Any) -> None:
    """The server has a thread of its own, so that only the client's side can end the connection."""
    kept: list[Any] = []
    ended: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(CHUNKED + chunk(b"a"))
            try:
                ended.append(connection.recv(1))
            except ConnectionResetError:
                ended.append(b"")

    async def leave_open() -> None:
        kept.append(await StreamSession().post(f"http://127.0.0.1:{server.getsockname()[1]}/", data=b"{}"))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server, asyncio.Runner(loop_factory=factory) as runner:
        runner.run(leave_open())
    thread.join(5)
    assert ended == [b""]
    kept.clear()
    gc.collect()


def test_closers_run_latest_first_and_one_that_fails_stops_none(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    async def main() -> None:
        async def close(name: str) -> None:
            await asyncio.sleep(0)
            log.append(name)
            if name == "second":
                raise ValueError("no")

        for name in ("first", "second", "third"):
            on_loop_shutdown(lambda name=name: close(name))  # type: ignore[misc]
        log.append("main")

    for factory in _factories():
        log.clear()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
        assert log == ["main", "third", "second", "first"]
    assert "closing with the event loop failed" in caplog.text


def test_a_loop_closed_bare_leaves_nothing_behind_for_the_next() -> None:
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with ScriptedUpstream(ANSWER) as upstream:
            await post(upstream)
            await aclose_pools()
            await upstream.closed()

    loop.run_until_complete(main())
    loop.close()
    asyncio.run(main())
    assert loop not in pool._pools


def test_outside_of_a_loop_there_is_nothing_to_close_with() -> None:
    async def close() -> None:
        raise AssertionError

    with pytest.raises(RuntimeError):
        on_loop_shutdown(close)
