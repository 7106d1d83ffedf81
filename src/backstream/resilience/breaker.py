"""The breaker: a route that failed several times in a row rests, then one call may try it. Asks nobody else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

from backstream.errors import BackstreamError, UnavailableError
from backstream.providers.result import BlockSource
from backstream.reply import End
from backstream.resilience.causes import cause_of
from backstream.resilience.commit import CommittedSource
from backstream.resilience.route import Ask, Route, was_hurried

__all__ = ["Breaker", "BreakerName", "BreakerState"]

BreakerName = Literal["closed", "open", "probing"]


class BreakerState:
    """What is known of one route's failures.

    Attributes:
        breaks: How many answers in a row broke after their first content.
        failures: How many calls in a row failed before it.
        opened_at: When it began to rest, by ``time.monotonic``; ``None`` while it may be asked.
        openings: How often it began to, since the program started; a failed probe is one more time.
        probing: Whether one call is trying it now.
    """

    __slots__ = ("breaks", "failures", "opened_at", "openings", "probing")

    def __init__(self) -> None:
        self.breaks = 0
        self.failures = 0
        self.opened_at: float | None = None
        self.openings = 0
        self.probing = False

    @property
    def state(self) -> BreakerName:
        """``closed`` while it may be asked, ``open`` while it rests, ``probing`` while one call tries it."""
        if self.opened_at is None:
            return "closed"
        return "probing" if self.probing else "open"

    def note_success(self) -> None:
        """Note that the route is up: it refuses, or begins to answer."""
        self.failures, self.opened_at, self.probing = 0, None, False

    def note_whole(self) -> None:
        """Note that an answer came to its end."""
        self.breaks = 0

    def note_break(self, most: int | None, now: float) -> None:
        """Note an answer that broke after its first content.

        Args:
            most: After how many in a row the route rests; ``None`` for never.
            now: The time.
        """
        self.breaks += 1
        if most is not None and self.breaks >= most and self.opened_at is None:
            self._open(now)

    def _open(self, now: float) -> None:
        self.opened_at = now
        self.openings += 1

    def note_failure(self, most: int | None, now: float, *, probe: bool = False) -> None:
        """Note a failure.

        Args:
            most: After how many in a row the route rests; ``None`` for never.
            now: The time.
            probe: Whether it was the one call that tried a resting route.
        """
        self.failures += 1
        if probe or (most is not None and self.failures >= most and self.opened_at is None):
            self._open(now)
        if probe:
            self.probing = False


class Breaker:
    """Asks a route unless it rests; a :class:`backstream.resilience.route.Route`.

    Args:
        route: The route, from ``Retry`` inwards.
        state: What is known of it, common to all calls.
        failures: After how many failures in a row it rests; ``None`` for never. Only what counts against the route by
            the table of causes is a failure; a refusal shows that it is up.
        seconds: How long it rests.
        clock: The time, in seconds.
    """

    def __init__(
        self,
        route: Route,
        state: BreakerState,
        *,
        failures: int | None = 3,
        seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.route = route
        self.name = route.name
        self._state = state
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._probe: Ask | None = None

    @property
    def takes_prefix(self) -> bool:
        """Whether the route takes the begin of an answer."""
        return self.route.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Ask the route, or refuse at once while it rests.

        Raises:
            UnavailableError: It rests, or another call is trying it; ``retry_after_seconds`` tells how long.
            BackstreamError: It was asked, and failed.
        """
        probe = self._enter(ask)
        try:
            source = await self.route.open(ask)
        except BackstreamError as error:
            self._judge(None if was_hurried(error, ask) else cause_of(error).fault, probe)
            raise
        except BaseException:  # a call that was left says nothing of the route; the next one may try it
            self._leave(probe)
            raise
        self._state.note_success()
        if isinstance(source, CommittedSource):
            source.on_end = partial(self._judge_end, ask)
        return source

    def _enter(self, ask: Ask) -> bool:
        """Tell whether this call is the one that tries a resting route."""
        state = self._state
        if self._failures is None or state.opened_at is None:
            return False
        left = state.opened_at + self._seconds - self._clock()
        if left > 0 or state.probing:
            raise _resting(self.name, max(state.failures, state.breaks), max(left, 1.0))
        state.probing = True
        self._probe = ask
        return True

    def _leave(self, probe: bool) -> None:
        if probe:
            self._state.probing = False

    def _judge(self, fault: bool | None, probe: bool) -> None:
        if fault is None:
            self._leave(probe)
        elif fault:
            self._state.note_failure(self._failures, self._clock(), probe=probe)
        else:
            self._state.note_success()

    def _judge_end(self, ask: Ask, end: End) -> None:
        """Count an answer that broke against the route, as one that never began would be."""
        if end.state == "complete":
            self._state.note_whole()
        elif end.error is not None and not was_hurried(end.error, ask) and cause_of(end.error).fault:
            self._state.note_break(self._failures, self._clock())

    def note_silence(self, ask: Ask) -> None:
        """Note that the route was left because it said nothing: that counts against it.

        Args:
            ask: What the call was given that was left. Only where it tried a resting route is its silence that of the
                try, and lets the route rest anew.
        """
        if self._failures is not None:
            state = self._state
            tried = ask is self._probe and state.opened_at is not None and not state.probing
            state.note_failure(self._failures, self._clock(), probe=tried)


def _resting(name: str, failures: int, left: float) -> UnavailableError:
    times = f"{failures} failure{'s' * (failures != 1)}"
    error = UnavailableError(
        f"route {name} is resting after {times}; next try in {math.ceil(left)} s",
        retry_after_seconds=left,
        phase="connect",
    )
    error.request_sent = False
    return error
