"""An environment for each SDK, made by the first run that needs it and kept; pinned by a file of this folder."""

from __future__ import annotations

import os
import subprocess
import threading
import venv
from pathlib import Path

from conformance.sdk.clients import Client
from conformance.support_aimock import HOME

HERE = Path(__file__).parent
_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_LOCK = threading.Lock()


def command_of(client: Client) -> list[str]:
    """Return how a client's driver is run; sets its environment up where that was not done yet."""
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault(client.environment, threading.Lock())
    with lock:  # clients may share one
        return [str(_python(client.environment)), str(HERE / "drivers" / client.driver)]


def version_of(client: Client) -> str:
    """Return the version of the SDK, by its pin."""
    pins = (HERE / "requirements" / f"{client.environment}.txt").read_text("utf-8").splitlines()
    return next(pin.partition("==")[2] for pin in pins if pin.startswith(f"{client.distribution}=="))


def _python(name: str) -> Path:
    folder = HOME / f"sdk-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = HERE / "requirements" / f"{name}.txt"
    ready = folder / ".ready"
    if not ready.exists() or ready.read_text("utf-8") != wanted.read_text("utf-8"):
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5"]
        subprocess.run([*pip, "--only-binary=:all:", "--no-deps", "-r", wanted], check=True)
        ready.write_text(wanted.read_text("utf-8"), "utf-8")
    return python
