"""Requests through proxies: which one, how, and what their refusals become. No password is ever shown."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backstream.errors import ConfigurationError, ConnectError, ConnectTimeout, ProxyError, TLSError
from backstream.testing.upstream import Close, ExpectEOF, ReadRequest, ScriptedUpstream, Send, Step
from backstream.transport import tls
from backstream.transport.session import StreamSession
from support_certificates import Certificates
from support_proxies import Proxy
from support_transport import ok

pytestmark = pytest.mark.usefixtures("no_leaks")

# Loopback is never reached through a proxy, so the target has a name that only the proxy can resolve.
HTTP_TARGET = "http://backend.test/v1?x=1"
HTTPS_TARGET = "https://backend.test:8443/v1"
SCRIPT: list[Step] = [ReadRequest(), Send(ok(b"one")), ReadRequest(), Send(ok(b"two"))]


async def twice(session: StreamSession, url: str) -> list[str]:
    texts = []
    for _ in range(2):
        async with session.post(url, json={"a": 1}) as response:
            texts.append(await response.text())
    return texts


async def test_plain_http_goes_in_absolute_form_through_an_http_proxy() -> None:
    async with ScriptedUpstream(SCRIPT) as upstream, Proxy(upstream.port, login="me:pass:word") as proxy:
        session = StreamSession(proxy=f"http://me:pass%3Aword@127.0.0.1:{proxy.port}")
        assert await twice(session, HTTP_TARGET) == ["one", "two"]
    assert proxy.asked == [HTTP_TARGET]
    assert proxy.connections == upstream.connections == 1
    assert upstream.requests[0].headers["host"] == "backend.test"
    assert upstream.requests[1].body == b'{"a":1}'


async def test_https_goes_through_a_tunnel_of_an_http_proxy(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with ScriptedUpstream(SCRIPT, tls=certificates.server("backend.test")) as upstream:
        async with Proxy(upstream.port, login="me:canary") as proxy:
            session = StreamSession(proxy=f"http://me:canary@127.0.0.1:{proxy.port}", ssl=certificates.file)
            assert await twice(session, HTTPS_TARGET) == ["one", "two"]
    assert proxy.asked == ["backend.test:8443"]
    assert "proxy-authorization" not in upstream.requests[0].headers  # the target never sees it


async def test_a_proxy_can_be_talked_to_by_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates(tmp_path)
    monkeypatch.setattr(tls, "_contexts", {True: certificates.client()})
    async with ScriptedUpstream(SCRIPT, tls=certificates.server("backend.test")) as upstream:
        async with Proxy(upstream.port, tls=certificates.server()) as proxy:
            session = StreamSession(proxy=f"https://localhost:{proxy.port}", ssl=certificates.file)
            assert await twice(session, HTTPS_TARGET) == ["one", "two"]
    async with ScriptedUpstream(SCRIPT) as upstream:
        async with Proxy(upstream.port, tls=certificates.server()) as proxy:
            session = StreamSession(proxies={"all": f"https://localhost:{proxy.port}"})
            assert await twice(session, HTTP_TARGET) == ["one", "two"]


@pytest.mark.parametrize("login", ["", "me:canary"])
async def test_a_socks_proxy_carries_both_schemes(tmp_path: Path, login: str) -> None:
    certificates = Certificates(tmp_path)
    at = f"{login}@" if login else ""
    async with ScriptedUpstream(SCRIPT) as upstream, Proxy(upstream.port, speaks="socks", login=login) as proxy:
        session = StreamSession(proxy=f"socks5h://{at}127.0.0.1:{proxy.port}")
        assert await twice(session, HTTP_TARGET) == ["one", "two"]
        assert proxy.asked == ["backend.test:80"]
        assert upstream.requests[0].target == "/v1?x=1"
    async with ScriptedUpstream(SCRIPT, tls=certificates.server("backend.test")) as upstream:
        async with Proxy(upstream.port, speaks="socks", login=login) as proxy:
            session = StreamSession(proxy=f"socks5h://{at}127.0.0.1:{proxy.port}", ssl=certificates.file)
            assert await twice(session, HTTPS_TARGET) == ["one", "two"]
            assert proxy.asked == ["backend.test:8443"]


async def test_socks5_looks_names_up_here_and_socks5h_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedUpstream(SCRIPT) as upstream, Proxy(upstream.port, speaks="socks") as proxy:
        session = StreamSession(proxy=f"socks5://127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError, match="cannot be resolved"):
            await session.get("http://no-such-host.invalid/")
        async with session.get("http://198.51.100.7:81/") as response:
            assert await response.text() == "one"
        assert proxy.asked == ["198.51.100.7:81"]


async def test_the_environment_names_proxies_and_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedUpstream(SCRIPT) as upstream, Proxy(upstream.port) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "internal.invalid")
        async with StreamSession().get(HTTP_TARGET) as response:
            assert await response.text() == "one"
        for session, url in [
            (StreamSession(), "http://internal.invalid/"),
            (StreamSession(proxy=""), "http://backend.invalid/"),
        ]:
            with pytest.raises(ConnectError, match="cannot be resolved"):
                await session.get(url)
        assert proxy.asked == [HTTP_TARGET]


async def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"direct"))]) as upstream, Proxy(upstream.port) as proxy:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for host in ("127.0.0.1", "localhost"):
            async with StreamSession(proxy=f"http://127.0.0.1:{proxy.port}").get(
                f"http://{host}:{upstream.port}/"
            ) as response:
                assert await response.text() == "direct"
        assert proxy.connections == 0


REFUSALS = {
    "wants a login": ("http", b"HTTP/1.1 407 Who\r\n\r\n", "wants a user name", False),
    "forbids": ("http", b"HTTP/1.1 403 No\r\n\r\n", "status 403", True),
    "fails": ("http", b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 502 Bad\r\n\r\n", "status 502", True),
    "is no proxy": ("http", b"SSH-2.0-x\r\n", "did not answer CONNECT", True),
    "is no proxy at all": ("http", b"HTTP/9 what\r\n\r\n", "did not answer CONNECT", True),
    "talks on": ("http", b"HTTP/1.1 200 OK\r\n\r\nmore", "sent more", True),
    "cannot reach it": ("socks", b"\x05\x05\x00\x01\0\0\0\0\0\0", "connection refused", True),
    "does not know": ("socks", b"\x05\x63\x00\x01\0\0\0\0\0\0", "unknown reason", True),
    "speaks SOCKS4": ("socks", b"\x00\x5a\0\0\0\0\0\0", "does not speak SOCKS5", True),
    "says more": ("socks", b"\x05\x00\x00\x01\0\0\0\0\0\0more", "sent more", True),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_proxy_that_refuses_is_a_proxy_error(case: str) -> None:
    speaks, words, text, retryable = REFUSALS[case]
    async with Proxy(1, speaks=speaks) as proxy:
        proxy.refuse_with = words
        scheme = "http" if speaks == "http" else "socks5h"
        with pytest.raises(ProxyError, match=text) as caught:
            await StreamSession(
                proxy=f"{scheme}://me:canary@127.0.0.1:{proxy.port}"
                if speaks == "http"
                else f"{scheme}://127.0.0.1:{proxy.port}"
            ).get(HTTPS_TARGET)
        await proxy.idle()
    assert "canary" not in str(caught.value)
    assert caught.value.retryable is retryable


async def test_a_wrong_password_for_a_socks_proxy_is_a_proxy_error() -> None:
    async with Proxy(1, speaks="socks", login="me:right") as proxy:
        with pytest.raises(ProxyError, match="refused the user name or password") as caught:
            await StreamSession(proxy=f"socks5h://me:canary@127.0.0.1:{proxy.port}").get(HTTP_TARGET)
        await proxy.idle()
    assert "canary" not in str(caught.value)


async def test_a_proxy_that_is_not_there_or_goes_away_is_a_proxy_error() -> None:
    async with ScriptedUpstream([Close()]) as gone:
        with pytest.raises(ProxyError, match="closed the connection"):
            await StreamSession(proxy=f"http://127.0.0.1:{gone.port}").get(HTTPS_TARGET)
    with pytest.raises(ProxyError, match="no connection"):
        await StreamSession(proxy=f"http://127.0.0.1:{gone.port}").get(HTTPS_TARGET)
    with pytest.raises(ProxyError, match="cannot be resolved"):
        await StreamSession(proxy="http://proxy.invalid:3128").get(HTTPS_TARGET)


async def test_a_proxy_that_speaks_first_is_a_proxy_error() -> None:
    async with ScriptedUpstream([Send(b"hello"), ExpectEOF()]) as rude:
        with pytest.raises(ProxyError):
            await StreamSession(proxy=f"http://127.0.0.1:{rude.port}").get(HTTPS_TARGET)
        await rude.closed()


async def test_a_proxy_that_says_nothing_runs_into_the_connect_clock_or_a_cancellation() -> None:
    async with ScriptedUpstream([ExpectEOF()]) as silent:
        for scheme in ("http", "socks5h"):
            with pytest.raises(ConnectTimeout):
                await StreamSession(proxy=f"{scheme}://127.0.0.1:{silent.port}", timeout=(0.03, None)).get(HTTPS_TARGET)
        before = silent.connections  # of the first two, those that came so far as to be taken
        task = asyncio.create_task(
            StreamSession(proxy=f"http://127.0.0.1:{silent.port}").get(HTTPS_TARGET).__aenter__()
        )
        while silent.connections <= before:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await silent.closed()


async def test_a_bad_certificate_behind_a_tunnel_is_a_tls_error(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with ScriptedUpstream(SCRIPT, tls=certificates.server("elsewhere.test")) as upstream:
        async with Proxy(upstream.port) as proxy:
            session = StreamSession(proxy=f"http://127.0.0.1:{proxy.port}", ssl=certificates.file)
            with pytest.raises(TLSError, match=r"certificate of backend\.test"):
                await session.get(HTTPS_TARGET)
            await proxy.idle()
    assert not upstream.requests


async def test_a_target_behind_a_tunnel_that_speaks_no_tls_is_a_tls_error() -> None:
    async with ScriptedUpstream([Close()]) as upstream, Proxy(upstream.port) as proxy:
        with pytest.raises(TLSError):
            await StreamSession(proxy=f"http://127.0.0.1:{proxy.port}").get(HTTPS_TARGET)


@pytest.mark.parametrize(
    "proxy",
    [
        "ftp://me:canary@h",
        "http://me:canary@",
        "http://me:canary@h:99999",
        "http://me:canary@h:0",
        "http://[::1",
        "http://a b",
    ],
)
async def test_a_proxy_url_that_is_none_is_a_configuration_error(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="prox") as caught:
        await StreamSession(proxy=proxy).get(HTTP_TARGET)
    assert "canary" not in str(caught.value)


async def test_a_proxy_of_another_type_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="proxy is a int"):
        await StreamSession(proxy=8080).get(HTTP_TARGET)  # type: ignore[arg-type]
