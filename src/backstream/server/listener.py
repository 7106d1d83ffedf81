"""A running server in the current event loop: listening sockets, their connections, and how they end.

Starts no task of its own, and touches no signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from backstream.server.place import BACKLOG, bind
from backstream.server.protocol import ConnectionLimits, GuardedProtocol

__all__ = ["Listener", "bind"]

_REMOVES_SOCKETS: Final = sys.version_info >= (3, 13)  # asyncio, when a server is closed
_CLOSING_SECONDS: Final = 2.0  # for the client's side of the end of TLS
# Source: AWS's guide to its load balancers, "Connection idle timeout" (60 seconds, as nginx's): the server's must be
# longer, else it closes a connection while a request is on its way.
_IDLE_SECONDS: Final = 75
_ACCEPTING_ROUNDS: Final = 3  # of the event loop, from an accepted socket to its protocol


class Listener:
    """A server that accepts connections in one event loop.

    Args:
        app: The ASGI application.
        limits: The limits of its connections.
        tls: Speak TLS.
    """

    def __init__(self, app: Any, limits: ConnectionLimits | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        # no setting that has uvicorn set up logging: the loggers of the program around us are not ours
        self._config = Config(
            app,
            loop="none",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=_IDLE_SECONDS,
        )
        self._config.load()
        self._config.loaded_app = app  # never wrapped: at its finest level uvicorn logs header fields, and so keys
        self._state = ServerState()
        self._limits = limits or ConnectionLimits()
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._one_gone = asyncio.Event()

    def adopt(self, sockets: Sequence[socket.socket]) -> None:
        """Take bound, listening sockets over; they are the listener's to close from now on."""
        self._sockets += sockets

    async def start(self) -> None:
        """Accept connections in the running loop; harmless when repeated, or after a cancelled start."""
        loop = asyncio.get_running_loop()
        while len(self._servers) < len(self._sockets):
            # with start_serving=False this does not wait, so that a server is never lost to a cancellation
            self._servers.append(await self._create_server(loop, self._sockets[len(self._servers)]))
        for server in self._servers:
            if not server.is_serving():
                await server.start_serving()

    async def _create_server(self, loop: asyncio.AbstractEventLoop, bound: socket.socket) -> asyncio.Server:
        more: dict[str, Any] = {"backlog": BACKLOG}
        if bound.family == getattr(socket, "AF_UNIX", None):
            if _REMOVES_SOCKETS and isinstance(loop, asyncio.BaseEventLoop):
                more["cleanup_socket"] = False  # others may listen there too
            return await loop.create_unix_server(self._connect, sock=bound, start_serving=False, **more)
        if self._tls is not None:
            more |= {"ssl_handshake_timeout": self._limits.head_seconds, "ssl_shutdown_timeout": _CLOSING_SECONDS}
        return await loop.create_server(self._connect, sock=bound, ssl=self._tls, start_serving=False, **more)

    def _connect(self) -> GuardedProtocol:
        return GuardedProtocol(self._config, self._state, self._limits, self._one_gone.set)

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        where = self._sockets[0].getsockname()
        return where[1] if isinstance(where, tuple) else 0

    async def aclose(self, grace_seconds: float = 0.0) -> None:
        """Stop: no new connection, running answers get ``grace_seconds`` to end, then their providers are cancelled."""
        await self._stop_accepting()
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._wait_until_idle()
        for task in self._state.tasks:
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks))
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self._wait_until_idle()
        for server in self._servers:
            if sys.version_info >= (3, 13):
                server.abort_clients()  # what is still in its handshake
            await server.wait_closed()

    async def _stop_accepting(self) -> None:
        """Close the listening sockets, once what they have accepted has its protocol.

        A server of asyncio that closes earlier forgets such connections without closing them.
        """
        loop = asyncio.get_running_loop()
        for bound in self._sockets:
            if bound.fileno() >= 0:
                with contextlib.suppress(NotImplementedError):  # a loop that does not poll has no readers to remove
                    loop.remove_reader(bound)
        try:
            for _ in range(_ACCEPTING_ROUNDS):
                await asyncio.sleep(0)
        finally:  # also where the closing itself is cancelled
            for server in self._servers:
                server.close()
            for bound in self._sockets:
                bound.close()

    async def _wait_until_idle(self) -> None:
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks))
        while self._state.connections:
            self._one_gone.clear()
            await self._one_gone.wait()
