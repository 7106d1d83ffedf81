"""The SOCKS5 handshake, without a socket: whole, byte by byte, and everything a proxy can answer."""

from __future__ import annotations

import pytest

from backstream.errors import ConfigurationError, ProxyError
from backstream.wire.socks5 import Socks5Handshake

GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"


def talk(handshake: Socks5Handshake, *said: bytes) -> list[bytes]:
    return [handshake.open(), *(handshake.feed(part) for part in said)]


def test_without_login() -> None:
    handshake = Socks5Handshake("example.test", 443)
    assert talk(handshake, b"\x05\x00", GRANTED) == [
        b"\x05\x01\x00",
        b"\x05\x01\x00\x03\x0cexample.test\x01\xbb",
        b"",
    ]
    assert handshake.done


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", b"\x01\x7f\x00\x00\x01"), ("::1", b"\x04" + b"\0" * 15 + b"\x01"), ("h", b"\x03\x01h")],
)
def test_addresses(host: str, address: bytes) -> None:
    assert talk(Socks5Handshake(host, 80), b"\x05\x00")[1] == b"\x05\x01\x00" + address + b"\x00\x50"


def test_with_login() -> None:
    handshake = Socks5Handshake("h", 80, "me", "pässword")
    said = talk(handshake, b"\x05\x02", b"\x01\x00", GRANTED)
    assert said[0] == b"\x05\x02\x00\x02"
    assert said[1] == b"\x01\x02me\x09p\xc3\xa4ssword"
    assert said[2] == b"\x05\x01\x00\x03\x01h\x00\x50"
    assert handshake.done


def test_a_login_that_is_not_wanted_is_not_sent() -> None:
    assert talk(Socks5Handshake("h", 80, "me", "canary"), b"\x05\x00")[1].startswith(b"\x05\x01")


@pytest.mark.parametrize(
    "granted", [GRANTED, b"\x05\x00\x00\x04" + b"\0" * 18, b"\x05\x00\x00\x03\x03abc\x00\x50"], ids=["v4", "v6", "name"]
)
def test_byte_by_byte(granted: bytes) -> None:
    handshake = Socks5Handshake("h", 80, "me", "pw")
    sent = handshake.open()
    for byte in b"\x05\x02\x01\x00" + granted:
        assert not handshake.done
        sent += handshake.feed(bytes([byte]))
    assert handshake.done
    assert sent == b"\x05\x02\x00\x02\x01\x02me\x02pw\x05\x01\x00\x03\x01h\x00\x50"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([b"\x04\x00"], "does not speak SOCKS5"),
        ([b"HT"], "does not speak SOCKS5"),
        ([b"\x05\xff"], "another way of authentication"),
        ([b"\x05\x01"], "another way of authentication"),
        ([b"\x05\x02", b"\x01\x01"], "refused the user name or password"),
        ([b"\x05\x00", b"\x05\x02\x00\x01\0\0\0\0\0\0"], "not allowed by its rules"),
        ([b"\x05\x00", b"\x05\x63\x00\x01\0\0\0\0\0\0"], "unknown reason"),
        ([b"\x05\x00", b"\x04\x00\x00\x01\0"], "does not speak SOCKS5"),
        ([b"\x05\x00", b"\x05\x00\x00\x09\0"], "does not speak SOCKS5"),
        ([b"\x05\x00", GRANTED + b"x"], "more than its reply"),
    ],
)
def test_every_refusal_is_a_proxy_error_without_the_password(said: list[bytes], text: str) -> None:
    handshake = Socks5Handshake("h", 80, "me", "canary")
    with pytest.raises(ProxyError, match=text) as caught:
        talk(handshake, *said)
    assert "canary" not in f"{caught.value} {handshake!r}"


def test_a_login_cannot_be_offered_without_one() -> None:
    with pytest.raises(ProxyError, match="another way"):
        talk(Socks5Handshake("h", 80), b"\x05\x02")


@pytest.mark.parametrize(
    ("host", "user", "password"),
    [("h" * 256, None, None), ("h", "u" * 256, "p"), ("h", "u", "p" * 256), ("h", "", "p")],
)
def test_what_does_not_fit_is_a_configuration_error(host: str, user: str | None, password: str | None) -> None:
    with pytest.raises(ConfigurationError, match="255 bytes"):
        Socks5Handshake(host, 80, user, password)
