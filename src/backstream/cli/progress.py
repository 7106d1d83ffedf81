"""The bar that shows an upload. Knows bytes, not what they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from backstream.cli.terminal import Notes, is_terminal, width_of

__all__ = ["make_progress"]

_SHOWN_FROM_BYTES: Final = 1024 * 1024
_REDRAW_SECONDS: Final = 0.1


def make_progress() -> Callable[[int, int | None], None] | None:
    """Return an ``on_progress`` that draws on standard error; ``None`` where that is no terminal."""
    if not is_terminal(sys.stderr):
        return None
    notes = Notes()
    next_time = 0.0
    drawn = False

    def on_progress(sent: int, total: int | None) -> None:
        nonlocal next_time, drawn
        if (total if total is not None else sent) < _SHOWN_FROM_BYTES:
            return
        if total is not None and sent >= total:
            if drawn:
                notes.over("")
            drawn = False
            return
        now = time.monotonic()
        if now >= next_time:
            next_time = now + _REDRAW_SECONDS
            notes.over(render_bar(sent, total, width_of(sys.stderr)[0] - 1))
            drawn = True

    return on_progress


def render_bar(sent: int, total: int | None, columns: int) -> str:
    """Render the bar in one line.

    Args:
        sent: Bytes sent so far.
        total: Bytes to send; ``None`` where unknown.
        columns: How wide the line may be.
    """
    if total is None:
        return f"sending {_mebibytes(sent)}"[:columns]
    text = f"sending {_mebibytes(sent)} of {_mebibytes(total)} {sent * 100 // total:3d} %"
    room = min(columns - len(text) - 3, 40)
    if room < 5:
        return text[:columns]
    done = room * sent // total
    return f"{text} [{'#' * done}{'.' * (room - done)}]"


def _mebibytes(count: int) -> str:
    return f"{count / (1024 * 1024):.1f} MiB"
