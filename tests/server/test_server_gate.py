"""Host and Origin: decided before keys and bodies."""

from __future__ import annotations

import pytest

from backstream.errors import ConfigurationError
from backstream.server import Settings
from backstream.server.gate import is_loopback
from support_server import CONVERSATION, HELLO, head_and_body, running, saying

PAGE = "https://page.example"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1234", 200),
        ("localhost", 200),
        ("LocalHost:80", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("named.example", 200),
        ("named.example:99", 200),
        ("port.example:81", 200),
        ("port.example", 403),
        ("port.example:82", 403),
        ("evil.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("localhost.evil.example", 403),
        ("localhost.", 403),
        ("127.0.0.2", 403),
        ("0.0.0.0", 403),
        ("[::]", 403),
        ("192.168.1.5", 403),
        ("", 400),
        ("x/?", 400),
        ("localhost/?", 400),
        ("localhost:", 400),
        ("localhost:80:80", 400),
        ("localhost, evil.example", 400),
        ("user@localhost", 400),
        ("local host", 400),
        ("loc\xe4lhost", 400),
        ("[::1", 400),
    ],
)
async def test_host(host: str, status: int) -> None:
    async with running([saying()], allowed_hosts=("named.example", "port.example:81")) as server:
        for path in ("/healthz", "/nowhere"):
            answer = await server.ask("GET", path, host=host)
            assert answer.status == (404 if status == 200 and path != "/healthz" else status)
            assert answer.status == 200 or answer.message


async def test_host_must_be_there_once() -> None:
    async with running([saying()]) as server:
        assert (await server.ask("GET", "/healthz", host=None)).status == 400
        assert (await server.ask("GET", "/healthz", headers={"Host": "localhost"})).status == 400
        assert (await server.ask("GET", "http://localhost/healthz")).status == 400
        assert (await server.ask("GET", "localhost/healthz")).status == 400


async def test_any_address_may_be_host_where_that_is_set() -> None:
    async with running([saying()], any_address_host=True) as server:
        assert (await server.ask("GET", "/healthz", host="192.168.1.5:80")).status == 200
        assert (await server.ask("GET", "/healthz", host="[fe80::1]")).status == 200
        assert (await server.ask("GET", "/healthz", host="evil.example")).status == 403
        assert (await server.ask("GET", "/healthz", host="300.1.1.1")).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": PAGE}, 200),
        ({"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://page.example.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "*"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ([("Origin", PAGE), ("Origin", "https://evil.example")], 403),
    ],
)
async def test_origin(headers: dict[str, str], status: int) -> None:
    async with running([saying()], allow_origins=(PAGE,)) as server:
        for answer in (
            await server.ask("GET", "/backend-api/v2/version", headers=headers),
            await server.ask("POST", CONVERSATION, HELLO, headers={**dict(headers), "Content-Type": "text/plain"})
            if isinstance(headers, dict)
            else await server.ask("GET", "/healthz", headers=headers),
        ):
            assert answer.status == status
            allowed = answer.header("access-control-allow-origin")
            assert allowed == (PAGE if PAGE in dict(headers).values() and status == 200 else None)
            assert answer.header("access-control-allow-credentials") is None


async def test_refusals_reach_an_allowed_page_too() -> None:
    async with running([saying()], allow_origins=(PAGE,)) as server:
        answer = await server.ask("GET", "/nowhere", headers={"Origin": PAGE})
    assert (answer.status, answer.header("access-control-allow-origin"), answer.header("vary")) == (404, PAGE, "Origin")


async def test_preflight() -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with running([saying()], allow_origins=(PAGE,)) as server:
        granted = await server.ask("OPTIONS", CONVERSATION, headers={"Origin": PAGE, **ask})
        refused = await server.ask("OPTIONS", CONVERSATION, headers={"Origin": "https://evil.example", **ask})
        private = {"Origin": PAGE, "Access-Control-Request-Private-Network": "true", **ask}
        inwards = await server.ask("OPTIONS", CONVERSATION, headers=private)
    assert granted.status == 200
    assert granted.header("access-control-allow-origin") == PAGE
    assert "content-type" in (granted.header("access-control-allow-headers") or "")
    assert refused.status == 403
    assert refused.header("access-control-allow-origin") is None
    assert inwards.status == 403
    assert inwards.header("access-control-allow-private-network") is None


async def test_a_refused_host_or_origin_is_refused_before_the_body() -> None:
    """The body is announced and never sent; an answer that waited for it would hang."""
    head = head_and_body("POST", CONVERSATION, b"", headers={"Origin": "null", "Expect": "100-continue"})
    head = head.replace(b"Content-Length: 0", b"Content-Length: 1000000")
    async with running([saying()]) as server:
        answer = await server.send(head)
        other = await server.send(head.replace(b"Host: localhost", b"Host: evil.example"))
    assert (answer.status, other.status) == (403, 403)


@pytest.mark.parametrize(
    "setting",
    [
        {"allow_origins": ("*",)},
        {"allow_origins": ("page.example",)},
        {"allow_origins": ("https://page.example/",)},
        {"allow_origins": ("https://Page.example",)},
        {"allowed_hosts": ("*",)},
        {"allowed_hosts": ("http://a.example",)},
        {"allowed_hosts": ("",)},
        {"framing": "xml"},
        {"max_streams": 0},
        {"keepalive_seconds": 0.0},
        {"body_idle_seconds": float("nan")},
    ],
)
def test_settings_that_cannot_work(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Settings(keys_file=None, **setting)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%lo", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("testclient", False),
    ],
)
def test_is_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
