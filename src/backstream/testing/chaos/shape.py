"""What a fault is: its name, what it shows, what a truthful reader makes of it, and its script. Pure values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from backstream.testing.chaos.steps import Step

__all__ = ["PREFIX", "Fault", "Outcome", "words"]

PREFIX: Final = "chaos/"
"""What every model's name begins with."""

Outcome: TypeAlias = Literal["complete", "broken", "either"]
"""What a truthful reader makes of an answer: whole; never whole; or either, as long as its text is not another one."""

_WORDS: Final = (
    "One, ",
    "two, ",
    "three: ",
    "grüße ",
    "aus ",
    "dem ",
    "日本 ",
    "mit ",
    "👩‍🚀 ",
    "und ",
    "Chaos. ",
    "Ende.",
)
_GIANT: Final = 1024 * 1024
_USUAL: Final = 20
_UNMARKED: Final = frozenset({"gemini", "backend_api"})


def words(count: int) -> tuple[str, ...]:
    """Return so many pieces of text; the same ones each time, with characters of one to four bytes among them."""
    return tuple(_WORDS[index] if index < len(_WORDS) else f" {index + 1}" for index in range(count))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault, as a model.

    Attributes:
        name: The model's name, without the prefix; ``-N`` at its end is a number to choose.
        about: What it does, in one line.
        rows: Which rows of the table of faults it shows; see :mod:`.rows`.
        outcome: What a truthful reader makes of a streamed answer.
        whole: The same of a whole answer; ``None`` for the same.
        script: What is played.
        number: Which number ``N`` is where none is chosen.
        most: The largest number that can be chosen.
        giant: The number is a text's size in MiB, not a count of pieces.
        exact: Whether a text that comes must be the one that was sent.
        unmarked: What a truthful reader makes of it in dialects that have no last word: their answers end with their
            body alone. ``None`` for the same as ``outcome``.
        only: The dialects it has a meaning in; empty for all.
        ends: Whether the answer ends by itself; else it goes on until the client leaves.
    """

    name: str
    about: str
    script: tuple[Step, ...]
    outcome: Outcome
    whole: Outcome | None = None
    rows: tuple[int, ...] = ()
    number: int = 0
    most: int = 1000
    giant: bool = False
    exact: bool = True
    unmarked: Outcome | None = None
    only: tuple[str, ...] = ()
    ends: bool = True

    @property
    def model(self) -> str:
        """The model's whole name, with the number it has where none is chosen."""
        return PREFIX + self.name.removesuffix("-N") + (f"-{self.number}" if self.name.endswith("-N") else "")

    def said(self, number: int | None = None) -> Sequence[str]:
        """Return the pieces of the text that a whole answer would have.

        Args:
            number: The number in the name; ``None`` for the usual one.
        """
        chosen = self.number if number is None else number
        if self.giant:
            return ("One, ", "x" * (_GIANT * chosen), " Ende.")
        if self.name == "ok-N":
            return words(chosen)
        return words(max(_USUAL, chosen + 4 if self.name.endswith("-N") and self.most <= 1000 else 0))

    def suits(self, dialect: str) -> bool:
        """Tell whether the fault has a meaning in a dialect."""
        return not self.only or dialect in self.only

    def outcome_of(self, dialect: str, *, stream: bool = True) -> Outcome:
        """Return what a truthful reader makes of an answer.

        Args:
            dialect: The dialect it is read in; ``""`` where that is not known, as behind a gateway.
            stream: Whether it was asked for as a stream.
        """
        if not dialect:
            return self._outcome_anywhere(stream=stream)
        if not stream and dialect != "backend_api" and self.whole is not None:
            return self.whole
        return self.unmarked if self.unmarked is not None and dialect in _UNMARKED else self.outcome

    def _outcome_anywhere(self, *, stream: bool) -> Outcome:
        # behind a gateway a whole answer may have been asked for as a stream
        outcomes = {self.outcome, self.unmarked or self.outcome, self.outcome if stream else self.whole or self.outcome}
        return self.outcome if len(outcomes) == 1 and not self.only else "either"

    def is_exact_in(self, dialect: str) -> bool:
        """Tell whether a text that comes must be the one that was sent; arguments as :meth:`outcome_of`."""
        return self.exact and (self.unmarked is None or dialect not in {*_UNMARKED, ""})
