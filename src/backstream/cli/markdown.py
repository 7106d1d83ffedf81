"""Markdown, rendered while it arrives. Imports rich, so it is only imported when there is a terminal and rich.

What can no longer change (every top-level block but the last) is printed for good, above; the last block is drawn
again at each step, at most one screen of it. So an answer of any length scrolls like any other output.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
from collections.abc import Sequence
from typing import ClassVar, TextIO

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown as rich_markdown
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from backstream.cli.terminal import width_of

__all__ = ["LiveMarkdown", "render_lines", "split_finished"]

_LONGEST_DRAWN = 16 * 1024
_STYLES = re.compile(r"\x1b\[[0-9;]*m")
# HTML stays text: rich would leave it out, and with it every <word> of an answer about code
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _Heading(rich_markdown.Heading):
    """A heading as a terminal shows it best: bold, at the left margin."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        style = "bold underline" if self.tag in ("h1", "h2") else "bold"
        yield Text(self.text.plain, style=style)


class _Markdown(rich_markdown.Markdown):
    elements: ClassVar = {**rich_markdown.Markdown.elements, "heading_open": _Heading}

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = _keep_line_ends(_PARSER.parse(text))


def _keep_line_ends(tokens: list[Token]) -> list[Token]:
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return tokens


def split_finished(text: str) -> tuple[list[str], str]:
    """Split Markdown into the top-level blocks that no further text can change, and the rest.

    Args:
        text: Markdown that may go on.

    Returns:
        The finished blocks, and what may still grow.
    """
    starts = [token.map[0] for token in _PARSER.parse(text) if token.level == 0 and token.nesting >= 0 and token.map]
    if len(starts) < 2:
        return [], text
    lines = [line + "\n" for line in text.split("\n")]  # str.splitlines knows line ends that Markdown does not
    lines[-1] = lines[-1][:-1]
    edges = [0, *starts[1:]]
    blocks = ["".join(lines[a:b]) for a, b in itertools.pairwise(edges)]
    return blocks, "".join(lines[edges[-1] :])


def render_lines(text: str, columns: int, *, colors: str | None = "standard") -> list[str]:
    """Render Markdown to lines with styles, none wider than ``columns``."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=columns,
        force_terminal=True,
        color_system=colors,  # type: ignore[arg-type]  # one of rich's names, from rich itself
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
    )
    console.print(_Markdown(text), end="")
    lines = [_strip_padding(line) for line in out.getvalue().split("\n")]
    while lines and not _STYLES.sub("", lines[-1]).strip():
        lines.pop()
    while lines and not _STYLES.sub("", lines[0]).strip():
        del lines[0]
    return lines


def _strip_padding(line: str) -> str:
    """Leave out the blanks rich fills lines with: they would be copied, and wrapped when the window narrows."""
    return re.sub(r" +((?:\x1b\[[0-9;]*m)*)$", r"\1", line)


class LiveMarkdown:
    """Markdown on a terminal, drawn as it arrives.

    The cursor is never hidden and every drawing ends in a normal state, so the program may end at any point.

    Args:
        out: The terminal.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._colors = Console(file=self._out).color_system
        self._pending = ""
        self._drawn: Sequence[str] = ()
        self._first = True

    def feed(self, text: str) -> None:
        """Take more text; nothing is drawn yet."""
        self._pending += text

    def draw(self) -> None:
        """Bring the screen up to what was fed."""
        finished, self._pending = split_finished(self._pending)
        columns, rows = width_of(self._out)
        lines = self._sketch(columns, rows)
        if not self._first or finished:
            lines = ["", *lines] if lines else lines
        self._paint(self._final(finished, columns), lines, columns, rows)

    def clear(self) -> None:
        """Take the drawing off the screen, so that something else can be written there; ``draw`` brings it back."""
        columns, rows = width_of(self._out)
        self._paint([], [], columns, rows)

    def finish(self) -> None:
        """Print the rest for good, and leave the cursor below it."""
        finished, rest = split_finished(self._pending)
        columns, rows = width_of(self._out)
        self._pending = ""
        self._paint(self._final([*finished, rest], columns), [], columns, rows)

    def _final(self, blocks: Sequence[str], columns: int) -> list[str]:
        lines: list[str] = []
        for block in blocks:
            rendered = self._render(block, columns)
            if rendered:
                lines += rendered if self._first else ["", *rendered]
                self._first = False
        return lines

    def _sketch(self, columns: int, rows: int) -> list[str]:
        """Render what may still grow; of a block too long to be rendered again and again, the end of its source."""
        if len(self._pending) <= _LONGEST_DRAWN:
            return self._render(self._pending, columns)
        source = self._pending[-columns * rows :].split("\n")[-rows:]
        return [set_cell_size(line.expandtabs(4), columns).rstrip() for line in source]

    def _render(self, text: str, columns: int) -> list[str]:
        return render_lines(text, columns, colors=self._colors) if text.strip() else []

    def _paint(self, final: Sequence[str], live: Sequence[str], columns: int, rows: int) -> None:
        """Replace the last drawing by final lines and a new drawing, in one write."""
        room = rows - 1
        if len(live) > room:
            live = ["⋮", *live[-room + 1 :]] if room > 1 else live[-1:]
        parts = [self._erase(columns, rows)]
        parts += [line + "\n" for line in final]
        if live:
            # without automatic wrapping a line whose width the terminal sees otherwise still takes one row
            parts += ["\x1b[?7l", "\n".join(live), "\x1b[?7h"]
        self._drawn = live
        self._out.write("".join(parts))
        self._out.flush()

    def _erase(self, columns: int, rows: int) -> str:
        """Go back to where the last drawing began, also where the terminal has wrapped it anew since, and erase it."""
        if not self._drawn:
            return ""
        taken = sum(max(1, -(-cell_len(_STYLES.sub("", line)) // columns)) for line in self._drawn)
        up = min(taken, rows) - 1
        return "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"
