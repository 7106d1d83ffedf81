"""Client keys: how they are stored, and that every route but one needs one."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import ConfigurationError
from backstream.server import auth
from backstream.server.keys import add_key, default_keys_path, digest_of, list_keys, remove_key
from backstream.server.routes import ROUTES
from support_server import CONVERSATION, HELLO, Running, head_and_body, provider_of, running, saying


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.json"


@pytest.fixture
def key(keys_file: Path) -> str:
    return add_key(keys_file, "laptop")


def basic(password: str, user: str = "u") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_key_is_stored_as_its_digest(keys_file: Path, key: str) -> None:
    other = add_key(keys_file, "phone")
    assert re.fullmatch(r"bsk_[A-Za-z0-9_-]{43}", key)
    assert key != other
    for path in keys_file.parent.rglob("*"):
        raw = path.read_bytes()
        assert key.encode() not in raw
        assert key[12:].encode() not in raw
    assert [path.name for path in keys_file.parent.iterdir()] == ["keys.json"]
    records = list_keys(keys_file)
    assert [(record.name, record.sha256, record.prefix) for record in records] == [
        ("laptop", digest_of(key.encode()), key[:8]),
        ("phone", digest_of(other.encode()), other[:8]),
    ]
    assert records[0].created.endswith("+00:00")


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX idea")
def test_modes(keys_file: Path, key: str) -> None:
    assert keys_file.stat().st_mode & 0o777 == 0o600
    assert keys_file.parent.stat().st_mode & 0o777 == 0o700
    keys_file.chmod(0o622)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        list_keys(keys_file)


def test_removing(keys_file: Path, key: str) -> None:
    remove_key(keys_file, "laptop")
    assert list_keys(keys_file) == []
    with pytest.raises(ConfigurationError, match="no key of that name"):
        remove_key(keys_file, "laptop")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no lock of a folder")
def test_keys_made_at_the_same_time_are_all_kept(keys_file: Path) -> None:
    names = [f"n{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda name: add_key(keys_file, name), names))
    assert {record.sha256 for record in list_keys(keys_file)} == {digest_of(key.encode()) for key in made}


@pytest.mark.parametrize("name", ["", "a b", "a\n", "ä", "x" * 65, "../x", "laptop"])
def test_names_that_are_refused(keys_file: Path, key: str, name: str) -> None:
    with pytest.raises(ConfigurationError):
        add_key(keys_file, name)


def test_toml_is_read_but_not_written(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(f'[[keys]]\nname = "a"\nsha256 = "{digest_of(b"k")}"\n')
    path.chmod(0o600)
    assert [record.name for record in list_keys(path)] == ["a"]
    with pytest.raises(ConfigurationError, match="by hand"):
        add_key(path, "b")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"keys":[{}]}', '{"keys":[{"name":"a","sha256":"xyz"}]}', "\xff"])
@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_files_that_are_no_key_files(tmp_path: Path, text: str, suffix: str) -> None:
    path = tmp_path / f"keys.{suffix}"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    if (text, suffix) == ("", "toml"):
        assert list_keys(path) == []
        return
    with pytest.raises(ConfigurationError):
        list_keys(path)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list_keys(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        add_key(tmp_path / "file" / "keys.json", "a")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ConfigurationError):
        add_key(tmp_path / "folder.json", "a")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write to, not even root")
def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        add_key(Path("/proc/self/nothing/keys.json"), "a")


def test_a_failed_write_leaves_the_old_file(keys_file: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
            add_key(keys_file, "phone")
    assert keys_file.read_bytes() == before
    assert [path.name for path in keys_file.parent.iterdir()] == ["keys.json"]


def test_where_keys_are_kept() -> None:
    assert default_keys_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/backstream/keys.json")
    home = Path.home() / ".config" / "backstream" / "keys.json"
    assert default_keys_path({}) == home
    assert default_keys_path({"XDG_CONFIG_HOME": "relative"}) == home


def accepted(key: str) -> list[dict[str, str]]:
    return [
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"Authorization": f"Bearer {key} upstream-key"},
        {"g4f-api-key": key},
        {"x-api-key": key},
        {"x-goog-api-key": key},
        {"Authorization": basic(key)},
        {"Authorization": basic(key, "")},
        {"x-api-key": "wrong", "Authorization": f"Bearer {key}"},
    ]


def refused(key: str) -> list[Any]:
    return [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": key},
        {"Authorization": f"Token {key}"},
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": f"Bearer {key[:-1]}"},
        {"Authorization": f"Bearer {key.upper()}"},
        {"Authorization": "Bearer \xe4\xf6\xff"},
        {"Authorization": f"Bearer {digest_of(key.encode())}"},
        {"Authorization": "Bearer ' OR 1=1 --"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(key.encode()).decode()},
        {"Authorization": basic(key + "x")},
        {"x-api-key": ""},
        {"x-api-key": key + "\xff"},
        {"Authorization": "Bearer " + "x" * 50_000},
        {"X-Original-URL": "/healthz"},
        {"Cookie": f"key={key}"},
        [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")],
        [("x-api-key", key), ("x-api-key", "other")],
    ]


async def test_what_is_accepted(keys_file: Path, key: str) -> None:
    async with running([saying()], keys_file=keys_file) as server:
        for headers in accepted(key):
            answer = await server.ask("GET", "/backend-api/v2/version", headers=headers)
            assert answer.status == 200, headers


async def test_what_is_refused(keys_file: Path, key: str) -> None:
    async with running([saying()], keys_file=keys_file) as server:
        for headers in refused(key):
            answer = await server.ask("GET", "/backend-api/v2/version", headers=headers)
            assert (answer.status, answer.json()) == (
                401,
                {"error": {"message": "Not authenticated; send a client key"}},
            ), headers
            assert answer.header("www-authenticate")
        query = await server.ask("GET", f"/backend-api/v2/version?key={key}&api_key={key}")
        assert query.status == 401


async def test_every_route_but_health_needs_a_key(keys_file: Path, key: str) -> None:
    paths = [route.path.replace("{provider}", "Scripted") for route in ROUTES if not route.open]
    tricks = ["//healthz", "/healthz/", "/healthz/..", "/HEALTHZ", "/x/..;/healthz", "/%2fhealthz", "/", "/docs", "/v1"]
    tricks += ["/backend-api/v2/models?x=/healthz", "/backend-api/v2/models/healthz", "/%62ackend-api/v2/version"]
    assert [route.path for route in ROUTES if route.open] == ["/healthz", "/readyz"]
    async with running([saying()], keys_file=keys_file) as server:
        for path in [*paths, *tricks]:
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
                answer = await server.ask(method, path, b"{}" if method == "POST" else b"")
                assert answer.status == 401, (method, path)
        for path in ("/healthz", "/%68ealthz", "/healthz?x=1"):
            assert (await server.ask("GET", path)).status == 200
        upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
        raw = head_and_body("GET", "/backend-api/v2/version", headers={**upgrade, "Connection": "upgrade, close"})
        assert (await server.send_all(raw.replace(b"Connection: close\r\n", b"")))[0].status == 401


async def test_the_body_of_a_stranger_is_not_read(keys_file: Path, key: str) -> None:
    raw = head_and_body("POST", CONVERSATION, b"", headers={"Expect": "100-continue"})
    async with running([saying()], keys_file=keys_file) as server:
        answer = await server.send(raw.replace(b"Content-Length: 0", b"Content-Length: 9999999"))
    assert answer.status == 401


async def test_keys_are_compared_once_and_as_digests(
    keys_file: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Spy:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(auth, "hmac", Spy)
    async with running([saying()], keys_file=keys_file) as server:
        await server.ask("GET", "/backend-api/v2/version", headers={"x-api-key": key})
        await server.ask("GET", "/backend-api/v2/version", headers={"x-api-key": "unknown"})
    assert len(compared) == 2
    assert all(len(one) == len(other) == 64 for one, other in compared)


async def test_a_second_word_is_the_back_ends_key(keys_file: Path, key: str) -> None:
    seen: list[Any] = []

    async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
        seen.append(api_key)
        yield "ok"

    async with running([provider_of(generate)], keys_file=keys_file) as server:
        for token in (f"{key} upstream", key):
            await server.converse(headers={"Authorization": f"Bearer {token}"})
        await server.converse({**HELLO, "api_key": "body"}, headers={"x-api-key": key})
    assert seen == ["upstream", None, "body"]


async def ask_as(server: Running, key: str) -> int:
    return (await server.ask("GET", "/backend-api/v2/version", headers={"x-api-key": key})).status


async def test_changes_of_the_file_count(keys_file: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_CHECK_SECONDS", 0.0)
    async with running([saying()], keys_file=keys_file) as server:
        other = add_key(keys_file, "phone")
        assert (await ask_as(server, key), await ask_as(server, other)) == (200, 200)
        remove_key(keys_file, "phone")
        assert (await ask_as(server, key), await ask_as(server, other)) == (200, 401)
        keys_file.write_text("{ half")
        assert await ask_as(server, key) == 200  # what was read last counts
        keys_file.unlink()
        assert await ask_as(server, key) == 401  # and never opens again
        assert (await server.ask("GET", "/backend-api/v2/version")).status == 401


async def test_a_first_key_closes_an_open_server_and_the_last_one_leaves_it_closed(
    keys_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="backstream.server")
    monkeypatch.setattr(auth, "_CHECK_SECONDS", 0.0)
    async with running([saying()], keys_file=keys_file) as server:
        assert (await server.ask("GET", "/backend-api/v2/version")).status == 200
        key = add_key(keys_file, "laptop")
        assert (await server.ask("GET", "/backend-api/v2/version")).status == 401
        assert "every request needs one from now on" in caplog.text
        assert await ask_as(server, key) == 200
        remove_key(keys_file, "laptop")
        assert (await server.ask("GET", "/backend-api/v2/version")).status == 401
        assert "no client key is left" in caplog.text


async def test_a_broken_file_does_not_start_a_server(keys_file: Path, key: str) -> None:
    keys_file.write_text("{}x")
    with pytest.raises(ConfigurationError):
        async with running([saying()], keys_file=keys_file):
            pass


async def test_one_key_cannot_take_every_stream(keys_file: Path, key: str) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        started.set()
        await go.wait()
        yield "ok"

    other = add_key(keys_file, "phone")
    async with running([provider_of(generate)], keys_file=keys_file, max_streams_per_key=1) as server:
        first = asyncio.create_task(server.converse(headers={"x-api-key": key}))
        await started.wait()
        again = await server.converse(headers={"x-api-key": key})
        second = asyncio.create_task(server.converse(headers={"x-api-key": other}))
        go.set()
        assert (await first).status == (await second).status == 200
    assert (again.status, again.header("retry-after")) == (429, "1")
    assert json.loads(again.body)["error"]["message"] == "Too many streams for this key"
