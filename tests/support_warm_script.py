"""Starts the console script as a process that has its imports behind it, so that hundreds of tests can start it.

Each start is a process of its own, with its own pipes, environment, folder, signals and end, which runs the very file
that a user runs. It is forked by a process that has imported the program, and not by this one. Where a kernel cannot
give a forked process to another parent, and where a start asks for something unusual, the script is started plainly.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

__all__ = ["WarmScript"]

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
_AT_START = ("PYTHON", "LC_", "LANG", "COVERAGE", "LD_", "TZ")  # what is read when a process starts
_ORDINARY = {"LANG": "C.UTF-8", "PYTHONWARNINGS": "error"}
_FORKER = r"""
import gc, importlib, os, pkgutil, runpy, signal, socket, sys, json

signal.signal(signal.SIGINT, signal.SIG_IGN)
import asyncio, encodings.idna, backstream
for found in pkgutil.walk_packages(backstream.__path__, "backstream."):
    if found.name.startswith(("backstream.testing.pytest", "backstream.cli.main")):
        continue
    try:
        importlib.import_module(found.name)
    except ImportError:  # of an extra that is not installed
        pass
gc.collect()
gc.freeze()


def become(told, given, ours):
    for to, at in enumerate(given):
        os.dup2(at, to)
    for at in (*given, ours):
        os.close(at)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if told["without_ctrl_c"]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        way = "r" if number == 0 else "w"
        errors = "backslashreplace" if number == 2 else "surrogateescape"
        line_buffering = number == 2 or os.isatty(number)
        before = getattr(sys, name)
        stream = open(number, way, encoding="utf-8", errors=errors, closefd=False)
        if way == "w":
            stream.reconfigure(line_buffering=line_buffering)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        before.detach()
    sys.argv[:] = told["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])


def fork():
    door = socket.socket(fileno=int(sys.argv[1]))
    while True:
        data, given, _, _ = socket.recv_fds(door, 1 << 20, 3)
        if not data:
            os._exit(0)
        come, go = os.pipe()
        middle = os.fork()
        if not middle:
            child = os.fork()
            if not child:
                os.close(come)
                os.close(go)
                become(json.loads(data), given, door.detach())
                return
            os.write(go, b"%d" % child)
            os._exit(0)
        for at in (*given, go):
            os.close(at)
        os.waitpid(middle, 0)  # from here on the other has another parent
        door.send(os.read(come, 64))
        os.close(come)


fork()
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class _Forker:
    """The process that forks; there is one for each process that runs tests."""

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _FORKER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], **_ORDINARY},
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def fork(self, told: Mapping[str, Any], given: Sequence[int]) -> int:
        """Start a process, which is then a child of this one; gives its number."""
        with self._lock:
            self._adopt(1)
            try:
                socket.send_fds(self._door, [json.dumps(told).encode()], list(given))
                return int(self._door.recv(64))
            finally:
                self._adopt(0)

    def _adopt(self, whether: int) -> None:
        if self._prctl(_SUBREAPER, whether, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "this kernel gives no process to another parent")

    def close(self) -> None:
        """End it."""
        self._door.close()
        self._process.wait(timeout=30)


@cache
def _forker() -> _Forker | None:
    return _Forker() if sys.platform == "linux" else None


class WarmScript(subprocess.Popen[bytes]):
    """As ``subprocess.Popen``, for a console script of this project; takes ``env``, ``cwd`` and the three streams."""

    def _execute_child(self, *positional: Any, **named: Any) -> None:  # type: ignore[override]
        plain = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(plain).bind(*positional, **named).arguments
        streams = {name: asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")}
        env, given = asked["env"], [streams[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        at_start = {name: text for name, text in env.items() if name.startswith(_AT_START)}
        forker = _forker() if at_start == _ORDINARY and -1 not in given else None
        if forker is None:
            plain(*positional, **named)
            return
        told = {
            "arguments": [os.fspath(argument) for argument in asked["args"]],
            "cwd": os.fspath(asked["cwd"]),
            "env": dict(env),
            "without_ctrl_c": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        }
        self.pid = forker.fork(told, given)
        self._child_created = True
        self._close_pipe_fds(*streams.values())  # type: ignore[attr-defined]
