"""Counting what the interpreter does, instead of how long it takes: the same on a busy machine as on an idle one.

Works by ``sys.setprofile``, which Pythons 3.11 to 3.14 have alike and which watches one thread only: what a test's
back-end and client do in a thread of their own does not count.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

__all__ = ["CEILINGS", "Counter", "Counts", "hold", "peak_bytes"]

CEILINGS = Path(__file__).with_name("ceilings.json")
RENEW = "RENEW_CEILINGS"
HOW_TO_RENEW = f"if that is meant, write the ceilings anew: {RENEW}=1 python -m pytest tests/perf -p no:xdist"
MARGIN = {"python_calls": 1.12, "c_calls": 1.25, "loop_steps": 1.08, "kept_blocks": 1.15, "peak_bytes_per_byte": 1.1}
"""By how much a figure may rise: versions of Python differ by some calls, mostly of those written in C."""
LEAST_MARGIN = 0.1
TRIES = 4

_LOOP_STEP: CodeType = asyncio.Handle._run.__code__


class Counts(NamedTuple):
    """What was counted, in all.

    Attributes:
        python_calls: Calls of functions written in Python, and resumptions of coroutines and generators.
        c_calls: Calls of functions written in C, from Python.
        loop_steps: Callbacks that event loops ran, which includes every wake-up of a task.
        kept_blocks: Blocks of memory that are held now and were not before.
    """

    python_calls: int
    c_calls: int
    loop_steps: int
    kept_blocks: int

    def per_event(self, other: Counts, events: int) -> dict[str, float]:
        """What ``events`` more events than in another run cost, each: so the cost of opening and closing drops out."""
        pairs = zip(self._fields, self, other, strict=True)
        return {name: (mine - its) / events for name, mine, its in pairs}


class Counter:
    """Counts the operations of this thread from :meth:`start` to :meth:`stop`; both may be called in a coroutine."""

    def __init__(self) -> None:
        self._counts = [0, 0, 0]
        self._blocks = 0
        self._was_collecting = False

    def start(self) -> None:
        """Begin."""
        gc.collect()
        self._was_collecting = gc.isenabled()
        gc.disable()  # what it calls would depend on what other tests left
        self._blocks = sys.getallocatedblocks()
        sys.setprofile(self._watch())

    def _watch(self) -> Callable[[FrameType, str, Any], None]:
        counts = self._counts

        def watch(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                counts[0] += 1
                if frame.f_code is _LOOP_STEP:
                    counts[2] += 1
            elif event == "c_call":
                counts[1] += 1

        return watch

    def stop(self) -> Counts:
        """End, and tell; harmless when repeated."""
        sys.setprofile(None)
        gc.collect()
        blocks = sys.getallocatedblocks() - self._blocks
        if self._was_collecting:
            gc.enable()
        return Counts(*self._counts, blocks)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that was held at one moment of some work, above what was held before it."""
    gc.collect()
    tracemalloc.start()
    try:
        work()  # what is made once for all is made
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


async def hold(path: str, measure: Callable[[], Awaitable[Mapping[str, float]]]) -> None:
    """Hold the figures of a hot path under their ceilings; or write the ceilings, where that is asked for.

    What disturbs a count only adds to it (a packet that arrives in two, an answer whose closing is not over): so the
    least of some tries counts, and a path that really does more work does it in all of them.
    """
    renewing = bool(os.environ.get(RENEW))
    ceilings = json.loads(CEILINGS.read_text())
    least: dict[str, float] = {}
    over: list[str] = []
    for _ in range(TRIES):
        for name, figure in (await measure()).items():
            least[name] = min(figure, least.get(name, figure))
        over = [] if renewing else list(_over(least, ceilings.get(path, {})))
        if not over and not renewing:
            return
    if renewing:
        ceilings[path] = {name: _ceiling(name, figure) for name, figure in least.items()}
        CEILINGS.write_text(json.dumps(dict(sorted(ceilings.items())), indent=2) + "\n")
    assert not over, f"«{path}» costs more than it did: {'; '.join(over)}; {HOW_TO_RENEW}"


def _ceiling(name: str, figure: float) -> float:
    """A little above the figure."""
    return math.ceil((max(figure, 0) * MARGIN[name] + LEAST_MARGIN) * 100) / 100


def _over(measured: Mapping[str, float], ceilings: Mapping[str, float]) -> Iterator[str]:
    for name, figure in measured.items():
        if name not in ceilings:
            yield f"{name} has no ceiling"
        elif figure > ceilings[name]:
            yield f"{name} {figure:.2f} an event, ceiling {ceilings[name]}"
