"""Whatever a second answer repeats of the first one: no word is missing, none is doubled, or nothing is taken."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st

from backstream.resilience.matching import Matcher, SeamMatcher, StartMatcher

WORDS = st.sampled_from(
    ["ha", "very", "Very", "the", "a", "king,", "(king", "king)", "}", "|", "1", "don't", "说", "。"]
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "  "])
TEXTS = st.lists(st.tuples(WORDS, SPACES), min_size=1, max_size=40).map(
    lambda pairs: "".join(word + space for word, space in pairs).rstrip()
)


@st.composite
def broken_texts(draw: st.DrawFn) -> tuple[str, str, str]:
    """A text, cut in two between words, as a reader has it; and the white space the first half ends with."""
    text = draw(TEXTS)
    cuts = [index for index in range(1, len(text)) if text[index - 1].isspace()] or [len(text)]
    cut = draw(st.sampled_from(cuts))
    known = text[:cut]
    return text, known, known[len(known.rstrip()) :]


def fit(matcher: Matcher, answer: str, cuts: list[int]) -> str | None:
    edges = sorted({0, len(answer), *(cut % (len(answer) + 1) for cut in cuts)})
    new = ""
    for begin, end in pairwise(edges):
        new += matcher.feed(answer[begin:end]) if matcher.state == "open" else answer[begin:end]
        if matcher.state == "unmatched":
            return None
    if matcher.state == "open":
        new += matcher.finish()
    return new if matcher.state == "joined" else None


def tails(known: str) -> list[str]:
    """The last word of a text, its last two, and so on to all of it."""
    body = known.rstrip()
    starts = [index for index in range(len(body)) if index == 0 or body[index - 1].isspace()]
    return [body[start:] for start in reversed(starts) if not body[start].isspace()]


CUTS = st.lists(st.integers(0, 400), max_size=8)


@given(broken_texts(), st.data(), CUTS)
def test_an_answer_that_goes_on_is_joined_word_for_word(
    broken: tuple[str, str, str], data: st.DataObject, cuts: list[int]
) -> None:
    text, known, _ = broken
    rest = text[len(known.rstrip()) :]  # it is given the text without white space at the end
    is_trimmed = data.draw(st.booleans())
    # eight words said twice in a row, for the first time, are taken for a repetition: that is the rule
    assume(not any(len(tail.split()) >= 4 and rest.lstrip().startswith(tail) for tail in tails(known)))
    new = fit(SeamMatcher(known), rest.lstrip() if is_trimmed else rest, cuts)
    if new is not None:
        assert (known + new).split() == text.split()
        assert is_trimmed or known + new == text


@given(broken_texts(), st.data(), CUTS)
@example(("very very very old", "very very ", " "), None, [])
def test_an_answer_that_repeats_loses_and_doubles_nothing(
    broken: tuple[str, str, str], data: st.DataObject | None, cuts: list[int]
) -> None:
    text, known, space = broken
    tail = data.draw(st.sampled_from(tails(known))) if data is not None else tails(known)[0]
    lead = data.draw(st.sampled_from(["", " "])) if data is not None else ""
    assume(any(character.isalnum() for character in tail))  # marks alone are no words
    new = fit(SeamMatcher(known), lead + tail + space + text[len(known) :], cuts)
    assert new is None or known + new == text


@given(broken_texts(), CUTS, st.sampled_from(["", "\n", " "]))
def test_an_answer_from_the_start_always_fits_itself(broken: tuple[str, str, str], cuts: list[int], lead: str) -> None:
    text, known, _ = broken
    assert fit(StartMatcher(known), lead + text, cuts) == text[len(known) :]


@given(TEXTS, TEXTS, CUTS)
def test_another_answer_never_fits(text: str, other: str, cuts: list[int]) -> None:
    known = text + " "
    new = fit(StartMatcher(known), other, cuts)
    if new is None:
        assert not other.startswith(known)
    else:
        assert (known + new).split() == other.split()


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=60, unique=True),
    st.integers(1, 59),
    st.integers(0, 59),
    CUTS,
)
def test_where_no_word_is_said_twice_every_answer_fits_but_a_short_repetition(
    numbers: list[int], cut: int, repeated: int, cuts: list[int]
) -> None:
    words = [f"w{number}" for number in numbers]
    cut, repeated = min(cut, len(words) - 1), min(repeated, cut, len(words) - 1)
    known = " ".join(words[:cut]) + " "
    new = fit(SeamMatcher(known), " ".join(words[cut - repeated :]), cuts)
    assert new == (None if 0 < repeated < 8 else " ".join(words[cut:]))


@given(TEXTS, TEXTS, CUTS)
def test_how_an_answer_is_cut_changes_nothing(known: str, answer: str, cuts: list[int]) -> None:
    for kind in (SeamMatcher, StartMatcher):
        assert fit(kind(known), answer, cuts) == fit(kind(known), answer, [])
