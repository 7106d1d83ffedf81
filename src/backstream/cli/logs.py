"""Logs for people: ``--verbose``, and the warnings that are shown without it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import click

__all__ = ["show_warnings", "shown_by", "verbose_option"]

F = TypeVar("F", bound="Callable[..., Any]")

_ARGUMENT: Final = " or pass api_key="  # of the library; what else to do is said before it
_SHOWN: Final = ("backstream.request.receipts", "backstream.registry")


class _OneLine(logging.Formatter):
    """A record is one line, harmless for a terminal; a traceback's place goes with it, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        from backstream.cli.terminal import harmless

        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        return harmless(" ".join(text.split("\n")))


class _Warnings(logging.Handler):
    """Gives each warning, once, to whatever writes on the terminal at the moment."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.show: Callable[[str], None] | None = None
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        from backstream.cli.terminal import Notes

        text = f"backstream: {' '.join(record.getMessage().split())}".replace(_ARGUMENT, "")
        if text not in self._shown:
            self._shown.add(text)
            (self.show or Notes().line)(text)


_WARNINGS: Final = _Warnings()


def _set_up(context: click.Context, parameter: click.Parameter, count: int) -> None:
    logger = logging.getLogger("backstream")
    if count:
        handler = logging.StreamHandler()
        handler.setFormatter(_OneLine())
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


def show_warnings() -> None:
    """Show what became of parameters, and what the registry warns of, as a line each; a verbose log has them anyway."""
    if logging.getLogger("backstream").level == logging.NOTSET:
        for name in _SHOWN:
            logging.getLogger(name).addHandler(_WARNINGS)


@contextlib.contextmanager
def shown_by(show: Callable[[str], None]) -> Iterator[None]:
    """Have warnings written by ``show`` for a while, as it knows what stands on the terminal."""
    before, _WARNINGS.show = _WARNINGS.show, show
    try:
        yield
    finally:
        _WARNINGS.show = before
