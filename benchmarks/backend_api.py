"""The backend-api stream: ``BackendApi`` beside the raw floor, taking turns. There are no other clients to compare."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.clients import CLIENTS, LOADS
from benchmarks.environments import ROOT, last_line
from benchmarks.figures import cell, spread
from benchmarks.turns import turns

RUNS = 5
FLOOR = "floor"


def measure(name: str, port: str, load: str) -> float:
    """Run one client once, in a process of its own; CPU microseconds per event."""
    command = [sys.executable, "-m", "benchmarks.clients", name, port, load]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed under the load «{load}»: {last_line(done.stderr)}")
    found = json.loads(last_line(done.stdout))
    return float(found["cpu"] / found["events"] * 1e6)


def backend_api(port: str) -> dict[str, Any]:
    """CPU microseconds of the client process per received event."""
    print(f"\nbackend-api stream: CPU µs per event, median of {turns(RUNS)} (lowest–highest)", flush=True)
    table: dict[str, Any] = {}
    for load in LOADS:
        figures: dict[str, list[float]] = {}
        for _ in range(turns(RUNS)):
            for name in CLIENTS:
                figures.setdefault(name, []).append(measure(name, port, load))
        table[load] = {
            name: spread(each)
            | {"ratio": spread([mine / floor for mine, floor in zip(each, figures[FLOOR], strict=True)])}
            for name, each in figures.items()
        }
        for name, row in table[load].items():
            print(f"  {load:32} {name:12} {cell(row):>20} µs  {cell(row['ratio'])} × floor", flush=True)
    return {"loads": table}
