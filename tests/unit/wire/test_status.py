"""Refusals in words: every shape an error body has, and what must not be repeated."""

from __future__ import annotations

import pytest

from backstream.errors import RateLimitError
from backstream.wire.status import describe, parse_retry_after, redact, refusal_for

BODIES = [
    (b'{"error": {"message": "m", "type": "t", "code": "c"}}', ("m", "c")),
    (b'{"error": {"message": "m", "type": "t", "code": 7}}', ("m", "t")),
    (b'{"error": {"message": "m", "status": "INVALID"}}', ("m", "INVALID")),
    (b'[{"error": {"message": "m"}}]', ("m", None)),
    (b'{"error": "e"}', ("e", None)),
    (b'{"message": "m", "code": "c"}', ("m", "c")),
    (b'{"error": {}, "message": "m"}', ("m", None)),
    (b'{"detail": "d"}', ("d", None)),
    (b'{"detail": [{"loc": []}]}', ("", None)),
    (b"[]", ("", None)),
    (b"[1]", ("", None)),
    (b'{"error": "cut', ("", None)),
    (b'{"error": "\xff"}', ("", None)),
    (b"[" * 100_000, ("", None)),
    (b"", ("", None)),
    (b"plain\n words", ("plain words", None)),
    (b"<!DOCTYPE html><title>T</title><style>x{}</style><!-- c --><b>bold", ("T bold", None)),
    (b"<script>never ends", ("", None)),
    (b"\xff\xfe", ("\ufffd\ufffd", None)),
    (b"x" * 9000, ("x" * 200, None)),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=range(len(BODIES)))
def test_an_error_body_in_words(body: bytes, expected: tuple[str, str | None]) -> None:
    assert describe("", body) == expected


def test_a_page_by_its_type_is_a_page() -> None:
    assert describe("text/html; charset=utf-8", b"hello <b>you</b>") == ("hello you", None)


def test_keys_and_data_uris_are_blotted_out() -> None:
    text = "key " + "ab1" * 9 + " and data:image/png;base64,AAAA and mine and a-long-word-without-any-digit-in-it"
    assert redact(text, ["mine", ""]) == "key … and data:… and … and a-long-word-without-any-digit-in-it"


def test_a_refusal_keeps_its_body_apart() -> None:
    error = refusal_for(429, {"retry-after": "3"}, b"x" * 100_000)
    assert isinstance(error, RateLimitError)
    assert len(error.body) == 65536
    assert error.retry_after_seconds == 3.0
    assert len(str(error)) < 400


def test_a_refusal_without_words_names_its_status() -> None:
    assert str(refusal_for(418, {}, b"")) == "the back-end refused the request with status 418"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("86400", 86400.0),
        ("86401", 86400.0),
        ("9" * 400, None),
        ("1e3", None),
        ("1_0", None),
        ("٣", None),
        ("-0.5", None),
        ("inf", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", 86400.0),
        ("Fri, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after({"retry-after": value}, 10.0) == seconds


def test_milliseconds_win() -> None:
    assert parse_retry_after({"retry-after-ms": "1500", "retry-after": "9"}, 0.0) == 1.5
    assert parse_retry_after({"retry-after-ms": "soon", "retry-after": "9"}, 0.0) == 9.0


@pytest.mark.parametrize("run", ["a" * 1_000_000, "1" * 1_000_000, "a." * 500_000, "data:" * 200_000])
def test_long_runs_are_searched_once(run: str) -> None:
    """A search that looks again at every character for every other one would not come to an end here."""
    assert redact(f"{run} sk-0123456789abcdefghijklmn") == f"{run} …"
