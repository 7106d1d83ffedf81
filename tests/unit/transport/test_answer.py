"""The parser of answers: llhttp's own cases, at every cut; and what we refuse beyond them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import FramingError, ProtocolError, TooLargeError
from backstream.testing.chop import chop
from backstream.transport.answer import MAX_FIELDS, Answer

CASES = json.loads((Path(__file__).parents[2] / "data" / "llhttp" / "responses.json").read_text())

# Accepted by llhttp, refused here: other protocols, other versions, protocol switches, transfer codings not asked for.
STRICTER = (
    "RTSP response",
    "ICE response",
    "HTTP version 0.9",
    "`chunked` before other transfer-encoding",
    "multiple transfer-encoding where chunked is not the last one",
    "`chunkedchunked` transfer-encoding does not enable chunked enconding",
)


def parse(pieces: list[bytes], method: str = "POST") -> tuple[Any, ...]:
    """What a whole connection gives: the answer, or the error."""
    answer = Answer(method)
    try:
        for piece in pieces:
            answer.feed(piece)
    except ProtocolError as error:
        return type(error).__name__, error.phase
    body = b"".join(answer.blocks)
    return answer.status, answer.reason, answer.fields, answer.framing, answer.complete, answer.surplus, body


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case['name'][-60:]}" for number, case in enumerate(CASES)])
def test_the_cases_of_llhttp(case: dict[str, Any]) -> None:
    data = case["input"].encode("latin-1")
    whole = parse([data])
    refused = isinstance(whole[0], str)
    # What follows a whole answer is no concern of the answer; llhttp reports it.
    past_the_end = case["reason"] == "Data after `Connection: close`" and not refused and whole[5]
    assert refused == (bool(case["error"]) or case["name"].endswith(STRICTER)) or past_the_end
    if not refused and case["complete"] and case["input"].count("HTTP/1.") == 1:
        assert whole[4] or whole[3] == "close"
    for pieces in chop(data):
        assert parse(list(pieces)) == whole


def test_there_are_as_many_cases_as_there_were() -> None:
    assert len(CASES) == 75


def test_an_answer_to_head_ends_with_its_head() -> None:
    for pieces in chop(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"):
        status, _, _, framing, complete, _, body = parse(list(pieces), "HEAD")
        assert (status, framing, complete, body) == (200, "none", True, b"")


def test_bytes_after_the_end_are_noted_and_dropped() -> None:
    answer = Answer("POST")
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    assert answer.complete
    assert not answer.surplus
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
    assert answer.surplus
    answer.feed(b"more")
    assert answer.blocks == [b"a"]


def test_nothing_is_taken_after_release() -> None:
    answer = Answer("POST")
    answer.release()
    answer.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    assert (answer.status, answer.surplus) == (0, True)


def test_field_values_lose_white_space_around_them_and_keep_their_bytes() -> None:
    answer = Answer("POST")
    answer.feed(b"HTTP/1.1 200 \r\nA: \t b \t\r\nB: \xe9\r\nA: c\r\n\r\n")
    assert answer.fields == [("A", "b"), ("B", "é"), ("A", "c")]
    assert answer.headers["a"] == "b, c"


def test_the_number_of_fields_is_bounded_exactly() -> None:
    fields = b"".join(b"A%d: b\r\n" % n for n in range(MAX_FIELDS - 1))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields
    assert parse([head + b"\r\n"])[0] == 200
    assert parse([head + b"One-More: b\r\n\r\n"]) == ("FramingError", "headers")


def test_a_head_is_bounded_also_over_interim_answers() -> None:
    answer = Answer("POST")
    interim = b"HTTP/1.1 103 Early\r\nLink: " + b"x" * 1000 + b"\r\n\r\n"
    with pytest.raises(TooLargeError):
        for _ in range(100):
            answer.feed(interim)


def test_a_head_and_a_large_body_may_come_in_one_piece() -> None:
    whole = parse([b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000])
    assert whole[4]


def test_the_error_says_what_the_parser_said_and_shows_no_bytes() -> None:
    with pytest.raises(FramingError, match="malformed HTTP answer: Invalid header value char") as caught:
        Answer("POST").feed(b"HTTP/1.1 200 OK\r\nA: canary\0\r\n\r\n")
    assert "canary" not in str(caught.value)
