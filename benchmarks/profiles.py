"""Where the time goes: py-spy looks at client and gateway under the paced loads, and the functions are put in a table.

``python -m benchmarks.profiles`` prints the tables; ``make bench`` puts them on the page. py-spy has an environment of
its own; it may have to be allowed to look into processes of the same user (``kernel.yama.ptrace_scope``).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.chat_clients import LOADS
from benchmarks.environments import ROOT, EnvironmentFailed, interpreter, last_line
from benchmarks.gateway import LOADS as GATEWAY_LOADS
from benchmarks.gateway import send
from benchmarks.gateway_programs import GATEWAYS, started
from benchmarks.gateway_upstream import running as gateway_upstream
from benchmarks.upstream import running

HERTZ = 500
ROWS = 16
CLIENT = "backstream Client"
SAME, OTHER = "backstream, same dialect", "backstream, other dialect"
PACED = "200 paced streams"
MANY = 1_000_000
"""Events of one stream, so that there is something to look at."""
_FRAME = re.compile(r"^(?P<name>.+) \((?P<file>[^()]*?)(?::\d+)?\)$")
_WAITING = ("select (", "EpollSelector.select (", "KqueueSelector.select (")
_PACKAGE = re.compile(r".*/(?:src|site-packages|lib/python[\d.]+)/")


def _spy() -> str:
    return str(interpreter("py-spy").with_name("py-spy"))


def _options(folded: Path) -> list[str]:
    return ["record", "--format", "raw", "--rate", str(HERTZ), "--output", str(folded), "--nonblocking", "--function"]


def client_profile(folder: Path, load: str, events: int) -> str:
    """Look at our client under a load."""
    folded = folder / "client"
    with running() as port:
        ours = [sys.executable, "-m", "benchmarks.chat_clients", CLIENT, port, load, str(events)]
        done = subprocess.run(
            [_spy(), *_options(folded), "--", *ours], cwd=ROOT, capture_output=True, check=False, timeout=120
        )
    return _read(folded, done.stderr)


def gateway_profile(folder: Path, name: str, order: dict[str, Any]) -> str:
    """Look at a gateway under a load."""
    folded = folder / "gateway"
    with gateway_upstream() as upstream, started(GATEWAYS[name], upstream) as ready:
        send({**GATEWAY_LOADS["paced"], "events": 20}, ready, upstream)
        command = [_spy(), *_options(folded), "--pid", str(max(ready.processes))]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as spy:
            send(order, ready, upstream)
            os.kill(spy.pid, signal.SIGINT)
            error = spy.communicate(timeout=60)[1]
    return _read(folded, error)


def _read(folded: Path, said: bytes) -> str:
    if not folded.exists():
        raise EnvironmentFailed(last_line(said))
    text = folded.read_text()
    folded.unlink()
    return text


def table_of(folded: str) -> dict[str, Any]:
    """Each function's share of the samples: itself, and with what it called. Waiting for events does not count."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = [_name(frame) for frame in stack.split(";")]
        if not any("_run_once" in frame for frame in frames) or frames[-1].startswith(_WAITING):
            continue
        if any(frame.startswith("check (benchmarks/") for frame in frames):  # not measured either
            continue
        total += int(samples)
        alone[frames[-1]] += int(samples)
        for frame in set(frames):
            within[frame] += int(samples)
    rows = [
        {"function": name, "self": count / total * 100, "with_callees": within[name] / total * 100}
        for name, count in alone.most_common(ROWS)
    ]
    return {"samples": total, "rows": rows}


def _name(frame: str) -> str:
    found = _FRAME.match(frame)
    if found is None:
        return frame
    return f"{found['name']} ({_PACKAGE.sub('', found['file'])})"


def profiles() -> dict[str, Any]:
    """Look at everything that has a goal; what cannot be looked at says why."""
    made: dict[str, Any] = {}
    paced = {**GATEWAY_LOADS["paced"], "events": 300}
    whole = {**GATEWAY_LOADS["whole"], "events": 200}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        wanted: dict[str, Callable[[], str]] = {
            f"{CLIENT}, coalesced": lambda: client_profile(folder, "coalesced", MANY),
            f"{CLIENT}, {PACED}": lambda: client_profile(folder, PACED, LOADS[PACED][1] * 2),
            f"{SAME}, 100 paced streams": lambda: gateway_profile(folder, SAME, paced),
            f"{OTHER}, 100 paced streams": lambda: gateway_profile(folder, OTHER, paced),
            f"{SAME}, whole answers: what a request costs": lambda: gateway_profile(folder, SAME, whole),
        }
        for name, make in wanted.items():
            try:
                made[name] = table_of(make())
            except (EnvironmentFailed, subprocess.SubprocessError, OSError) as error:
                made[name] = {"failed": f"{error}"}
            show(name, made[name])
    return made


def show(name: str, made: dict[str, Any]) -> None:
    """Print one table."""
    print(f"\nWhere the time goes: {name}" + (f": {made['failed']}" if "failed" in made else ""), flush=True)
    for row in made.get("rows", ()):
        print(f"  {row['self']:5.1f} % self {row['with_callees']:5.1f} % with callees  {row['function']}", flush=True)


if __name__ == "__main__":
    profiles()
