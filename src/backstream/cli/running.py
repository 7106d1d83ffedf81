"""An event loop for commands, and what Ctrl-C does to it. Knows nothing of what runs in it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from backstream.cli.exits import INTERRUPTED

__all__ = ["Loop", "run"]

T = TypeVar("T")

_GRACE_SECONDS: Final = 0.7


class Loop:
    """One event loop, in which one coroutine after another runs; a context manager.

    Ctrl-C cancels the running coroutine, and ``run`` raises ``KeyboardInterrupt`` once it has cleaned up. Where that
    takes longer than 0.7 seconds (a name look-up, or a pipe nobody writes to, cannot be cancelled) the process ends
    itself.

    Args:
        patient: Whether the first Ctrl-C only ever stops the running coroutine (an interactive session).
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._runner = asyncio.Runner()
        self._patient = patient
        self._interrupts = 0
        self._task: asyncio.Task[Any] | None = None
        self._before: Any = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as in a background job
            signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            _end_soon()
        try:
            self._runner.close()
        finally:
            signal.signal(signal.SIGINT, self._before)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        Raises:
            KeyboardInterrupt: Ctrl-C stopped it.
        """
        self._interrupts = 0

        async def watched() -> T:
            self._task = asyncio.current_task()
            return await coroutine

        try:
            return self._runner.run(watched())
        except asyncio.CancelledError:
            if self._interrupts:
                raise KeyboardInterrupt from None
            raise
        finally:
            coroutine.close()
            self._task = None

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._task is None or self._task.done():
            raise KeyboardInterrupt
        if not self._patient or self._interrupts > 1:
            _end_soon()
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def _end_soon() -> None:
    timer = threading.Timer(_GRACE_SECONDS, os._exit, [INTERRUPTED])  # what was printed is flushed already
    timer.daemon = True
    timer.start()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine in a loop of its own.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped it.
    """
    with Loop() as loop:
        return loop.run(coroutine)
