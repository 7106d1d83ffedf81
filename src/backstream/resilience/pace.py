"""How many requests may begin within a minute: a place in a queue of begins. Pure; is told the time."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

_MINUTE = 60.0


class Pace:
    """The begins of one route within the last minute, and those still to come, in order."""

    __slots__ = ("_begins",)

    def __init__(self) -> None:
        self._begins: deque[float] = deque()

    def next_at(self, per_minute: int, now: float) -> float:
        """Return when the next request may begin.

        Args:
            per_minute: How many may begin within any minute.
            now: The time, in seconds.
        """
        begins = self._begins
        while begins and begins[0] <= now - _MINUTE:
            begins.popleft()
        return now if len(begins) < per_minute else max(now, begins[-per_minute] + _MINUTE)

    def take(self, at: float) -> None:
        """Take a begin that :meth:`next_at` gave."""
        self._begins.append(at)

    def give_back(self, at: float) -> None:
        """Give back a begin that was not used; those who wait already keep theirs."""
        if at in self._begins:
            self._begins.remove(at)
