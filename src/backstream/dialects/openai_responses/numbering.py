"""The numbers of a stream's events: what was sent twice is dropped, and what is missing is never passed over.

Source: OpenAI's OpenAPI description 2.3.0 (``sequence_number`` of each event: "The sequence number for this event").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, repeat
from typing import Any, Final

from backstream.errors import IncompleteStream

__all__ = ["Numbering"]

_SPEAK_FOR_THEMSELVES: Final = frozenset({"error", "response.failed"})
_OVER: Final = frozenset({"response.completed", "response.incomplete", "response.cancelled"})


class Numbering:
    """Follows the numbers of one stream, whatever the first of them is.

    Servers other than OpenAI's leave them out, for all events or for some, or give all events one number: such events
    are taken as they come.
    """

    __slots__ = ("_constant", "_first", "_next")

    def __init__(self) -> None:
        self._next: int | None = None
        self._first: bytes | None = None  # the event that was numbered first, while it is the only one
        self._constant = False

    def expected(self) -> Iterator[int | None]:
        """Return the numbers that the next events have, if nothing is wrong."""
        if self._next is None:
            return repeat(None)
        return repeat(self._next - 1) if self._constant else count(self._next)

    def note(self, events: int) -> None:
        """Note that so many events had the numbers that were expected."""
        if self._next is not None and not self._constant and events:
            self._next += events
            self._first = None

    def admit(self, members: Mapping[str, Any], frame: bytes) -> bool:
        """Tell whether an event is new.

        Args:
            members: The event.
            frame: Its data, as it came.

        Raises:
            IncompleteStream: Events before it are missing.
        """
        number, kind, following = members.get("sequence_number"), members.get("type"), self._next
        kind = kind if isinstance(kind, str) else None
        if type(number) is not int or self._constant or kind in _SPEAK_FOR_THEMSELVES:
            return True
        if following is None:
            self._next, self._first = number + 1, frame
        elif number == following:
            self.note(1)
        elif number > following:
            missing = str(following) if number == following + 1 else f"{following} to {number - 1}"
            raise IncompleteStream(f"events are missing from the answer: number {missing}")
        elif self._first is not None and number == following - 1 and frame != self._first:
            self._constant = True
        else:
            return kind in _OVER  # the last word is not sent twice: after it nothing is read
        return True
