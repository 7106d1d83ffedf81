"""The real console script, run as a user runs it: as a process, with pipes or a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.providers.rows_local import LOCAL
from support_warm_script import WarmScript

SCRIPT = Path(sys.executable).with_name("backstream")
PATIENCE_SECONDS = 30  # a hanging test fails; nothing is measured by it


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without the user's own settings, in which warnings are errors."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "BACKSTREAM_MODEL": "echo",  # whatever runs on this machine, the tests do not talk to it
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "error",
        "TERM": "xterm-256color",
        **more,
    }


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Where the tests run as a background job, what they start would ignore Ctrl-C too."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def quiet_machine() -> None:
    """Nothing must be found on this machine's usual ports."""
    for port in sorted({port for row in LOCAL for port in row.local_ports}):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"something runs on port {port} of this machine")


def piped(home: Path, arguments: Sequence[str | Path], more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The console script with pipes; it runs in a folder of its own."""
    return WarmScript(
        [SCRIPT, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, **more),
        cwd=home,
    )


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the console script to its end, with pipes."""

    def run_script(*arguments: str | Path, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
        with piped(tmp_path, arguments, more) as process:
            try:
                out, err = process.communicate(stdin, timeout=PATIENCE_SECONDS)
            finally:
                process.kill()
        assert b"Traceback" not in err or "BACKSTREAM_DEBUG" in more, err.decode()
        return subprocess.CompletedProcess(process.args, process.returncode, out.decode(), err.decode())

    return run_script


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the console script with pipes; what still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start_script(*arguments: str | Path, **more: str) -> subprocess.Popen[bytes]:
        started.append(piped(tmp_path, arguments, more))
        return started[-1]

    yield start_script
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def serve(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., str]:
    """Start `backstream serve` on a free port; gives its URL."""

    def serve_with(*arguments: str | Path, **more: str) -> str:
        process = start("serve", "--port", "0", *arguments, **more)
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line
        return found[1]

    return serve_with


class Terminal:
    """The console script on a terminal of its own."""

    def __init__(self, arguments: list[str], env: dict[str, str], cwd: Path, size: tuple[int, int] = (24, 80)) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        take_terminal = (
            "import fcntl,os,sys,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", take_terminal, str(SCRIPT), *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._read_to = 0

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> str:
        """Read until the pattern comes after what was expected before; gives what led up to its end."""
        return self._read_until(lambda: re.compile(pattern).search(self.seen, self._read_to), pattern, PATIENCE_SECONDS)

    def interrupt(self, pattern: str) -> str:
        """Press Ctrl-C until the pattern comes: readline loses one that arrives just before it waits for keys."""
        while True:
            self.type("\x03")
            try:
                return self._read_until(lambda: re.compile(pattern).search(self.seen, self._read_to), pattern, 2)
            except TimeoutError:
                continue

    def _read_until(self, found: Callable[[], re.Match[str] | None], what: str, seconds: float) -> str:
        patience = time.monotonic() + seconds
        while (match := found()) is None:
            ready, _, _ = select.select([self._master], [], [], max(0, patience - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{what!r} did not come; seen: {self.seen[self._read_to :]!r}")
            assert self._read(), f"the program ended before {what!r}; seen: {self.seen!r}"
        before = self.seen[self._read_to : match.end()]
        self._read_to = match.end()
        return before

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def wait(self) -> int:
        """Read to the end; gives the exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start the console script on a terminal."""
    opened: list[Terminal] = []

    def open_terminal(*arguments: str | Path, size: tuple[int, int] = (24, 80), **more: str) -> Terminal:
        opened.append(Terminal([*map(str, arguments)], environment(tmp_path, **more), tmp_path, size))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


class RawServer:
    """Answers each connection, once a request has come, with the next of its answers; then closes, or waits."""

    def __init__(self, *answers: bytes, hold: bool = False) -> None:
        self._answers = answers
        self._hold = hold
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.left = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, contextlib.suppress(ConnectionError):
                client.settimeout(PATIENCE_SECONDS)
                self.requests.append(self._read_request(client))
                client.sendall(self._answers[min(len(self.requests), len(self._answers)) - 1])
                if self._hold:
                    while client.recv(65536):
                        pass
                    self.left.set()

    def _read_request(self, client: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive(client)
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        while length and len(body) < int(length[1]):
            body += self._receive(client)
        return head + b"\r\n\r\n" + body

    def _receive(self, client: socket.socket) -> bytes:
        data = client.recv(65536)
        if not data:  # the client left before its request was whole
            self.left.set()
            raise ConnectionError
        return data

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=PATIENCE_SECONDS)


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Start a server that answers with given bytes."""
    started: list[RawServer] = []

    def start_server(*answers: bytes, **options: Any) -> RawServer:
        started.append(RawServer(*answers, **options))
        return started[-1]

    yield start_server
    for one in started:
        one.close()


def sse(*events: str, framing: str = "close") -> bytes:
    """An answer with these events."""
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if framing == "close":
        return head + b"Connection: close\r\n\r\n" + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n" % (len(body), body)


def interrupt(process: subprocess.Popen[Any]) -> None:
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)


@pytest.fixture
def tools() -> Any:
    """The functions above, for tests."""
    return sys.modules[__name__]
