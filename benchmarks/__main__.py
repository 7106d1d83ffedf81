"""``make bench``: measure everything side by side, in one go, and print tables.

Writes ``benchmarks/results/<part>.json``, and all of it in ``summary.json``, of which ``docs/generate_performance.py``
makes ``docs/performance.md``. Figures of one run are to be compared with one another, not with those of another machine
or hour: ratios are what counts. Programs that are compared with ours get environments of their own at the first run,
``.venv-bench/<name>``.

``--ours`` leaves them out. ``--quick`` takes a subset of a minute, and writes only ``quick.json``. ``--soak MINUTES``
says how long memory is watched (default half a minute), ``--turns N`` how often at most everybody is measured.
``--only PART`` measures some parts anew, and keeps what ``summary.json`` has of the others; it may be repeated.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.backend_api import backend_api
from benchmarks.chat import chat_cpu
from benchmarks.gateway import gateway
from benchmarks.giant import giant
from benchmarks.goals import goals
from benchmarks.growth import growth
from benchmarks.media import media
from benchmarks.profiles import profiles
from benchmarks.soak import minutes_of, soak
from benchmarks.turns import TURNS
from benchmarks.upstream import running
from benchmarks.weight import weight

RESULTS = Path(__file__).parent / "results"
SUMMARY = RESULTS / "summary.json"
BUSY = 1.5
QUICK_SOAK = 0.1

Part = Callable[[str], dict[str, Any]]


def parts_of(arguments: list[str]) -> dict[str, Part]:
    """What is measured, in its order; each is given the port of the scripted upstream."""
    peers, quick = "--ours" not in arguments, "--quick" in arguments
    if quick:
        return {
            "client": lambda port: chat_cpu(port, peers=False, quick=True),
            "gateway": lambda port: gateway(peers=False, quick=True),
            "media": lambda port: media(port, peers=False, quick=True),
            "giant": lambda port: giant(port, peers=False, quick=True),
        }
    every: dict[str, Part] = {
        "weight": lambda port: weight(peers=peers),
        "client": lambda port: chat_cpu(port, peers=peers),
        "backend_api": backend_api,
        "gateway": lambda port: gateway(peers=peers),
        "media": lambda port: media(port, peers=peers),
        "giant": lambda port: giant(port, peers=peers),
        "growth": lambda port: growth(),
        "soak": lambda port: soak(minutes_of(arguments)),
        "profiles": lambda port: profiles(),
    }
    chosen = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--only"]
    return {name: part for name, part in every.items() if not chosen or name in chosen}


def surroundings() -> dict[str, Any]:
    """When and where something was measured, and how busy the machine was before."""
    return {
        "at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure, print, and write the results down."""
    arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    quick = "--quick" in arguments
    if "--turns" in arguments:
        os.environ[TURNS] = arguments[arguments.index("--turns") + 1]
    RESULTS.mkdir(exist_ok=True)
    results: dict[str, Any] = {"made": {}}
    if "--only" in arguments and SUMMARY.exists():
        results = json.loads(SUMMARY.read_text())
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}", flush=True)
    if load > BUSY:
        print("Others are at work on this machine: compare figures of one turn only, or wait until it is idle.")
    failed = []
    with running() as port:
        for name, part in parts_of(arguments).items():
            made, begun = surroundings(), time.perf_counter()
            try:
                found = part(port)
            except SystemExit as error:  # the others are worth having all the same
                print(f"  {name} failed: {error}", flush=True)
                failed.append(name)
                continue
            results["made"][name] = made | {"seconds": round(time.perf_counter() - begun)}
            failed += [name] if found.get("failed") else []
            results[name] = {key: value for key, value in found.items() if key != "runs"}
            (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")
            target = RESULTS / "quick.json" if quick else SUMMARY
            target.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print("\nGoals")
    for goal in goals(results):
        if goal.met is not None or not quick:
            met = {True: "met", False: "NOT MET", None: "–"}[goal.met]
            print(f"  {met:8} {goal.what}: {goal.reached} ({goal.asked})")
    if failed:
        raise SystemExit(f"{', '.join(failed)}: something of our own failed; see above")


if __name__ == "__main__":
    main()
