"""Proxy URLs and the CONNECT handshake, without a socket."""

from __future__ import annotations

import base64

import pytest

from backstream.errors import ConfigurationError, ProxyError
from backstream.testing.chop import chop
from backstream.wire.proxy import ConnectHandshake, ProxyAddress, parse_proxy_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:3128", ProxyAddress("http", "h", 3128)),
        ("h:3128", ProxyAddress("http", "h", 3128)),
        ("HTTPS://h", ProxyAddress("https", "h", 443)),
        ("socks5://u:p%40ss@h", ProxyAddress("socks5", "h", 1080, "u", "p@ss")),
        ("socks5h://u@[::1]:9", ProxyAddress("socks5h", "::1", 9, "u", None)),
    ],
)
def test_a_proxy_url_is_taken_apart(url: str, expected: ProxyAddress) -> None:
    assert parse_proxy_url(url) == expected


@pytest.mark.parametrize(
    "url", ["ftp://u:canary@h", "http://u:canary@", "http://u:canary@h:0", "http://u:canary@h:x", "http://u:can ary@h"]
)
def test_others_are_configuration_errors_that_do_not_show_them(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_proxy_url(url)
    assert "canary" not in str(caught.value)


def test_a_login_is_shown_only_where_it_is_written() -> None:
    address = parse_proxy_url("http://me:canary@h:1")
    assert repr(address) == "<ProxyAddress http://h:1>"
    assert address.authorization is not None
    assert base64.b64decode(address.authorization.removeprefix("Basic ")) == b"me:canary"
    assert parse_proxy_url("http://h").authorization is None
    assert parse_proxy_url("http://me@h").authorization == "Basic bWU6"


def test_the_request_for_a_tunnel() -> None:
    assert ConnectHandshake("h:443").open() == b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"
    full = ConnectHandshake("h:443", "Basic x", "me/1").open()
    assert full.endswith(b"\r\nUser-Agent: me/1\r\nProxy-Authorization: Basic x\r\n\r\n")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n",
    ],
)
def test_a_tunnel_that_is_granted(said: bytes) -> None:
    for pieces in chop(said):
        handshake = ConnectHandshake("h:443")
        for piece in pieces:
            assert not handshake.done
            assert handshake.feed(piece) == b""
        assert handshake.done


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"HTTP/1.1 407 Who\r\n\r\n", "status 407"),
        (b"HTTP/1.1 301 There\r\n\r\n", "status 301"),
        (b"HTTP/1.1 503 No\r\n\r\n", "status 503"),
        (b"HTTP/1.1 2x No\r\n\r\n", "did not answer"),
        (b"HTTP/2", "did not answer"),
        (b"\x05\x00", "did not answer"),
        (b"HTTP/1.1 200 " + b"x" * 20_000, "did not answer"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "more than its answer"),
    ],
)
def test_a_tunnel_that_is_refused(said: bytes, text: str) -> None:
    with pytest.raises(ProxyError, match=text) as caught:
        ConnectHandshake("h:443", "Basic canary").feed(said)
    assert "canary" not in str(caught.value)
    assert caught.value.retryable is ("407" not in text)


@pytest.mark.parametrize("authority", ["h:443\r\nX: y", "a b:1"])
def test_a_target_cannot_break_out(authority: str) -> None:
    with pytest.raises(ConfigurationError):
        ConnectHandshake(authority)
