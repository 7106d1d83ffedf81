"""How much work an event is on the hot paths, counted in operations: none of it depends on a clock.

Each path is run over real sockets with few events and with more; what the further ones cost, divided by their number,
must stay under a committed ceiling (``ceilings.json``) that lies a little above what it was when it was written.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backstream import Client
from backstream.chunks import Content
from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.dialects.base import Envelope
from backstream.dialects.openai_chat import OpenAIChat
from backstream.dialects.relay import FrameRelay
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.registry.server_config import KeyLimits
from backstream.request.call import parse_call
from backstream.server import Settings, create_app
from backstream.server.keys import add_key
from backstream.transport.pool import aclose_pools
from perf.support_counting import Counter, Counts, hold, peak_bytes
from perf.support_lockstep import BackEnd, GatewayClient, content_event, in_thread
from support_server import head_and_body, running

RUNS = {1: (50, 350), 50: (100, 1600)}
"""By events in a packet: how many events the shorter run has, and the longer one."""
MESSAGES: Any = [{"role": "user", "content": "Go on."}]
packets = pytest.mark.parametrize("packet", [1, 50], ids=["one a packet", "50 a packet"])

Receive = Callable[[BackEnd, Counter], Awaitable[Counts]]


async def difference(count: Callable[[int], Awaitable[Counts]], packet: int) -> dict[str, float]:
    """Run with few events and with more; what each further one cost."""
    few, more = RUNS[packet]
    await count(packet)  # what is made once for all is made
    shorter = await count(few)
    return (await count(more)).per_event(shorter, more - few)


def row_of(back_end: BackEnd) -> Row:
    return Row(
        name="up",
        label="Up",
        url=f"http://127.0.0.1:{back_end.port}",
        dialect=back_end.dialect,
        documentation="",
        key_needed=False,
    )


async def iterate(stream: Any, back_end: BackEnd, counter: Counter) -> Counts:
    """Receive an answer, telling the back-end whenever a packet is through; count while the answer is still held."""
    received = 0
    taken, packet = back_end.taken.put, back_end.packet
    async for piece in stream:
        if type(piece) is Content:
            received += 1
            if received % packet == 0:
                taken(None)
    taken(None)
    counts = counter.stop()
    assert received == back_end.events
    return counts


async def through_provider(back_end: BackEnd, counter: Counter) -> Counts:
    provider = DialectProvider(row_of(back_end))
    counter.start()
    return await iterate(provider.create_async_generator("bench", MESSAGES), back_end, counter)


async def through_client(back_end: BackEnd, counter: Counter) -> Counts:
    client = Client(environ={})
    counter.start()
    stream = client.stream("bench", MESSAGES, url=f"http://127.0.0.1:{back_end.port}/v1")
    return await iterate(stream, back_end, counter)


async def count_client(receive: Receive, packet: int, events: int) -> Counts:
    back_end, counter = BackEnd(events, packet), Counter()
    with in_thread(back_end.serve):
        try:
            return await receive(back_end, counter)
        finally:
            counter.stop()
            await aclose_pools()


@packets
@pytest.mark.parametrize("receive", [through_provider, through_client], ids=["provider", "client"])
async def test_receiving_an_event(receive: Receive, packet: int) -> None:
    count = functools.partial(count_client, receive, packet)
    await hold(f"{receive.__name__}, {packet} a packet", lambda: difference(count, packet))


async def count_gateway(dialect: str, packet: int, keys_file: Path, key: str, events: int) -> Counts:
    back_end, counter = BackEnd(events, packet, dialect), Counter()
    app = create_app({"up": DialectProvider(row_of(back_end))}, Settings(keys_file=keys_file))
    body = {"model": "up/bench", "messages": MESSAGES, "stream": True}
    request = head_and_body("POST", "/v1/chat/completions", body, headers={"Authorization": f"Bearer {key}"})
    async with running(app=app) as server:
        client = GatewayClient(server.port, request, back_end)
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask() -> None:
            try:
                client.ask()
            finally:
                loop.call_soon_threadsafe(done.set)

        counter.start()
        try:
            with in_thread(back_end.serve, ask):
                await done.wait()
        finally:
            counts = counter.stop()
        await aclose_pools()
    assert client.received.count(b" on ") == events, client.received[:500]
    assert client.received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    return counts


@packets
@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
async def test_relaying_an_event(dialect: str, packet: int, tmp_path: Path) -> None:
    """With a client key and its limits."""
    keys_file = tmp_path / "keys.json"
    key = add_key(keys_file, "tool", KeyLimits(requests_per_minute=1000, concurrent_streams=10, tokens_per_day=10**9))
    count = functools.partial(count_gateway, dialect, packet, keys_file, key)
    await hold(f"gateway, {dialect} behind openai_chat, {packet} a packet", lambda: difference(count, packet))


# --- without sockets: each part by itself


MANY = b"".join(map(content_event, range(1600)))
LARGE = content_event(0).replace(b" on ", b"x" * (1 << 20))


def parse(data: bytes, size: int) -> None:
    """Parse an answer that comes in pieces."""
    feed = OpenAIChat().stream_parser().feed
    for first in range(0, len(data), size):
        feed(data[first : first + size])


def relay(data: bytes, size: int) -> None:
    """Pass an answer on to a client of the same dialect."""
    frames = FrameRelay("openai_chat")
    parser = frames.watch(OpenAIChat().stream_parser())
    for first in range(0, len(data), size):
        parser.feed(data[first : first + size])
        frames.take()


def translate(data: bytes, size: int) -> None:
    """Pass an answer on to a client of another dialect."""
    parser = OpenAIChat().stream_parser()
    request = parse_call("bench", MESSAGES, (), {"stream": True})
    renderer = AnthropicMessages().stream_renderer(Envelope(id="a", model="bench", created=0, request=request))
    for first in range(0, len(data), size):
        renderer.render(parser.feed(data[first : first + size]))


parts = pytest.mark.parametrize("part", [parse, relay, translate])


@parts
@packets
async def test_calls_of_a_part(part: Callable[[bytes, int], None], packet: int) -> None:
    size = len(content_event(0))

    async def count(events: int) -> Counts:
        counter = Counter()
        counter.start()
        part(MANY[: events * size], packet * size)
        return counter.stop()

    async def calls() -> dict[str, float]:
        counted = await difference(count, packet)
        return {name: counted[name] for name in ("python_calls", "c_calls")}

    await hold(f"{part.__name__}, {packet} a packet", calls)


@parts
@pytest.mark.parametrize("data", [MANY, LARGE], ids=["many events", "one event of a mebibyte"])
async def test_copies_of_a_part(part: Callable[[bytes, int], None], data: bytes) -> None:
    """How many bytes are held at once for each that came: as many copies."""

    async def copies() -> dict[str, float]:
        return {"peak_bytes_per_byte": peak_bytes(lambda: part(data, 1 << 16)) / len(data)}

    await hold(f"{part.__name__}, {'many events' if data is MANY else 'one event of a mebibyte'}", copies)


def test_a_mebibyte_in_pieces_is_not_copied_again_for_each_piece() -> None:
    """What is done for an event grows with its size, and not with its size times the number of its pieces."""
    calls = []
    for mebibytes in (1, 2):
        data = content_event(0).replace(b" on ", b"x" * (mebibytes << 20))
        counter = Counter()
        counter.start()
        parse(data, 1 << 14)
        calls.append(counter.stop().python_calls)
    assert calls[1] <= 2 * calls[0]
