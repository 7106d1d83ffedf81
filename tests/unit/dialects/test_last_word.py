"""When a finish marker is believed, and when never again."""

from __future__ import annotations

import pytest

from backstream.chunks import Content, Usage
from backstream.dialects.last_word import LastWord

TEXT, NONE, USAGE = [Content(content="a")], [], [Usage(usage={})]  # type: ignore[var-annotated]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([(TEXT, False), (NONE, True)], [False, True]),
        ([(TEXT, False), (NONE, True), (USAGE, True), (USAGE, False)], [False, True, True, True]),
        ([(TEXT, False), (NONE, True), (TEXT, False), (NONE, True)], [False, True, False, False]),
        ([(TEXT, False), (NONE, True), (TEXT, True), (NONE, True)], [False, True, False, False]),
        ([(NONE, True), (TEXT, True), (NONE, True)], [False, False, False]),
        ([(NONE, False), (NONE, True), (TEXT, False), (NONE, True)], [False, False, False, False]),
        ([(TEXT, False), (TEXT, True), (NONE, True)], [False, False, False]),
    ],
)
def test_a_marker_alone(events: list[tuple[list[object], bool]], said: list[bool]) -> None:
    word = LastWord()
    told = []
    for chunks, marker in events:
        word.note(chunks, marker=marker)
        told.append(word.is_said)
    assert told == said


def test_a_marker_beside_content_after_content_without() -> None:
    word = LastWord(beside=True)
    word.note(TEXT, marker=False)
    assert word.is_settled
    word.note(TEXT, marker=True)
    assert (word.is_said, word.is_settled) == (True, False)
    word.note(TEXT, marker=True)
    assert (word.is_said, word.is_settled) == (False, True)


def test_the_first_event_with_a_marker_is_never_the_last_word() -> None:
    word = LastWord(beside=True)
    for _ in range(3):
        word.note(TEXT, marker=True)
        assert not word.is_said
