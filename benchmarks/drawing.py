"""Small drawings as SVG: bars that lie, and lines; readable on a light page and on a dark one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Bar", "Line", "bars", "lines"]

TEXT, GRID, OURS, PEER, FLOOR = "#768390", "#76839055", "#2f81f7", "#9a8c98", "#3fa45b"
HUES = {
    "ours": (OURS, "#a371c9", "#1f9fa8"),
    "floor": (FLOOR, "#8a9a3b"),
    "peer": ("#d2752d", "#c9515a", PEER),
}
FONT = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif'"
WIDTH, LABEL, VALUE = 760, 210, 180
ROW, BAR, TITLE = 22, 14, 34


class Bar(NamedTuple):
    """One bar.

    Attributes:
        label: What it is of.
        value: How long it is.
        shown: The value in words.
        kind: ``ours``, ``floor`` or ``peer``.
    """

    label: str
    value: float
    shown: str
    kind: str


class Line(NamedTuple):
    """One line.

    Attributes:
        label: What it is of.
        kind: ``ours``, ``floor`` or ``peer``.
        points: From left to right.
    """

    label: str
    kind: str
    points: Sequence[tuple[float, float]]


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = TEXT) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}'"
    return f"<text {place} fill='{colour}'>{escape(words)}</text>"


def _svg(height: float, title: str, inside: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' {FONT} role='img'>"
    return "\n".join([head, f"<title>{escape(title)}</title>", *inside, "</svg>"]) + "\n"


def bars(title: str, panels: Mapping[str, Sequence[Bar]], *, logarithmic: bool = True) -> str:
    """Draw bars that lie, in panels one below the other, each with a scale of its own.

    Args:
        title: What the drawing shows, for those who cannot see it.
        panels: By title.
        logarithmic: Whether a step to the right is a factor; else lengths are values.
    """
    inside: list[str] = []
    y = 0.0
    for name, rows in panels.items():
        inside.append(_text(0, y + 20, name, size=14))
        y += TITLE
        least = min((row.value for row in rows if row.value > 0), default=1.0)
        most = max((row.value for row in rows), default=1.0)
        room = WIDTH - LABEL - VALUE
        for row in rows:
            length = _length(row.value, least, most, logarithmic=logarithmic) * room
            colour = {"ours": OURS, "floor": FLOOR}.get(row.kind, PEER)
            inside.append(_text(LABEL - 8, y + 12, row.label, anchor="end"))
            inside.append(
                f"<rect x='{LABEL}' y='{y + 1:.1f}' width='{length:.1f}' height='{BAR}' rx='2' fill='{colour}'/>"
            )
            inside.append(_text(LABEL + length + 6, y + 12, row.shown))
            y += ROW
        y += 12
    return _svg(y, title, inside)


def _length(value: float, least: float, most: float, *, logarithmic: bool) -> float:
    """The part of the room that a bar takes; on a scale of factors the shortest still can be seen."""
    if value <= 0 or most <= 0:
        return 0.004
    if not logarithmic:
        return max(value / most, 0.004)
    start = math.log10(least) - 0.25
    return (math.log10(value) - start) / max(math.log10(most) - start, 0.01)


class _Scale:
    """Where values lie between two ends of a drawing."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, logarithmic: bool) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self.logarithmic, self.start, self.end = logarithmic, start, end
        self.least, self.most = (min(positive), max(positive)) if logarithmic else (0.0, max(positive) * 1.08)
        if logarithmic:
            self.least, self.most = self.least / 1.25, self.most * 1.25

    def at(self, value: float) -> float:
        if self.logarithmic:
            low, high, value = math.log(self.least), math.log(self.most), math.log(max(value, self.least))
        else:
            low, high = self.least, self.most
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def marks(self) -> list[float]:
        """Round values for the grid."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
            factors = (1, 2, 5) if math.log10(self.most / self.least) < 1.6 else (1,)
            found = [factor * 10.0**power for power in powers for factor in factors]
            return [value for value in found if self.least <= value <= self.most]
        step = 10 ** math.floor(math.log10(self.most / 3))
        step *= next(factor for factor in (1, 2, 5, 10) if self.most / (step * factor) <= 5)
        return [step * index for index in range(int(self.most / step) + 1)]


def lines(
    title: str,
    given: Sequence[Line],
    *,
    across: str,
    upwards: str,
    log_x: bool = True,
    log_y: bool = False,
    marks_x: Sequence[float] | None = None,
) -> str:
    """Draw lines.

    Args:
        title: What the drawing shows.
        given: The lines.
        across: What the scale from left to right counts.
        upwards: What the scale upwards counts.
        log_x: Whether a step to the right is a factor.
        log_y: Whether a step upwards is.
        marks_x: Where the scale to the right has marks; ``None`` for round values.
    """
    left, right, top, bottom = 70.0, WIDTH - 230.0, 40.0, 300.0
    xs = _Scale([x for line in given for x, _ in line.points], left + 8, right, logarithmic=log_x)
    ys = _Scale([y for line in given for _, y in line.points], bottom, top, logarithmic=log_y)
    inside = [_text(0, 20, upwards, size=14)]
    for mark in ys.marks():
        y = ys.at(mark)
        inside.append(f"<line x1='{left}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='{GRID}'/>")
        inside.append(_text(left - 8, y + 4, f"{mark:g}", anchor="end"))
    inside += [_text(xs.at(mark), bottom + 20, f"{mark:,g}", anchor="middle") for mark in marks_x or xs.marks()]
    inside.append(_text((left + right) / 2, bottom + 42, across, anchor="middle"))
    ends: list[tuple[float, int]] = []
    colours = _colours(given)
    for index, line in enumerate(given):
        colour = colours[index]
        path = " ".join(f"{xs.at(x):.1f},{ys.at(y):.1f}" for x, y in line.points)
        inside.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        if len(line.points) <= 20:
            for x, y in line.points:
                inside.append(f"<circle cx='{xs.at(x):.1f}' cy='{ys.at(y):.1f}' r='3' fill='{colour}'/>")
        ends.append((ys.at(line.points[-1][1]), index))
    for y, index in _apart(sorted(ends)):
        inside.append(_text(right + 12, y + 4, given[index].label, colour=colours[index]))
    return _svg(bottom + 54, title, inside)


def _colours(given: Sequence[Line]) -> list[str]:
    """Lines of one kind are alike, and no two the same."""
    seen = Counter[str]()
    found = []
    for line in given:
        hues = HUES[line.kind]
        found.append(hues[seen[line.kind] % len(hues)])
        seen[line.kind] += 1
    return found


def _apart(ends: Sequence[tuple[float, int]], room: float = 17.0) -> list[tuple[float, int]]:
    """Move labels down, and where that leaves the drawing all of them up, until none covers another."""
    placed: list[tuple[float, int]] = []
    for y, index in ends:
        placed.append((max(y, placed[-1][0] + room) if placed else y, index))
    over = max(placed[-1][0] - 300.0, 0.0) if placed else 0.0
    return [(y - over, index) for y, index in placed]
