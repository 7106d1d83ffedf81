"""What a scrape gets: the counts of this worker, its gauges of the moment, and what the other workers left for it."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from backstream._version import __version__
from backstream.server.metrics import Metrics, Snapshot, merge_snapshots, render_snapshot
from backstream.server.process import measure_process
from backstream.server.records import RequestRecord

if TYPE_CHECKING:
    from backstream.server.ledger import Ledger

__all__ = ["Measures"]

PUBLISH_SECONDS: Final = 1.0
"""How often a worker leaves its values for the others, while they change."""

_LAG: Final = ("backstream_event_loop_lag_seconds",)


class Measures:
    """The values of one worker of the gateway.

    With one worker it keeps no timer and writes nothing.

    Args:
        count_streams: Tells how many answers are being made.
        find_ledger: Tells where workers leave their values for each other; ``None`` where this one is the only one.
        measure_routes: Tells what is known of the routes, by family name and label values.

    Attributes:
        metrics: The counts.
    """

    def __init__(
        self,
        count_streams: Callable[[], int],
        find_ledger: Callable[[], Ledger | None],
        measure_routes: Callable[[], Mapping[tuple[str, ...], float]] = dict,
    ) -> None:
        self.metrics = Metrics()
        self._count_streams = count_streams
        self._find_ledger = find_ledger
        self._measure_routes = measure_routes
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0
        self._lag = 0.0
        self._streams = 0

    def note_begin(self) -> None:
        """Take notice of a request that begins, or is over."""
        if self._timer is None and self._find_ledger() is not None:
            self._set_timer()

    def note(self, record: RequestRecord) -> None:
        """Count a request that is over; an observer of the gateway."""
        self.metrics.note(record)
        self.note_begin()

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PUBLISH_SECONDS
        self._timer = loop.call_at(self._due, self._publish)

    def _publish(self) -> None:
        """Leave the values for the other workers; goes on once a second while answers are being made."""
        self._timer = None
        loop = asyncio.get_running_loop()
        self._lag = max(loop.time() - self._due, 0.0)
        streams = self._count_streams()
        if streams:
            self._set_timer()
        if self._task is None and (self.metrics.changed or streams != self._streams):
            self.metrics.changed, self._streams = False, streams
            self._task = loop.create_task(self._leave())
            self._task.add_done_callback(self._left)

    async def _leave(self) -> None:
        ledger = self._find_ledger()
        if ledger is not None:
            await ledger.put_snapshot(ledger.worker, msgspec.json.encode(self._snapshot()))

    def _left(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # retrieved: a ledger that fails says so itself

    def _snapshot(self) -> Snapshot:
        gauges: dict[tuple[str, ...], float] = {(name,): value for name, value in measure_process().items()}
        return self.metrics.snapshot(
            {
                ("backstream_streams_open",): self._count_streams(),
                ("backstream_workers",): 1,
                ("backstream_build_info", __version__, platform.python_version()): 1,
                _LAG: self._lag,
                **gauges,
                **self._measure_routes(),
            }
        )

    async def render(self, *, openmetrics: bool = False) -> bytes:
        """Write the page for Prometheus: the values of all workers.

        Args:
            openmetrics: Write OpenMetrics instead of the older format.
        """
        before = time.perf_counter()
        await asyncio.sleep(0)  # one round of the loop
        self._lag = time.perf_counter() - before
        others: list[Snapshot] = []
        ledger = self._find_ledger()
        if ledger is not None:
            for body in await ledger.snapshots(without=ledger.worker):
                try:
                    others.append(msgspec.json.decode(body, type=Snapshot))
                except msgspec.DecodeError:  # of another version of this program
                    continue
        return render_snapshot(merge_snapshots([self._snapshot(), *others]), openmetrics=openmetrics)

    async def aclose(self) -> None:
        """Leave nothing more; harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await asyncio.wait([self._task])
