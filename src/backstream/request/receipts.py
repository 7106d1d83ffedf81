"""Translation receipts: what became of each thing a caller asked for on its way into a back-end's dialect."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import msgspec

from backstream.errors import UnsupportedFeatureError

__all__ = ["Outcome", "Policy", "Receipt", "Receipts"]

_log = logging.getLogger("backstream.request.receipts")

Outcome = Literal["kept", "renamed", "approximated", "dropped"]
Policy = Literal["strict", "warn", "drop"]
"""What to do about a dropped parameter: ``strict`` raises, ``warn`` logs it, ``drop`` only notes it."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one thing.

    Attributes:
        what: What the caller asked for, as a path: ``temperature``, ``tools[0].strict``, ``messages[2].name``.
        outcome: ``kept``: said as it is; ``renamed``: the same by another name or shape; ``approximated``: something
            near it; ``dropped``: not said.
        to: Where it went in the back-end's request.
        why: Why it is not simply kept.
        harmless: Whether dropping it changes nothing the caller asked for (another back-end's signatures, say); then
            no policy minds.
    """

    what: str
    outcome: Outcome
    to: str | None = None
    why: str | None = None
    harmless: bool = False

    def __str__(self) -> str:
        to = f" as {self.to}" if self.to else ""
        why = f" ({self.why})" if self.why else ""
        return f"{self.what} {self.outcome}{to}{why}"


class Receipts:
    """Collects the receipts of one request while a dialect renders it."""

    __slots__ = ("_receipts",)

    def __init__(self) -> None:
        self._receipts: list[Receipt] = []

    def kept(self, what: str) -> None:
        """Note something said as it is."""
        self._receipts.append(Receipt(what, "kept"))

    def renamed(self, what: str, to: str) -> None:
        """Note something said by another name or in another shape, with the same meaning."""
        self._receipts.append(Receipt(what, "renamed", to))

    def approximated(self, what: str, to: str, why: str) -> None:
        """Note something that only a near thing stands for."""
        self._receipts.append(Receipt(what, "approximated", to, why))

    def dropped(self, what: str, why: str, *, harmless: bool = False) -> None:
        """Note something not said; see :class:`Receipt` for ``harmless``."""
        self._receipts.append(Receipt(what, "dropped", None, why, harmless))

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self._receipts)

    def __len__(self) -> int:
        return len(self._receipts)

    def settle(self, policy: Policy, back_end: str) -> tuple[Receipt, ...]:
        """Apply a policy and return the receipts.

        Args:
            policy: See :data:`Policy`.
            back_end: Its name, for the error or the warning.

        Raises:
            UnsupportedFeatureError: ``strict``, and something was dropped.
        """
        lost = [receipt for receipt in self._receipts if receipt.outcome == "dropped" and not receipt.harmless]
        if lost and policy == "strict":
            said = ", ".join(f"{receipt.what} ({receipt.why})" for receipt in lost[:5])
            raise UnsupportedFeatureError(
                f"{back_end} cannot take {said}", 'leave it out, or call with receipts="warn" to send the rest'
            )
        if lost and policy == "warn":
            _log.warning("%s: dropped %s", back_end, ", ".join(f"{item.what} ({item.why})" for item in lost))
        return tuple(self._receipts)
