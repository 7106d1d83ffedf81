"""The answers that run, and how they are interrupted when the server stops. Knows no route and no dialect."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from backstream.errors import BackstreamError, UnavailableError

__all__ = ["Interruption", "RunningAnswers", "stopping_error"]


def stopping_error() -> UnavailableError:
    """Make the error that an answer ends with because the server stops."""
    error = UnavailableError("the server is stopping", status=503, phase="headers")
    error.retry_after_seconds = 1
    return error


class Interruption:
    """A context that can be interrupted from outside, with an error.

    It works as ``asyncio.timeout`` does: the task is cancelled where it waits, so that a provider is closed by its own
    ``finally`` blocks. Whoever has begun to answer asks :meth:`take` for the error, to tell it in the answer;
    otherwise the context raises it.

    Args:
        running: Where it is registered while it lasts.

    Attributes:
        error: What it was interrupted with, until that is taken.
    """

    __slots__ = ("_cancelling", "_running", "_task", "error")

    def __init__(self, running: RunningAnswers | None = None) -> None:
        self._running = running
        self.error: UnavailableError | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._running is not None:
            self._running.add(self)
        return self

    def interrupt(self, error: UnavailableError) -> None:
        """Cancel the task where it waits, unless somebody has."""
        if self._task is not None and self._task.cancelling() <= self._cancelling:
            self.error = error
            self._task.cancel()

    def take(self) -> UnavailableError | None:
        """Take the cancellation back, and return the error; ``None`` where the cancellation is somebody else's."""
        error = self.error
        if error is None or self._task is None:
            return None
        self.error, task, self._task = None, self._task, None
        return error if task.uncancel() <= self._cancelling else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.discard(self)
        asked = self.take()
        if asked is not None and isinstance(error, asyncio.CancelledError | BackstreamError):
            raise asked from None


class RunningAnswers:
    """The running answers of one application."""

    def __init__(self) -> None:
        self._answers: set[Interruption] = set()
        self._none_left: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, answer: Interruption) -> None:
        """Register one."""
        self._answers.add(answer)

    def discard(self, answer: Interruption) -> None:
        """Forget one."""
        self._answers.discard(answer)
        if self._none_left is not None and not self._answers:
            self._none_left.set()

    def answer(self) -> Interruption:
        """Return the context of one more answer."""
        return Interruption(self)

    def interrupt(self) -> None:
        """Have every running answer end with an error."""
        for answer in list(self._answers):
            answer.interrupt(stopping_error())

    async def wait_until_none(self) -> None:
        """Wait until no answer runs."""
        self._none_left = asyncio.Event()
        if self._answers:
            await self._none_left.wait()
