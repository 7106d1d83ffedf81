"""Making connections: name look-up, proxy handshakes, TLS. Knows no HTTP beyond CONNECT."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Final, cast

from backstream.errors import ConnectError, ProxyError, TLSError
from backstream.transport.connection import Connection
from backstream.transport.tls import load_context, tls_error
from backstream.wire.proxy import ConnectHandshake, ProxyAddress
from backstream.wire.socks5 import Socks5Handshake

__all__ = ["Route", "open_connection", "reason_of"]

_ERRNO: Final = re.compile(r"\[Errno (\d{1,6})\]")
_REASONS: Final[Mapping[int, str]] = {
    errno.EACCES: "not permitted",
    errno.EADDRNOTAVAIL: "no such address on this machine",
    errno.ECONNABORTED: "connection aborted",
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.EMFILE: "too many open files",
    errno.ENETUNREACH: "network unreachable",
    errno.EPERM: "not permitted",
    errno.ETIMEDOUT: "timed out",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin; connections of equal routes may stand in for each other.

    Attributes:
        host: The origin's host.
        port: The origin's port.
        context: TLS to the origin, or ``None`` for plain http.
        proxy: The proxy on the way.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    proxy: ProxyAddress | None = None

    @property
    def forwards(self) -> bool:
        """Whether an HTTP proxy reads the request itself (plain http), so that it needs the absolute form."""
        return self.proxy is not None and self.context is None and self.proxy.scheme in {"http", "https"}


async def open_connection(loop: asyncio.AbstractEventLoop, route: Route, user_agent: str = "") -> Connection:
    """Connect.

    Raises:
        ConnectError: Name look-up, refusal, or no way.
        TLSError: The handshake or the certificate failed.
        ProxyError: The proxy refused or failed.
    """
    connection = Connection(loop)
    if route.proxy is None:
        await _create(connection, route.host, route.port, route.context)
    else:
        await _open_through_proxy(loop, connection, route, route.proxy, user_agent)
    connection.keep_probing()
    return connection


async def _create(
    protocol: asyncio.BaseProtocol,
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    error_class: type[ConnectError] = ConnectError,
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    where = "the proxy" if error_class is ProxyError else host
    try:
        transport, _ = await loop.create_connection(
            lambda: protocol, host, port, ssl=context, server_hostname=host if context is not None else None
        )
    except (ssl.SSLError, ssl.CertificateError) as error:
        raise tls_error(error, where) from error
    except socket.gaierror as error:
        raise error_class(f"the name {host!r} cannot be resolved: {error.strerror or 'look-up failed'}") from error
    except OSError as error:
        if context is not None and isinstance(error, ConnectionAbortedError | ConnectionResetError):
            raise tls_error(error, where) from error
        raise error_class(f"no connection to {host} port {port}: {reason_of(error)}") from error
    return transport


def reason_of(error: OSError) -> str:
    """Return in plain words why no connection could be made.

    Args:
        error: What the event loop raised. asyncio has words of its own for one address, and joins the failures of
            several into one text without an ``errno``.
    """
    numbers = [error.errno] if error.errno is not None else [int(n) for n in _ERRNO.findall(str(error))]
    reasons = dict.fromkeys(_REASONS.get(number) or os.strerror(number) for number in numbers)
    return ", ".join(reasons) or "every address failed"


async def _open_through_proxy(
    loop: asyncio.AbstractEventLoop, connection: Connection, route: Route, proxy: ProxyAddress, user_agent: str
) -> None:
    context = await load_context(None) if proxy.scheme == "https" else None
    if route.forwards:
        await _create(connection, proxy.host, proxy.port, context, ProxyError)
        return
    tunnel = _Tunnel(loop)
    transport = await _create(tunnel, proxy.host, proxy.port, context, ProxyError)
    try:
        await tunnel.run(await _handshake(loop, route, proxy, user_agent))
        if route.context is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return
        await _start_tls(loop, transport, connection, route.host, route.context)
    except BaseException:  # also a cancelled task must not leave the socket open
        transport.abort()
        raise


async def _handshake(
    loop: asyncio.AbstractEventLoop, route: Route, proxy: ProxyAddress, user_agent: str
) -> ConnectHandshake | Socks5Handshake:
    if proxy.scheme in {"http", "https"}:
        host = f"[{route.host}]" if ":" in route.host else route.host
        return ConnectHandshake(f"{host}:{route.port}", proxy.authorization, user_agent)
    host = route.host
    if proxy.scheme == "socks5":
        try:
            found = await loop.getaddrinfo(host, route.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise ConnectError(f"the name {host!r} cannot be resolved: {error.strerror or 'failed'}") from error
        host = str(found[0][4][0])
    return Socks5Handshake(host, route.port, proxy.user, proxy.password)


async def _start_tls(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    connection: Connection,
    host: str,
    context: ssl.SSLContext,
) -> None:
    try:
        secured = await loop.start_tls(transport, connection, context, server_hostname=host)
    except (OSError, ssl.CertificateError) as error:
        raise tls_error(error, host) from error
    if secured is None:
        raise TLSError(f"TLS handshake with {host} failed: the connection was closed")
    connection.connection_made(secured)


class _Tunnel(asyncio.Protocol):
    """Speaks a proxy's handshake on a fresh connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._handshake: ConnectHandshake | Socks5Handshake | None = None
        self._done: asyncio.Future[None] = loop.create_future()

    async def run(self, handshake: ConnectHandshake | Socks5Handshake) -> None:
        self._handshake = handshake
        if self._transport is not None:
            self._transport.write(handshake.open())
        await self._done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no asyncio class

    def data_received(self, data: bytes) -> None:
        if self._handshake is None or self._done.done():
            self._finish(ProxyError("the proxy spoke out of turn"))
            return
        try:
            answer = self._handshake.feed(data)
        except ProxyError as error:
            self._finish(error)
            return
        if answer and self._transport is not None:
            self._transport.write(answer)
        if self._handshake.done:
            self._finish(None)

    def eof_received(self) -> None:
        self._finish(ProxyError("the proxy closed the connection during its handshake"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(ProxyError("the proxy closed the connection during its handshake"))

    def _finish(self, error: ProxyError | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
            self._done.exception()  # seen, also where nobody awaits any more
