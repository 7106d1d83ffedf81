"""A running server in the current event loop: listening sockets, their connections, and how they end.

Starts no task of its own, and touches no signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from backstream.errors import ConfigurationError
from backstream.server.protocol import ConnectionLimits, GuardedProtocol

__all__ = ["Listener", "bind"]

_BACKLOG: Final = 1024
_ACCEPTING_ROUNDS: Final = 3  # of the event loop, from an accepted socket to its protocol


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind a host's addresses, each on the same port.

    Args:
        host: An address or name; ``localhost`` means 127.0.0.1, and ::1 where the machine has it.
        port: The port; 0 for a free one.

    Raises:
        ConfigurationError: The name is unknown, or the port is taken or forbidden.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {port} is none", "use 1 to 65535, or 0 for a free one")
    sockets: list[socket.socket] = []
    try:
        for address in ["127.0.0.1", "::1"] if host == "localhost" else [host.strip("[]")]:
            try:
                sockets.append(_bind_one(address, sockets[0].getsockname()[1] if sockets else port))
            except OSError:
                if not sockets:  # a second address may be missing on this machine
                    raise
    except (OSError, OverflowError, UnicodeError) as error:
        for opened in sockets:
            opened.close()
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"cannot listen on {host[:80]} port {port}: {reason}", "choose another port, or stop the other program"
        ) from None
    return sockets


def _bind_one(address: str, port: int) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        # on Windows SO_REUSEADDR would steal the port from its owner
        option: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setblocking(False)
        opened.bind(target)
        opened.listen(_BACKLOG)
    except BaseException:  # whatever it was, nobody else knows the socket yet
        opened.close()
        raise
    return opened


class Listener:
    """A server that accepts connections in one event loop.

    Args:
        app: The ASGI application.
        limits: The limits of its connections.
    """

    def __init__(self, app: Any, limits: ConnectionLimits | None = None) -> None:
        # no setting that has uvicorn set up logging: the loggers of the program around us are not ours
        self._config = Config(app, loop="none", ws="none", lifespan="off", proxy_headers=False, log_config=None)
        self._config.load()
        self._config.loaded_app = app  # never wrapped: at its finest level uvicorn logs header fields, and so keys
        self._state = ServerState()
        self._limits = limits or ConnectionLimits()
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
            bound = self._sockets[len(self._servers)]
            self._servers.append(await loop.create_server(self._connect, sock=bound, start_serving=False))
        for server in self._servers:
            if not server.is_serving():
                await server.start_serving()

    def _connect(self) -> GuardedProtocol:
        return GuardedProtocol(self._config, self._state, self._limits, self._one_gone.set)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._sockets[0].getsockname()[1]
        return port

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
