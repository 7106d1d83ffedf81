"""Logs: ``--verbose``, the warnings that are shown without it, and the line that ``serve`` writes for each request."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeVar

import click

__all__ = ["LogForm", "show_requests", "show_warnings", "shown_by", "verbose_option"]

LogForm = Literal["text", "json", "off"]

F = TypeVar("F", bound="Callable[..., Any]")

_ARGUMENT: Final = " or pass api_key="  # of the library; what else to do is said before it
_SHOWN: Final = ("backstream.request.receipts", "backstream.registry", "backstream.providers.recorder")
_OF_SERVERS: Final = ("backstream.server", "backstream.registry", "backstream.providers.recorder")


class _OneLine(logging.Formatter):
    """A record is one line, harmless for a terminal; a traceback's place goes with it, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        from backstream.cli.terminal import harmless

        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        return harmless(" ".join(text.split("\n")))


@functools.lru_cache(1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03}Z"


class _RequestText(_OneLine):
    """A request's line with its time; anything else as for people."""

    def format(self, record: logging.LogRecord) -> str:
        from backstream.cli.terminal import harmless
        from backstream.server.records import render_line

        values = getattr(record, "request", None)
        text = super().format(record) if values is None else harmless(render_line(values))
        return f"{_time(record)} {text}"


class _RequestJson(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        import msgspec

        told = getattr(record, "request", None) or {"logger": record.name, "message": record.getMessage()}
        line = {"time": _time(record), "level": record.levelname.lower(), **told}
        return msgspec.json.encode(line).decode()


class _Requests(logging.StreamHandler[Any]):
    """Writes requests, warnings, and what else is to be told; a log that nobody can read any more ends nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "request") or getattr(record, "told", False):
            return True
        return record.levelno >= logging.WARNING and record.name.startswith(_OF_SERVERS)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        return


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


def show_requests(form: LogForm) -> None:
    """Write a line to standard error for each request and each warning of the server; a second call changes the form.

    With ``--verbose`` the log has everything, in the same form.

    Args:
        form: ``text``, ``json`` (an object a line), or ``off``: warnings only, as text.
    """
    logger = logging.getLogger("backstream")
    formatter = _RequestJson() if form == "json" else _RequestText()
    is_verbose = logger.level != logging.NOTSET
    if not is_verbose and not any(isinstance(handler, _Requests) for handler in logger.handlers):
        logger.addHandler(_Requests())
    for handler in logger.handlers:
        handler.setFormatter(formatter)
    if is_verbose:
        return
    logging.getLogger("backstream.server").setLevel(logging.WARNING if form == "off" else logging.INFO)


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
