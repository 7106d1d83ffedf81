"""Behind a proxy: what is believed of whom, and what stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.errors import ConfigurationError
from backstream.server import Settings, create_app
from backstream.server.asgi import Request
from backstream.server.forwarded import UNKNOWN, TrustedProxies, request_id_of
from backstream.server.keys import add_key
from backstream.server.routes import ROUTES
from backstream.server.routing import path_below
from support_server import running, saying

VERSION = "/backend-api/v2/version"


def asked(*fields: tuple[str, str], peer: str | None = "10.0.0.1", server: Any = ("10.0.0.9", 80)) -> Request:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields],
        "client": None if peer is None else (peer, 1234),
        "server": server,
    }
    return Request(scope)


def through(*trusted: str, request: Request) -> tuple[str | None, str, str | None]:
    TrustedProxies(trusted).apply(request)
    return request.client_host, request.scheme, request.forwarded_host


FOR = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        ([(FOR, "203.0.113.7")], "203.0.113.7"),
        ([(FOR, "127.0.0.1, 203.0.113.7")], "203.0.113.7"),  # the client wrote the first one itself
        ([(FOR, "127.0.0.1"), (FOR, "203.0.113.7")], "203.0.113.7"),
        ([(FOR, "203.0.113.7, 10.0.0.2")], "203.0.113.7"),  # the second proxy is trusted too
        ([(FOR, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),  # all are: whoever asked first
        ([(FOR, "203.0.113.7:4711")], "203.0.113.7"),
        ([(FOR, "2001:db8::1")], "2001:db8::1"),
        ([(FOR, "[2001:db8::1]:80")], "2001:db8::1"),
        ([(FOR, "[2001:db8::1]")], "2001:db8::1"),
        ([(FOR, "::ffff:203.0.113.7")], "203.0.113.7"),
        ([(FOR, "unknown")], UNKNOWN),
        ([(FOR, "127.0.0.1, rubbish")], UNKNOWN),  # what stands further left may be the client's invention
        ([(FOR, "")], UNKNOWN),
        ([(FOR, "fe80::1%eth0")], UNKNOWN),
        ([(FOR, "[::1")], UNKNOWN),
        ([(FOR, "[::1]80")], UNKNOWN),
        ([(FOR, "\xff\xfe")], UNKNOWN),
        ([(FOR, "127.0.0.1," * 5000)], UNKNOWN),
        ([("Forwarded", "for=203.0.113.7")], "203.0.113.7"),
        ([("Forwarded", 'For="[2001:db8::1]:4711"')], "2001:db8::1"),
        ([("Forwarded", "for=127.0.0.1, for=203.0.113.7;by=10.0.0.1")], "203.0.113.7"),
        ([("Forwarded", 'for="a,b;c\\"", for=203.0.113.7')], "203.0.113.7"),
        ([("Forwarded", "for=_hidden")], UNKNOWN),
        ([("Forwarded", "for=127.0.0.1, for=")], UNKNOWN),
        ([("Forwarded", "proto=https")], UNKNOWN),
        ([("Forwarded", 'for="127.0.0.1')], UNKNOWN),
        ([("Forwarded", "")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.7"), (FOR, "203.0.113.7")], "203.0.113.7"),
        # a proxy that writes one of the two passes the other on as its client wrote it
        ([("Forwarded", "for=127.0.0.1"), (FOR, "203.0.113.7")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.7"), (FOR, "127.0.0.1")], UNKNOWN),
        ([("X-Forwarded-Proto", "https")], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_one_that_is_no_trusted_proxy(fields: Any, client: str) -> None:
    assert through("10.0.0.0/8", request=asked(*fields))[0] == client


@pytest.mark.parametrize(
    ("fields", "scheme", "host"),
    [
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "LLM.example.org:443")], "https", "llm.example.org:443"),
        ([("X-Forwarded-Proto", "http, https")], "https", None),  # the nearest proxy's word
        ([("X-Forwarded-Proto", "gopher")], "http", None),
        ([("X-Forwarded-Host", "a b")], "http", None),
        ([("Forwarded", "for=203.0.113.7;proto=https;host=llm.example.org")], "https", "llm.example.org"),
        ([("Forwarded", 'for=203.0.113.7;host="[::1]:80"')], "http", "[::1]:80"),
        ([("Forwarded", "for=1.2.3.4;proto=https, for=203.0.113.7")], "http", None),
    ],
)
def test_scheme_and_host(fields: Any, scheme: str, host: str | None) -> None:
    assert through("10.0.0.1", request=asked(*fields))[1:] == (scheme, host)


SPOOFED = [
    (FOR, "127.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "a.example"),
    ("Forwarded", "for=127.0.0.1;proto=https;host=a.example"),
]


@pytest.mark.parametrize(
    ("trusted", "peer"), [((), "10.0.0.1"), (("10.0.0.2",), "10.0.0.1"), (("unix",), "10.0.0.1"), (("::1",), None)]
)
def test_nothing_changes_where_the_peer_is_not_trusted(trusted: tuple[str, ...], peer: str | None) -> None:
    assert through(*trusted, request=asked(*SPOOFED, peer=peer)) == (peer, "http", None)


def test_a_peer_of_a_unix_socket_is_trusted_by_that_name() -> None:
    request = asked((FOR, "203.0.113.7"), peer=None, server=("/run/a.sock", None))
    assert through("unix", request=request)[0] == "203.0.113.7"
    no_socket = asked((FOR, "203.0.113.7"), peer=None, server=None)
    assert through("unix", request=no_socket)[0] is None


@pytest.mark.parametrize("proxy", ["", "localhost", "10.0.0.0/33", "*", "unix:", "1.2.3"])
def test_proxies_that_are_none(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="is no trusted proxy; name an address, a network such as"):
        Settings(keys_file=None, trusted_proxies=(proxy,))


def test_trust_is_told_by_truth() -> None:
    assert TrustedProxies(["unix"])
    assert TrustedProxies(["127.0.0.1"])
    assert not TrustedProxies([])


LOOPBACK = {"trusted_proxies": ("127.0.0.1", "::1")}


async def test_without_keys_a_client_of_a_proxy_on_this_machine_is_a_stranger() -> None:
    async with running([saying()], **LOOPBACK) as server:
        assert (await server.ask("GET", VERSION)).status == 200
        assert (await server.ask("GET", VERSION, headers={FOR: "127.0.0.1"})).status == 200
        for fields in ({FOR: "203.0.113.7"}, {FOR: "127.0.0.1, 203.0.113.7"}, {"Forwarded": "for=unknown"}):
            answer = await server.ask("GET", VERSION, headers=fields)
            assert answer.status == 403
            assert answer.message == "Without client keys this server answers its own machine only"
        assert (await server.ask("GET", "/readyz", headers={FOR: "203.0.113.7"})).status == 200


async def test_with_keys_it_is_answered(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "a")
    async with running([saying()], **{**LOOPBACK, "keys_file": tmp_path / "keys.json"}) as server:
        answer = await server.ask("GET", VERSION, headers={FOR: "203.0.113.7", "Authorization": f"Bearer {key}"})
        assert answer.status == 200


async def test_fields_of_strangers_open_nothing() -> None:
    """The rule that only this machine is answered without keys looks at the peer, not at what it says."""
    app = create_app([saying()], Settings(keys_file=None))
    answers: list[Any] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": VERSION,
        "headers": [(b"host", b"localhost"), *((name.lower().encode(), value.encode()) for name, value in SPOOFED)],
        "client": ("203.0.113.7", 1),
        "server": ("10.0.0.1", 80),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        answers.append(message)

    await app(scope, receive, send)
    assert answers[0]["status"] == 403


async def test_a_forwarded_host_is_checked_beside_the_host() -> None:
    """A page that re-bound its name could add the field, so that it must not stand for ``Host``."""
    page = {"Origin": "https://llm.example.org", "X-Forwarded-Proto": "https"}
    async with running([saying()], allowed_hosts=("llm.example.org",), **LOOPBACK) as server:
        for host, forwarded, status in [
            ("127.0.0.1:8080", "llm.example.org", 200),
            ("127.0.0.1:8080", "evil.example", 403),
            ("evil.example", "llm.example.org", 403),
        ]:
            fields = {"X-Forwarded-Host": forwarded}
            assert (await server.ask("GET", "/healthz", host=host, headers=fields)).status == status
        same = await server.ask("GET", "/healthz", headers={"X-Forwarded-Host": "llm.example.org", **page})
        assert same.status == 200
        other = {"X-Forwarded-Host": "llm.example.org", **page, "Origin": "http://llm.example.org"}
        assert (await server.ask("GET", "/healthz", headers=other)).status == 403


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("", "/llm/healthz", "/llm/healthz"),
        ("/llm", "/llm/healthz", "/healthz"),
        ("/llm", "/healthz", "/healthz"),  # the proxy took it off
        ("/llm", "/llm", "/"),
        ("/llm", "/llmhealthz", "/llmhealthz"),
        ("/a/llm", "/a/llm/v1/models", "/v1/models"),
        ("/api", "/api/chat", "/api/chat"),  # a route as it stands
        ("/api", "/api/api/chat", "/api/chat"),
        ("/api", "/api/v1/models", "/v1/models"),
    ],
)
def test_the_root_path_may_be_there_or_not(root: str, path: str, below: str) -> None:
    assert path_below(root, ROUTES, path) == below


async def test_a_root_path_is_served_with_and_without() -> None:
    async with running([saying()], root_path="/llm") as server:
        for path in ("/llm/healthz", "/healthz", "/llm" + VERSION, VERSION):
            assert (await server.ask("GET", path)).status == 200
        assert (await server.ask("GET", "/other/healthz")).status == 404
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        assert (await server.ask("POST", "/llm/v1beta/models/one:generateContent", body)).status == 200


@pytest.mark.parametrize("root", ["llm", "/", "/llm/", "/a b", "/a//b", "/%61", "/a?b"])
def test_root_paths_that_are_none(root: str) -> None:
    with pytest.raises(ConfigurationError, match="is no root path; write /prefix"):
        Settings(keys_file=None, root_path=root)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([("X-Request-Id", "abc-1.2_3:4/5+6=@")], "abc-1.2_3:4/5+6=@"),
        ([("X-Client-Request-Id", "abc")], "abc"),
        ([("X-Request-Id", "abc"), ("X-Client-Request-Id", "def")], "abc"),
        ([("X-Request-Id", "x" * 128)], "x" * 128),
        ([("X-Request-Id", "x" * 129)], None),
        ([("X-Request-Id", "a b")], None),
        ([("X-Request-Id", "a\x1b[1m")], None),
        ([("X-Request-Id", "\xe9")], None),
        ([("X-Request-Id", "")], None),
        ([], None),
    ],
)
def test_a_client_may_name_its_request(fields: Any, kept: str | None) -> None:
    assert request_id_of(asked(*fields)) == kept
