"""The clients that are measured, each run in a process of its own: ``python -m benchmarks.clients NAME PORT LOAD``.

Prints one line of JSON: CPU seconds of the process while it received, wall seconds, events, and peak memory.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

LOADS = {
    # name: (streams, events of each, events in a packet, pause between packets in seconds, chunking)
    "coalesced": (1, 20_000, 50, 0.0, "packet"),
    "coalesced, one chunk an event": (1, 20_000, 50, 0.0, "event"),
    "one a packet": (1, 20_000, 1, 0.0, "event"),
    "200 paced streams": (200, 100, 1, 0.02, "event"),
}


class Content(msgspec.Struct, tag="content", tag_field="type"):
    """What the raw floor decodes into."""

    content: str


class Finish(msgspec.Struct, tag="finish", tag_field="type"):
    """The end, for the raw floor."""

    finish: dict[str, str]


def target(load: str, framing: str | None = None) -> str:
    """The path and query that ask the upstream for a load."""
    _, events, packet, pause, chunking = LOADS[load]
    return f"?events={events}&packet={packet}&pause={pause}&framing={framing or chunking}"


class Floor(asyncio.Protocol):
    """The raw floor: split on the blank line, decode; no HTTP, no generator, no error handling."""

    def __init__(self, request: bytes, done: asyncio.Future[int]) -> None:
        self.request, self.done, self.rest, self.count = request, done, b"", 0
        self.decode = msgspec.json.Decoder(Content | Finish).decode

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        *events, self.rest = (self.rest + data).split(b"\n\n")
        for event in events:
            self.decode(event[event.index(b"data: ") + 6 :])
            self.count += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(self.count)


async def floor_stream(port: int, load: str) -> int:
    """Receive one stream at the raw floor."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    head = f"POST /events{target(load, 'close')} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    await loop.create_connection(lambda: Floor(head.encode(), done), "127.0.0.1", port)
    return int(await done)


async def backstream_stream(port: int, load: str) -> int:
    """Receive one stream through ``BackendApi``: typed chunks, limits and deadlines on."""
    from backstream import BackendApi, CallOptions

    query = dict(part.split("=") for part in target(load)[1:].split("&"))

    class Bench(BackendApi):
        url = f"http://127.0.0.1:{port}"

    count = 0
    async for _ in Bench.create_async_generator("m", [], options=CallOptions(extra_query=query)):
        count += 1
    return count


CLIENTS: dict[str, Callable[[int, str], Awaitable[int]]] = {"floor": floor_stream, "backstream": backstream_stream}


async def run(name: str, port: int, load: str) -> dict[str, float]:
    """Warm up on one stream, then measure."""
    stream, streams = CLIENTS[name], LOADS[load][0]
    await stream(port, "one a packet" if streams > 1 else load)
    wall, cpu = time.perf_counter(), time.process_time()
    counts = await asyncio.gather(*(stream(port, load) for _ in range(streams)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    expected = streams * (LOADS[load][1] + 1)
    if sum(counts) != expected:
        raise SystemExit(f"{name}: {sum(counts)} events of {expected}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "wall": wall, "events": expected, "peak_mib": peak}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
