"""The connections of an event loop: idle ones are kept for the next request, all are closed with the loop.

Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque

from backstream.transport.connect import Route
from backstream.transport.connection import Connection
from backstream.transport.loop_scope import on_loop_shutdown

__all__ = ["IDLE_SECONDS", "MAX_IDLE", "Pool", "aclose_pools", "pool_of"]

IDLE_SECONDS = 15.0
"""How long an idle connection is kept, unless the server names a shorter time."""

MAX_IDLE = 32
"""How many idle connections are kept for one route."""


class Pool:
    """The idle connections of one event loop, by route; and who else is open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: dict[Route, deque[Connection]] = {}
        self._deadlines: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()

    def watch(self, connection: Connection) -> None:
        """Have a new connection closed with the loop at the latest, also if its answer is still being held."""
        self._open.add(connection)

    def take(self, route: Route) -> Connection | None:
        """Return the connection used last on this route that is still good, if there is one."""
        idle = self._idle.get(route)
        while idle:
            connection = idle.pop()
            deadline = self._deadlines.pop(connection, 0.0)
            if not idle:
                self._idle.pop(route, None)
            if deadline > self._loop.time() and not connection.is_stale():
                return connection
            connection.abort()
        return None

    def put(self, route: Route, connection: Connection, keep_seconds: float = IDLE_SECONDS) -> None:
        """Keep a connection whose exchange is over.

        Args:
            route: The way it leads.
            connection: A reusable connection.
            keep_seconds: How long the server will keep it, at most 15 s are used.
        """
        keep_seconds = min(keep_seconds, IDLE_SECONDS)
        if keep_seconds <= 0 or connection.lost:
            connection.abort()
            return
        idle = self._idle.setdefault(route, deque())
        if len(idle) >= MAX_IDLE:
            oldest = idle.popleft()
            self._deadlines.pop(oldest, None)
            oldest.abort()
        idle.append(connection)
        self._deadlines[connection] = self._loop.time() + keep_seconds
        if self._timer is None:
            self._timer = self._loop.call_later(keep_seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long or is gone; set the timer for the next."""
        self._timer = None
        now = self._loop.time()
        for route, idle in list(self._idle.items()):
            for connection in list(idle):
                if connection.lost or self._deadlines[connection] <= now:
                    idle.remove(connection)
                    del self._deadlines[connection]
                    connection.abort()
            if not idle:
                del self._idle[route]
        if self._deadlines:
            self._timer = self._loop.call_at(min(self._deadlines.values()), self._sweep)

    async def aclose_all(self) -> None:
        """Close every connection, idle or not, and wait until their sockets are closed."""
        await self.aclose()
        connections = [connection for connection in self._open if not connection.lost]
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()

    async def aclose(self) -> None:
        """Close every connection that nobody uses, and wait until their sockets are closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connections = [*self._deadlines, *(each for each in self._open if each.is_left)]
        self._idle.clear()
        self._deadlines.clear()
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()


_pools: dict[asyncio.AbstractEventLoop, Pool] = {}
_lock = threading.Lock()


def pool_of(loop: asyncio.AbstractEventLoop) -> Pool:
    """Return the pool of the running loop; it is closed when the loop's asynchronous generators are shut down."""
    pool = _pools.get(loop)
    if pool is None:
        with _lock:
            for other in [known for known in _pools if known.is_closed()]:
                del _pools[other]
            pool = _pools[loop] = Pool(loop)

        async def close() -> None:
            _pools.pop(loop, None)
            await pool.aclose_all()

        on_loop_shutdown(close)
    return pool


async def aclose_pools() -> None:
    """Close the idle connections of the running loop; needed only before a bare ``loop.close()``."""
    pool = _pools.get(asyncio.get_running_loop())
    if pool is not None:
        await pool.aclose()
