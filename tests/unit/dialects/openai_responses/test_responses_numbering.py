"""The numbers of events: what comes twice is read once, and a gap is told."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.errors import IncompleteStream, UnavailableError
from backstream.reply import End
from support_openai_responses import DIALECT, event, folded, joined, parse

OVER = {"id": "r", "status": "completed", "output": []}
KINDS = ("output_text", "function_call_arguments", "reasoning_summary_text", "reasoning_text", "refusal")


def delta(text: str, number: Any = None, kind: str = "output_text", index: int = 0) -> bytes:
    numbered = {} if number is None else {"sequence_number": number}
    return event(f"response.{kind}.delta", output_index=index, content_index=0, delta=text, **numbered)


def over(number: Any, kind: str = "completed") -> bytes:
    return event(f"response.{kind}", sequence_number=number, response={**OVER, "status": kind})


def end_of(stream: bytes) -> End:
    block = parse([stream])
    assert isinstance(block[-1], End)
    return block[-1]


def text(stream: bytes) -> str:
    """The text, read at once; read event by event it is the same."""
    apart = [piece + b"\n\n" for piece in stream.split(b"\n\n")[:-1]]
    assert joined(parse(apart)) == joined(parse([stream]))
    return folded(parse([stream])).text


@pytest.mark.parametrize("first", [0, 1, 40])
def test_numbers_may_begin_anywhere(first: int) -> None:
    stream = b"".join(delta(letter, first + at) for at, letter in enumerate("abcde")) + over(first + 5)
    assert text(stream) == "abcde"
    assert end_of(stream).state == "complete"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("numbers", [[0, 0, 1, 2, 3], [0, 1, 2, 2, 3], [0, 1, 2, 0, 1, 2, 3], [5, 6, 5, 7, 8]])
def test_what_comes_twice_is_read_once(kind: str, numbers: list[int]) -> None:
    stream = b"".join(delta(f"<{number}>", number, kind) for number in numbers)
    once = b"".join(delta(f"<{number}>", number, kind) for number in sorted(set(numbers)))
    assert text(stream + over(max(numbers) + 1)) == text(once + over(max(numbers) + 1))
    assert joined(parse([stream]))[:-1] == joined(parse([once]))[:-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("numbers", "missing", "kept"), [([0, 1, 2, 4], "3", 3), ([0, 3], "1 to 2", 1), ([7, 8, 10, 9], "9", 2)]
)
def test_a_gap_is_the_end_and_keeps_what_came_before(kind: str, numbers: list[int], missing: str, kept: int) -> None:
    stream = b"".join(delta(f"<{number}>", number, kind) for number in numbers)
    end = end_of(stream + over(numbers[-1] + 1))
    assert (end.state, end.evidence) == ("incomplete", ("gap",))
    assert isinstance(end.error, IncompleteStream)
    assert str(end.error) == f"events are missing from the answer: number {missing}"
    whole = b"".join(delta(f"<{number}>", number, kind) for number in numbers[:kept])
    assert joined(parse([stream]))[:-1] == joined(parse([whole]))[:-1]


def test_a_gap_before_the_last_word_is_one_too() -> None:
    assert end_of(delta("a", 0) + delta("b", 1) + over(3)).state == "incomplete"


@pytest.mark.parametrize("numbers", [[None] * 4, [0] * 4, [3] * 4, ["0", "1", "x", True], [-1] * 4, [None, None, 0, 1]])
def test_servers_that_do_not_count_are_read_as_ever(numbers: list[Any]) -> None:
    stream = b"".join(delta(letter, number) for letter, number in zip("abcd", numbers, strict=True))
    last = numbers[-1] + 1 if numbers[-1] == 1 else numbers[-1]
    assert text(stream + over(last)) == "abcd"
    assert end_of(stream + over(last)).state == "complete"


def test_events_without_a_number_are_taken_between_those_that_have_one() -> None:
    stream = delta("a", 0) + delta("b") + event("keepalive") + delta("c", 1) + delta("d", 2) + over(3)
    assert text(stream) == "abcd"


def test_the_last_word_and_errors_are_heard_whatever_their_number() -> None:
    begun = delta("a", 5) + delta("b", 6)
    assert end_of(begun + over(0)).state == "complete"
    assert end_of(begun + over(0, "incomplete")).state == "complete"
    for number in (0, 99):
        failed = event("error", sequence_number=number, code="server_error", message="no")
        assert isinstance(end_of(begun + failed).error, UnavailableError)
        error = {"code": "server_error", "message": "no"}
        failed = event("response.failed", sequence_number=number, response={**OVER, "status": "failed", "error": error})
        assert isinstance(end_of(begun + failed).error, UnavailableError)


def test_what_comes_in_later_reads_is_held_to_the_numbers_too() -> None:
    parser = DIALECT.stream_parser()
    parser.feed(delta("a", 0) + delta("b", 1))
    assert parser.feed(delta("b", 1)) == []
    assert parser.feed(b"") == []
    assert len(parser.feed(delta("c", 2) + delta("d", 3))) == 2
    assert isinstance(parser.feed(delta("f", 5))[-1], End)
    assert parser.feed(delta("e", 4)) == []
