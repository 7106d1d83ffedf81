"""Things that live as long as an event loop, and are closed with it.

``asyncio.run``, ``asyncio.Runner`` and uvloop shut a loop's asynchronous generators down before they close it. One
generator of ours, started once in each loop that needs it, runs the closers then. A bare ``loop.close()`` without
``loop.shutdown_asyncgens()`` runs nothing; there, close things yourself. Knows nothing of what it closes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["on_loop_shutdown"]

_log = logging.getLogger("backstream.transport")

Closer = Callable[[], Awaitable[None]]


class _Scope:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.closers: list[Closer] = []
        # The loop knows its generators weakly only; this keeps ours alive.
        self.generator = self._run()

    async def _run(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            while self.closers:
                try:
                    await self.closers.pop()()
                except Exception:  # noqa: BLE001 - the edge of a task: one closer must not keep the others from running
                    _log.exception("closing with the event loop failed")
            with _lock:
                if _scopes.get(self._loop) is self:
                    del _scopes[self._loop]

    def start(self) -> None:
        try:
            self.generator.__anext__().send(None)
        except StopIteration:  # reached its yield: the loop knows it now
            return


_scopes: dict[asyncio.AbstractEventLoop, _Scope] = {}
_lock = threading.Lock()


def on_loop_shutdown(closer: Closer) -> None:
    """Have the running loop await ``closer()`` when its asynchronous generators are shut down.

    Closers run once, the latest first, one after another; what one raises is logged.

    Args:
        closer: Called without arguments in the loop.

    Raises:
        RuntimeError: No event loop is running in this thread.
    """
    loop = asyncio.get_running_loop()
    with _lock:
        for other in [known for known in _scopes if known.is_closed()]:
            del _scopes[other]
        scope = _scopes.get(loop)
        fresh = scope is None
        if scope is None:
            scope = _scopes[loop] = _Scope(loop)
        scope.closers.append(closer)
    if fresh:
        scope.start()
