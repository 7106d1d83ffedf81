"""Terminals: whether there is one, what it may be shown, and lines on standard error beside the answer."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Final, TextIO

__all__ = ["Notes", "can_style", "harmless", "is_terminal", "make_tolerant", "width_of"]

_SHOWN: Final[Mapping[int, str | None]] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},  # ESC becomes ␛
    0x0D: None,
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),  # C1: some terminals obey these too
    **dict.fromkeys((0x202D, 0x202E)),  # overrides of writing direction
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


def harmless(text: str) -> str:
    """Return text with every control character but tab and line feed made visible, or left out.

    A back-end's words must not move the cursor, change the title, or answer for the user.
    """
    return text if text.isprintable() else text.translate(_SHOWN)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def can_style(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal that may be sent escape sequences (``NO_COLOR``, ``TERM=dumb``)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> tuple[int, int]:
    """Return the columns and rows of a terminal of the moment; 80 and 24 where it tells none."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = shutil.get_terminal_size()
    return size.columns or 80, max(size.lines or 24, 2)


def make_tolerant() -> None:
    """Have characters that the output's encoding lacks replaced, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


class Notes:
    """Lines for people on standard error, which may share its terminal with the answer on standard output.

    Attributes:
        shared: Whether both are terminals, so that a line begun on one has to be ended before the other writes.
    """

    def __init__(self) -> None:
        self._err = sys.stderr
        self.shared = is_terminal(sys.stdout) and is_terminal(sys.stderr)
        self.shows_reasoning = is_terminal(self._err)
        self._dim = ("\x1b[2m", "\x1b[0m") if can_style(self._err) else ("", "")
        self._open = False

    def line(self, text: str) -> None:
        """Write one line."""
        self.end_line()
        self._write(f"{self._dim[0]}{harmless(text).rstrip()}{self._dim[1]}\n")

    def run_on(self, text: str) -> None:
        """Write text that goes on where the last one ended."""
        text = harmless(text)
        if text:
            # the style is closed each time, so that a break at any point leaves a sane terminal
            self._write(f"{self._dim[0]}{text}{self._dim[1]}")
            self._open = not text.endswith("\n")

    def end_line(self) -> None:
        """End a line that ``run_on`` left open."""
        if self._open:
            self._write("\n")
            self._open = False

    def over(self, text: str) -> None:
        """Write over the line that the cursor is in; ``""`` erases it. Only for terminals."""
        self._write(f"\r{text}\x1b[K")

    def _write(self, text: str) -> None:
        if self._err is not None:
            self._err.write(text)
            self._err.flush()
