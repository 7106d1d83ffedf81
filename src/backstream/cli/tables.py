"""Tables and JSON on standard output. Knows rows, not where they come from."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import click
import msgspec

from backstream.cli.terminal import harmless, is_terminal, make_tolerant

__all__ = ["print_json", "print_table"]


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; on a terminal control characters are made visible.

    Args:
        titles: The columns' titles.
        rows: The cells.
    """
    make_tolerant()
    clean = [[_cell(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(_width, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _cell(text: str) -> str:
    text = " ".join(text.split())
    return harmless(text) if is_terminal(sys.stdout) else text


def _width(text: str) -> int:
    """How many columns a text takes: wide characters two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) for c in text)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
