"""The server as a whole program: where it may listen, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import ConfigurationError
from backstream.server import Settings, create_app
from backstream.server.keys import add_key
from backstream.server.listener import bind
from backstream.server.run import serve
from support_server import Answer, Running, head_and_body, parse_answers, saying

PROGRAM = """
    import asyncio, sys
    from backstream.errors import ConfigurationError
    from backstream.server import Settings, create_app
    from backstream.server.run import serve

    async def main():
        app = create_app(settings=Settings(keys_file=None))
        return await serve(app, sys.argv[1], 0, on_ready=lambda url: print(url, flush=True), grace_seconds=20)

    try:
        print(asyncio.run(main()))
    except ConfigurationError as error:
        sys.exit(f"refused: {error}")
"""


def start(host: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_not_served_without_keys(host: str) -> None:
    with start(host) as program:
        out, err = program.communicate(timeout=60)
    assert program.returncode == 1
    assert out == ""
    assert err.startswith("refused: listening on")
    assert "backstream keys add NAME" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("host", ["no such name", ""])
def test_names_of_nothing(host: str) -> None:
    with start(host) as program:
        _, err = program.communicate(timeout=60)
    assert err == f"refused: {host!r} is no address of this machine; listen on 127.0.0.1\n"


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    with start("127.0.0.1") as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
            connection.sendall(head_and_body("GET", "/healthz"))
            answer = parse_answers(connection.makefile("rb").read())[0]
        program.send_signal(number)
        out, err = program.communicate(timeout=60)
    assert answer.json() == {"status": "ok"}
    assert (out.strip(), err, program.returncode) == (str(number), "", 0)


def converse_slowly(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    members = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}], "pace_seconds": 5}
    connection.sendall(head_and_body("POST", "/backend-api/v2/conversation", members))
    connection.recv(100)
    return connection


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_a_second_signal_does_not_wait_for_running_answers() -> None:
    with start("127.0.0.1") as program:
        assert program.stdout is not None
        port = int(program.stdout.readline().strip().rpartition(":")[2])
        with converse_slowly(port):
            program.send_signal(signal.SIGTERM)
            while _is_ready(port):
                pass
            program.send_signal(signal.SIGTERM)
            _, err = program.communicate(timeout=15)
    assert (err, program.returncode) == ("", 0)


def _is_ready(port: int) -> bool:
    """Whether it takes new answers; it listens until it ends, and says so."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head_and_body("GET", "/readyz"))
        return parse_answers(connection.makefile("rb").read())[0].status == 200


async def started(app: Any, host: str, port: int = 0) -> tuple[asyncio.Task[Any], str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, host, port, on_ready=ready.set_result))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    return task, await ready if ready.done() else ""


async def stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def ask(address: str, port: int, path: str, **fields: Any) -> Answer:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(head_and_body("GET", path, **fields))
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return parse_answers(received)[0]


async def test_localhost_is_both_loopback_addresses() -> None:
    task, url = await started(create_app([saying()], Settings(keys_file=None)), "localhost")
    port = int(url.rpartition(":")[2])
    assert url == f"http://localhost:{port}"
    assert (await ask("127.0.0.1", port, "/healthz")).status == 200
    if _has_ipv6():
        assert (await ask("::1", port, "/healthz")).status == 200
    await stop(task)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_ipv6(host: str) -> None:
    task, url = await started(create_app([saying()], Settings(keys_file=None)), host)
    port = int(url.rpartition(":")[2])
    assert url == f"http://[::1]:{port}"
    assert (await ask("::1", port, "/healthz", host=f"[::1]:{port}")).status == 200
    await stop(task)


async def test_with_keys_it_may_listen_on_every_address(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "a")
    app = create_app([saying()], Settings(keys_file=tmp_path / "keys.json"))
    task, url = await started(app, "0.0.0.0")
    port = int(url.rpartition(":")[2])
    for host in ("127.0.0.1", "10.1.2.3"):
        answer = await ask("127.0.0.1", port, "/backend-api/v2/version", host=host, headers={"x-api-key": key})
        assert answer.status == 200
    assert (await ask("127.0.0.1", port, "/backend-api/v2/version", host="10.1.2.3")).status == 401
    assert (await ask("127.0.0.1", port, "/healthz", host="evil.example")).status == 403
    await stop(task)


async def test_a_taken_port_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"cannot listen on 127.0.0.1 port {port}: .*; choose another"):
            await serve(create_app([saying()], Settings(keys_file=None)), "127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {port} is none"):
        bind("127.0.0.1", port)


async def test_it_ends_as_a_task_and_frees_its_port() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    task, url = await started(app, "127.0.0.1")
    port = int(url.rpartition(":")[2])
    await stop(task)
    again, second = await started(app, "127.0.0.1", port)
    assert second == url
    await stop(again)


async def test_it_leaves_signals_alone_outside_the_main_thread() -> None:
    def run() -> str:
        async def main() -> str:
            task, url = await started(create_app([saying()], Settings(keys_file=None)), "127.0.0.1")
            answer = await Running(int(url.rpartition(":")[2]), None).ask("GET", "/healthz")  # type: ignore[arg-type]
            await stop(task)
            return str(answer.status)

        return asyncio.run(main())

    before = signal.getsignal(signal.SIGINT)
    assert await asyncio.to_thread(run) == "200"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_server_cancelled_as_its_loop_ends_leaves_no_socket() -> None:
    """Nobody awaits it: it is cancelled twice, and still closes what it listens on."""
    code = """
import asyncio, gc
from backstream.server import Settings, create_app
from backstream.server.run import serve
async def main():
    ready = asyncio.Event()
    app = create_app(settings=Settings(keys_file=None))
    running = asyncio.ensure_future(serve(app, port=0, on_ready=lambda url: ready.set()))
    await ready.wait()
    running.cancel()
asyncio.run(main())
gc.collect()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
