"""URLs: which are taken, how they go on the wire, and what a refusal shows."""

from __future__ import annotations

import pytest

from backstream.errors import ConfigurationError
from backstream.transport.session import check_url
from backstream.transport.url import URL, encode_host, is_loopback, join_url, parse_url

GOOD = {
    "http://h": ("http", "h", 80, "/", "h"),
    "HTTPS://H.Example:443/a?b=c#d": ("https", "h.example", 443, "/a?b=c", "h.example"),
    "http://h:8080/a%20b/ü?q=é&x=[1]": ("http", "h", 8080, "/a%20b/%C3%BC?q=%C3%A9&x=[1]", "h:8080"),
    "http://[::1]:8080/": ("http", "::1", 8080, "/", "[::1]:8080"),
    "https://bücher.example/": ("https", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
    "http://under_score.docker:1/": ("http", "under_score.docker", 1, "/", "under_score.docker:1"),
    "http://127.0.0.1?x": ("http", "127.0.0.1", 80, "/?x", "127.0.0.1"),
}

BAD = [
    "",
    "None",
    "None/backend-api",
    "h:8080/x",
    "//h/x",
    "ftp://h/",
    "file:///etc/passwd",
    "http://",
    "http:///x",
    "http://h:0/",
    "http://h:/",
    "http://h:99999/",
    "http://h:x/",
    "http://[::1/",
    "http://[::g]/",
    "http://user:canary@h/",
    "http://canary@h/",
    "http://h\\@canary/",
    "http://a b/",
    " http://h/",
    "http://h/a b",
    "http://h/\r\nX: canary",
    "http://h/\0",
    "http://h/\x7f",
    "http://h..example/",
    "http://-h/",
    "http://h%41/",
    "http://" + "a" * 300 + "/",
    "http://ü" + "a" * 70 + ".example/",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_url_is_taken_apart(url: str) -> None:
    scheme, host, port, target, authority = GOOD[url]
    parsed = parse_url(url)
    assert parsed == URL(scheme, host, port, target)
    assert parsed.authority == authority
    assert parsed.origin == f"{scheme}://{authority}"
    assert str(parsed) == parsed.origin + target
    assert parse_url(str(parsed)) == parsed


@pytest.mark.parametrize("url", BAD)
def test_nonsense_is_a_configuration_error_that_shows_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert "canary" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_another_type_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="NoneType"):
        parse_url(None)  # type: ignore[arg-type]


def test_parameters_are_encoded_and_appended() -> None:
    assert parse_url("http://h/a?b=c", {"d": "e f&g", "h": 1}).target == "/a?b=c&d=e%20f%26g&h=1"
    assert parse_url("http://h", [("a", "1"), ("a", "é")]).target == "/?a=1&a=%C3%A9"
    assert parse_url("http://h", {}).target == "/"


def test_the_repr_hides_the_query() -> None:
    assert repr(parse_url("http://h/a?key=canary")) == "<URL http://h/a>"


def test_a_location_is_resolved() -> None:
    base = parse_url("http://h:1/a/b?c")
    assert str(join_url(base, "d")) == "http://h:1/a/d"
    assert str(join_url(base, "//other/x")) == "http://other/x"
    assert str(join_url(base, "?x")) == "http://h:1/a/b?x"
    for location in ("http://[half", "mailto:x", "http://a b/"):
        with pytest.raises(ConfigurationError):
            join_url(base, location)


def test_a_zone_stays_off_the_wire() -> None:
    assert parse_url("http://[fe80::1%25eth0]:1/").authority == "[fe80::1]:1"


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(encode_host(host))


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "::2", "example", "::ffff:10.0.0.1"])
def test_what_is_no_loopback_is_known_too(host: str) -> None:
    assert not is_loopback(encode_host(host))


def test_a_base_url_has_one_form() -> None:
    assert check_url("HTTP://H:80/") == "http://h"
    assert check_url("https://h:8/base//") == "https://h:8/base"
    for url in ("http://h/?x", "None", "http://u@h"):
        with pytest.raises(ConfigurationError):
            check_url(url)
