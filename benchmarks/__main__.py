"""``make bench``: measure everything side by side, in one go, and print tables.

Writes ``benchmarks/results/latest.json``. Figures of one run are to be compared with one another, not with those of
another machine or hour: ratios are what counts. Programs that are compared with ours get environments of their own,
``.venv-bench/<name>``, at the first run; ``python -m benchmarks --ours`` leaves them out.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chat import chat_cpu
from benchmarks.clients import CLIENTS, LOADS
from benchmarks.gateway import gateway
from benchmarks.upstream import running

ROOT = Path(__file__).parent.parent
RUNS = 5
MEBIBYTE = 1024 * 1024


def python(*arguments: str) -> dict[str, float]:
    """Run a measurement in a process of its own."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}{done.stdout}")
    return dict(json.loads(done.stdout))


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def client_cpu(port: str) -> dict[str, dict[str, dict[str, float]]]:
    """CPU microseconds of the client process per received event; the clients take turns."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    print(
        f"\nbackend-api stream: CPU µs per event, median of {RUNS} (lowest–highest), and ratio to the run's raw floor"
    )
    for load in LOADS:
        figures: dict[str, list[float]] = {name: [] for name in CLIENTS}
        for _ in range(RUNS):
            for name in CLIENTS:
                measured = python("benchmarks.clients", name, port, load)
                figures[name].append(measured["cpu"] / measured["events"] * 1e6)
        table[load] = {name: spread(values) for name, values in figures.items()}
        ratios = [ours / floor for ours, floor in zip(figures["backstream"], figures["floor"], strict=True)]
        table[load]["ratio"] = spread(ratios)
        for name, figure in table[load].items():
            unit = "×" if name == "ratio" else "µs"
            print(f"  {load:32} {name:12} {figure['median']:7.2f} {unit} ({figure['min']:.2f}–{figure['max']:.2f})")
    return table


def media(port: str) -> dict[str, dict[str, dict[str, float]]]:
    """Wall time, extra peak memory and worst stall for files of several sizes."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    print("\nMedia: one file sent as a data URI, median of 3")
    with tempfile.TemporaryDirectory() as folder:
        base = statistics.median(python("benchmarks.media", port, "-")["peak_mib"] for _ in range(3))
        for size in (1, 32, 100, 1000):
            path = Path(folder) / f"{size}.mp4"
            with path.open("wb") as file:
                file.write(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
                for _ in range(size):
                    file.write(os.urandom(MEBIBYTE))
            runs = [python("benchmarks.media", port, str(path)) for _ in range(3)]
            path.unlink()
            row = {
                "wall": spread([run["wall"] for run in runs]),
                "extra_peak_mib": spread([run["peak_mib"] - base for run in runs]),
                "worst_stall_ms": spread([run["worst_stall_ms"] for run in runs]),
            }
            table[f"{size} MiB"] = row
            print(
                f"  {size:5} MiB  {row['wall']['median']:6.2f} s   +{row['extra_peak_mib']['median']:5.1f} MiB   "
                f"worst stall {row['worst_stall_ms']['median']:5.1f} ms"
            )
    return table


def weight() -> dict[str, float]:
    """Import time, and what the base install brings."""
    imports = []
    for code in ("import backstream", "pass"):
        best = float("inf")
        for _ in range(20):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best = min(best, time.perf_counter() - started)
        imports.append(best * 1000)
    names = ("backstream", "msgspec", "httptools", "uvicorn", "h11", "click")
    size = 0
    for name in names:
        for file in importlib.metadata.files(name) or ():
            path = Path(str(file.locate()))
            if path.suffix != ".pyc" and path.is_file():
                size += path.stat().st_size
    size += sum(path.stat().st_size for path in (ROOT / "src").rglob("*.py"))
    print(
        f"\nWeight: import backstream {imports[0]:.0f} ms the whole process, best of 20 (bare: {imports[1]:.0f} ms); ",
        end="",
    )
    print(f"base install {len(names)} distributions, {size / 1e6:.1f} MB without .pyc")
    return {"import_ms": imports[0], "bare_ms": imports[1], "distributions": len(names), "megabytes": size / 1e6}


def main() -> None:
    """Measure, print, and write the results down."""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    with running() as port:
        results = {
            "client_cpu": client_cpu(port),
            "chat_cpu": (chat := chat_cpu(port, peers="--ours" not in sys.argv[1:])),
            "media": media(port),
            "weight": weight(),
        }
    results["gateway"] = gateways = gateway(peers="--ours" not in sys.argv[1:])
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(results, indent=2) + "\n")
    if chat["failed"] or gateways["failed"]:
        raise SystemExit("a client or gateway of our own failed; see above")


if __name__ == "__main__":
    main()
