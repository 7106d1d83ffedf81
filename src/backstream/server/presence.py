"""Noticing that the client went away while its answer is being made, or stops in its request. Knows ASGI only."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from backstream.server.asgi import Message, Receive, Refusal
from backstream.server.refusals import ClientGone

__all__ = ["ClientWatch", "patient"]


class ClientWatch:
    """A context that is cancelled when the client goes away, and then raises ``ClientGone``.

    It works as ``asyncio.timeout`` does: the task is cancelled where it waits, so that a provider is closed by its own
    ``finally`` blocks before the context is left; a cancellation from elsewhere passes through untouched.

    Args:
        receive: ASGI's, after the whole request body was read.

    Attributes:
        gone: Whether the client went away.
    """

    __slots__ = ("_cancelling", "_done", "_ours", "_receive", "_task", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False
        self._done = self._ours = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an ASGI application runs inside a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._done:
            self.gone = True
            if not self.cancelled:  # a second cancellation would interrupt how the provider closes
                self._ours = self._task.cancel()

    def finishing(self) -> None:
        """Say that the answer is whole: a client that leaves from now on has left nothing."""
        self._done = True

    @property
    def cancelled(self) -> bool:
        """Whether anybody, this watch included, has cancelled the task since the context was entered."""
        return self._task.cancelling() > self._cancelling

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done = True
        self._watcher.cancel()
        try:
            await asyncio.wait([self._watcher])
        except asyncio.CancelledError:
            if not self._ours:
                raise
        if self._watcher.done() and not self._watcher.cancelled():
            self._watcher.exception()  # retrieved: where receive() failed, send() will say so
        if self._ours and self._task.uncancel() <= self._cancelling:
            raise ClientGone from error


def patient(receive: Receive, idle_seconds: float, bytes_per_second: int) -> Receive:
    """Wrap ``receive`` so that a client which sends its body too slowly, or stops, is not waited for.

    Only the time that is spent waiting counts.

    Args:
        receive: ASGI's, before the first body message.
        idle_seconds: Silence after which the request is refused; also the time over which the rate is measured.
        bytes_per_second: The least rate.

    Returns:
        A ``receive`` that raises ``Refusal``: 408.
    """
    clock = asyncio.get_running_loop().time
    waited, arrived = 0.0, 0

    async def receive_soon() -> Message:
        nonlocal waited, arrived
        begun = clock()
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError:
            raise _too_slow() from None
        waited += clock() - begun
        arrived += len(message.get("body", b""))
        if waited >= idle_seconds:
            if arrived < waited * bytes_per_second and message.get("more_body", False):
                raise _too_slow()
            waited, arrived = 0.0, 0
        return message

    return receive_soon


def _too_slow() -> Refusal:
    return Refusal(408, "The request body did not arrive in time", [(b"connection", b"close")])
