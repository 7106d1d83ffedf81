"""Rows 1 to 6: from the name of a server to the first byte of its answer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstream import ConnectError, ConnectTimeout, Deadlines, DisconnectedError, TLSError
from backstream.errors import ProviderError
from backstream.options import CallOptions
from backstream.testing.upstream import Close, ReadRequest, Reset, ScriptedUpstream, Send, Step
from backstream.transport.pool import aclose_pools
from support_certificates import Certificates
from support_rows import (
    ASKING_AGAIN,
    DOORS,
    KINDS,
    Door,
    Kind,
    ask,
    ask_again,
    check_failed,
    check_whole,
    each,
    one_loop,
    provider,
    serving,
)

SHORT = 0.04
NOWHERE = "http://no-such-host.invalid"


def untouched(error: ProviderError, *, again: bool) -> None:
    """Check that an error says that nothing was sent."""
    assert error.phase == "connect"
    assert not error.request_sent
    assert error.retryable is again
    assert error.received == ()


@pytest.fixture
def closed_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def hole() -> Iterator[str]:
    """A listening socket whose queue is full: the first packet of a connection is dropped."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("kind", each(1, "no-such-host", KINDS))
async def test_a_name_without_address(kind: Kind) -> None:
    outcome = await ask(provider(kind, NOWHERE))
    assert isinstance(outcome.error, ConnectError)
    untouched(outcome.error, again=True)
    attempts = await ask_again(provider(kind, NOWHERE))
    assert (attempts.count, attempts.waits) == (3, [0.5, 1.0])
    assert isinstance(attempts.error, ConnectError)


@pytest.mark.parametrize("kind", each(2, "connection-refused", KINDS))
async def test_a_refused_connection(kind: Kind, closed_port: str) -> None:
    outcome = await ask(provider(kind, closed_port))
    assert isinstance(outcome.error, ConnectError)
    untouched(outcome.error, again=True)
    attempts = await ask_again(provider(kind, closed_port), chance=0.5)
    assert (attempts.count, attempts.waits) == (3, [0.25, 0.5])  # by chance, up to half a second, up to one
    assert isinstance(attempts.error, ConnectError)


@one_loop
@pytest.mark.parametrize("door", each(2, "connection-refused-for", DOORS))
async def test_a_refused_connection_through_a_gateway(door: Door, closed_port: str) -> None:
    async with serving(provider(KINDS[0], closed_port)) as server:
        answer = await server.ask("POST", door.path, door.body)
    check_failed(door, answer, begun=False)


@pytest.mark.parametrize("kind", each(3, "black-hole", KINDS))
async def test_a_black_hole(kind: Kind, hole: str) -> None:
    options = CallOptions(deadlines=Deadlines(connect=SHORT))
    outcome = await ask(provider(kind, hole, options))
    assert isinstance(outcome.error, ConnectTimeout)
    untouched(outcome.error, again=True)
    attempts = await ask_again(provider(kind, hole, options))
    assert attempts.count == 3
    assert isinstance(attempts.error, ConnectTimeout)


@one_loop
@pytest.mark.parametrize("door", each(3, "black-hole-for", DOORS))
async def test_a_black_hole_through_a_gateway(door: Door, hole: str) -> None:
    options = CallOptions(deadlines=Deadlines(connect=SHORT))
    async with serving(provider(KINDS[0], hole, options)) as server:
        answer = await server.ask("POST", door.path, door.body)
    check_failed(door, answer, begun=False)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("fault", each(4, "certificate", ["of-another-host", "expired", "of-nobody-we-trust"]))
async def test_a_certificate(kind: Kind, fault: str, tmp_path: Path) -> None:
    """It is never asked again, and never without its being verified."""
    made = Certificates(tmp_path)
    server = made.server("elsewhere.test" if fault == "of-another-host" else "localhost", expired=fault == "expired")
    trust = None if fault == "of-nobody-we-trust" else made.file
    async with ScriptedUpstream([ReadRequest(), Send(kind.chunked(kind.whole, last=True))], tls=server) as upstream:
        outcome = await ask(provider(kind, upstream.url, ssl=trust))
        attempts = await ask_again(provider(kind, upstream.url, ssl=trust))
        await upstream.closed()
        assert upstream.requests == []
    assert isinstance(outcome.error, TLSError)
    untouched(outcome.error, again=False)
    assert isinstance(outcome.error.__cause__, ssl.SSLError)
    assert (attempts.count, attempts.waits) == (1, [])
    assert isinstance(attempts.error, TLSError)


@one_loop
@pytest.mark.parametrize("door", each(4, "certificate-for", DOORS))
async def test_a_certificate_through_a_gateway(door: Door, tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    async with (
        ScriptedUpstream([ReadRequest()], tls=made.server("elsewhere.test")) as upstream,
        serving(provider(KINDS[0], upstream.url, ssl=made.file)) as server,
    ):
        answer = await server.ask("POST", door.path, door.body)
        await upstream.closed()
        assert upstream.requests == []
    check_failed(door, answer, begun=False)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", each(5, "stale-connection", KINDS))
async def test_a_kept_connection_that_died(kind: Kind, end: Step) -> None:
    """A fresh one takes its place, once; and only if not one byte of an answer had come."""
    whole = Send(kind.chunked(kind.whole, last=True))
    async with ScriptedUpstream([ReadRequest(), whole, ReadRequest(), end], [ReadRequest(), whole]) as upstream:
        asked = provider(kind, upstream.url)
        for _ in range(2):
            outcome = await ask(asked)
            assert (outcome.error, outcome.text) == (None, "Hello")
        await aclose_pools()
        await upstream.closed()
        assert [request.connection for request in upstream.requests] == [0, 0, 1]
    for first, connections in ((b"", 2), (b"HTTP/1.1 200", 1)):
        died: list[Step] = [ReadRequest(), Send(first), end]
        async with ScriptedUpstream([ReadRequest(), whole, *died], died) as upstream:
            asked = provider(kind, upstream.url)
            await ask(asked)
            outcome = await ask(asked)
            assert isinstance(outcome.error, DisconnectedError)
            assert upstream.connections == connections
            await upstream.closed()


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", each(6, "reset-before-headers", KINDS))
async def test_a_reset_before_the_head(kind: Kind, end: Step) -> None:
    died: list[Step] = [ReadRequest(), end]
    async with ScriptedUpstream(died) as upstream:
        outcome = await ask(provider(kind, upstream.url))
        assert upstream.connections == 1
        attempts = await ask_again(provider(kind, upstream.url))
        assert upstream.connections == 4
        await upstream.closed()
    for error in (outcome.error, attempts.error):
        assert isinstance(error, DisconnectedError)
        assert (error.phase, error.request_sent, error.retryable) == ("headers", True, True)
    async with ScriptedUpstream(died, died, [ReadRequest(), Send(kind.chunked(kind.whole, last=True))]) as upstream:
        attempts = await ask_again(provider(kind, upstream.url))
        await aclose_pools()
        await upstream.closed()
    assert (attempts.text, attempts.error, attempts.count) == ("Hello", None, 3)


@one_loop
@pytest.mark.parametrize("door", each(6, "reset-before-headers-for", ASKING_AGAIN))
async def test_a_reset_before_the_head_through_a_gateway(door: Door) -> None:
    kind = KINDS[0]
    died: list[Step] = [ReadRequest(), Reset()]
    whole = [ReadRequest(), Send(kind.chunked(kind.whole, last=True))]
    for scripts in ([died, whole], [died]):
        async with ScriptedUpstream(*scripts) as upstream, serving(provider(kind, upstream.url)) as server:
            answer = await server.ask("POST", door.path, door.body)
            await aclose_pools()
            await upstream.closed()
            assert upstream.connections == (2 if whole in scripts else 3)
        if whole in scripts:
            check_whole(door, answer)
        else:
            check_failed(door, answer, begun=False)
