"""How a continuation fits what a reader has already: where its new text begins. Pure; knows texts, nothing of models.

Words are what is compared: runs of letters and digits, in any case, and in scripts without spaces each character. Of
texts that could mean two things nothing is taken: then the matcher is ``unmatched``, and not one word has been given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, Protocol

__all__ = ["LONGEST_HELD", "Matcher", "MatcherState", "SeamMatcher", "StartMatcher", "whole_words"]

MatcherState = Literal["open", "joined", "unmatched"]

_SURE_WORDS: Final = 8
"""As many words said again, in a row and at once, are a repetition that nobody meant."""

_ANEW_WORDS: Final = 3
"""An answer that begins with as many words of the begin of the known one may be an answer anew."""

LONGEST_HELD: Final = 64
"""A word longer than this is not waited for."""

_ALONE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff"
)
"""Scripts that write no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese, and their full stops."""

_IS_ALONE: Final = re.compile(f"[{_ALONE}]")
_WORDS: Final = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")


def whole_words(text: str) -> int:
    """Return how much of a text is whole: all but a last word that may go on.

    Args:
        text: The text; a last word longer than ``LONGEST_HELD`` counts as whole.
    """
    for index in range(len(text) - 1, max(len(text) - LONGEST_HELD, 0) - 1, -1):
        if text[index].isspace() or _IS_ALONE.match(text[index]):
            return index + 1
    return len(text) if len(text) > LONGEST_HELD else 0


class Matcher(Protocol):
    """Finds the new text in an answer, as it comes.

    Attributes:
        state: ``open`` while it may be the one or the other; ``joined`` once it is known where the new text begins,
            and nothing is to be fed any more; ``unmatched`` where it does not fit, or could mean two things.
    """

    state: MatcherState

    def feed(self, text: str) -> str:
        """Take a piece; return what of it, and of the pieces before it, is new, once that is known."""
        ...

    def finish(self) -> str:
        """Return what is new of an answer that is over."""
        ...


class _Joint:
    """The white space between what is known and what is new: said once, whoever said it."""

    def __init__(self, known: str) -> None:
        self._body = known.rstrip()
        self._space = known[len(self._body) :]

    def join(self, text: str, *, repeats: bool, over: bool) -> str | None:
        """Return the new text, cut free of what is known; ``None`` where a word would be joined to another, or cut.

        Args:
            text: What comes behind the known text; with something behind its first white space, unless over.
            repeats: Whether it stood behind a repetition, so that white space in it must be where it was.
            over: Whether nothing follows.
        """
        said = text.lstrip()
        lead = text[: len(text) - len(said)]
        if self._space:
            if repeats and said and not lead:
                return None
            same = 0
            while same < min(len(lead), len(self._space)) and lead[same] == self._space[same]:
                same += 1
            return "" if over and not said else lead[same:] + said
        if not repeats and not lead and said and self._body and _goes_on(self._body[-1], said[0]):
            return None
        return text


def _goes_on(last: str, first: str) -> bool:
    """Tell whether two characters side by side would be of one word."""
    return bool(_WORDS.match(last) and _WORDS.match(first)) and not (_IS_ALONE.match(last) or _IS_ALONE.match(first))


class SeamMatcher:
    """Fits the answer of a route that was given the known text to go on from; a :class:`Matcher`.

    The rule. The answer is the new text, unless its first words are the last ones of the known text, whatever white
    space and punctuation is between them. Where they are, and at least eight, said but once in the known text and
    written alike, they are a repetition and are skipped; that takes in an answer that repeats all. Any other overlap
    could be a repetition or be meant ("very very"), so it is unmatched; so is an answer that begins like the known text
    and then says something else. An answer that goes on within a word, without white space, is unmatched too, for some
    routes trim the white space before the first word.

    Args:
        known: What the reader has.
    """

    def __init__(self, known: str) -> None:
        self.state: MatcherState = "open"
        self._body = known.rstrip()
        self._joint = _Joint(known)
        found = list(_WORDS.finditer(known))
        self._words = [each.group().casefold() for each in found]
        self._starts = [each.start() for each in found]
        self._longest = max(map(len, self._words), default=0)
        self._pieces: list[str] = []
        self._tail = ""
        self._count = 0
        self._open: list[int] | None = None
        self._matched: list[int] = []
        self._anew = 0

    def feed(self, text: str) -> str:
        """Take a piece; return what is new, once that is known."""
        self._pieces.append(text)
        self._tail += text
        for word in self._next_words():
            self._compare(word)
        return self._settle(over=False)

    def finish(self) -> str:
        """Return what is new of an answer that is over."""
        for match in _WORDS.finditer(self._tail):
            self._compare(match.group().casefold())
        self._tail = ""
        return self._settle(over=True)

    def _next_words(self) -> Iterator[str]:
        """Take the words that are whole off the tail."""
        end = 0
        for match in _WORDS.finditer(self._tail):
            unlike_any = match.end() - match.start() > self._longest
            if match.end() == len(self._tail) and not unlike_any and not _IS_ALONE.match(match.group()):
                break
            end = match.end()
            yield match.group().casefold()
        self._tail = self._tail[end:]

    def _compare(self, word: str) -> None:
        """Hold a word against every place of the known text from which a repetition may have begun."""
        count, words = self._count, self._words
        self._count += 1
        if self._anew == count < len(words) and words[count] == word:
            self._anew += 1
        starts = range(len(words)) if self._open is None else self._open
        alive = [start for start in starts if start + count < len(words) and words[start + count] == word]
        self._matched += [start for start in alive if start + count + 1 == len(words)]
        self._open = [start for start in alive if start + count + 1 < len(words)]

    def _settle(self, *, over: bool) -> str:
        if self._open is None and not over:
            return ""
        if self._open:
            return self._refuse() if over else ""
        if self._matched:
            return self._settle_repetition(over)
        if self._anew >= _ANEW_WORDS:
            return self._refuse()
        return self._join("".join(self._pieces), repeats=False, over=over)

    def _settle_repetition(self, over: bool) -> str:
        start = self._matched[0]
        if len(self._matched) > 1 or len(self._words) - start < _SURE_WORDS or self._is_said_before(start):
            return self._refuse()
        text = "".join(self._pieces)
        first = _WORDS.search(text.lstrip())
        assert first is not None
        begin = self._starts[start] - first.start()
        expected = self._body[begin:] if begin >= 0 else ""
        said = text.lstrip()
        if not expected or said[: len(expected)] != expected[: len(said)]:
            return self._refuse()
        rest = said[len(expected) :]
        if over or rest.strip():
            return self._refuse() if len(said) < len(expected) else self._join(rest, repeats=True, over=over)
        return ""

    def _is_said_before(self, start: int) -> bool:
        """Tell whether the known text says its last words elsewhere too: then they may be meant once more."""
        text = "\0" + "\0".join(self._words) + "\0"
        tail = "\0" + "\0".join(self._words[start:]) + "\0"
        return text.find(tail) + len(tail) < len(text)

    def _join(self, text: str, *, repeats: bool, over: bool) -> str:
        joined = self._joint.join(text, repeats=repeats, over=over)
        if joined is None:
            return self._refuse()
        self.state = "joined"
        return joined

    def _refuse(self) -> str:
        self.state = "unmatched"
        return ""


class StartMatcher:
    """Fits an answer that was made from its start: it must say the known text first; a :class:`Matcher`.

    Every character is compared, but for white space before the text; behind it there must be some where there was, of
    whatever kind.

    Args:
        known: What the reader has.
    """

    def __init__(self, known: str) -> None:
        self.state: MatcherState = "open"
        self._expected = known.strip()
        self._joint = _Joint(known)
        self._at = 0
        self._begun = False
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take a piece; return what is new, once that is known."""
        text = text if self._begun else text.lstrip()
        self._begun = self._begun or bool(text)
        expected = self._expected[self._at : self._at + len(text)]
        if not text.startswith(expected):
            return self._refuse()
        self._at += len(expected)
        self._rest += text[len(expected) :]
        return self._join(over=False) if self._rest.strip() else ""

    def finish(self) -> str:
        """Return what is new of an answer that is over."""
        return self._refuse() if self._at < len(self._expected) else self._join(over=True)

    def _join(self, *, over: bool) -> str:
        joined = self._joint.join(self._rest, repeats=True, over=over)
        if joined is None:
            return self._refuse()
        self.state = "joined"
        return joined

    def _refuse(self) -> str:
        self.state = "unmatched"
        return ""
