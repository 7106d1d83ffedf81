"""Header fields and request heads as values."""

from __future__ import annotations

import pytest

from backstream.errors import ConfigurationError
from backstream.wire.http import Headers, check_field, media_type, render_head


def test_header_fields_are_found_in_any_case_and_joined() -> None:
    headers = Headers([("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "canary")])
    assert headers["SET-COOKIE"] == "a, b"
    assert headers.get_all("Set-cookie") == ["a", "b"]
    assert headers.get_all("y") == []
    assert headers.raw() == (("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "canary"))
    assert list(headers) == ["set-cookie", "x"]
    assert len(headers) == 2
    assert "x" in headers
    assert "y" not in headers
    assert 1 not in headers
    assert repr(headers) == "<Headers set-cookie, x>"
    with pytest.raises(KeyError):
        headers["y"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/event-stream", "text/event-stream"),
        ("Text/HTML ; charset=x", "text/html"),
        ("text/event-stream;", "text/event-stream"),
        ("x bogus", ""),
        ("", ""),
        ("text/", ""),
        ("/x", ""),
        ("a b/c", ""),
    ],
)
def test_media_types(value: str, expected: str) -> None:
    assert media_type(value) == expected


def test_a_head_is_rendered() -> None:
    head = render_head("POST", "/a?b=c", [("Host", "h"), ("X", "é\t ")])
    assert head == b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX: \xe9\t \r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("PO ST", "/", "A", "b"),
        ("POST\r\n", "/", "A", "b"),
        ("", "/", "A", "b"),
        ("POST", "/ HTTP/1.1\r\nX: canary", "A", "b"),
        ("POST", "/é", "A", "b"),
        ("POST", "", "A", "b"),
        ("POST", "/", "A\n", "b"),
        ("POST", "/", "A:", "b"),
        ("POST", "/", "A", "b\n"),
        ("POST", "/", "A", "canary\r"),
        ("POST", "/", "A", "canary\x7f"),
        ("POST", "/", "A", "canary\u2028"),
    ],
)
def test_nothing_breaks_out_of_its_line(method: str, target: str, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        render_head(method, target, [(name, value)])
    assert "canary" not in str(caught.value)


def test_every_token_character_may_be_in_a_name() -> None:
    check_field("!#$%&'*+-.^_`|~09azAZ", "")
