"""Metric families as text: the Prometheus format 0.0.4, and OpenMetrics 1.0. Pure; knows no metric of ours.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification 1.0.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

__all__ = ["OPENMETRICS", "PLAIN", "Family", "Kind", "render_families", "wants_openmetrics"]

Kind = Literal["counter", "gauge", "histogram"]

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    Attributes:
        name: Its name; that of a counter ends in ``_total``.
        kind: Its type.
        help: One line about it.
        labels: The names of its labels.
        buckets: Of a histogram: the upper bounds, rising, without the last one, which is infinite.
        merged: How the values of a gauge from several workers become one.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merged: Literal["sum", "max", "min"] = "sum"


def wants_openmetrics(accept: Iterable[bytes]) -> bool:
    """Tell whether a scrape asks for OpenMetrics: the values of its ``Accept`` fields."""
    named = b",".join(accept).decode("latin-1").lower()
    return any(entry.partition(";")[0].strip() == "application/openmetrics-text" for entry in named.split(","))


def render_families(
    families: Sequence[Family],
    values: Mapping[tuple[str, ...], float],
    histograms: Mapping[tuple[str, ...], Sequence[float]],
    *,
    openmetrics: bool = False,
) -> bytes:
    """Write metrics.

    Args:
        families: What there is; a family without any sample is left out.
        values: Counters and gauges: family name and label values → value.
        histograms: Family name and label values → the count of each bucket, the infinite one last, then the sum.
        openmetrics: Write OpenMetrics.
    """
    samples: dict[str, list[tuple[tuple[str, ...], float | Sequence[float]]]] = {}
    for key, value in sorted(values.items()):
        samples.setdefault(key[0], []).append((key[1:], value))
    for key, counts in sorted(histograms.items()):
        samples.setdefault(key[0], []).append((key[1:], counts))
    lines: list[str] = []
    for family in families:
        found = samples.get(family.name, ())
        if not found:
            continue
        # in OpenMetrics the family of a counter has no suffix, its sample has
        name = family.name.removesuffix("_total") if openmetrics and family.kind == "counter" else family.name
        lines += [f"# HELP {name} {_escape_help(family.help)}", f"# TYPE {name} {family.kind}"]
        for labels, sample in found:
            pairs = [f'{label}="{_escape(text)}"' for label, text in zip(family.labels, labels, strict=True)]
            if isinstance(sample, Sequence):
                lines += _histogram(family, pairs, sample)
            else:
                lines.append(f"{family.name}{_braces(pairs)} {_number(sample)}")
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""]).encode()


def _histogram(family: Family, pairs: list[str], counts: Sequence[float]) -> Iterable[str]:
    *buckets, total = counts
    running = 0.0
    for bound, count in zip((*family.buckets, math.inf), buckets, strict=True):
        running += count
        edge = 'le="+Inf"' if bound == math.inf else f'le="{float(bound)!r}"'
        yield f"{family.name}_bucket{_braces([*pairs, edge])} {_number(running)}"
    yield f"{family.name}_sum{_braces(pairs)} {_number(total)}"
    yield f"{family.name}_count{_braces(pairs)} {_number(running)}"


def _braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
