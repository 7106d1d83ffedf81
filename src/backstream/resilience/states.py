"""What is known of routes across calls: failures, retry budget, running answers. One for a client or a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from backstream.errors import BackstreamError
from backstream.resilience.breaker import BreakerName, BreakerState
from backstream.resilience.limit import Window
from backstream.resilience.retry import Budget

__all__ = ["RouteSnapshot", "RouteState", "RouteStates"]

_MOST_ROUTES = 1024


class RouteSnapshot(msgspec.Struct, frozen=True):
    """What one route is like at a moment.

    Attributes:
        name: ``provider/model``.
        state: ``closed``: it may be asked; ``open``: it rests; ``probing``: one call tries whether it is up again.
        failures: How many calls in a row failed, or broke after their first content, whichever are more.
        opened_seconds_ago: When it began to rest; ``None`` where it does not.
        running: How many of its answers run.
        allowed: How many may, at the moment; ``None`` for any number.
        openings: How often it began to rest.
        retries: How often it was asked again, by the class name of the error.
    """

    name: str
    state: BreakerName
    failures: int
    opened_seconds_ago: float | None
    running: int
    allowed: int | None = None
    openings: int = 0
    retries: Mapping[str, int] = {}


class RouteState:
    """What is known of one route.

    Attributes:
        name: ``provider/model``.
        breaker: Its failures.
        budget: What is left for asking it again.
        window: What runs on it.
        retries: How often it was asked again, by the class name of the error.
    """

    __slots__ = ("breaker", "budget", "name", "retries", "window")

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = BreakerState()
        self.budget = Budget()
        self.window = Window()
        self.retries: dict[str, int] = {}

    def note_retry(self, error: BackstreamError) -> None:
        """Note that it is asked again."""
        cause = type(error).__name__
        self.retries[cause] = self.retries.get(cause, 0) + 1

    @property
    def _idle(self) -> bool:
        return self.window.running == 0 and self.breaker.failures == self.breaker.breaks == 0


class RouteStates:
    """What is known of every route that was asked; of idle ones, the latest thousand.

    Args:
        clock: The time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._states: dict[str, RouteState] = {}

    def of(self, name: str) -> RouteState:
        """Return what is known of a route; a new one is closed, and idle.

        Args:
            name: ``provider/model``.
        """
        state = self._states.get(name)
        if state is None:
            if len(self._states) >= _MOST_ROUTES:
                self._forget()
            state = self._states[name] = RouteState(name)
        return state

    def _forget(self) -> None:
        """Names come from outside too: forget a route that nothing is known of."""
        for name, state in self._states.items():
            if state._idle:  # noqa: SLF001 - of this module
                del self._states[name]
                return

    def snapshot(self) -> Sequence[RouteSnapshot]:
        """Return what each route is like now, in the order in which they were first asked."""
        now = self.clock()
        return [
            RouteSnapshot(
                name=state.name,
                state=state.breaker.state,
                failures=max(state.breaker.failures, state.breaker.breaks),
                opened_seconds_ago=None if state.breaker.opened_at is None else now - state.breaker.opened_at,
                running=state.window.running,
                allowed=state.window.allowed,
                openings=state.breaker.openings,
                retries=dict(state.retries),
            )
            for state in list(self._states.values())
        ]
