"""How figures are summed up and written: a median beside its lowest and highest, never a single number alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Figure", "cell", "number", "spread"]

Figure = Mapping[str, Any]
"""``median``, ``min``, ``max``, and ``runs``."""


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of some runs, and how many they were."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def cell(figure: Figure | None) -> str:
    """A figure in a table: the median, and in parentheses the lowest and highest where there was more than one run."""
    if figure is None:
        return "–"
    median, least, most = (number(figure[part]) for part in ("median", "min", "max"))
    return median if figure["runs"] == 1 else f"{median} ({least}–{most})"


def number(value: float) -> str:
    """A number with as many digits as it deserves."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
