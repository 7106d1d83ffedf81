"""What a call asks: its candidates as routes, within the wrappers that make it survive trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from backstream.client.finding import Candidate
from backstream.client.terms import Terms
from backstream.errors import TotalTimeout
from backstream.options import CallOptions, Deadlines, Recovery
from backstream.providers.result import BlockSource
from backstream.reply import Block, End
from backstream.resilience.route import Ask, route_of
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates

__all__ = ["Answering", "CandidateRoute", "Start", "ValueSource"]

Start = Callable[[Candidate, Ask], Awaitable[BlockSource]]
"""Asks a candidate whose provider is found, once."""


class CandidateRoute:
    """A model of a provider as a route; a :class:`backstream.resilience.route.Route`.

    Args:
        candidate: The model.
        start: See :data:`Start`.
        deadlines: Its clocks; that of the whole call comes with the attempt.
        takes_prefix: Whether it goes on with the begin of an answer.
    """

    def __init__(self, candidate: Candidate, start: Start, deadlines: Deadlines, *, takes_prefix: bool) -> None:
        self.name = candidate.name
        self.takes_prefix = takes_prefix
        self._candidate = candidate
        self._start = start
        self._deadlines = deadlines

    async def open(self, ask: Ask) -> BlockSource:
        """Find the provider, and ask it.

        Raises:
            BackstreamError: There is none, or it cannot be asked, or refused.
        """
        scope = asyncio.timeout_at(ask.ends_at)
        try:
            async with scope:
                await self._candidate.found()
        except TimeoutError:
            if not scope.expired():
                raise
            raise TotalTimeout(ask.total_seconds or 0.0, phase="connect", request_sent=False) from None
        clocks = msgspec.structs.replace(self._deadlines, total=ask.options.deadlines.total)
        options = msgspec.structs.replace(ask.options, deadlines=clocks)
        return await self._start(self._candidate, msgspec.structs.replace(ask, options=options))


class Answering:
    """Who may answer one call, on its terms; asked once, or in each round of tools.

    Args:
        candidates: Who may, the preferred one first.
        terms: What holds for the call.
        states: What is known of routes.
        began_at: When the call began, by the loop's clock.
        once: Whether nothing of it can be sent twice.
        sleep: Waits some seconds.

    Attributes:
        terms: What holds for the call.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        terms: Terms,
        states: RouteStates,
        *,
        began_at: float,
        once: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._candidates = list(candidates[:1] if once else candidates)
        self.terms = terms
        self._states = states
        self._once = once
        self._sleep = sleep
        clocks = terms.deadlines(self._candidates[0].target.provider)
        ends_at = None if clocks.total is None else began_at + clocks.total
        options = CallOptions(deadlines=clocks)
        self._ask = Ask(options=options, ends_at=ends_at, total_seconds=clocks.total, hurried=terms.hurried)

    @property
    def total_seconds(self) -> float | None:
        """How long the whole call may take."""
        return self._ask.total_seconds

    async def open(self, start: Start, *, with_prefix: bool = False) -> BlockSource:
        """Ask until somebody answers; whoever did is asked first in the next round.

        Args:
            start: See :data:`Start`.
            with_prefix: Whether the begin of an answer can be put behind what is asked.

        Raises:
            BackstreamError: Nobody did.
        """
        routes = [
            CandidateRoute(
                each,
                start,
                self.terms.deadlines(each.target.provider),
                takes_prefix=with_prefix and each.takes_prefix,
            )
            for each in self._candidates
        ]
        own = {each.name: self._recovery(each) for each in self._candidates}
        stack = build_stack(routes, own[routes[0].name], self._states, of_route=own, sleep=self._sleep)
        source = await stack.open(self._ask)
        self._candidates.sort(key=lambda each: each.name != route_of(source))
        return source

    def _recovery(self, candidate: Candidate) -> Recovery:
        recovery = self.terms.recovery(candidate.target.provider)
        return msgspec.structs.replace(recovery, retries=0, mid_stream="fail") if self._once else recovery

    def candidate(self, route: str) -> Candidate:
        """Return who a route is; the preferred one for a name that is none."""
        return next((each for each in self._candidates if each.name == route), self._candidates[0])


class ValueSource:
    """An answer that is one value; a :class:`backstream.providers.result.BlockSource` without chunks.

    Attributes:
        value: It.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    async def read_block(self) -> Block:
        """Return the end: there is nothing to read."""
        return [End("complete", ("returned",))]

    def abort(self) -> None:
        """Do nothing: it is over."""

    async def aclose(self) -> None:
        """Do nothing: it is over."""
