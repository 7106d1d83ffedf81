"""Hours in small: client and gateway under an even load, their memory watched; what they keep, and what they give back.

``python -m benchmarks.soak --soak MINUTES`` does this part alone, both at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.environments import ROOT, last_line
from benchmarks.gateway import LOADS, send
from benchmarks.gateway_programs import GATEWAYS, started
from benchmarks.gateway_upstream import running
from benchmarks.gateway_usage import resident_bytes

MINUTES = 0.5
STREAMS = 50
SETTLING = 0.4
"""The part of the samples, at the begin, that says nothing: pools and caches fill."""
CLIENT, GATEWAY = "backstream Client", "backstream, same dialect"
MIB = 1024 * 1024


async def client(port: int, minutes: float) -> dict[str, Any]:
    """Receive streams, fifty at a time, again and again; sample our own memory."""
    from backstream import Client, Content

    shared, received = Client(), 0
    until = time.monotonic() + minutes * 60
    samples: list[tuple[float, float]] = []

    async def receive() -> None:
        nonlocal received
        while time.monotonic() < until:
            stream = shared.stream("bench", "load:100,1,10", url=f"http://127.0.0.1:{port}/v1")
            events = len([chunk async for chunk in stream if isinstance(chunk, Content)])
            if events != 100:
                raise SystemExit(f"{events} events of 100")
            received += events

    async def sample() -> None:
        while True:
            samples.append((time.monotonic(), resident_bytes([os.getpid()]) / MIB))
            await asyncio.sleep(1)

    sampler = asyncio.create_task(sample())
    await asyncio.gather(*(receive() for _ in range(STREAMS)))
    sampler.cancel()
    gc.collect()
    await asyncio.sleep(1)
    return {"samples": samples, "events": received, "after": resident_bytes([os.getpid()]) / MIB}


def gateway(upstream: int, minutes: float) -> dict[str, Any]:
    """Have a gateway pass on streams, fifty at a time, again and again; sample its memory between."""
    samples: list[tuple[float, float]] = []
    events = 0
    with started(GATEWAYS[GATEWAY], upstream) as ready:
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            measured = send({**LOADS["paced"], "streams": STREAMS, "pause": 10}, ready, upstream)
            if "failed" in measured or any(measured["faults"].values()):
                raise SystemExit(f"{GATEWAY}: {measured.get('failed') or measured['faults']}")
            events += measured["events"]
            samples.append((time.monotonic(), resident_bytes(ready.processes) / MIB))
        time.sleep(2)
        return {"samples": samples, "events": events, "after": resident_bytes(ready.processes) / MIB}


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """MiB a minute, by least squares, of what came when everything had settled."""
    kept = samples[int(len(samples) * SETTLING) :]
    if len(kept) < 3:
        return float("nan")
    middle = sum(at for at, _ in kept) / len(kept)
    mean = sum(size for _, size in kept) / len(kept)
    spread = sum((at - middle) ** 2 for at, _ in kept)
    return 60 * sum((at - middle) * (size - mean) for at, size in kept) / spread if spread else float("nan")


def soak(minutes: float = MINUTES) -> dict[str, Any]:
    """Watch client and gateway, one beside the other."""
    print(f"\nSoak: {minutes:g} minutes, {STREAMS} streams at a time", flush=True)
    with running() as upstream:
        command = [sys.executable, "-m", "benchmarks.soak", "client", str(upstream), str(minutes)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                passed_on = gateway(upstream, minutes)
                out, error = process.communicate(timeout=60 + minutes * 60)
            finally:
                process.kill()
        if process.returncode:
            raise SystemExit(f"{CLIENT}: {last_line(error)}")
    found = {CLIENT: json.loads(last_line(out)), GATEWAY: passed_on}
    return {"minutes": minutes, "streams": STREAMS, "rows": {name: _row(name, each) for name, each in found.items()}}


def _row(name: str, found: dict[str, Any]) -> dict[str, Any]:
    begun = found["samples"][0][0]
    sizes = [size for _, size in found["samples"]]
    row = {
        "events": found["events"],
        "mib_per_minute": slope(found["samples"]),
        "peak_mib": max(sizes),
        "after_mib": found["after"],
        "samples": [(round(at - begun, 1), round(size, 2)) for at, size in found["samples"]],
    }
    print(
        f"  {name:26} {row['events']:,} events, {row['mib_per_minute']:+.2f} MiB a minute, most {row['peak_mib']:.1f}, "
        f"after it {row['after_mib']:.1f} MiB",
        flush=True,
    )
    return row


def minutes_of(arguments: Sequence[str]) -> float:
    """What ``--soak MINUTES`` says."""
    return float(arguments[arguments.index("--soak") + 1]) if "--soak" in arguments else MINUTES


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        print(json.dumps(asyncio.run(client(int(sys.argv[2]), float(sys.argv[3])))))
    else:
        soak(minutes_of(sys.argv))
