"""Where the new text of a continuation begins: tables of both matchers, at every cut."""

from __future__ import annotations

import pytest

from backstream.resilience.matching import LONGEST_HELD, Matcher, SeamMatcher, StartMatcher, whole_words

KNOWN = "Once upon a time there lived an old king, and he had "
REST = "three daughters."
ALIKE = "one two three four five six seven eight nine "


def fit(matcher: Matcher, *pieces: str) -> str | None:
    """The new text of an answer in pieces; ``None`` where it does not fit."""
    new = ""
    for piece in pieces:
        if matcher.state == "open":
            new += matcher.feed(piece)
        elif matcher.state == "joined":
            new += piece
    if matcher.state == "open":
        new += matcher.finish()
    assert matcher.state != "open"
    return new if matcher.state == "joined" else None


def fit_at_every_cut(kind: type[SeamMatcher | StartMatcher], known: str, answer: str) -> str | None:
    """The same, whole, character by character, and at every cut in two; all must agree."""
    results = {fit(kind(known), answer), fit(kind(known), *answer)}
    results |= {fit(kind(known), answer[:cut], answer[cut:]) for cut in range(1, len(answer))}
    assert len(results) == 1
    return results.pop()


@pytest.mark.parametrize(
    ("known", "answer", "new"),
    [
        # it goes on; white space is said once, whoever said it
        (KNOWN, REST, REST),
        (KNOWN, " " + REST, REST),
        (KNOWN, "\n" + REST, "\n" + REST),
        (KNOWN.rstrip(), " " + REST, " " + REST),
        (KNOWN.rstrip(), ", " + REST, ", " + REST),
        ("One.\n\n", "Two", "Two"),
        ("One.\n", "\n\nTwo", "\nTwo"),
        ("One.\n\n", "\n Two", " Two"),
        ("", REST, REST),
        (" ", " " + REST, REST),
        (KNOWN, "", ""),
        (KNOWN, " \n", ""),
        (KNOWN, "…", "…"),
        # a word that is the begin of another one is no repetition
        ("the king had ", "hadron", "hadron"),
        # within a word: some routes trim the white space that stood there
        ("the king h", "ad", None),
        ("你", "好", "好"),
        ("你", "ok", "ok"),
        # it repeats all, or enough of the end
        (KNOWN, KNOWN + REST, REST),
        (KNOWN, KNOWN.rstrip(), ""),
        (KNOWN, KNOWN.rstrip() + "\n" + REST, "\n" + REST),
        (KNOWN, "there lived an old king, and he had " + REST, REST),
        (KNOWN, " there lived an old king, and he had " + REST, REST),
        ("- " + KNOWN + "(", KNOWN + "(" + REST, REST),
        ("“" + KNOWN, "“" + KNOWN + REST, REST),
        # too little of it, or it could be meant
        (KNOWN, "had " + REST, None),
        (KNOWN, "and he had " + REST, None),
        (KNOWN, "HE HAD " + REST, None),
        (KNOWN, "and\nhe had", None),
        ("very ", "very old", None),
        ("very ", "very", None),
        ("谢", "谢你", None),
        (ALIKE * 2, ALIKE + "ten", None),
        ("x " + "ha " * 10, "ha " * 9 + "!", None),
        # a repetition of which not everything is alike
        (KNOWN, KNOWN.upper() + REST, None),
        (KNOWN, KNOWN.replace("there", "then there", 1) + REST, None),
        (KNOWN, KNOWN.replace(",", ";") + REST, None),
        (KNOWN, "**" + KNOWN + REST, None),
        (KNOWN + "(", KNOWN.rstrip(), None),
        (KNOWN, KNOWN.rstrip() + "." + REST, None),
        # an answer anew that ends, or says something else
        (KNOWN, "Once upon a time there", None),
        (KNOWN, "Once upon a time a queen", None),
    ],
)
def test_what_a_route_says_that_was_given_the_begin(known: str, answer: str, new: str | None) -> None:
    assert fit_at_every_cut(SeamMatcher, known, answer) == new


@pytest.mark.parametrize(
    ("known", "answer", "new"),
    [
        (KNOWN, KNOWN + REST, REST),
        (KNOWN, "\n" + KNOWN + REST, REST),
        ("\n" + KNOWN, KNOWN + REST, REST),
        (KNOWN, KNOWN.rstrip() + "\n" + REST, "\n" + REST),
        (KNOWN, KNOWN.rstrip(), ""),
        (KNOWN, KNOWN, ""),
        ("Once up", KNOWN, KNOWN[7:]),
        ("", REST, REST),
        (KNOWN, KNOWN.rstrip() + "n" + REST, None),
        (KNOWN, KNOWN.replace("king", "queen") + REST, None),
        (KNOWN, KNOWN.upper(), None),
        (KNOWN, "Once upon a", None),
        (KNOWN, REST, None),
        (KNOWN, "", None),
    ],
)
def test_what_a_route_says_that_was_asked_anew(known: str, answer: str, new: str | None) -> None:
    assert fit_at_every_cut(StartMatcher, known, answer) == new


def test_a_word_longer_than_any_known_one_is_not_waited_for() -> None:
    matcher = SeamMatcher("see ")
    assert matcher.feed("http") == "http"


def test_nothing_is_given_while_it_could_be_the_one_or_the_other() -> None:
    matcher = SeamMatcher(KNOWN)
    assert matcher.feed(KNOWN.rstrip()) == ""
    assert matcher.state == "open"
    assert matcher.feed(" three") == "three"
    assert matcher.state == "joined"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", ""),
        ("king", ""),
        ("the king", "the "),
        ("the king ", "the king "),
        ("the\nki", "the\n"),
        ("国王", "国王"),
        ("国王。", "国王。"),
        ("国王 had", "国王 "),
        ("x" * LONGEST_HELD, ""),
        ("a " + "x" * LONGEST_HELD, "a " + "x" * LONGEST_HELD),
        ("x" * (LONGEST_HELD + 1), "x" * (LONGEST_HELD + 1)),
    ],
)
def test_a_last_word_is_whole_once_something_ends_it(text: str, whole: str) -> None:
    assert text[: whole_words(text)] == whole
