"""Reasoning between tags at the beginning of an answer: told apart from the answer, wherever the tags are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.dialects.think import ThinkSplitter


def joined(pieces: list[str], *, opened: bool = False) -> list[tuple[bool, str]]:
    splitter = ThinkSplitter(opened=opened)
    found = [piece for text in pieces for piece in splitter.feed(text)]
    found += splitter.finish()
    assert splitter.settled
    assert all(text for _, text in found)
    result: list[tuple[bool, str]] = []
    for reasoning, text in found:
        if result and result[-1][0] == reasoning:
            result[-1] = (reasoning, result[-1][1] + text)
        else:
            result.append((reasoning, text))
    return result


CASES = [
    ("plain", "Hello", False, [(False, "Hello")]),
    ("nothing", "", False, []),
    ("tagged", "<think>\nhm\n</think>\n\nHello", False, [(True, "hm\n"), (False, "Hello")]),
    ("white space first", " \n<think>hm</think>Hello", False, [(True, "hm"), (False, "Hello")]),
    ("empty reasoning", "<think>\n\n</think>\n\nHello", False, [(False, "Hello")]),
    ("opened by the prompt", "hm\n</think>\nHello", True, [(True, "hm\n"), (False, "Hello")]),
    ("opened twice", "<think>hm</think>Hello", True, [(True, "hm"), (False, "Hello")]),
    ("opened, never closed", "hm", True, [(True, "hm")]),
    ("never closed", "<think>hm </thi", False, [(True, "hm </thi")]),
    ("no answer", "<think>hm</think>\n", False, [(True, "hm")]),
    ("later tags are text", "a <think>b</think>", False, [(False, "a <think>b</think>")]),
    (
        "tags behind the end are text",
        "<think>a</think>b</think><think>c",
        False,
        [(True, "a"), (False, "b</think><think>c")],
    ),
    ("another tag", "<thin air>", False, [(False, "<thin air>")]),
    ("only the tag's beginning", " <thi", False, [(False, " <thi")]),
    ("only white space", "  ", False, [(False, "  ")]),
    ("opened, only white space", "  ", True, [(True, "  ")]),
    ("half a closing tag", "<think>a</thing></think>b", False, [(True, "a</thing>"), (False, "b")]),
    ("much white space", " " * 300 + "<think>a", False, [(False, " " * 300 + "<think>a")]),
]


@pytest.mark.parametrize(("text", "opened", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_texts_at_every_cut(text: str, opened: bool, expected: list[tuple[bool, str]]) -> None:
    assert joined([text], opened=opened) == expected
    assert joined(list(text), opened=opened) == expected
    for at in range(1, len(text)):
        assert joined([text[:at], text[at:]], opened=opened) == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", " ", "\n", "a", "b"])), st.booleans())
def test_cuts_do_not_matter(pieces: list[str], opened: bool) -> None:
    assert joined(pieces, opened=opened) == joined(["".join(pieces)], opened=opened)


def test_it_tells_when_it_is_no_longer_needed() -> None:
    splitter = ThinkSplitter()
    splitter.feed("<think>a</think>")
    assert not splitter.settled
    splitter.feed("b")
    assert splitter.settled
    assert splitter.feed("<think>") == [(False, "<think>")]
