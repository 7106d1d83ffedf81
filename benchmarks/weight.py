"""What an installation weighs: distributions, megabytes, time to import; each package in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environments import FOLDER, ROOT, EnvironmentFailed, interpreter, last_line, pinned
from benchmarks.figures import cell, spread

IMPORTS = {
    # environment: what is imported
    "backstream": "backstream",
    "openai-python": "openai",
    "anthropic": "anthropic",
    "pydantic-ai": "pydantic_ai",
    "any-llm": "any_llm",
    "g4f": "g4f.client",
    "litellm": "litellm",
    "litellm_proxy": "litellm.proxy.proxy_server",
}
RUNS = 20
SLOW_RUNS, SLOW_SECONDS = 5, 1.0
OURS = "backstream"
_WEIGH = """
import importlib.metadata, json
own = {"pip", "setuptools", "wheel"}
names, size = set(), 0
for each in importlib.metadata.distributions():
    name = each.metadata["Name"]
    if name.lower() in own or name in names:
        continue
    names.add(name)
    for file in each.files or ():
        path = each.locate_file(file)
        if path.suffix != ".pyc" and path.is_file():
            size += path.stat().st_size
print(json.dumps({"distributions": len(names), "megabytes": size / 1e6}))
"""


def our_interpreter() -> Path:
    """An environment with our wheel and what it needs, as ``pip install backstream`` would make it.

    Raises:
        EnvironmentFailed: It could not be made.
    """
    python = interpreter("backstream", ROOT / "requirements" / "base.txt")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, str(ROOT)]
            subprocess.run(build, check=True, capture_output=True)
            install = [*pip, "--python", str(python), "install", "--no-deps", "--force-reinstall"]
            subprocess.run([*install, *map(str, Path(folder).glob("*.whl"))], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailed(last_line(error.stderr) or f"{error}") from error
    return python


def import_seconds(python: str, code: str) -> float:
    """How long a process takes that imports something and ends."""
    begun = time.perf_counter()
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run([python, "-c", code], capture_output=True, check=False, env=environ)
    if done.returncode:
        raise EnvironmentFailed(last_line(done.stderr) or f"its import ended with exit code {done.returncode}")
    return time.perf_counter() - begun


def weigh(name: str, python: str, *, quick: bool) -> dict[str, Any]:
    """Weigh one environment."""
    row: dict[str, Any] = dict(
        json.loads(subprocess.run([python, "-c", _WEIGH], check=True, capture_output=True).stdout)
    )
    code = f"import {IMPORTS[name]}"
    first = import_seconds(python, code)  # writes the .pyc files, and is thrown away
    runs = 3 if quick else SLOW_RUNS if first > SLOW_SECONDS else RUNS
    row["import_ms"] = spread([import_seconds(python, code) * 1000 for _ in range(runs)])
    row["bare_ms"] = spread([import_seconds(python, "pass") * 1000 for _ in range(runs)])
    return row


def weight(*, peers: bool = True, quick: bool = False) -> dict[str, Any]:
    """Weigh everybody, and print it."""
    table: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    print("\nWeight: distributions, MB without .pyc, and the whole process that imports", flush=True)
    for name in IMPORTS:
        if name != OURS and (not peers or (quick and not (FOLDER / name / ".ready").exists())):
            continue
        try:
            python = str(our_interpreter() if name == OURS else interpreter(name))
            row = table[name] = weigh(name, python, quick=quick)
        except EnvironmentFailed as error:
            reasons[name] = f"{error}"
            print(f"  {name:22} left out: {error}", flush=True)
            continue
        row["version"] = None if name == OURS else pinned(name)
        shown = f"{row['megabytes']:7.1f} MB  import {cell(row['import_ms'])} ms (bare: {cell(row['bare_ms'])})"
        print(f"  {name:22} {row['distributions']:4} distributions {shown}", flush=True)
    return {"packages": table, "left_out": reasons}
