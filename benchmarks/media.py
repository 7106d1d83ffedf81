"""What a large file costs: wall time, extra peak memory, and the worst stall of the event loop while it is sent.

``python -m benchmarks.media NAME PORT PATH`` is one client, once (``PATH`` may be ``-`` for a tiny item: the base line
of its memory). Only the standard library is imported at the top: this also runs where nothing of ours is installed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.environments import EnvironmentFailed, interpreter, last_line, pinned
from benchmarks.figures import cell, spread
from benchmarks.turns import turns

ROOT = Path(__file__).parent.parent
MEGABYTE = 1_000_000
SIZES = (1, 32, 100, 1000)
QUICK_SIZES = (1, 32)
MOST = {"openai-python": 100}
"""In megabytes: above it takes several gigabytes of memory."""
RUNS = 3
STEP = 48 * 1024
TINY = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000100000001008020000009091683600")
"""How a PNG file begins."""

Send = Callable[[int, Path | None], Awaitable[None]]


async def floor(port: int, path: Path | None) -> None:
    """The floor: the file in steps, each encoded and written; no JSON, no limits, no errors."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = path.stat().st_size if path else len(TINY)
    length = 4 * ((size + 2) // 3)
    writer.write(b"POST /events?events=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
    with path.open("rb") if path else contextlib.nullcontext() as file:
        while data := file.read(STEP) if file else TINY:
            writer.write(base64.b64encode(data))
            await writer.drain()
            if not file:
                break
    await reader.readuntil(b"0\r\n\r\n")
    writer.close()


async def backstream(port: int, path: Path | None) -> None:
    """Our client of the backend API, given the path."""
    from backstream import BackendApi

    class Bench(BackendApi):
        url = f"http://127.0.0.1:{port}"

    media: Any = [path] if path else [(TINY, "tiny.png")]
    async for _ in Bench.create_async_generator("m", [], media=media):
        pass


async def backstream_client(port: int, path: Path | None) -> None:
    """Our client of OpenAI-compatible servers, given the path."""
    from backstream import Client

    base = f"http://127.0.0.1:{port}/chat/events=1/v1"
    media: Any = [(path or TINY, "picture.png")]
    async for _ in Client().stream("bench", "Look.", url=base, media=media):
        pass


async def openai_python(port: int, path: Path | None) -> None:
    """The official library of OpenAI; it takes a data URI, which its caller makes."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="unused", base_url=f"http://127.0.0.1:{port}/chat/events=1/v1")
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes() if path else TINY).decode()
    messages: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": uri}}]}]
    answer: Any = await client.chat.completions.create(model="bench", messages=messages, stream=True)
    async for _ in answer:
        pass


FLOOR = "raw floor"
OURS = ("backstream BackendApi", "backstream Client")
CLIENTS: dict[str, Send] = {
    FLOOR: floor,
    "backstream BackendApi": backstream,
    "backstream Client": backstream_client,
    "openai-python": openai_python,
}


async def watch(stalls: list[float]) -> None:
    """Note how late the loop wakes us, every millisecond."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(time.perf_counter() - before - 0.001)


async def run(name: str, port: int, path: Path | None) -> dict[str, float]:
    """Send one file and read the short answer."""
    send = CLIENTS[name]
    await send(port, None)
    stalls: list[float] = [0.0]
    watcher = asyncio.create_task(watch(stalls))
    await asyncio.sleep(0.005)
    started, cpu = time.perf_counter(), time.process_time()
    await send(port, path)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    await asyncio.sleep(0.002)
    watcher.cancel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "cpu": cpu, "peak_mib": peak, "worst_stall_ms": max(stalls) * 1000}


def measure(python: str, name: str, port: str, path: str) -> dict[str, float]:
    """Run one client once, in a process of its own."""
    command = [python, "-m", "benchmarks.media", name, port, path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"{name} failed: {last_line(done.stderr)}")
    return dict(json.loads(last_line(done.stdout)))


def write_file(path: Path, megabytes: int) -> None:
    """Make a file that looks like a picture."""
    with path.open("wb") as file:
        file.write(TINY)
        for _ in range(megabytes):
            file.write(os.urandom(MEGABYTE))


def media(port: str, *, peers: bool = True, quick: bool = False) -> dict[str, Any]:
    """Wall time, extra peak memory and worst stall for files of several sizes, taking turns."""
    pythons = dict.fromkeys((FLOOR, *OURS), sys.executable)
    reasons: dict[str, str] = {}
    if peers:
        try:
            pythons["openai-python"] = str(interpreter("openai-python"))
        except EnvironmentFailed as error:
            reasons["openai-python"] = f"could not be set up: {error}"
    print(f"\nMedia: one file sent as a data URI, median of {turns(RUNS)}", flush=True)
    runs = 1 if quick else turns(RUNS)
    base = {
        name: min(measure(python, name, port, "-")["peak_mib"] for _ in range(2)) for name, python in pythons.items()
    }
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in QUICK_SIZES if quick else SIZES:
            path = Path(folder) / f"{size}.png"
            write_file(path, size)
            found: dict[str, list[dict[str, float]]] = {}
            for _ in range(runs):
                for name, python in pythons.items():
                    if size <= MOST.get(name, size):
                        found.setdefault(name, []).append(measure(python, name, port, str(path)))
            path.unlink()
            table[str(size)] = {name: _row(each, found[FLOOR], base[name]) for name, each in found.items()}
            for name, row in table[str(size)].items():
                print(
                    f"  {size:5} MB  {name:22} {cell(row['wall']):>20} s  +{cell(row['extra_mib'])} MiB  "
                    f"worst stall {cell(row['worst_stall_ms'])} ms",
                    flush=True,
                )
    versions = {"openai-python": pinned("openai-python")}
    return {"sizes": table, "left_out": reasons, "versions": versions}


def _row(runs: list[dict[str, float]], floors: list[dict[str, float]], base: float) -> dict[str, Any]:
    return {
        "wall": spread([run["wall"] for run in runs]),
        "ratio": spread([run["wall"] / other["wall"] for run, other in zip(runs, floors, strict=True)]),
        "extra_mib": spread([max(run["peak_mib"] - base, 0.0) for run in runs]),
        "worst_stall_ms": spread([run["worst_stall_ms"] for run in runs]),
    }


if __name__ == "__main__":
    given = sys.argv[3]
    print(json.dumps(asyncio.run(run(sys.argv[1], int(sys.argv[2]), None if given == "-" else Path(given)))))
