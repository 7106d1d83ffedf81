"""What a large file costs: wall time, extra peak memory, and the worst stall of the event loop while it is sent.

Run as ``python -m benchmarks.media PORT PATH`` (``PATH`` may be ``-`` for a tiny item: the base line).
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from backstream import BackendApi


async def watch(stalls: list[float]) -> None:
    """Note how late the loop wakes us, every millisecond."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(time.perf_counter() - before - 0.001)


async def main(port: int, path: str) -> dict[str, float]:
    """Send one file and read the short answer."""

    class Bench(BackendApi):
        url = f"http://127.0.0.1:{port}"

    tiny = [(b"RIFF\0\0\0\0WAVEfmt ", "tiny.wav")]
    async for _ in Bench.create_async_generator("m", [], media=tiny):
        pass
    stalls: list[float] = [0.0]
    watcher = asyncio.create_task(watch(stalls))
    started = time.perf_counter()
    async for _ in Bench.create_async_generator("m", [], media=tiny if path == "-" else [Path(path)]):
        pass
    wall = time.perf_counter() - started
    watcher.cancel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "peak_mib": peak, "worst_stall_ms": max(stalls) * 1000}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), sys.argv[2]))))
