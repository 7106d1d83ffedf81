"""Asking the same route again, before its first content, for causes that may pass. Knows no other route."""

from __future__ import annotations

import asyncio
import random as chance
from collections.abc import Awaitable, Callable

from backstream.errors import BackstreamError, RateLimitError, RefusedError
from backstream.providers.result import BlockSource
from backstream.resilience.causes import cause_of
from backstream.resilience.commit import commit
from backstream.resilience.route import Ask, Route, was_hurried

__all__ = ["LONGEST_WAIT_SECONDS", "Budget", "Retry"]

_FIRST_SECONDS = 0.5
_MOST_SECONDS = 8.0
LONGEST_WAIT_SECONDS = 60.0
"""A route that asks for more patience than this is not asked again by the same call."""


class Budget:
    """How much asking again a route is worth: an outage must not be multiplied by it.

    Ten tokens; a failure takes one, a success gives a tenth back; a route is asked again while more than half are left.

    Source: gRPC's retry throttling, https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
    """

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = 10.0

    @property
    def allows(self) -> bool:
        """Whether the route may be asked again."""
        return self.tokens > 5.0

    def note_failure(self) -> None:
        """Note an attempt that failed for a cause that may pass."""
        self.tokens = max(self.tokens - 1.0, 0.0)

    def note_success(self) -> None:
        """Note an attempt that brought content."""
        self.tokens = min(self.tokens + 0.1, 10.0)


class Retry:
    """Asks a route, and again where that may help; a :class:`backstream.resilience.route.Route`.

    From here outwards an answer has content, or is over and complete. What is asked again is decided by the table of
    causes: a POST whose bytes may have been acted on only where no head of an answer came, or where the back-end itself
    said that it failed. The waits double from half a second to eight, each by chance between nothing and that; what the
    back-end asked for is added, so that it is the least. A wait that would reach past the end of the call, or past the
    time at which the route is left for the next one, is not begun, nor one that was asked for of more than a minute.

    Args:
        route: The route, from ``Limit`` inwards.
        budget: What is left for asking it again, common to all calls.
        retries: How often it is asked again at most.
        sleep: Waits some seconds.
        random: Gives a number from 0 to 1.
        on_retry: Called with the error before each time that the route is asked again.
    """

    def __init__(
        self,
        route: Route,
        budget: Budget,
        *,
        retries: int = 2,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
        on_retry: Callable[[BackstreamError], object] = repr,
    ) -> None:
        self.route = route
        self.name = route.name
        self._budget = budget
        self._retries = retries
        self._sleep = sleep
        self._random = random
        self._on_retry = on_retry

    @property
    def takes_prefix(self) -> bool:
        """Whether the route takes the begin of an answer."""
        return self.route.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Ask until there is content, at most ``retries`` times more.

        Raises:
            BackstreamError: The last attempt's.
        """
        for attempt in range(self._retries):
            try:
                return await self._ask(ask)
            except BackstreamError as error:
                wait = self._wait_before(error, attempt, ask)
                if wait is None:
                    raise
                self._on_retry(error)
            await self._sleep(wait)
        return await self._ask(ask)

    async def _ask(self, ask: Ask) -> BlockSource:
        try:
            source = await commit(await self.route.open(ask))
        except BackstreamError as error:
            if cause_of(error).again and not _is_ours(error) and not was_hurried(error, ask):
                self._budget.note_failure()
            raise
        self._budget.note_success()
        return source

    def _wait_before(self, error: BackstreamError, attempt: int, ask: Ask) -> float | None:
        """Return how long to wait before asking again; ``None`` for not to."""
        if not cause_of(error).again or not self._budget.allows:
            return None
        asked = error.retry_after_seconds if isinstance(error, RefusedError) else None
        wait = (asked or 0.0) + self._random() * min(_FIRST_SECONDS * float(2**attempt), _MOST_SECONDS)
        now = asyncio.get_running_loop().time()
        ends = [end for end in (ask.ends_at, ask.leaves_at) if end is not None]
        if (asked or 0.0) > LONGEST_WAIT_SECONDS or (ends and now + wait >= min(ends)):
            return None
        if asked and ask.on_wait is not None:
            ask.on_wait(now + wait)
        return wait


def _is_ours(error: BackstreamError) -> bool:
    """Tell whether a limit on this side refused: that says nothing of the route."""
    return isinstance(error, RateLimitError) and not error.request_sent
