"""One event as large as a picture in base64 makes it: how the time grows with its size.

``python -m benchmarks.giant NAME PORT MEGABYTES`` is one client, once. Only the standard library is imported
at the top.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.environments import ROOT, EnvironmentFailed, interpreter, last_line, pinned
from benchmarks.figures import cell, spread
from benchmarks.turns import turns

SIZES = (1, 2, 4, 8, 14, 16, 32, 64)
QUICK_SIZES = (1, 14)
RUNS = 5
SECONDS = 60
FLOOR = "raw floor"
OURS = "backstream Client"

Receive = Callable[[int, int], Awaitable[int]]


async def floor(port: int, megabytes: int) -> int:
    """The raw floor: keep the pieces, put them together once, decode."""
    import msgspec

    delta = msgspec.defstruct("Delta", [("content", str, "")])
    choice = msgspec.defstruct("Choice", [("delta", delta)])
    completion: Any = msgspec.defstruct("Completion", [("choices", list[choice])])  # type: ignore[valid-type]
    target = f"/giant/megabytes={megabytes}&framing=close/v1/chat/completions"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    parts = []
    while data := await reader.read(1 << 20):
        parts.append(data)
    writer.close()
    events = b"".join(parts).split(b"\n\n")
    decode = msgspec.json.Decoder(completion).decode
    return max(len(decode(event[event.index(b"data: ") + 6 :]).choices[0].delta.content) for event in events[:-2])


async def backstream(port: int, megabytes: int) -> int:
    """Our client; the caps on lines and events are as they come up to 30 MB, and raised above."""
    from backstream import CallOptions, Client, Content

    cap = 100_000_000
    given: dict[str, Any] = {"options": CallOptions(max_line_bytes=cap, max_event_bytes=cap)} if megabytes > 30 else {}
    stream = Client().stream("bench", "Go on.", url=f"http://127.0.0.1:{port}/giant/megabytes={megabytes}/v1", **given)
    return sum([len(chunk.content) async for chunk in stream if isinstance(chunk, Content)])


async def openai_python(port: int, megabytes: int) -> int:
    """The official library of OpenAI."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="unused", base_url=f"http://127.0.0.1:{port}/giant/megabytes={megabytes}/v1")
    messages: Any = [{"role": "user", "content": "Go on."}]
    answer: Any = await client.chat.completions.create(model="bench", messages=messages, stream=True)
    return sum([len(chunk.choices[0].delta.content or "") async for chunk in answer])


CLIENTS: dict[str, Receive] = {FLOOR: floor, OURS: backstream, "openai-python": openai_python}


async def run(name: str, port: int, megabytes: int) -> dict[str, float]:
    """Receive one answer with one large event; a small one first, to warm up."""
    receive = CLIENTS[name]
    await receive(port, 1)
    wall, cpu = time.perf_counter(), time.process_time()
    received = await receive(port, megabytes)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if received != megabytes * 1_000_000:
        raise SystemExit(f"{received} letters of {megabytes} million")
    return {"wall": wall, "cpu": cpu, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def giant(port: str, *, peers: bool = True, quick: bool = False) -> dict[str, Any]:
    """Seconds from the request to the end of the answer, by size, taking turns."""
    pythons = {FLOOR: sys.executable, OURS: sys.executable}
    reasons: dict[str, str] = {}
    if peers:
        try:
            pythons["openai-python"] = str(interpreter("openai-python"))
        except EnvironmentFailed as error:
            reasons["openai-python"] = f"could not be set up: {error}"
    print(f"\nOne giant event: seconds, median of {turns(RUNS)}", flush=True)
    table: dict[str, Any] = {}
    for size in QUICK_SIZES if quick else SIZES:
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(1 if quick else turns(RUNS)):
            for name, python in tuple(pythons.items()):
                command = [python, "-m", "benchmarks.giant", name, port, str(size)]
                try:
                    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)
                    said = last_line(done.stderr) if done.returncode else ""
                except subprocess.TimeoutExpired:
                    said = f"not done within {SECONDS} s"
                if said:
                    if name in (FLOOR, OURS):
                        raise SystemExit(f"{name} failed at {size} MB: {said}")
                    del pythons[name]
                    reasons[name] = f"{size} MB: {said}"
                else:
                    runs.setdefault(name, []).append(json.loads(last_line(done.stdout)))
        table[str(size)] = {name: _row(each, runs[FLOOR]) for name, each in runs.items()}
        shown = "   ".join(f"{name} {cell(row['wall'])}" for name, row in table[str(size)].items())
        print(f"  {size:3} MB  {shown}", flush=True)
    return {"sizes": table, "left_out": reasons, "versions": {"openai-python": pinned("openai-python")}}


def _row(runs: list[dict[str, float]], floors: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [run["wall"] / other["wall"] for run, other in zip(runs, floors, strict=False)]
    return {
        "wall": spread([run["wall"] for run in runs]),
        "ratio": spread(ratios or [float("nan")]),
        "peak_mib": spread([run["peak_mib"] for run in runs]),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
