"""Reading ``backstream.toml`` again: on SIGHUP, in a real process, with an answer running across it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.errors import ConfigurationError
from backstream.registry.config import Config, load_config
from backstream.registry.server_config import KeyLimits
from backstream.server import Settings, create_app
from backstream.server.configured import changed_settings, configured_settings, needs_restart
from backstream.server.reload import Loaded, Reloader
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send, Wait
from support_server import Running, head_and_body, running

SCRIPT = Path(sys.executable).with_name("backstream")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
HEL = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
LO = b'data: {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
PATIENCE_SECONDS = 30  # a guard against hanging, not a measure

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")


class Program:
    """``backstream serve`` as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self.server = Running(0, None)  # type: ignore[arg-type] # only its way of asking is used

    async def said(self, words: str) -> str:
        """Wait for a line of its log."""
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self._process.stderr.readline()).decode():
                self.lines.append(line)
                if words in line:
                    return line
        raise AssertionError(self.lines)

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(number) for number in listed.read_text().split()]

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)


@contextlib.asynccontextmanager
async def serving(folder: Path, *options: str) -> AsyncIterator[Program]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BACKSTREAM_CONFIG": "my.toml",
        "PYTHONWARNINGS": "error",
        "BACKSTREAM_MODEL": "echo",
    }
    process = await asyncio.create_subprocess_exec(
        SCRIPT, "serve", "-v", *options, cwd=folder, env=environment, stderr=asyncio.subprocess.PIPE
    )
    program = Program(process)
    try:
        line = await program.said("listening on http://")
        program.server = Running(int(line.rpartition(":")[2]), None)  # type: ignore[arg-type]
        yield program
        process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, rest = await process.communicate()
        assert process.returncode == 0, rest.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def write(folder: Path, text: str) -> None:
    (folder / "my.toml").write_text(text)


@contextlib.asynccontextmanager
async def asking(port: int, members: Any) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head_and_body("POST", "/v1/chat/completions", members))
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_running_answer_goes_on_and_the_next_one_follows_the_new_file(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    script = [ReadRequest(), Send(HEAD + HEL), Wait(go_on), Send(LO), Close()]
    async with ScriptedUpstream(script) as upstream:
        provider = f'[providers.work]\nurl = "{upstream.url}/v1"\n'
        write(tmp_path, provider + "[server]\nport = 0\n")
        ask = {"model": "work/x", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        async with serving(tmp_path) as program, asyncio.timeout(PATIENCE_SECONDS):
            async with asking(program.server.port, ask) as reader:
                begun = await reader.readuntil(b"Hel")
                write(tmp_path, "[server]\nport = 0\n[server.limits]\nmax_streams = 1\n[routes]\nlater = ['echo']\n")
                program.hang_up()
                await program.said("read again: my.toml")

                refused = await program.server.ask("POST", "/v1/chat/completions", {**ask, "model": "later"})
                assert refused.status == 503  # the running answer is still counted
                listed = await program.server.ask("GET", "/v1/models/later")
                assert (listed.status, listed.json()["id"]) == (200, "later")

                go_on.set()
                rest = await reader.read()
            assert b"lo" in rest
            assert b"[DONE]" in rest
            assert b" 200 " in begun
            answer = await program.server.ask("POST", "/v1/chat/completions", {**ask, "model": "later"})
            assert answer.header("x-backstream-route") == "later"
            gone = await program.server.ask("POST", "/v1/chat/completions", ask)
            assert gone.status == 404


async def test_a_faulty_file_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    write(tmp_path, "[routes]\nnow = ['echo']\n")
    async with serving(tmp_path, "--port", "0") as program:
        write(tmp_path, "[server]\n[routes]\nnow = []\n")
        program.hang_up()
        line = await program.said("not read again")
        assert "my.toml:3: routes.now names no model" in line
        (tmp_path / "my.toml").unlink()
        program.hang_up()
        assert "my.toml cannot be read" in await program.said("not read again")
        assert (await program.server.ask("GET", "/v1/models/now")).status == 200
        write(tmp_path, "[server]\nworkers = 3\n[routes]\nthen = ['echo']\n")
        program.hang_up()
        assert "server.workers" in await program.said("needs a restart")
        await program.said("read again: my.toml")
        assert (await program.server.ask("GET", "/v1/models/now")).status == 404
        assert (await program.server.ask("GET", "/v1/models/then")).status == 200


async def test_what_needs_a_restart_is_told_until_it_has_come_or_gone(tmp_path: Path) -> None:
    write(tmp_path, "[server]\nport = 0\n")
    async with serving(tmp_path, "--port", "0", "--grace", "1") as program:
        assert await program.said("settings") == "settings: my.toml\n"
        for text, restart in (
            ("workers = 2", True),
            ("workers = 2\nkeepalive_seconds = 9", True),
            ("port = 9999", False),  # the command line says another one
            ("keepalive_seconds = 9", False),
        ):
            write(tmp_path, f"[server]\n{text}\n")
            program.hang_up()
            heard = len(program.lines)
            assert "my.toml" in await program.said("read again")
            assert any("needs a restart: server.workers" in line for line in program.lines[heard:]) is restart
            assert restart or not any("needs a restart" in line for line in program.lines[heard:])


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
async def test_a_worker_made_later_has_what_the_others_have(tmp_path: Path) -> None:
    write(tmp_path, "[routes]\nnow = ['echo']\n")
    async with serving(tmp_path, "--port", "0", "--workers", "2") as program:
        write(tmp_path, "[routes]\nthen = ['echo']\n")
        program.hang_up()
        for _ in range(2):
            await program.said("read again: my.toml")
        write(tmp_path, "[routes]\nthen = 1\n")
        for child in program.children():
            os.kill(child, signal.SIGKILL)
        for _ in range(2):
            await program.said("another takes its place")
        for _ in range(4):
            assert (await program.server.ask("GET", "/v1/models/then")).status == 200


# --- without a process ------------------------------------------------------------------------------------------------


def reader(path: Path, **given: Any) -> Callable[[], Loaded]:
    def load() -> Loaded:
        config = load_config(path, environ={}) if path.exists() else Config()
        return Loaded(config, configured_settings(config, {"keys_file": path.with_name("k.json"), **given}), None)

    return load


async def test_limits_and_keys_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    digest = "ab" * 32
    path.write_text("[server.limits]\nmax_streams = 5\n[server]\nallowed_hosts = ['a.example']\nport = 1\n")
    load = reader(path)
    first = load()
    app = create_app(settings=first.settings).with_settings(allowed_hosts=("a.example", "learned"))
    path.write_text(
        "[server]\nallowed_hosts = ['b.example']\nport = 2\ntrusted_proxies = ['10.0.0.1']\n"
        "[server.limits]\nmax_streams = 6\ntokens_per_day = 7\n"
        f"[keys.laptop]\nmodels = ['echo']\nsha256 = '{digest}'\n"
    )
    reload = Reloader(load, first)
    await reload(app)
    assert app.settings.max_streams == 6
    assert app.settings.allowed_hosts == ("b.example", "learned")
    assert app.settings.default_key_limits == KeyLimits(tokens_per_day=7)
    assert app.settings.key_limits == {"laptop": KeyLimits(models=("echo",))}
    assert app.settings.trusted_proxies == ("10.0.0.1",)
    assert app.keys.required
    async with running(app=app) as server:
        assert (await server.ask("GET", "/v1/models")).status == 401
        path.unlink()
        with pytest.raises(ConfigurationError, match=r"my\.toml is gone; put it back"):
            await reload(app)
        assert app.settings.max_streams == 6
    await app.aclose()


async def test_without_a_file_there_is_nothing_to_miss(tmp_path: Path) -> None:
    load = reader(tmp_path / "none.toml")
    app = create_app(settings=load().settings)
    await Reloader(load, load())(app)
    assert app.registry is None
    await app.aclose()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        "[server]\nframing = 'sse'\nkeepalive_seconds = 3\nallow_origins = ['http://a.example']\n"
        "[server.limits]\nmax_streams = 5\nmax_body_mib = 1\nmax_media_mib = 2\nmax_streams_per_key = 4\n"
    )
    config = load_config(path, environ={})
    found = configured_settings(config, {"framing": "jsonl", "max_streams": 9, "max_body_mib": 3, "state_file": None})
    assert (found.framing, found.max_streams, found.max_streams_per_key) == ("jsonl", 9, 4)
    assert (found.limits.max_body_bytes, found.limits.max_media_bytes) == (3 << 20, 2 << 20)
    assert (found.keepalive_seconds, found.allow_origins) == (3, ("http://a.example",))
    assert configured_settings(Config()) == Settings()


def test_what_the_file_says_wrongly_is_found_in_it(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[server]\n\nallow_origins = ['HTTP://secret']\n")
    config = load_config(path, environ={})
    with pytest.raises(ConfigurationError) as caught:
        configured_settings(config)
    assert str(caught.value).startswith(f"{path}:3: server.allow_origins is wrong; use scheme://host")
    assert "secret" not in str(caught.value)
    assert configured_settings(config, {"allow_origins": ("http://b.example",)}).allow_origins == ("http://b.example",)


def test_settings_that_did_not_change_stay_as_they_are() -> None:
    running_now = Settings(max_streams=3, framing="sse")
    assert changed_settings(Settings(), Settings(), running_now) == running_now
    changed = changed_settings(Settings(), Settings(gate_seconds=1.5), running_now)
    assert changed == msgspec.structs.replace(running_now, gate_seconds=1.5)
    assert needs_restart(Config(), Config()) == []
