"""Answers that come whole, cut and chopped: parsed once, when all is there, and within the cap of an event."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import DecodeError, IncompleteStream, TooLargeError
from backstream.dialects.names import dialect_for
from backstream.options import CallOptions
from backstream.providers.whole_answer import WholeAnswerParser
from backstream.reply import End

BODY = b'{"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}'


def parse(*pieces: bytes, framed: bool = True, limit: int = 1000) -> list[Any]:
    """Feed the pieces and give all that came of them."""
    parser = WholeAnswerParser(dialect_for("openai_chat"), CallOptions(max_event_bytes=limit))
    found: list[Any] = []
    for piece in pieces:
        found += parser.feed(piece)
    return found + parser.finish(framed=framed)


def end_of(block: list[Any]) -> End:
    (end,) = block
    assert isinstance(end, End)
    return end


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize(
    "pieces", [(BODY,), tuple(bytes([byte]) for byte in BODY), (BODY[:40], BODY[40:])], ids=["whole", "bytes", "cut"]
)
def test_an_answer_in_any_pieces(pieces: tuple[bytes, ...], framed: bool) -> None:
    *chunks, end = parse(*pieces, framed=framed)
    assert "".join(map(str, chunks)) == "Hello"
    assert (end.state, end.error) == ("complete", None)


@pytest.mark.parametrize("framed", [True, False])
def test_an_empty_answer_is_none(framed: bool) -> None:
    end = end_of(parse(framed=framed))
    assert isinstance(end.error, IncompleteStream)
    assert (end.state, str(end.error)) == ("failed", "the answer is empty")


@pytest.mark.parametrize("at", range(1, len(BODY)))
def test_an_answer_cut_anywhere_is_incomplete(at: int) -> None:
    end = end_of(parse(BODY[:at], framed=False))
    assert isinstance(end.error, IncompleteStream)
    assert end.state == "incomplete"
    assert isinstance(end_of(parse(BODY[:at])).error, DecodeError)


def test_an_answer_over_the_cap_ends_once() -> None:
    parser = WholeAnswerParser(dialect_for("openai_chat"), CallOptions(max_event_bytes=10))
    assert parser.feed(BODY[:10]) == []
    end = end_of(parser.feed(BODY[10:11]))
    assert isinstance(end.error, TooLargeError)
    assert (end.state, end.error.setting, end.error.limit_bytes) == ("failed", "max_event_bytes", 10)
    assert parser.feed(BODY[11:]) == []
    assert parser.finish(framed=True) == []


def test_an_answer_is_parsed_once() -> None:
    parser = WholeAnswerParser(dialect_for("openai_chat"), CallOptions())
    assert parser.feed(BODY) == []
    assert len(parser.finish(framed=True)) > 1
    assert parser.feed(b"more") == []
    assert parser.finish(framed=True) == []


ODD = rb'[{"a": "}]\"\\", "b": [1, {}]}, "\u00e9\\\\"]'


@pytest.mark.parametrize("body", [BODY, ODD, b"\n" + BODY], ids=["answer", "odd", "white space"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_it_is_finished_with_its_last_bracket(body: bytes, size: int) -> None:
    parser = WholeAnswerParser(dialect_for("openai_chat"), CallOptions())
    for first in range(0, len(body), size):
        assert not parser.finished
        parser.feed(body[first : first + size])
    assert parser.finished
    assert not parser.done
    parser.feed(b"\n{")
    assert parser.finished


@pytest.mark.parametrize("at", range(1, len(ODD)))
def test_it_is_finished_wherever_it_is_cut(at: int) -> None:
    parser = WholeAnswerParser(dialect_for("openai_chat"), CallOptions())
    parser.feed(ODD[:at])
    assert not parser.finished
    parser.feed(ODD[at:])
    assert parser.finished
