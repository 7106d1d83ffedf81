"""The clocks of one request, all served by one timer of the loop. Knows deadlines, nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backstream.errors import (
    BetweenContentTimeout,
    ConnectTimeout,
    DeadlineError,
    FirstContentTimeout,
    HeadersTimeout,
    IdleTimeout,
    Phase,
    TotalTimeout,
)
from backstream.options import Deadlines

__all__ = ["LINGER_SECONDS", "Watchdog", "connect_timeout", "connect_within"]

LINGER_SECONDS = 2.0
"""How long the end of a body is waited for whose answer is whole by the back-end's own word."""


class Watchdog:
    """Watches the deadlines of one request.

    The notes only store the time; when the timer fires, it looks at them and either expires or is set anew. Content
    and idle clocks run only while somebody waits for bytes, so that a slow consumer is not taken for a silent back-end
    (such a clock may then run for up to twice its time).

    Args:
        loop: The running loop.
        deadlines: Seconds for each clock.
        on_expire: Called once, with the error, when a clock has run out.
        is_waiting: Tells whether somebody waits for the back-end now.
    """

    __slots__ = (
        "_deadlines",
        "_floor",
        "_is_waiting",
        "_lingers_since",
        "_loop",
        "_on_expire",
        "_on_over",
        "_sent_at",
        "_started_at",
        "_time",
        "_timer",
        "content_at",
        "last_bytes",
        "phase",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        on_expire: Callable[[DeadlineError], None],
        is_waiting: Callable[[], bool] = lambda: True,
        *,
        started_at: float | None = None,
    ) -> None:
        self._loop = loop
        self._time = loop.time
        self._deadlines = deadlines
        self._on_expire = on_expire
        self._is_waiting = is_waiting
        now = loop.time()
        self._started_at = now if started_at is None else started_at
        self._sent_at: float | None = None
        self._lingers_since = 0.0
        self._on_over: Callable[[], bool] | None = None
        self._floor = now
        self._timer: asyncio.TimerHandle | None = None
        self.last_bytes = now
        self.content_at: float | None = None
        self.phase: Phase = "send"

    def start(self) -> None:
        """Set the timer for the clocks that run while the request is sent: ``total`` and ``idle``."""
        self._set()

    def note_bytes(self) -> None:
        """Note that the back-end took or gave bytes."""
        self.last_bytes = self._time()

    def note_content(self) -> None:
        """Note that real content came; keep-alives do not count."""
        self.content_at = self._time()

    def note_sent(self) -> None:
        """Note that the whole request is out; from here ``headers`` and ``first_content`` run."""
        self.phase = "headers"
        self._sent_at = self.last_bytes = self._time()
        if self._deadlines.headers is not None or self._deadlines.first_content is not None:
            self._set()

    def note_head(self) -> None:
        """Note that the whole answer head is there."""
        self.phase = "body"

    def linger(self, on_over: Callable[[], bool] | None) -> None:
        """Wait but ``LINGER_SECONDS`` from now on: the answer is whole, and only the end of its body is missing.

        Bytes, as those of keep-alives, do not lengthen that. Any clock that runs out meanwhile means only that the
        wait is over, also ``total`` while a slow consumer has not come back for more.

        Args:
            on_over: Called once, when the wait is over; tells whether it ended the exchange, which it cannot while
                there is something unread. ``None`` takes it back.
        """
        self._on_over = on_over
        self._lingers_since = self._time()
        self._set()

    def cancel(self) -> None:
        """Stop every clock; nothing stays with the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_expire = _ignore
        self._on_over = None

    def _due(self) -> tuple[float, type[DeadlineError], float] | None:
        """Find which clock ends first, and when."""
        limits = self._deadlines
        due: list[tuple[float, type[DeadlineError], float]] = []
        if limits.total is not None:
            due.append((self._started_at + limits.total, TotalTimeout, limits.total))
        if limits.idle is not None:
            due.append((max(self.last_bytes, self._floor) + limits.idle, IdleTimeout, limits.idle))
        if self._on_over is not None:
            due.append((max(self._lingers_since, self._floor) + LINGER_SECONDS, IdleTimeout, LINGER_SECONDS))
        if self._sent_at is not None:
            if limits.headers is not None and self.phase == "headers":
                due.append((self._sent_at + limits.headers, HeadersTimeout, limits.headers))
            if self.content_at is None:
                if limits.first_content is not None:
                    start = max(self._sent_at, self._floor)
                    due.append((start + limits.first_content, FirstContentTimeout, limits.first_content))
            elif limits.between_content is not None:
                start = max(self.content_at, self._floor)
                due.append((start + limits.between_content, BetweenContentTimeout, limits.between_content))
        return min(due, key=lambda clock: clock[0]) if due else None

    def _set(self) -> None:
        due = self._due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            when = due[0]
            if self._deadlines.between_content is not None and self.content_at is None:
                # The first content sets no timer of its own, so look again soon enough for the clock it starts.
                when = min(when, self._time() + self._deadlines.between_content)
            self._timer = self._loop.call_at(when, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._time()
        due = self._due()
        if (
            due is not None
            and due[0] <= now
            and due[1] not in {TotalTimeout, HeadersTimeout}
            and not self._is_waiting()
        ):
            self._floor = now
            due = self._due()
        if due is None or due[0] > now:
            self._set()
            return
        _, error, seconds = due
        expire, on_over = self._on_expire, self._on_over
        self.cancel()
        if on_over is not None and on_over():
            return
        expire(error(seconds, phase=self.phase, request_sent=True))


def _ignore(error: DeadlineError) -> None:
    """Nobody is interested any more."""


def connect_within(deadlines: Deadlines, elapsed: float) -> float | None:
    """Return how many seconds a connection may take: by ``connect``, or by what is left of ``total``.

    Args:
        deadlines: Seconds for each clock.
        elapsed: Seconds since the call began.
    """
    left = None if deadlines.total is None else max(deadlines.total - elapsed, 0.0)
    ends = [end for end in (deadlines.connect, left) if end is not None]
    return min(ends) if ends else None


def connect_timeout(deadlines: Deadlines, elapsed: float) -> DeadlineError:
    """Build the error for a connection that took longer than :func:`connect_within` allowed.

    Args:
        deadlines: Seconds for each clock.
        elapsed: Seconds between the begin of the call and that of the connection.
    """
    connect, total = deadlines.connect, deadlines.total
    if connect is None or (total is not None and total - elapsed < connect):
        return TotalTimeout(total or 0.0, phase="connect", request_sent=False)
    return ConnectTimeout(connect, phase="connect", request_sent=False)
