"""Several processes: all of them answer, the dead are replaced, and none is left over."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.server.workers import default_state_path
from support_server import CONVERSATION, HELLO, Answer, head_and_body, parse_answers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")

PROGRAM = """
    import logging, os, sys
    from pathlib import Path
    from backstream.chunks import Content
    from backstream.errors import BackstreamError, ConfigurationError
    from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin
    from backstream.server import Settings, create_app
    from backstream.server.place import Place
    from backstream.server.run import Conduct
    from backstream.server.workers import serve_with_workers

    how, count = sys.argv[1], int(sys.argv[2])
    logging.basicConfig(format="%(message)s")

    class Teller(AsyncGeneratorProvider, ProviderModelMixin):
        default_model = "teller"

        @classmethod
        async def create_async_generator(cls, model, messages, media=None, api_key=None, **kwargs):
            import asyncio
            yield f"process {os.getpid()}"
            if kwargs.get("go"):
                while not Path(kwargs["go"]).exists():
                    await asyncio.sleep(0.01)
                yield " went on"

    def make(worker):
        if how == "refused" and worker == 1:
            raise ConfigurationError("no such thing", "choose another")
        if how == "dying" and worker == 1:
            os._exit(7)
        if how == "failing" and worker == 1:
            raise ValueError("secret")
        async def reload(app):
            os.write(1, f"reloaded {worker}\\n".encode())
        return create_app([Teller], Settings(keys_file=None, worker=worker)), reload

    place = Place(port=0)
    if how == "unix":
        place = Place(socket_path=Path(sys.argv[3]))
    conduct = Conduct(on_ready=lambda url: print(url, flush=True), grace_seconds=20)
    try:
        print(serve_with_workers(make, count, place, conduct), flush=True)
    except BackstreamError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


class Group:
    """A server of several processes, each test's own."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def workers(self) -> set[int]:
        """Its children that have not ended."""
        found = set()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self.process.pid and state != "Z":
                    found.add(int(folder.name))
        return found

    def end(self) -> tuple[str, str, int]:
        out, err = self.process.communicate(timeout=60)
        return out, err, self.process.returncode


@pytest.fixture
def group() -> Iterator[Callable[..., Group]]:
    made: list[Group] = []

    def make(*arguments: str | Path) -> Group:
        made.append(Group(*arguments))
        return made[-1]

    yield make
    for each in made:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate(timeout=60)


def connect(url: str) -> socket.socket:
    if url.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(url.removeprefix("unix:"))
        return connection
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


def ask(url: str, method: str = "POST", path: str = CONVERSATION, body: Any = HELLO) -> Answer:
    with connect(url) as connection:
        connection.sendall(head_and_body(method, path, body))
        with connection.makefile("rb") as stream:
            return parse_answers(stream.read())[0]


def teller(answer: Answer) -> int:
    """The process that answered."""
    text = next(event["content"] for event in answer.events() if event["type"] == "content")
    return int(text.split()[1])


def stream_until(url: str, go: Path) -> tuple[socket.socket, int]:
    """Begin a stream that ends when a file exists; with the process that answers."""
    connection = connect(url)
    connection.sendall(head_and_body("POST", CONVERSATION, {**HELLO, "go": str(go)}))
    received = b""
    while b"process " not in received or not received.endswith(b"\n\n\r\n"):
        data = connection.recv(65536)
        assert data, received
        received += data
    line = next(line for line in received.split(b"\n") if b"process " in line)
    return connection, int(json.loads(line.removeprefix(b"data: "))["content"].split()[1])


def rest(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as stream:
        return stream.read()


def eventually(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 30  # a guard against hanging, not a measure
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_every_worker_answers_and_carries_its_number(group: Callable[..., Group]) -> None:
    server = group("plain", 3)
    url = server.line()
    workers = server.workers()
    assert len(workers) == 3
    ids: dict[int, str] = {}
    eventually(lambda: bool(ids.update(_identity(url)) or len(ids) == 3))
    assert set(ids) == workers
    assert {name[:2] for name in ids.values()} == {"w0", "w1", "w2"}
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == ("15\n", "", 0)


def _identity(url: str) -> dict[int, str]:
    answer = ask(url)
    return {teller(answer): answer.header("x-request-id") or ""}


def test_a_worker_that_is_killed_is_replaced_and_others_do_not_notice(
    group: Callable[..., Group], tmp_path: Path
) -> None:
    server = group("plain", 2)
    url = server.line()
    first = server.workers()
    streams = [stream_until(url, tmp_path / "go")]
    while len({process for _, process in streams}) < 2:
        streams.append(stream_until(url, tmp_path / "go"))
    victim = streams[0][1]
    os.kill(victim, signal.SIGKILL)
    cut = [rest(connection) for connection, process in streams if process == victim]
    assert not any(data.endswith(b"0\r\n\r\n") for data in cut)
    eventually(lambda: len(server.workers() - first) == 1)
    seen: set[int] = set()
    eventually(lambda: bool(seen.add(teller(ask(url))) or seen == server.workers()))
    (tmp_path / "go").touch()
    whole = [rest(connection) for connection, process in streams if process != victim]
    assert all(b"went on" in data and data.endswith(b"0\r\n\r\n") for data in whole)
    server.process.send_signal(signal.SIGTERM)
    out, err, code = server.end()
    assert (out, code) == ("15\n", 0)
    assert re.fullmatch(r"worker [01] ended with -9; another takes its place\n", err)
    assert server.workers() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to", ["parent", "everybody"])
def test_a_signal_drains_all_of_them_once(
    group: Callable[..., Group], tmp_path: Path, number: signal.Signals, to: str
) -> None:
    """Terminals and service managers signal the parent and the workers alike; that is no second signal."""
    server = group("plain", 2)
    url = server.line()
    workers = server.workers()
    streams = [stream_until(url, tmp_path / "go") for _ in range(8)]
    if to == "parent":
        server.process.send_signal(number)
    else:
        os.killpg(server.process.pid, number)
    eventually(lambda: ask(url, "GET", "/readyz", b"").status == 503)
    assert {process for _, process in streams} <= server.workers()
    (tmp_path / "go").touch()
    assert all(rest(connection).endswith(b"0\r\n\r\n") for connection, _ in streams)
    assert server.end() == (f"{int(number)}\n", "", 0)
    assert all(gone(process) for process in workers)


def test_a_second_signal_ends_all_of_them_at_once(group: Callable[..., Group], tmp_path: Path) -> None:
    server = group("plain", 2)
    url = server.line()
    streams = [stream_until(url, tmp_path / "never") for _ in range(4)]
    server.process.send_signal(signal.SIGINT)
    eventually(lambda: ask(url, "GET", "/readyz", b"").status == 503)
    server.process.send_signal(signal.SIGINT)
    assert all(b"the server is stopping" in rest(connection) for connection, _ in streams)
    assert server.end() == ("2\n", "", 0)


def test_a_worker_that_is_asked_to_end_drains_and_is_replaced(group: Callable[..., Group], tmp_path: Path) -> None:
    server = group("plain", 2)
    url = server.line()
    first = server.workers()
    connection, process = stream_until(url, tmp_path / "go")
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGTERM)  # still no hurry
    (tmp_path / "go").touch()
    assert b"went on" in rest(connection)
    eventually(lambda: len(server.workers() - first) == 1)
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[2] == 0


def test_no_worker_outlives_its_parent(group: Callable[..., Group]) -> None:
    server = group("plain", 3)
    server.line()
    workers = server.workers()
    assert len(workers) == 3
    server.process.kill()
    eventually(lambda: all(gone(process) for process in workers))


def test_sighup_reaches_every_worker(group: Callable[..., Group]) -> None:
    server = group("plain", 2)
    server.line()
    server.process.send_signal(signal.SIGHUP)
    assert {server.line(), server.line()} == {"reloaded 0", "reloaded 1"}
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[1:] == ("", 0)


def test_a_setting_that_is_wrong_is_said_once(group: Callable[..., Group]) -> None:
    server = group("refused", 3)
    assert server.end() == ("", "ConfigurationError: no such thing; choose another\n", 1)


@pytest.mark.parametrize("how", ["dying", "failing"])
def test_workers_that_die_at_once_are_given_up(group: Callable[..., Group], how: str) -> None:
    out, err, code = group(how, 2).end()
    assert (out, code) == ("", 1)
    assert err.splitlines()[-1] == "BackstreamError: worker 1 ended 5 times as soon as it began"
    assert "secret" not in err


def test_workers_share_a_unix_socket(group: Callable[..., Group], tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    server = group("unix", 2, path)
    url = server.line()
    assert url == f"unix:{path}"
    first = teller(ask(url))
    os.kill(first, signal.SIGTERM)
    eventually(lambda: gone(first))  # and leaves the file to the others
    for _ in range(20):
        assert ask(url).status == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[2] == 0
    assert not path.exists()


def test_a_port_that_others_share_among_themselves_is_taken() -> None:
    """SO_REUSEPORT would let two servers of one user take turns on one port."""
    from backstream.errors import ConfigurationError
    from backstream.server.place import Place, bound

    with bound(Place(port=0), 2) as groups:
        port = groups[0][0].getsockname()[1]
        assert {each.getsockname()[1] for sockets in groups for each in sockets} == {port}
        with (
            pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1 port {port}"),
            bound(Place(port=port), 2),
        ):
            pass


def test_the_state_has_a_place_of_its_own() -> None:
    assert default_state_path({"XDG_STATE_HOME": "/var/lib"}) == Path("/var/lib/backstream/gateway.sqlite")
    assert default_state_path({}) == Path.home() / ".local/state/backstream/gateway.sqlite"


def test_the_program_has_workers(tmp_path: Path) -> None:
    """Five times, for two that make the state file at the same time collide now and then."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from backstream.cli.main import main; main()", "serve", "--port", "0"]
    for turn in range(5):
        environment["XDG_STATE_HOME"] = str(tmp_path / f"state{turn}")
        with subprocess.Popen(
            [*command, "--workers", "4", "--log", "off"], stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            assert ask(line.split()[-1]).status == 200
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == 130
    assert (tmp_path / "state0/backstream/gateway.sqlite").stat().st_mode & 0o777 == 0o600
