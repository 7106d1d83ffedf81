"""What a running server is told: to stop, to stop now, to read its settings again. By signal, or through a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from backstream.errors import BackstreamError

__all__ = ["RELOAD", "STOP_SIGNALS", "Orders"]

_LOGGER: Final = logging.getLogger("backstream.server")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
RELOAD: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)


class Orders:
    """What one server has been told; to be made in its event loop.

    Attributes:
        first: Set when it is to stop.
        second: Set when it is to stop without waiting for anything.
        signal: The signal that said so first.
        on_reload: Called one after the other when settings are to be read again; what they raise is logged.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.signal: signal.Signals | None = None
        self.on_reload: list[Callable[[], Awaitable[None]]] = []
        self._reloading: asyncio.Task[None] | None = None
        self._again = False

    def ask(self, number: int) -> None:
        """Take one signal."""
        if number == RELOAD:
            self._reload()
            return
        if self.first.is_set():
            self.second.set()
        self.signal = self.signal or signal.Signals(number)
        self.first.set()

    def _reload(self) -> None:
        self._again = True
        if self._reloading is None:
            self._reloading = asyncio.create_task(self._reload_all())

    async def _reload_all(self) -> None:
        while self._again:
            self._again = False
            for reload in self.on_reload:
                try:
                    await reload()
                except BackstreamError as error:
                    _LOGGER.error("not read again: %s", error)
                except Exception as error:  # noqa: BLE001 - a task's edge: a defect must not end a running server
                    _LOGGER.error("not read again: %s", type(error).__name__)
        self._reloading = None

    async def aclose(self) -> None:
        """End a reload that still runs."""
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait([self._reloading])

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals while the context lasts, in the main thread; elsewhere they are not ours.

        SIGHUP reloads; from a terminal that has gone away it ends the server, as it would without us.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        had_terminal = _has_terminal()

        def take(number: int) -> None:
            gone = number == RELOAD and had_terminal and not _has_terminal()
            self.ask(signal.SIGTERM if gone else number)

        with _taken((*STOP_SIGNALS, *([RELOAD] if RELOAD is not None else [])), take):
            yield

    @contextlib.contextmanager
    def on_pipe(self, descriptor: int) -> Iterator[None]:
        """Take signals as bytes from a pipe while the context lasts.

        When its other end goes away, the server is to stop; so it is, once, when the process gets SIGTERM itself.
        """
        loop = asyncio.get_running_loop()
        told = False

        def read() -> None:
            nonlocal told
            numbers = os.read(descriptor, 64)
            if not numbers:
                loop.remove_reader(descriptor)
                self._ask_once(signal.SIGTERM)
            for number in numbers:
                if number == RELOAD or told:
                    self.ask(number)
                else:  # no second order, where the process has had a signal of its own
                    told = True
                    self._ask_once(number)

        loop.add_reader(descriptor, read)
        try:
            with _taken((signal.SIGTERM,), self._ask_once):
                yield
        finally:
            loop.remove_reader(descriptor)

    def _ask_once(self, number: int) -> None:
        if not self.first.is_set():
            self.ask(number)


@contextlib.contextmanager
def _taken(numbers: tuple[signal.Signals, ...], take: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda number, frame: loop.call_soon_threadsafe(take, number))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
