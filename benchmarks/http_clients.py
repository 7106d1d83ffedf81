"""Our transport beside other HTTP clients: CPU per event for the same stream, split and decoded in the same way.

``python -m benchmarks.http_clients`` makes an environment for the others, starts the scripted upstream, lets the
clients take turns, and prints a table. Compare figures of one run only.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from benchmarks.clients import LOADS, Content, Finish, floor_stream, target
from benchmarks.environments import ROOT, interpreter
from benchmarks.upstream import running

RUNS = 5
MEASURED = ("coalesced", "one a packet", "200 paced streams")


async def count(blocks: AsyncIterator[bytes]) -> int:
    """Split what arrives into events and decode each, as the raw floor does."""
    decode = msgspec.json.Decoder(Content | Finish).decode
    rest, number = b"", 0
    async for block in blocks:
        *events, rest = (rest + block).split(b"\n\n")
        for event in events:
            decode(event[event.index(b"data: ") + 6 :])
            number += 1
    return number


async def backstream_stream(port: int, load: str) -> int:
    """Receive one stream through ``StreamSession``."""
    from backstream.transport.session import StreamSession

    async def blocks() -> AsyncIterator[bytes]:
        async with StreamSession().post(f"http://127.0.0.1:{port}/events{target(load)}", json={}) as response:
            while block := await response.read_block():
                yield block

    return await count(blocks())


async def aiohttp_stream(port: int, load: str) -> int:
    """Receive one stream through aiohttp, a whole read at a time."""
    import aiohttp

    async def blocks() -> AsyncIterator[bytes]:
        async with SESSIONS["aiohttp"].post(f"http://127.0.0.1:{port}/events{target(load)}", json={}) as response:
            async for block in response.content.iter_any():
                yield block

    if "aiohttp" not in SESSIONS:
        SESSIONS["aiohttp"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    return await count(blocks())


async def httpx_stream(port: int, load: str) -> int:
    """Receive one stream through httpx."""
    import httpx

    async def blocks() -> AsyncIterator[bytes]:
        url = f"http://127.0.0.1:{port}/events{target(load)}"
        async with SESSIONS["httpx"].stream("POST", url, json={}, timeout=600) as response:
            async for block in response.aiter_raw():
                yield block

    if "httpx" not in SESSIONS:
        SESSIONS["httpx"] = httpx.AsyncClient(limits=httpx.Limits(max_connections=None))
    return await count(blocks())


SESSIONS: dict[str, Any] = {}
CLIENTS: dict[str, Callable[[int, str], Awaitable[int]]] = {
    "floor": floor_stream,
    "backstream": backstream_stream,
    "aiohttp": aiohttp_stream,
    "httpx": httpx_stream,
}


async def run(name: str, port: int, load: str) -> float:
    """Warm up on one stream, then give the CPU microseconds per event."""
    stream, (streams, events, *_) = CLIENTS[name], LOADS[load]
    await stream(port, "one a packet" if streams > 1 else load)
    cpu = time.process_time()
    counts = await asyncio.gather(*(stream(port, load) for _ in range(streams)))
    cpu = time.process_time() - cpu
    if sum(counts) != streams * (events + 1):
        raise SystemExit(f"{name}: {sum(counts)} events of {streams * (events + 1)}")
    for session in SESSIONS.values():
        await (session.close() if hasattr(session, "close") else session.aclose())
    return cpu / sum(counts) * 1e6


def main() -> None:
    """Measure in turns, print the medians and the ratios to the floor."""
    others = str(interpreter("http-clients"))
    with running() as port:
        for load in MEASURED:
            figures: dict[str, list[float]] = {name: [] for name in CLIENTS}
            for _ in range(RUNS):
                for name in CLIENTS:
                    python = others if name in {"aiohttp", "httpx"} else sys.executable
                    done = subprocess.run(
                        [python, "-m", "benchmarks.http_clients", name, port, load],
                        cwd=ROOT,
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    figures[name].append(json.loads(done.stdout))
            floor = statistics.median(figures["floor"])
            for name, values in figures.items():
                median = statistics.median(values)
                spread = f"{min(values):.2f}–{max(values):.2f}"
                print(f"{load:22} {name:12} {median:7.2f} µs ({spread})  {median / floor:5.2f} × floor")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
    else:
        main()
