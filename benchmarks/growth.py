"""How an event's cost grows with the number of streams, and what an open stream weighs, in client and gateway.

As many events arrive in a second whether one stream brings them or a thousand; the streams are opened, and closed,
outside of what is measured. ``python -m benchmarks.growth NAME PORT STREAMS`` is one client, once; 0 streams: what
a thousand silent ones weigh.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.environments import ROOT, EnvironmentFailed, last_line
from benchmarks.figures import cell, spread
from benchmarks.gateway import LOADS, send
from benchmarks.gateway_programs import FLOOR as NGINX
from benchmarks.gateway_programs import GATEWAYS, LITELLM, started
from benchmarks.gateway_upstream import running
from benchmarks.gateway_usage import resident_bytes
from benchmarks.turns import turns

STREAMS = (1, 10, 100, 1000)
PER_SECOND = 1000
SECONDS = 5
IDLE = 1000
RUNS = 3
FLOOR = "raw floor"
OURS = "backstream Client"
HELD_SECONDS = 0.3


class Crowd:
    """Streams that are received at once: counts their events, and knows when all run.

    Args:
        streams: How many.
    """

    def __init__(self, streams: int) -> None:
        self.streams, self.events, self.begun_streams = streams, 0, 0
        self.all_begun = asyncio.Event()
        self.one_over = asyncio.Event()

    def begin(self) -> None:
        """Note that a stream has brought its first event."""
        self.begun_streams += 1
        if self.begun_streams == self.streams:
            self.all_begun.set()


Receive = Callable[[Crowd, int, str], Awaitable[None]]


async def floor(crowd: Crowd, port: int, load: str) -> None:
    """The raw floor: split on the blank line, decode; the framing of HTTP is skipped by looking for the data."""
    import msgspec

    delta = msgspec.defstruct("Delta", [("content", str, "")])
    choice = msgspec.defstruct("Choice", [("delta", delta)])
    completion: Any = msgspec.defstruct("Completion", [("choices", list[choice])])  # type: ignore[valid-type]
    decode = DECODERS.setdefault("floor", msgspec.json.Decoder(completion).decode)
    body = json.dumps({"messages": [{"role": "user", "content": load}], "stream": True}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    class Floor(asyncio.Protocol):
        rest, is_first = b"", True

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport
            transport.write(request)

        def data_received(self, data: bytes) -> None:
            *found, self.rest = (self.rest + data).split(b"\n\n")
            for event in found:
                said = event[event.index(b"data: ") + 6 :]
                if said == b"[DONE]":
                    self.transport.close()
                elif decode(said).choices[0].delta.content:
                    crowd.events += 1
                    if self.is_first:
                        self.is_first = False
                        crowd.begin()

        def connection_lost(self, exc: Exception | None) -> None:
            if not done.done():
                done.set_result(None)

    transport, _ = await loop.create_connection(Floor, "127.0.0.1", port)
    try:
        await done
    finally:
        transport.close()


async def backstream(crowd: Crowd, port: int, load: str) -> None:
    """Our client; one for all streams."""
    from backstream import Client, Content

    client = DECODERS.setdefault("client", Client())
    is_first = True
    async for chunk in client.stream("bench", load, url=f"http://127.0.0.1:{port}/v1"):
        if isinstance(chunk, Content):
            crowd.events += 1
            if is_first:
                is_first = False
                crowd.begin()


DECODERS: dict[str, Any] = {}
"""What all streams of this process share."""
CLIENTS: dict[str, Receive] = {FLOOR: floor, OURS: backstream}


def events_of(streams: int) -> int:
    """How many events each of so many streams brings."""
    return max(PER_SECOND * SECONDS // streams, 5)


def load_of(streams: int) -> str:
    """What so many streams ask the upstream for."""
    return f"load:{events_of(streams)},1,{max(1000 * streams // PER_SECOND, 1)}"


async def run(name: str, port: int, streams: int) -> dict[str, float]:
    """Receive streams at once; CPU time, and events, from when all have begun until the first is over."""
    receive, crowd, pause = CLIENTS[name], Crowd(streams), streams / PER_SECOND
    await receive(Crowd(1), port, "load:20,1,1")

    async def receive_one() -> None:
        await receive(crowd, port, load_of(streams))
        crowd.one_over.set()

    tasks = []
    for _ in range(streams):  # evenly over the time between two events of a stream, so that they do not go in step
        tasks.append(asyncio.create_task(receive_one()))
        await asyncio.sleep(pause / streams if streams > 1 else 0)
    await crowd.all_begun.wait()
    cpu, before = time.process_time(), crowd.events
    await crowd.one_over.wait()
    cpu, events = time.process_time() - cpu, crowd.events - before
    await asyncio.gather(*tasks)
    if crowd.events != streams * events_of(streams):
        raise SystemExit(f"{name}: {crowd.events} events of {streams * events_of(streams)}")
    return {"cpu": cpu, "events": events}


async def weigh(name: str, port: int) -> dict[str, float]:
    """Hold streams open that say nothing, and see what they weigh, and what of it is given back."""
    receive = CLIENTS[name]
    await asyncio.gather(*(receive(Crowd(20), port, "load:20,1,1") for _ in range(20)))
    gc.collect()
    before, crowd = resident_bytes([os.getpid()]), Crowd(IDLE)
    tasks = [asyncio.create_task(receive(crowd, port, "load:2,1,-1")) for _ in range(IDLE)]
    await crowd.all_begun.wait()
    await asyncio.sleep(HELD_SECONDS)
    held = resident_bytes([os.getpid()]) - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"kib": held / 1024 / IDLE, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(name: str, port: int, streams: int) -> dict[str, float]:
    """Run one client once, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", name, str(port), str(streams)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f"{name} failed with {streams} streams: {last_line(done.stderr)}")
    return dict(json.loads(last_line(done.stdout)))


def growth(*, quick: bool = False) -> dict[str, Any]:
    """CPU of an event by the number of streams, and the memory of a stream, of client and gateway, taking turns."""
    runs, sizes = (1, (1, 100)) if quick else (turns(RUNS), STREAMS)
    clients: dict[str, dict[str, list[float]]] = {name: {} for name in CLIENTS}
    weights: dict[str, list[float]] = {}
    print(f"\nGrowth: CPU µs per event, {PER_SECOND} events a second over so many streams", flush=True)
    with running() as upstream:
        for _ in range(runs):
            for streams in sizes:
                for name in CLIENTS:
                    found = measure(name, upstream, streams)
                    clients[name].setdefault(str(streams), []).append(found["cpu"] / found["events"] * 1e6)
            for name in CLIENTS:
                weights.setdefault(name, []).append(measure(name, upstream, 0)["kib"])
        gateways = gateway_growth(upstream, sizes, runs) if sys.platform.startswith("linux") else {}
    table = {name: {size: spread(each) for size, each in of.items()} for name, of in (clients | gateways).items()}
    for name, row in table.items():
        print(f"  {name:26} " + "   ".join(f"{size}: {cell(figure)}" for size, figure in row.items()), flush=True)
    held = {name: spread(each) for name, each in weights.items()}
    for name, figure in held.items():
        print(f"  {name:26} {cell(figure)} KiB for each of {IDLE} silent streams", flush=True)
    return {"cpu_us": table, "client_kib": held, "per_second": PER_SECOND}


def gateway_growth(upstream: int, sizes: tuple[int, ...], runs: int) -> dict[str, dict[str, list[float]]]:
    """The same of gateways, but the slow one."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, prepare in GATEWAYS.items():
        if name == LITELLM:
            continue
        try:
            with started(prepare, upstream) as ready:
                for _ in range(runs):
                    for streams in sizes:
                        pause = max(1000 * streams // PER_SECOND, 1)
                        order = {**LOADS["paced"], "streams": streams, "events": events_of(streams), "pause": pause}
                        measured = send(order, ready, upstream)
                        if "failed" in measured or any(measured["faults"].values()):
                            raise SystemExit(f"{name}: {measured.get('failed') or measured['faults']}")
                        figure = measured["steady_cpu"] / max(measured["steady_events"], 1) * 1e6
                        found.setdefault(name, {}).setdefault(str(streams), []).append(figure)
        except EnvironmentFailed as error:
            if name != NGINX:
                raise SystemExit(f"{name}: {error}") from None
            print(f"  {name} left out: {error}", flush=True)
    return found


async def main(name: str, port: int, streams: int) -> dict[str, float]:
    """Measure one client."""
    return await (run(name, port, streams) if streams else weigh(name, port))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
