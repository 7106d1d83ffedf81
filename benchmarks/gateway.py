"""The gateway beside nginx, which only pumps bytes, and the LiteLLM proxy: one upstream, one run, taking turns.

``python -m benchmarks.gateway`` measures; ``--ours`` leaves LiteLLM out, ``--quick`` takes fewer and shorter turns,
``--uvloop`` measures ours on that loop too. Writes ``benchmarks/results/gateway.json``. Only a stream of ours that is
not whole fails the run; whoever cannot be set up or measured gets a line that says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import EnvironmentFailed, last_line
from benchmarks.figures import cell, spread
from benchmarks.gateway_programs import FLOOR, GATEWAYS, LITELLM, ROOT, UVLOOP, Prepare, Ready, label, started
from benchmarks.gateway_upstream import running
from benchmarks.turns import turns

ROUNDS = 6  # the first is thrown away
SECONDS = 120
STARTS = 5

Measured = dict[str, Any]
LOADS: dict[str, Measured] = {
    "paced": {"kind": "streams", "streams": 100, "events": 100, "packet": 1, "pause": 20},
    "coalesced": {"kind": "streams", "streams": 1, "events": 20_000, "packet": 50, "pause": 0},
    "crowd": {"kind": "streams", "streams": 500, "events": 120, "packet": 1, "pause": 50, "ramp": 1.0},
    "whole": {"kind": "whole", "streams": 20, "events": 50},
    "latency": {"kind": "pairs", "streams": 5, "events": 10, "packet": 1, "pause": 10, "turns": 20},
    "thousand": {"kind": "streams", "streams": 1_000, "events": 50, "packet": 1, "pause": 100, "ramp": 1.0},
}
IDLE: Measured = {"kind": "idle", "streams": 500}
"""Held by a gateway that has done nothing else, since memory that was used once is used again."""
TITLES = {
    "paced": "100 streams × 100 events, one every 20 ms",
    "coalesced": "one stream of 20,000 events, 50 a packet",
    "crowd": "500 streams × 120 events, one every 50 ms, the first ones within a second",
    "thousand": "1,000 streams × 50 events, one every 100 ms, the first ones within a second",
    "whole": "1,000 whole answers of 2 KB, 20 at a time",
    "latency": "5 streams at a time, 10 ms between events, in turns with the upstream itself",
    "idle": "500 streams that are open and silent",
}
QUICK: dict[str, Measured] = {"paced": {}, "latency": {"turns": 6}}
"""What is measured where time is short, and what is less of it."""
LITELLM_LOADS: dict[str, Measured] = {"coalesced": {"events": 2_000}, "whole": {"events": 10}, "latency": {"turns": 4}}
LITELLM_ROUNDS = {"paced": 2, "coalesced": 2, "whole": 2, "latency": 2}
"""It is slow, and what it cannot keep up with would only measure a queue."""


class Field:
    """The gateways that take part, each running, and why the others do not."""

    def __init__(self, *, quick: bool) -> None:
        self.ready: dict[str, Ready] = {}
        self.reasons: dict[str, str] = {}
        self.starts: dict[str, list[float]] = {}
        self.figures: dict[str, dict[str, list[Measured]]] = {}
        self.failed = False
        self.quick = quick

    def start(self, stack: contextlib.ExitStack, name: str, prepare: Prepare, upstream: int) -> None:
        """Start a gateway: several times, for the time that takes and for what idle streams weigh; then to stay."""
        again = 1 if self.quick or name == LITELLM else turns(STARTS)
        try:
            for _ in range(again):
                with started(prepare, upstream) as ready:
                    self.starts.setdefault(name, []).append(ready.start_seconds)
                    if not self.quick:
                        self.keep(name, "idle", send(IDLE, ready, upstream))
            ready = stack.enter_context(started(prepare, upstream))
        except EnvironmentFailed as error:
            self.leave_out(name, f"could not be set up: {error}")
        else:
            self.starts.setdefault(name, []).append(ready.start_seconds)
            self.ready[name] = ready

    def leave_out(self, name: str, reason: str) -> None:
        """Let a gateway take no further part, and say why."""
        self.ready.pop(name, None)
        self.reasons[name] = reason
        self.failed = self.failed or name not in (FLOOR, LITELLM)
        print(f"  {name} left out: {reason}", flush=True)

    def turn(self, name: str, load: str, upstream: int) -> None:
        """Measure a gateway once under a load."""
        changes = {**(QUICK[load] if self.quick else {})}
        if name == LITELLM:
            changes |= LITELLM_LOADS.get(load, {})
        self.keep(name, load, send({**LOADS[load], **changes}, self.ready[name], upstream))

    def keep(self, name: str, load: str, measured: Measured) -> None:
        """Keep what was measured, where the answers were whole."""
        faults = {fault: count for fault, count in measured.get("faults", {}).items() if count}
        if "failed" in measured:
            self.leave_out(name, f"under the load «{load}»: {measured['failed']}")
        elif faults:
            self.leave_out(name, f"under the load «{load}»: {faults}")
        else:
            self.figures.setdefault(load, {}).setdefault(name, []).append(measured)


def send(order: Measured, to: Ready, upstream: int) -> Measured:
    """Have the clients, a process of their own, do their work."""
    whole = {
        **order,
        "port": to.port,
        "path": "/v1/chat/completions",
        "model": to.model,
        "keys": list(to.keys),
        "processes": list(to.processes),
        "direct_port": upstream,
        "seconds": SECONDS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gateway_load"],
        input=json.dumps(whole).encode(),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=SECONDS + 30,
    )
    if done.returncode:
        return {"failed": last_line(done.stderr) or f"exit code {done.returncode}"}
    return dict(json.loads(last_line(done.stdout)))


def take_turns(field: Field, rounds: int, upstream: int) -> None:
    """Measure everybody under every load, in turns; the first round only warms up."""
    for turn in range(rounds):
        for load in QUICK if field.quick else LOADS:
            for name in tuple(field.ready):
                if name == LITELLM and turn >= LITELLM_ROUNDS.get(load, 0):
                    continue
                field.turn(name, load, upstream)
        print(f"  (round {turn + 1} of {rounds} done)", flush=True)


def kept(load: str, runs: Sequence[Measured]) -> Sequence[Measured]:
    """All turns but the first, where there are more, and where they are turns of one process."""
    return runs if load == "idle" else runs[1:] or runs


def _cpu(run: Measured) -> float:
    return float(run["cpu"] / run["events"] * 1e6)


def _steady(run: Measured) -> float:
    return float(run["steady_cpu"] / max(run["steady_events"], 1) * 1e6)


FIGURES: dict[str, Mapping[str, Callable[[Measured], float]]] = {
    "paced": {
        "cpu_us": _cpu,
        "steady_us": _steady,
        "per_second": lambda run: run["events"] / run["wall"],
        "delay_p50_ms": lambda run: run["delay_p50"],
        "delay_p99_ms": lambda run: run["delay_p99"],
    },
    "coalesced": {"cpu_us": _cpu, "per_second": lambda run: run["events"] / run["wall"]},
    "thousand": {
        "cpu_us": _cpu,
        "steady_us": _steady,
        "per_second": lambda run: run["events"] / run["wall"],
        "delay_p99_ms": lambda run: run["delay_p99"],
        "latest_ms": lambda run: run["latest"],
        "late": lambda run: run["late"],
    },
    "crowd": {
        "cpu_us": _cpu,
        "steady_us": _steady,
        "per_second": lambda run: run["events"] / run["wall"],
        "delay_p99_ms": lambda run: run["delay_p99"],
        "latest_ms": lambda run: run["latest"],
        "late": lambda run: run["late"],
    },
    "whole": {"cpu_us": _cpu, "per_second": lambda run: run["events"] / run["wall"]},
    "latency": {
        "first_p50_ms": lambda run: run["added"]["first_p50"],
        "first_p99_ms": lambda run: run["added"]["first_p99"],
        "delay_p50_ms": lambda run: run["added"]["delay_p50"],
        "delay_p99_ms": lambda run: run["added"]["delay_p99"],
        "gap_p99_ms": lambda run: run["added"]["gap_p99"],
    },
    "idle": {"kib": lambda run: run["kib"], "base_mib": lambda run: run["base_mib"]},
}


def summary(field: Field) -> dict[str, Any]:
    """The figures of every load and gateway, with ratios to nginx of the same round."""
    table: dict[str, Any] = {}
    for load, runs_of in field.figures.items():
        floor = runs_of.get(FLOOR, [])
        table[load] = {}
        for name, runs in runs_of.items():
            row: dict[str, Any] = {
                figure: spread([value(run) for run in kept(load, runs)]) for figure, value in FIGURES[load].items()
            }
            if "cpu_us" in row and floor:
                row["ratio"] = spread(
                    [_cpu(run) / _cpu(other) for run, other in zip(kept(load, runs), kept(load, floor), strict=False)]
                )
            if "steady_us" in row and floor:
                row["steady_ratio"] = spread(
                    [_steady(one) / _steady(two) for one, two in zip(kept(load, runs), kept(load, floor), strict=False)]
                )
            table[load][name] = row
    return table


HEADS = {
    "cpu_us": "CPU µs per event",
    "ratio": "× nginx",
    "steady_us": "… without opening",
    "steady_ratio": "× nginx ",
    "per_second": "events/s",
    "delay_p50_ms": "event p50 ms",
    "delay_p99_ms": "event p99 ms",
    "latest_ms": "latest ms",
    "late": "over 250 ms",
    "first_p50_ms": "first p50 ms",
    "first_p99_ms": "first p99 ms",
    "gap_p99_ms": "gap p99 ms",
    "kib": "KiB per stream",
    "base_mib": "MiB before",
}


def markdown(field: Field, table: Mapping[str, Any]) -> str:
    """The tables, for people."""
    lines: list[str] = []
    for load, rows in table.items():
        columns = [name for name in HEADS if any(name in row for row in rows.values())]
        heads = [HEADS[name].replace("event", "answer") if load == "whole" else HEADS[name] for name in columns]
        added = ", added" if load == "latency" else ""
        lines += ["", f"**{TITLES[load]}{added}**", "", f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(columns)}"]
        lines += [f"| {label(name)} | {' | '.join(cell(row.get(c)) for c in columns)} |" for name, row in rows.items()]
    lines += ["", "**From the start to the first 200**", "", "| | seconds |", "|---|--:|"]
    lines += [f"| {label(name)} | {cell(spread(values))} |" for name, values in field.starts.items()]
    lines += ["", *(f"{name} left out: {reason}" for name, reason in field.reasons.items())]
    return "\n".join(lines)


def gateway(*, peers: bool = True, quick: bool = False, uvloop: bool = False) -> dict[str, Any]:
    """Measure every gateway, print the tables, and return the figures."""
    print(f"\nGateways, Python {sys.version.split()[0]}, {os.cpu_count()} cores: median (lowest–highest)", flush=True)
    if not sys.platform.startswith("linux"):
        print("  left out: the CPU time of other processes is read in Linux's way")
        return {"failed": False}
    field = Field(quick=quick)
    chosen = {name: prepare for name, prepare in GATEWAYS.items() if peers or name != LITELLM}
    with running() as upstream, contextlib.ExitStack() as stack:
        for name, prepare in (chosen | (UVLOOP if uvloop else {})).items():
            field.start(stack, name, prepare, upstream)
        take_turns(field, 2 if quick else turns(ROUNDS - 1) + 1, upstream)
    table = summary(field)
    print(markdown(field, table), flush=True)
    starts = {name: spread(values) for name, values in field.starts.items()}
    return {"failed": field.failed, "loads": table, "starts": starts, "left_out": field.reasons, "runs": field.figures}


def main() -> None:
    """Measure this part alone, and write it down."""
    given = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    results = gateway(peers="--ours" not in given, quick="--quick" in given, uvloop="--uvloop" in given)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "gateway.json").write_text(json.dumps(results, indent=2) + "\n")
    if results["failed"]:
        raise SystemExit("a gateway of ours failed; see above")


if __name__ == "__main__":
    main()
