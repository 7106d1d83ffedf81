"""Missing keys, other hosts and other pages: every route, by every method, in every spelling of its path."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from backstream.server import Settings, create_app
from backstream.server.app import Gateway
from backstream.server.keys import add_key
from support_security import BODIES, METHODS, Counting, open_paths, paths
from support_server import CONVERSATION, HELLO, head_and_body, running

EVIL = "https://evil.example"
ODD = [
    "/{0}",
    "{0}/",
    "{0}/.",
    "{0}/..",
    "{0};/",
    "{0}%00",
    "{0}%2f",
    "{0}?x=/healthz",
    "{0}#/healthz",
    "/healthz/..{0}",
    "/healthz/%2e%2e{0}",
    "/healthz;{0}",
    "/readyz/../{0}",
    "/.{0}",
    "/{0}//",
    "/static/..{0}",
    "/\\{0}",
]
"""Ways to write a path that some other server takes for it."""


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def app(counting: Counting, tmp_path: Path) -> Gateway:
    keys = tmp_path / "keys.json"
    add_key(keys, "laptop")
    return create_app([counting.provider], Settings(keys_file=keys))


def spellings(path: str) -> list[str]:
    """A path, and ways round it: encoded, doubled, with dots; the begin of its second segment too."""
    encoded = "/%" + f"{ord(path[1]):x}" + path[2:] if len(path) > 1 else "/%2f"
    upper = path.upper()
    return [path, encoded, upper, path.replace("/", "//"), path.replace("/", "/./"), *(odd.format(path) for odd in ODD)]


async def test_every_route_and_method_in_every_spelling_needs_a_key(app: Gateway, counting: Counting) -> None:
    """Without a key no answer is but 401 (or what is no request at all), and no provider is asked."""
    async with running(app=app) as server:
        for path in paths():
            if path in open_paths():
                continue
            for method in METHODS:
                answer = await server.ask(method, path, HELLO if method in ("POST", "PUT", "PATCH") else b"")
                assert answer.status == 401, (method, path)
            for spelling in spellings(path):
                for method in ("GET", "POST"):
                    answer = await server.ask(method, spelling, HELLO if method == "POST" else b"")
                    assert answer.status in (400, 401), (method, spelling, answer.status)
    assert counting.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        {"X-Original-URL": "/healthz"},
        {"X-Rewrite-URL": "/healthz"},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-Prefix": "/healthz", "X-Forwarded-Host": "localhost"},
        {"X-HTTP-Method-Override": "OPTIONS", "X-Method-Override": "HEAD"},
        {"X-Backstream-Key": "laptop", "X-Forwarded-User": "laptop", "Cookie": "key=laptop"},
        {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="},
        {"Upgrade": "h2c", "Connection": "upgrade, http2-settings", "HTTP2-Settings": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic " + base64.b64encode(b"laptop:").decode()},
        {"Access-Control-Request-Method": "POST", "Origin": "http://localhost"},
        {"Expect": "100-continue"},
        {"Content-Length": "5", "Transfer-Encoding": "chunked"},
    ],
)
async def test_no_field_opens_a_route(app: Gateway, counting: Counting, fields: dict[str, str]) -> None:
    async with running(app=app) as server:
        for path in paths():
            if path in open_paths():
                continue
            for method in ("GET", "OPTIONS"):
                for answer in await server.send_all(head_and_body(method, path, headers=fields)):
                    assert answer.status in (400, 401), (method, path, answer.status)
    assert counting.asked == []


@pytest.mark.parametrize("host", ["x/?", "evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "", "a b"])
async def test_another_host_is_refused_on_every_route(app: Gateway, counting: Counting, host: str) -> None:
    async with running(app=app) as server:
        for path in paths():
            for method in ("GET", "POST", "OPTIONS"):
                assert (await server.ask(method, path, host=host)).status in (400, 403), (method, path)
    assert counting.asked == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:1", "http://127.0.0.1.nip.io"])
async def test_a_page_of_another_origin_changes_nothing(counting: Counting, kind: str, origin: str) -> None:
    """What a form or a simple request of a browser can send, without keys: refused before the body."""
    async with running([counting.provider]) as server:
        for path in paths():
            answer = await server.ask("POST", path, b"{}", headers={"Origin": origin, "Content-Type": kind})
            assert answer.status == 403, path
            assert answer.header("access-control-allow-origin") is None
    assert counting.asked == []


async def test_a_preflight_gives_nothing_away(app: Gateway) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    private = {**ask, "Access-Control-Request-Private-Network": "true", "Access-Control-Request-Local-Network": "true"}
    async with running(app=app) as server, running(app=app.with_settings(allow_origins=(EVIL,))) as open_server:
        for path in paths():
            for fields in (ask, private):
                answer = await server.ask("OPTIONS", path, headers={"Origin": EVIL, **fields})
                assert answer.status == 403
                assert not [name for name, _ in answer.headers if name.startswith("access-control")]
            inwards = await open_server.ask("OPTIONS", path, headers={"Origin": EVIL, **private})
            assert inwards.status == 403
            assert inwards.header("access-control-allow-private-network") is None
            granted = await open_server.ask("OPTIONS", path, headers={"Origin": EVIL, **ask})
            assert granted.header("access-control-allow-origin") == EVIL
            assert granted.header("access-control-allow-credentials") is None


async def test_a_key_of_the_address_counts_for_googles_routes_alone(tmp_path: Path, counting: Counting) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    async with running([counting.provider], keys_file=keys) as server:
        for path in paths():
            if path in open_paths():
                continue
            status = (await server.ask("GET", f"{path}?key={key}")).status
            google = path.startswith("/v1beta/") or (path.startswith("/v1/models/") and ":" in path)
            assert (status != 401) == google, (path, status)
            assert (await server.ask("GET", f"{path}?key={key}&key={key}")).status == 401
            assert (await server.ask("GET", f"{path}?KEY={key}")).status == 401
            assert (await server.ask("GET", f"{path}?key=")).status == 401


@pytest.mark.parametrize(
    "value", ["ä" * 40, "", " ", "x" * 60_000, "a\tb", "bsk_" + "x" * 43, "Bearer a b", "\x80\xff"]
)
@pytest.mark.parametrize("field", ["Authorization", "x-api-key", "x-goog-api-key", "g4f-api-key"])
async def test_odd_keys_are_wrong_keys(app: Gateway, field: str, value: str) -> None:
    value = f"Bearer {value}" if field == "Authorization" else value
    async with running(app=app) as server:
        raw = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{field}: {value}\r\nConnection: close\r\n\r\n"
        assert (await server.send(raw.encode("latin-1", "replace"))).status == 401
        twice = raw.replace("Connection", f"{field}: {value}\r\nConnection") if len(value) < 1000 else raw
        assert (await server.send(twice.encode("latin-1", "replace"))).status == 401


async def test_the_right_key_twice_is_none(tmp_path: Path, counting: Counting) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    async with running([counting.provider], keys_file=keys) as server:
        for field, value in (("Authorization", f"Bearer {key}"), ("x-api-key", key)):
            answer = await server.ask("GET", "/v1/models", headers=[(field, value), (field, value)])
            assert answer.status == 401


async def test_keys_are_not_told_apart_by_case(tmp_path: Path, counting: Counting) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    async with running([counting.provider], keys_file=keys) as server:
        for wrong in (key.upper(), key.lower(), key[:-1], key + "a", key[:20], f"{key}\t{key}"):
            if wrong != key:
                assert (await server.ask("GET", "/v1/models", headers={"x-api-key": wrong})).status == 401


@pytest.mark.parametrize("name", BODIES)
async def test_the_body_cannot_bring_keys_or_places(tmp_path: Path, counting: Counting, name: str) -> None:
    """A key of the body, or a role, opens nothing; a place never reaches the provider."""
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    path, body = BODIES[name]
    more: dict[str, Any] = {
        **dict.fromkeys(("key", "api_key", "x-api-key", "token", "authorization"), key),
        **dict.fromkeys(("url", "base_url", "api_base", "proxy", "proxies"), "http://evil.example"),
        "role": "admin",
    }
    async with running([counting.provider], keys_file=keys) as server:
        assert (await server.ask("POST", path, {**body, **more})).status == 401
        assert counting.asked == []
        assert (await server.ask("POST", path, {**body, **more}, headers={"x-api-key": key})).status == 200
    ((_, _, _, _, keywords),) = counting.asked
    assert not set(keywords) & {"url", "base_url", "proxy", "proxies", "headers", "ssl"}


async def test_an_absolute_target_is_no_way_round(app: Gateway, counting: Counting) -> None:
    async with running(app=app) as server:
        for target in (
            f"http://localhost{CONVERSATION}",
            "http://evil.example/healthz",
            "*",
            "healthz",
            "localhost:80",
        ):
            for answer in await server.send_all(head_and_body("POST", target, HELLO)):
                assert answer.status == 400, target
    assert counting.asked == []
