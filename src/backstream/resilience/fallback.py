"""The next route, where the one before it failed or was silent. Knows what a cause allows, nothing of providers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from backstream.chunks import Switched
from backstream.errors import BackstreamError, UnavailableError
from backstream.providers.result import BlockSource
from backstream.reply import Block
from backstream.resilience.causes import cause_of
from backstream.resilience.commit import CommittedSource
from backstream.resilience.hedge import Answered, OnSilence, Tried, ask_until, hedge
from backstream.resilience.route import Ask, Route

__all__ = ["SILENCE", "Fallback"]

_LOGGER: Final = logging.getLogger("backstream.resilience")

SILENCE: Final = "silence"
"""Why a route was left that said nothing."""


class Fallback:
    """Asks one route after the other until one has content; a :class:`backstream.resilience.route.Route`.

    The table of causes says after which errors the next one is asked. A route without content for ``switch_after``
    seconds is left, and its attempt closed before the next one begins; the last one is never left for that. A wait
    before asking a route again is silence like any other, so one that would not end in time is not begun: the next
    route is asked at once. With hedging, the second route is asked beside the first; a wait that the first one's
    back-end asked for is not silence then. Each of the two has ``switch_after`` seconds of its own.

    An answer of another route than the first begins with one ``Switched`` for each step.

    Args:
        routes: The routes, from ``Breaker`` inwards, the preferred one first; at least one.
        switch_after: Seconds without content; ``None`` for never.
        hedge_after: Seconds without content until the second route is asked too; ``None`` for never. Without effect
            where it is no less than ``switch_after``: the first one is left before.
        on_silence: Called with the name of a route that was left for its silence, and the ``Ask`` that it was given.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        switch_after: float | None = 10.0,
        hedge_after: float | None = None,
        on_silence: OnSilence | None = None,
    ) -> None:
        self.routes = tuple(routes)
        self.name = self.routes[0].name
        self._switch_after = switch_after
        self._hedge_after = hedge_after
        self._on_silence = on_silence or _tell_nobody

    @property
    def takes_prefix(self) -> bool:
        """Whether the first route takes the begin of an answer."""
        return self.routes[0].takes_prefix

    def after(self, name: str) -> Fallback | None:
        """Return the routes after the one of a name; ``None`` where none is left."""
        names = [route.name for route in self.routes]
        rest = self.routes[names.index(name) + 1 :] if name in names else ()
        if not rest:
            return None
        return Fallback(
            rest, switch_after=self._switch_after, hedge_after=self._hedge_after, on_silence=self._on_silence
        )

    async def open(self, ask: Ask) -> BlockSource:
        """Ask until a route has content.

        Raises:
            BackstreamError: None has. The error of the first route that was really asked, if it answered by an error;
                or the one that another route would not mend. ``attempts`` on it names every route and its error.
        """
        tried: Tried = []
        steps = self._steps()
        try:
            for step in steps:
                answered = await self._try(step, ask, tried, is_last=step is steps[-1])
                if answered is not None:
                    return self._announce(answered, tried)
            raise _most_telling(self._in_order(tried))
        except BackstreamError as error:
            self._describe(error, tried)
            raise
        finally:
            tried.clear()  # errors hold this frame, which must not hold them

    def _steps(self) -> list[tuple[Route, ...]]:
        """Which routes are asked together: the first two, where hedging is on, and comes before leaving the first."""
        hedges = self._hedge_after is not None and (
            self._switch_after is None or self._hedge_after < self._switch_after
        )
        together = 2 if hedges and len(self.routes) > 1 else 1
        return [self.routes[:together], *((route,) for route in self.routes[together:])]

    async def _try(self, step: tuple[Route, ...], ask: Ask, tried: Tried, *, is_last: bool) -> Answered | None:
        switch_after = None if is_last else self._switch_after
        route, *others = step
        if others:
            return await hedge(
                route,
                others[0],
                ask,
                self._hedge_after or 0.0,
                tried,
                switch_after=switch_after,
                on_silence=self._on_silence,
            )
        if switch_after is None:
            return await self._ask(route, ask, tried)
        own = ask_until(ask, switch_after)
        scope = asyncio.timeout_at(own.leaves_at)
        try:
            async with scope:
                return await self._ask(route, own, tried)
        except TimeoutError as error:
            if isinstance(error, BackstreamError) or not scope.expired():
                raise
        tried.append((route, None))
        self._on_silence(route.name, own)
        return None

    async def _ask(self, route: Route, ask: Ask, tried: Tried) -> Answered | None:
        try:
            return route, await route.open(ask)
        except BackstreamError as error:
            tried.append((route, error))
            if not cause_of(error).next:
                raise
            return None

    def _in_order(self, tried: Tried) -> Tried:
        return sorted(tried, key=lambda each: self.routes.index(each[0]))

    def _announce(self, answered: Answered, tried: Tried) -> BlockSource:
        """Put before an answer how it came to be another route's."""
        route, source = answered
        left = [each for each in self._in_order(tried) if self.routes.index(each[0]) < self.routes.index(route)]
        if not left:
            return source
        names = [*(each.name for each, _ in left), route.name]
        held: Block = [
            Switched(from_=names[index], to=names[index + 1], why=_why(error), kept="all")
            for index, (_, error) in enumerate(left)
        ]
        for index, (_, error) in enumerate(left):
            _LOGGER.info("route %s left for %s: %s", names[index], names[index + 1], _why(error))
        return CommittedSource(source, held)

    def _describe(self, error: BackstreamError, tried: Tried) -> None:
        """Put on an error which other routes were tried."""
        if len(tried) > 1:
            ordered = self._in_order(tried)
            error.attempts = tuple((route.name, _why(each)) for route, each in ordered)
            for route, each in ordered:
                if each is not error:
                    error.add_note(f"also tried {route.name}: {_why(each)}{f': {each}' if each is not None else ''}")


def _tell_nobody(name: str, ask: Ask) -> None:
    """Nobody wants to know who was silent."""


def _why(error: BackstreamError | None) -> str:
    return SILENCE if error is None else type(error).__name__


def _most_telling(tried: Tried) -> BackstreamError:
    """Return the error of the preferred route; one that only rests has none of its own to tell."""
    found = [error for _, error in tried if error is not None]
    return next((error for error in found if not _rests(error)), found[0])


def _rests(error: BackstreamError) -> bool:
    return isinstance(error, UnavailableError) and error.phase == "connect"
