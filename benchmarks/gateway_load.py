"""The clients of a measured gateway: one light process, ``python -m benchmarks.gateway_load``, told what to do by JSON.

Reads its order from standard input and prints one line of JSON. Every event is checked: its number says whether one
was lost, came twice or out of order, the moment of its sending how long it was under way.
"""

from __future__ import annotations

import array
import asyncio
import gc
import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import httptools

from benchmarks.gateway_upstream import microseconds
from benchmarks.gateway_usage import cpu_seconds, resident_bytes

_EVENT = re.compile(rb"(\d{6})@(\d{12})")
LATE_MICROSECONDS = 250_000

Order = dict[str, Any]


class LoadFailed(Exception):
    """An answer was none; the text says what came, in one line."""


class Client(asyncio.Protocol):
    """One connection, one request after the other.

    Args:
        order: Where to ask, and for what.
        key: The key it shows.
    """

    def __init__(self, order: Order, key: str) -> None:
        self.order, self.key = order, key
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.begun: asyncio.Future[None] = self.loop.create_future()
        self.clear()

    def clear(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.rest, self.size, self.finished = b"", 0, False
        self.numbers = array.array("q")
        self.sent = array.array("q")
        self.arrived = array.array("q")
        self.reads = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, load: str, *, stream: bool) -> asyncio.Future[None]:
        """Send a request; the future is done when its answer is."""
        self.clear()
        self.done = self.loop.create_future()
        self.begun = self.loop.create_future()
        messages = [{"role": "user", "content": load}]
        body = json.dumps({"model": self.order["model"], "messages": messages, "stream": stream}).encode()
        head = (
            f"POST {self.order['path']} HTTP/1.1\r\nHost: 127.0.0.1:{self.order['port']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nAuthorization: Bearer {self.key}\r\n\r\n"
        )
        self.asked = microseconds()
        self.transport.write(head.encode() + body)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.now = microseconds()
        self.reads += 1
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        *events, self.rest = (self.rest + body).split(b"\n\n")
        for event in events:
            found = _EVENT.search(event)
            if found is not None:
                self.numbers.append(int(found[1]))
                self.sent.append(int(found[2]))
                self.arrived.append(self.now)
            elif event == b"data: [DONE]":
                self.finished = True
        if self.numbers and not self.begun.done():
            self.begun.set_result(None)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if status == 200:
            self.done.set_result(None)
        else:
            said = " ".join(self.rest[:300].decode(errors="replace").split())
            self.fail(LoadFailed(f"status {status}: {said}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(LoadFailed(f"the connection closed after {len(self.numbers)} events"))

    def fail(self, error: LoadFailed) -> None:
        for future in (self.done, self.begun):
            if not future.done():
                future.set_exception(error)
                future.exception()  # who waits sees it all the same


async def connect(order: Order, amount: int) -> list[Client]:
    """Open connections."""
    loop = asyncio.get_running_loop()
    keys = itertools.cycle(order["keys"])
    clients = []
    for _ in range(amount):
        key = next(keys)
        _, client = await loop.create_connection(lambda key=key: Client(order, key), "127.0.0.1", order["port"])  # type: ignore[misc]
        clients.append(client)
    return clients


def close(clients: Sequence[Client]) -> None:
    """Close connections."""
    for client in clients:
        client.transport.close()


async def spread_out(clients: Sequence[Client], seconds: float, start: Callable[[Client], object]) -> None:
    """Start something on every connection, evenly over a time, so that they do not go in step."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for position, client in enumerate(clients):
        wait = begin + seconds * position / len(clients) - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        start(client)


def faults_of(client: Client, events: int) -> dict[str, int]:
    """What is wrong with the events of one stream."""
    numbers = client.numbers
    distinct = set(numbers)
    return {
        "lost": len(set(range(events)) - distinct),
        "duplicated": len(numbers) - len(distinct),
        "disordered": sum(second < first for first, second in itertools.pairwise(numbers)),
        "unfinished": not client.finished,
    }


def share(values: Sequence[float], part: float) -> float:
    """The value below which a part of them lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def latency(clients: Sequence[Client]) -> dict[str, float]:
    """Milliseconds to the first event, of every further one under way, and by how much gaps between them changed."""
    first = [(client.arrived[0] - client.asked) / 1000 for client in clients if client.arrived]
    delays, gaps = [], []
    for client in clients:
        under_way = [(there - sent) / 1000 for sent, there in zip(client.sent, client.arrived, strict=True)]
        delays += under_way[1:]
        gaps += [second - first for first, second in itertools.pairwise(under_way)]
    return {
        f"{name}_{label}": share(values, part)
        for name, values in (("first", first), ("delay", delays or [0.0]), ("gap", gaps or [0.0]))
        for label, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


async def streams(order: Order) -> dict[str, Any]:
    """Receive streams at once, and check them."""
    events, packet, pause = order["events"], order["packet"], order["pause"]
    warm = await connect(order, min(order["streams"], 10))
    await asyncio.gather(*(client.ask("load:20,1,1", stream=True) for client in warm))
    close(warm)
    clients = await connect(order, order["streams"])
    processes = order["processes"]
    cpu, begun = cpu_seconds(processes), microseconds()
    load = f"load:{events},{packet},{pause}"
    await spread_out(clients, order.get("ramp", pause / 1000), lambda client: client.ask(load, stream=True))
    steady = asyncio.ensure_future(while_all_run(clients, processes))
    await asyncio.gather(*(client.done for client in clients))
    cpu, wall = cpu_seconds(processes) - cpu, (microseconds() - begun) / 1e6
    close(clients)
    faults: dict[str, int] = {}
    for client in clients:
        for name, count in faults_of(client, events).items():
            faults[name] = faults.get(name, 0) + count
    under_way = [there - sent for client in clients for sent, there in zip(client.sent, client.arrived, strict=True)]
    late = {"late": sum(each > LATE_MICROSECONDS for each in under_way), "latest": max(under_way, default=0) / 1000}
    received = sum(len(client.numbers) for client in clients)
    figures = {"cpu": cpu, "wall": wall, "events": received, "reads": sum(client.reads for client in clients)}
    return {**figures, **latency(clients), **late, **await steady, "faults": faults}


async def while_all_run(clients: Sequence[Client], processes: Sequence[int]) -> dict[str, float]:
    """CPU time, and events, from when every stream has begun until the first is over: without the cost of opening."""
    await asyncio.gather(*(client.begun for client in clients))
    cpu, before = cpu_seconds(processes), sum(len(client.numbers) for client in clients)
    await asyncio.wait([client.done for client in clients], return_when=asyncio.FIRST_COMPLETED)
    events = sum(len(client.numbers) for client in clients) - before
    return {"steady_cpu": cpu_seconds(processes) - cpu, "steady_events": events}


async def whole(order: Order) -> dict[str, Any]:
    """Ask for answers in one piece, on several connections at once."""
    clients = await connect(order, order["streams"])
    await asyncio.gather(*(client.ask("load:1,1,0", stream=False) for client in clients))
    cpu, begun = cpu_seconds(order["processes"]), microseconds()
    sizes: set[int] = set()

    async def ask_on(client: Client) -> None:
        for _ in range(order["events"]):
            await client.ask("load:1,1,0", stream=False)
            sizes.add(client.size)

    await asyncio.gather(*map(ask_on, clients))
    cpu, wall = cpu_seconds(order["processes"]) - cpu, (microseconds() - begun) / 1e6
    close(clients)
    if min(sizes) < 1800:
        raise LoadFailed(f"an answer of {min(sizes)} bytes")
    return {"cpu": cpu, "wall": wall, "events": order["streams"] * order["events"]}


async def idle(order: Order) -> dict[str, Any]:
    """Hold streams open that say nothing, and see what they weigh."""
    warm = await connect(order, 20)
    await asyncio.gather(*(client.ask("load:20,1,1", stream=True) for client in warm))
    close(warm)
    await asyncio.sleep(0.3)
    before = resident_bytes(order["processes"])
    clients = await connect(order, order["streams"])
    await spread_out(clients, 1.0, lambda client: client.ask("load:2,1,-1", stream=True))
    await asyncio.gather(*(client.begun for client in clients))
    await asyncio.sleep(0.3)
    weight = resident_bytes(order["processes"]) - before
    close(clients)
    await asyncio.sleep(0.3)
    return {"events": order["streams"], "kib": weight / 1024 / order["streams"], "base_mib": before / 1024 / 1024}


async def pairs(order: Order) -> dict[str, Any]:
    """Ask the upstream itself and the gateway in turns, a few at a time, on connections that stay open."""
    direct = {**order, "port": order["direct_port"], "path": "/v1/chat/completions"}
    lanes = [await connect(each, order["streams"]) for each in (direct, order)]
    load = f"load:{order['events']},1,{order['pause']}"
    found: list[list[dict[str, float]]] = [[], []]
    kept: list[list[Client]] = [[], []]
    for turn in range(order["turns"] + 1):
        for side, clients in enumerate(lanes):
            await spread_out(clients, order["pause"] / 1000, lambda client: client.ask(load, stream=True))
            await asyncio.gather(*(client.done for client in clients))
            if turn:
                kept[side] += map(_copy, clients)
    found = [[latency(side)] for side in kept]
    for clients in lanes:
        close(clients)
    added = {name: found[1][0][name] - figure for name, figure in found[0][0].items()}
    events = sum(len(client.numbers) for client in kept[1])
    return {"events": events, "direct": found[0][0], "through": found[1][0], "added": added}


def _copy(client: Client) -> Any:
    """What was measured of one answer; the client goes on to the next."""
    made = object.__new__(Client)
    made.asked, made.sent, made.arrived, made.numbers = client.asked, client.sent, client.arrived, client.numbers
    return made


KINDS = {"streams": streams, "whole": whole, "idle": idle, "pairs": pairs}


async def follow(order: Order) -> dict[str, Any]:
    """Do what was ordered, in the time that was given."""
    gc.disable()
    try:
        async with asyncio.timeout(order["seconds"]):
            return await KINDS[order["kind"]](order)
    except LoadFailed as error:
        return {"failed": f"{error}"}
    except (TimeoutError, OSError) as error:
        return {"failed": f"{type(error).__name__} within {order['seconds']} s"}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(follow(json.load(sys.stdin)))))
