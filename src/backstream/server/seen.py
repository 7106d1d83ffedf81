"""What the gateway knows of its routes, and tells of them. One for as long as it runs; asks nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from backstream.resilience.states import RouteSnapshot, RouteStates

__all__ = ["SeenRoutes"]

_MOST_NAMES: Final = 200
_NAME: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,160}")
_STATES: Final = ("closed", "open", "probing")


class SeenRoutes:
    """The routes that were asked.

    A name that a client made up is told to nobody: what can be told is configured, listed, or has answered.

    Attributes:
        states: What is known of each.
    """

    def __init__(self) -> None:
        self.states = RouteStates()
        self._known: set[str] = set()

    def note(self, name: str) -> None:
        """Let a route be told of, by its name; of the first two hundred."""
        if len(self._known) < _MOST_NAMES and _NAME.fullmatch(name):
            self._known.add(name)

    def shown(self, name: str) -> str:
        """Return what a route is called where others read it: ``provider/other`` where its model is nobody's."""
        if name in self._known:
            return name
        provider = name.partition("/")[0]
        return f"{provider}/other" if any(each.partition("/")[0] == provider for each in self._known) else "other"

    def tell(self) -> Sequence[RouteSnapshot]:
        """Return what each of the routes is like that can be told of."""
        return [each for each in self.states.snapshot() if each.name in self._known]

    def measure(self) -> Mapping[tuple[str, ...], float]:
        """Return what a scrape gets: family name and label values → value."""
        values: dict[tuple[str, ...], float] = {}

        def add(amount: float, *key: str) -> None:
            values[key] = values.get(key, 0) + amount

        for each in self.states.snapshot():
            name = self.shown(each.name)
            for state in _STATES:
                add(each.state == state, "backstream_route_state", name, state)
            add(each.failures, "backstream_route_failures", name)
            add(each.running, "backstream_route_running", name)
            add(each.openings, "backstream_route_openings_total", name)
            for cause, times in each.retries.items():
                add(times, "backstream_retries_total", name, cause)
        return values
