"""How answers survive trouble, and how long they may take, by routing list and provider: what was configured, joined.

What is said of a routing list wins over what is said of a provider, and that over what holds for all. Pure.
"""

from __future__ import annotations

import msgspec

from backstream.options import Deadlines, Recovery
from backstream.registry.config import Config

__all__ = ["Policies"]


class Policies:
    """What may be done for an answer.

    Args:
        config: What was configured.
        recovery: What may be done where nothing else is said.
        deadlines: How long an answer may take where nothing else is said.
    """

    def __init__(self, config: Config, recovery: Recovery, deadlines: Deadlines) -> None:
        self._config = config
        self._recovery = recovery
        self._deadlines = deadlines
        self._known: dict[tuple[str, str], tuple[Recovery, Deadlines]] = {}

    def recovery(self, route: str, provider: str) -> Recovery:
        """Return what may be done.

        Args:
            route: The routing list; ``""`` for none.
            provider: The provider; ``""`` for the whole of a list.
        """
        return self._of(route, provider)[0]

    def deadlines(self, route: str, provider: str) -> Deadlines:
        """Return how long each stage may take; see :meth:`recovery`."""
        return self._of(route, provider)[1]

    def says_mid_stream(self, route: str) -> bool:
        """Tell whether a routing list says itself what happens when its answers break."""
        listed = self._config.routes.get(route)
        return listed is not None and listed.mid_stream is not None

    def _of(self, route: str, provider: str) -> tuple[Recovery, Deadlines]:
        known = self._known.get((route, provider))
        if known is not None:
            return known
        recovery, deadlines = self._recovery, self._deadlines
        for table in (self._config.providers.get(provider), self._config.routes.get(route)):
            if table is not None:
                recovery = msgspec.structs.replace(recovery, **table.changes())
                deadlines = table.deadlines.over(deadlines)
        if provider in self._config.providers or not provider:  # others are as many as clients may name
            self._known[route, provider] = recovery, deadlines
        return recovery, deadlines
