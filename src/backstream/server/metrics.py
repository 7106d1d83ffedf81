"""What the gateway counts, fed by the records of its requests; the values of several workers are added up.

Pure: it measures nothing itself. Every label is bounded: names of ours, and of what clients name only what a provider
lists, up to a limit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from backstream import errors
from backstream.server.exposition import Family, render_families
from backstream.server.records import RequestRecord
from backstream.server.refusals import REASONS, reason_of

__all__ = ["FAMILIES", "Metrics", "Snapshot", "merge_snapshots", "render_snapshot"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_MOST_NAMES: Final = 200
"""Of models, and of error classes that are not ours; further ones are counted as ``other``."""

FAMILIES: Final = (
    Family(
        name="backstream_requests_total",
        kind="counter",
        help="Requests that are over.",
        labels=("route", "status", "end", "error"),
    ),
    Family(
        name="backstream_request_duration_seconds",
        kind="histogram",
        help="From a request to the end of its answer.",
        labels=("route",),
        buckets=_SECONDS,
    ),
    Family(
        name="backstream_first_chunk_seconds",
        kind="histogram",
        help="From a request to the first content of its answer.",
        labels=("provider", "model"),
        buckets=_SECONDS,
    ),
    Family(
        name="backstream_chunks_total", kind="counter", help="Chunks sent to clients.", labels=("provider", "model")
    ),
    Family(
        name="backstream_tokens_total",
        kind="counter",
        help="Tokens, as providers reported them.",
        labels=("direction", "provider", "model"),
    ),
    Family(
        name="backstream_refused_total",
        kind="counter",
        help="Requests that were refused here, before a provider was asked.",
        labels=("reason",),
    ),
    Family(
        name="backstream_route_state",
        kind="gauge",
        help="How many workers may ask a route (closed), let it rest (open), or try it again (probing).",
        labels=("route", "state"),
    ),
    Family(
        name="backstream_route_failures",
        kind="gauge",
        help="Failures in a row; of several workers the most.",
        labels=("route",),
        merged="max",
    ),
    Family(name="backstream_route_running", kind="gauge", help="Answers that run.", labels=("route",)),
    Family(
        name="backstream_route_openings_total",
        kind="counter",
        help="How often a route came to rest.",
        labels=("route",),
    ),
    Family(
        name="backstream_retries_total",
        kind="counter",
        help="Routes that were asked again, by what had failed.",
        labels=("route", "cause"),
    ),
    Family(
        name="backstream_switches_total",
        kind="counter",
        help="Answers that another route went on with.",
        labels=("from", "to", "why"),
    ),
    Family(name="backstream_streams_open", kind="gauge", help="Answers that are being made."),
    Family(name="backstream_workers", kind="gauge", help="Processes whose values these are."),
    Family(
        name="backstream_event_loop_lag_seconds",
        kind="gauge",
        help="How late the event loop was when last looked at; of several workers the latest.",
        merged="max",
    ),
    Family(name="backstream_build_info", kind="gauge", help="The version.", labels=("version", "python"), merged="max"),
    Family(name="process_cpu_seconds_total", kind="counter", help="Processor time, user and system, in seconds."),
    Family(name="process_resident_memory_bytes", kind="gauge", help="Resident memory."),
    Family(name="process_open_fds", kind="gauge", help="Open file descriptors."),
    Family(name="process_max_fds", kind="gauge", help="Limit of open file descriptors of a process.", merged="min"),
    Family(
        name="process_start_time_seconds", kind="gauge", help="When the first process began, Unix time.", merged="min"
    ),
)
"""Every metric, in the order of the page."""

_BY_NAME: Final = {family.name: family for family in FAMILIES}
_OWN_ERRORS: Final = frozenset(errors.__all__) | REASONS

Labels = tuple[str, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """The values of one worker at one time.

    Attributes:
        values: Of counters and gauges: family name and label values, value.
        histograms: Family name and label values, the count of each bucket and then the sum.
    """

    values: list[tuple[Labels, float]]
    histograms: list[tuple[Labels, list[float]]]


class Metrics:
    """The counts of one process.

    Attributes:
        changed: Whether something was counted since it was last set to ``False``.
    """

    def __init__(self) -> None:
        self.changed = False
        self._counts: dict[Labels, float] = {}
        self._histograms: dict[Labels, list[float]] = {}
        self._known: dict[str, set[str]] = {"model": set(), "route": set(), "error": set(_OWN_ERRORS)}

    def note(self, record: RequestRecord) -> None:
        """Count a request that is over."""
        self.changed = True
        route, error = record.route or "none", record.error
        status = "none" if record.status is None else str(record.status)
        shown = "none" if error is None else self._bounded("error", error)
        self._count(("backstream_requests_total", route, status, record.end, shown))
        self._observe(("backstream_request_duration_seconds", route), record.seconds)
        if record.end == "refused" and record.asked_seconds is None:
            self._count(("backstream_refused_total", reason_of(record.status)))
        for left, to, why in record.switches:
            names = (self._bounded("route", left), self._bounded("route", to))
            self._count(("backstream_switches_total", *names, self._bounded("error", why)))
        if record.provider is not None:
            self._note_answer(record, record.provider)

    def _note_answer(self, record: RequestRecord, provider: str) -> None:
        model = self._bounded("model", record.model or "none")
        self._observe(("backstream_first_chunk_seconds", provider, model), record.first_seconds)
        if record.chunks:
            self._count(("backstream_chunks_total", provider, model), record.chunks)
        if record.usage is not None:
            for direction, tokens in (("input", record.usage.input_tokens), ("output", record.usage.output_tokens)):
                if tokens is not None and tokens > 0:
                    self._count(("backstream_tokens_total", direction, provider, model), tokens)

    def _bounded(self, kind: str, name: str) -> str:
        known = self._known[kind]
        if name not in known:
            if len(known) >= _MOST_NAMES + (len(_OWN_ERRORS) if kind == "error" else 0):
                return "other"
            known.add(name)
        return name

    def _count(self, key: Labels, amount: float = 1) -> None:
        self._counts[key] = self._counts.get(key, 0) + amount

    def _observe(self, key: Labels, seconds: float | None) -> None:
        if seconds is None:
            return
        counts = self._histograms.get(key)
        if counts is None:
            counts = self._histograms[key] = [0.0] * (len(_SECONDS) + 2)
        counts[bisect_left(_SECONDS, seconds)] += 1
        counts[-1] += seconds

    def snapshot(self, gauges: Mapping[Labels, float]) -> Snapshot:
        """Return the values of the moment, with those that somebody else measured."""
        histograms = [(key, list(counts)) for key, counts in self._histograms.items()]
        return Snapshot([*self._counts.items(), *gauges.items()], histograms)


def merge_snapshots(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the values of several workers; a gauge may take the greatest or least instead.

    A metric or a histogram of another shape, of another version of this program, is left out.
    """
    values: dict[Labels, float] = {}
    histograms: dict[Labels, list[float]] = {}
    for snapshot in snapshots:
        for key, value in snapshot.values:
            family = _BY_NAME.get(key[0])
            if family is not None and len(key) == len(family.labels) + 1:
                values[key] = _merged(family, values[key], value) if key in values else value
        for key, counts in snapshot.histograms:
            family = _BY_NAME.get(key[0])
            if family is None or len(key) != len(family.labels) + 1 or len(counts) != len(family.buckets) + 2:
                continue
            before = histograms.get(key)
            histograms[key] = list(counts) if before is None else [a + b for a, b in zip(before, counts, strict=True)]
    return Snapshot(list(values.items()), list(histograms.items()))


def _merged(family: Family, one: float, other: float) -> float:
    if family.merged == "max":
        return max(one, other)
    return min(one, other) if family.merged == "min" else one + other


def render_snapshot(snapshot: Snapshot, *, openmetrics: bool = False) -> bytes:
    """Write a snapshot as a page for Prometheus."""
    return render_families(FAMILIES, dict(snapshot.values), dict(snapshot.histograms), openmetrics=openmetrics)
