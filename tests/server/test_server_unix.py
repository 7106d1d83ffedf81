"""A Unix socket: its file, who may use it, and what a request through it may say."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import ConfigurationError
from backstream.server import Settings, create_app
from backstream.server.place import Place, bind_unix, bound
from backstream.server.run import serve
from support_server import CONVERSATION, HELLO, Answer, Journal, head_and_body, parse_answers, provider_of, saying

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")

VERSION = "/backend-api/v2/version"


async def started(path: Path, app: Any = None, **settings: Any) -> tuple[asyncio.Task[Any], str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = app or create_app([saying()], Settings(**{"keys_file": None, **settings}))
    task = asyncio.create_task(serve(app, socket_path=path, on_ready=ready.set_result))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    return task, await ready


async def stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def ask(path: Path, method: str, target: str, body: Any = b"", **fields: Any) -> Answer:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(head_and_body(method, target, body, **fields))
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return parse_answers(received)[0]


async def test_it_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    task, url = await started(path)
    assert url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await ask(path, "GET", VERSION)).status == 200
    answer = await ask(path, "POST", CONVERSATION, HELLO)
    assert answer.whole
    assert answer.events()[-1]["type"] == "finish"
    await stop(task)
    assert not path.exists()


def test_its_mode_can_be_another(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bound(Place(socket_path=path, socket_mode=0o660)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    task, _ = await started(path)
    assert (await ask(path, "GET", VERSION)).status == 200
    await stop(task)


async def test_the_socket_of_a_running_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    task, _ = await started(path)
    with pytest.raises(ConfigurationError, match=r"a server listens on .*; stop it, or choose another path"):
        await started(path)
    assert (await ask(path, "GET", VERSION)).status == 200
    await stop(task)


def test_a_server_whose_queue_is_full_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(ConfigurationError, match=r"a server listens on|cannot listen on"):
            bind_unix(path)
        for client in waiting:
            client.close()
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.sock"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="exists and is no socket; choose another path"):
        bind_unix(path)
    assert os.path.lexists(path)


@pytest.mark.parametrize("name", ["x" * 200, "no/such/folder/a.sock"])
def test_paths_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on .*; choose another path"):
        bind_unix(tmp_path / name)


def test_only_its_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bound(Place(socket_path=path)):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


@pytest.mark.parametrize("host", ["localhost", "backstream", "any.name.example:99"])
async def test_a_local_program_may_call_it_what_it_likes(tmp_path: Path, host: str) -> None:
    path = tmp_path / "a.sock"
    task, _ = await started(path)
    assert (await ask(path, "GET", VERSION, host=host)).status == 200
    await stop(task)


async def test_a_page_that_comes_through_a_proxy_needs_an_allowed_name(tmp_path: Path) -> None:
    """A name that was re-bound to the proxy's address must open nothing."""
    path = tmp_path / "a.sock"
    task, _ = await started(path, allowed_hosts=("llm.example.org",))
    for host, fields, status in [
        ("evil.example", {"Origin": "http://evil.example"}, 403),
        ("evil.example", {"X-Forwarded-For": "203.0.113.7"}, 403),
        ("evil.example", {"Forwarded": "for=203.0.113.7"}, 403),
        ("llm.example.org", {"Origin": "http://llm.example.org"}, 200),
        ("llm.example.org", {"X-Forwarded-For": "203.0.113.7"}, 200),
        ("localhost", {"Origin": "http://evil.example"}, 403),
    ]:
        assert (await ask(path, "GET", VERSION, host=host, headers=fields)).status == status, (host, fields)
    assert (await ask(path, "GET", VERSION, host="no host at all")).status == 400
    await stop(task)


async def test_clients_of_a_trusted_proxy_need_a_key(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    task, _ = await started(path, trusted_proxies=("unix",))
    assert (await ask(path, "GET", VERSION)).status == 200
    assert (await ask(path, "GET", VERSION, headers={"X-Forwarded-For": "203.0.113.7"})).status == 403
    assert (await ask(path, "GET", VERSION, headers={"X-Forwarded-For": "127.0.0.1"})).status == 200
    await stop(task)


@pytest.mark.parametrize("words", [(), ("one",)], ids=["before the first chunk", "during the stream"])
async def test_a_client_that_leaves_closes_the_provider(tmp_path: Path, words: tuple[str, ...]) -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            journal.note("started")
            for word in words:
                yield word
            await asyncio.Event().wait()
        finally:
            journal.note("closed")

    path = tmp_path / "a.sock"
    task, _ = await started(path, create_app([provider_of(generate)], Settings(keys_file=None)))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(head_and_body("POST", CONVERSATION, HELLO))
    await journal.wait_for("started")
    for word in words:
        await reader.readuntil(word.encode())
    writer.close()
    await journal.wait_for("closed")
    await stop(task)


def test_it_is_served_under_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is optional")
    path = tmp_path / "a.sock"

    async def main() -> int:
        task, _ = await started(path)
        status = (await ask(path, "GET", VERSION)).status
        await stop(task)
        return status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == 200
    assert not path.exists()
