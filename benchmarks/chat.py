"""OpenAI's chat stream: our dialect beside the raw floor, openai-python, any-llm, litellm and g4f, taking turns.

``python -m benchmarks.chat`` measures this part alone; ``--ours`` leaves the others out. A client that cannot be set up
or measured gets a line that says why, and the rest go on; only a failure of ours or of the floor fails the run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.chat_clients import CLIENTS, LOADS
from benchmarks.environments import ROOT, EnvironmentFailed, interpreter, last_line, pinned
from benchmarks.figures import spread
from benchmarks.turns import turns
from benchmarks.upstream import chat_event, running

FLOOR = "raw floor"
OURS = ("backstream openai_chat", "backstream Client")
PEERS = tuple(name for name in CLIENTS if name not in {FLOOR, *OURS})
ENVIRONMENTS = {"aiohttp by hand": "http-clients"}
"""Whose environment has another name."""
RUNS = {"1,000 paced streams": 3}
"""Turns, by load; else :data:`USUAL_RUNS`."""
USUAL_RUNS, QUICK_RUNS = 5, 2
QUICK = ("coalesced", "200 paced streams")
PEER_SECONDS = 20.0
"""Whoever of the others has taken so long under one load takes no further turn."""
MEASURE_SECONDS = 120
FEWER_EVENTS = {"litellm": 2_000, "pydantic-ai": 5_000}
"""Of one stream, for who is very slow."""
FEWER_OF_MANY = {"1,000 paced streams": 20}
"""Of each of many streams, for all others."""

Row = dict[str, Any]


class MeasurementFailed(Exception):
    """A client could not be measured; the text is the reason, in one line."""


def events_of(name: str, load: str) -> int:
    """How many events each stream of a load has, for this client."""
    streams, events, *_ = LOADS[load]
    if streams == 1:
        return min(events, FEWER_EVENTS.get(name, events))
    return FEWER_OF_MANY.get(load, events) if name in PEERS else events


def surroundings(home: str) -> dict[str, str]:
    """What a measured process sees of ours: no keys, no proxies, an empty home; nobody asks for news."""
    kept = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LANG", "LC_ALL")
    ours = {"HOME": home, "USERPROFILE": home, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return {name: os.environ[name] for name in kept if name in os.environ} | ours


def measure(python: str, name: str, port: str, load: str) -> dict[str, Any]:
    """Run one client once, in a process of its own."""
    command = [python, "-m", "benchmarks.chat_clients", name, port, load, str(events_of(name, load))]
    with tempfile.TemporaryDirectory() as home:
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, check=False, timeout=MEASURE_SECONDS, env=surroundings(home)
            )
        except subprocess.TimeoutExpired:
            raise MeasurementFailed(f"not done within {MEASURE_SECONDS} s") from None
    if done.returncode:
        raise MeasurementFailed(last_line(done.stderr) or f"exit code {done.returncode}")
    return dict(json.loads(last_line(done.stdout)))


class Field:
    """The clients that take part, each with its interpreter, and why the others do not.

    Args:
        peers: Whether the foreign ones take part.
    """

    def __init__(self, *, peers: bool) -> None:
        self.pythons: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.failed = False  # one of ours, that is
        for name in CLIENTS:
            if name not in PEERS:
                self.pythons[name] = sys.executable
            elif peers:
                self.set_up(name)

    def set_up(self, name: str) -> None:
        """Make a foreign client's environment, or leave the client out."""
        try:
            self.pythons[name] = str(interpreter(environment(name)))
        except EnvironmentFailed as error:
            self.leave_out(name, f"could not be set up: {error}")

    def leave_out(self, name: str, reason: str) -> None:
        """Let a client take no further part, and say why."""
        self.pythons.pop(name, None)
        self.reasons[name] = reason
        print(f"  {label(name):24} left out: {reason}", flush=True)

    def turn(self, name: str, port: str, load: str) -> dict[str, Any] | None:
        """Measure one client once; ``None`` where it takes no part (any more)."""
        try:
            measured = measure(self.pythons[name], name, port, load)
        except MeasurementFailed as error:
            self.failed = self.failed or name not in PEERS
            self.leave_out(name, f"failed under the load «{load}»: {error}")
            return None
        if "skipped" in measured:
            self.leave_out(name, measured["skipped"])
            return None
        return measured


def label(name: str) -> str:
    """A client's name, with its version where it is foreign."""
    return f"{name} {pinned(environment(name))}" if name in PEERS else name


def environment(name: str) -> str:
    """The environment of a foreign client."""
    return ENVIRONMENTS.get(name, name)


def take_turns(field: Field, port: str, load: str, often: int) -> dict[str, list[dict[str, Any]]]:
    """Measure everybody under one load; a turn's figures are compared with the floor of the same turn."""
    runs: dict[str, list[dict[str, Any]]] = {}
    spent: dict[str, float] = {}
    for _ in range(often):
        floor: float | None = None
        for name in tuple(field.pythons):
            if name in PEERS and spent.get(name, 0.0) > PEER_SECONDS:
                continue
            started = time.perf_counter()
            measured = field.turn(name, port, load)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
            if measured is None:
                continue
            figure = measured["cpu"] / measured["events"] * 1e6
            floor = figure if name == FLOOR else floor
            run = {"us": figure, "wall": measured["wall"], "events": measured["events"]}
            runs.setdefault(name, []).append(run | ({"ratio": figure / floor} if floor else {}))
    return runs


def summary(runs: list[dict[str, Any]]) -> Row:
    """What the table shows of one client under one load."""
    row: Row = spread([run["us"] for run in runs])
    row["ratio"] = spread([run["ratio"] for run in runs if "ratio" in run] or [float("nan")])
    row["wall"] = statistics.median(run["wall"] for run in runs)
    row["events"] = runs[0]["events"]
    return row


def show(load: str, table: dict[str, Row]) -> None:
    """Print one load."""
    streams, events, packet, pause = LOADS[load]
    paced = f", one every {pause * 1000:.0f} ms" if pause else ""
    print(f" {load}: {streams} × {events} events, {packet} a packet{paced}")
    ours = next((table[name]["median"] for name in OURS if name in table), None)
    for name, row in table.items():
        spread = f"({row['min']:.2f}–{row['max']:.2f})"
        beside = f"{row['median'] / ours:7.1f} × ours" if ours and name in PEERS else ""
        amount = f"{row['events']:6} events in {row['wall']:.2f} s, runs: {row['runs']}"
        figures = f"{row['median']:8.2f} µs {spread:17} {row['ratio']['median']:7.2f} × floor {beside:14}"
        print(f"  {label(name):24} {figures} {amount}", flush=True)


def chat_cpu(port: str, *, peers: bool = True, quick: bool = False) -> dict[str, Any]:
    """CPU microseconds of the client process per received event, under every load."""
    print(f"\nOpenAI chat stream, {len(chat_event(0))} bytes an event: CPU µs per event, median (lowest–highest)")
    field = Field(peers=peers)
    table: dict[str, Any] = {}
    for load in QUICK if quick else LOADS:
        often = QUICK_RUNS if quick else turns(RUNS.get(load, USUAL_RUNS))
        table[load] = {name: summary(runs) for name, runs in take_turns(field, port, load, often).items()}
        show(load, table[load])
    return {
        "failed": field.failed,
        "loads": table,
        "left_out": field.reasons,
        "versions": {name: pinned(environment(name)) for name in PEERS},
    }


def main() -> None:
    """Measure this part alone, and write it down."""
    with running() as port:
        results = chat_cpu(port, peers="--ours" not in sys.argv[1:])
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "chat.json").write_text(json.dumps(results, indent=2) + "\n")
    if results["failed"]:
        raise SystemExit("a client of our own failed; see above")


if __name__ == "__main__":
    main()
