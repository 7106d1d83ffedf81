"""The published order of the wrappers, built: policy, fallback, breaker, retry, limit, deadline."""

from __future__ import annotations

import asyncio
import random as chance
from collections.abc import Awaitable, Callable, Mapping, Sequence

from backstream.errors import ConfigurationError
from backstream.resilience.breaker import Breaker
from backstream.resilience.deadline import Deadline
from backstream.resilience.fallback import Fallback
from backstream.resilience.limit import Limit
from backstream.resilience.midstream import MidStream
from backstream.resilience.retry import Retry
from backstream.resilience.route import Route
from backstream.resilience.settings import Recovery
from backstream.resilience.states import RouteStates

__all__ = ["build_stack"]


def build_stack(
    routes: Sequence[Route],
    recovery: Recovery,
    states: RouteStates,
    *,
    of_route: Mapping[str, Recovery] = {},
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = chance.random,
) -> Route:
    """Wrap routes into one that survives trouble.

    Args:
        routes: Providers with models, the preferred one first; at least one.
        recovery: What may be done.
        states: What is known of routes; one object for all calls that share their breakers, budgets and limits.
        of_route: What may be done on single routes, by name, where that is something else: retries, limits and rests.
        sleep: Waits some seconds.
        random: Gives a number from 0 to 1.

    Raises:
        ConfigurationError: There is no route.
    """
    if not routes:
        raise ConfigurationError("no route to ask", "name at least one model")

    def wrap(route: Route) -> Breaker:
        own, state = of_route.get(route.name, recovery), states.of(route.name)
        limit = Limit(
            Deadline(route),
            state.window,
            max_concurrent=own.max_concurrent,
            requests_per_minute=own.requests_per_minute,
            sleep=sleep,
        )
        retry = Retry(limit, state.budget, retries=own.retries, sleep=sleep, random=random, on_retry=state.note_retry)
        return Breaker(
            retry,
            state.breaker,
            failures=own.breaker_failures,
            seconds=own.breaker_seconds,
            clock=states.clock,
        )

    breakers = [wrap(route) for route in routes]
    by_name = {breaker.name: breaker for breaker in breakers}
    fallback = Fallback(
        breakers,
        switch_after=recovery.switch_after,
        hedge_after=recovery.hedge_after,
        on_silence=lambda name, ask: by_name[name].note_silence(ask),
    )
    return fallback if recovery.mid_stream == "fail" else MidStream(fallback, recovery.mid_stream)
