"""An environment for each SDK, made by the first run that needs it and kept; pinned by a file of this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import venv
from pathlib import Path

from conformance.sdk.clients import Client
from conformance.support_aimock import HOME, find_node, install_node, install_packages

HERE = Path(__file__).parent
NODE_NEEDED = (22, 0)
"""What the "engines" of the packages say."""
_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_LOCK = threading.Lock()


def command_of(client: Client) -> list[str]:
    """Return how a client's driver is run; sets its environment up where that was not done yet."""
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault(client.environment, threading.Lock())
    with lock:  # clients may share one
        if client.environment == "node":
            return _node(client.driver)
        return [str(_python(client.environment)), str(HERE / "drivers" / client.driver)]


def version_of(client: Client) -> str:
    """Return the version of the SDK, by its pin."""
    if client.environment == "node":
        packages: dict[str, str] = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
        return packages[client.distribution]
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


def _node(driver: str) -> list[str]:
    """Return how a driver in JavaScript is run: beside the packages, as only there it finds them."""
    node = find_node(needed=NODE_NEEDED) or install_node()
    folder = HOME / "sdk-node"
    install_packages(node, HERE, folder)
    for file in (*(HERE / "drivers").glob("*.mjs"), HERE / "drivers" / "asked.json"):
        copy = folder / file.name
        if not copy.exists() or copy.read_bytes() != file.read_bytes():  # another driver may be reading it
            shutil.copy(file, copy)
    return [str(node.program), str(folder / driver)]
