"""``--verbose``: the package's log on standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["verbose_option"]

F = TypeVar("F", bound="Callable[..., Any]")


class _OneLine(logging.Formatter):
    """A record is one line, harmless for a terminal; a traceback's place goes with it, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        from backstream.cli.terminal import harmless

        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        return harmless(" ".join(text.split("\n")))


def _set_up(context: click.Context, parameter: click.Parameter, count: int) -> None:
    if count:
        handler = logging.StreamHandler()
        handler.setFormatter(_OneLine())
        logger = logging.getLogger("backstream")
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if count > 1 else logging.INFO)


def verbose_option(command: F) -> F:
    """Add ``--verbose`` to a command."""
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_set_up,
        help="Log to standard error; twice logs more. Never logs keys or content.",
    )(command)
