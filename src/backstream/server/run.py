"""A server as a whole program: where it may listen, signals, and a graceful end. Prints nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from backstream.errors import ConfigurationError
from backstream.registry.own import own_address
from backstream.server.app import Gateway
from backstream.server.gate import is_loopback
from backstream.server.keys import keys_command
from backstream.server.listener import Listener
from backstream.server.orders import Orders
from backstream.server.place import Place, bound
from backstream.server.protocol import ConnectionLimits
from backstream.server.tls import ServerTLS, TLSFiles

__all__ = ["GRACE_SECONDS", "QUICK_GRACE_SECONDS", "Conduct", "check_exposure", "serve", "serve_at", "serve_on"]

GRACE_SECONDS: Final = 20.0
"""How long running answers may take to end, by default, after SIGTERM."""
QUICK_GRACE_SECONDS: Final = 0.5
"""The same after Ctrl-C, which somebody waits for."""

_FAREWELL_SECONDS: Final = 2.0  # for the clients to take an error each
_LAST_SECONDS: Final = 1.0  # for what is left of answers that are whole


class Conduct(msgspec.Struct, frozen=True, kw_only=True):
    """How a server behaves beside answering.

    Attributes:
        on_ready: Called with the server's URL once it accepts connections.
        on_stopping: Called once it is to stop, with the number of answers that run; ``None`` where workers know it.
        on_reload: Called with the application that answers when settings are to be read again (SIGHUP).
        grace_seconds: How long running answers may take to end. Default 20, and half a second after Ctrl-C.
        limits: The limits of connections.
    """

    on_ready: Callable[[str], None] | None = None
    on_stopping: Callable[[int | None], None] | None = None
    on_reload: Callable[[Gateway], Awaitable[None]] | None = None
    grace_seconds: float | None = None
    limits: ConnectionLimits | None = None


async def serve(
    app: Gateway,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    socket_path: Path | None = None,
    tls: TLSFiles | None = None,
    on_ready: Callable[[str], None] | None = None,
    on_reload: Callable[[Gateway], Awaitable[None]] | None = None,
    grace_seconds: float | None = None,
    limits: ConnectionLimits | None = None,
) -> signal.Signals | None:
    """Serve until SIGINT or SIGTERM.

    From then on new answers are refused with 503, and ``/readyz`` says so. Running ones have ``grace_seconds`` to end;
    what still runs then, or at a second signal, ends with an error in its client's dialect.

    Args:
        app: The application.
        host: Where to listen; ``localhost`` means 127.0.0.1 and ::1.
        port: The port; 0 for a free one.
        socket_path: Listen on a Unix socket instead, which only this user may use.
        tls: Speak TLS. The files are read again on SIGHUP.
        on_ready: Called with the server's URL once it accepts connections.
        on_reload: See :class:`Conduct`.
        grace_seconds: How long running answers may take to end. Default 20, and half a second after SIGINT.
        limits: The limits of connections.

    Returns:
        The signal that ended it; ``None`` where it was ended otherwise.

    Raises:
        ConfigurationError: The address is not loopback and there are no client keys, or cannot be listened on; a file
            for TLS is none.
    """
    place = Place(host=host, port=port, socket_path=socket_path, tls=tls)
    conduct = Conduct(on_ready=on_ready, on_reload=on_reload, grace_seconds=grace_seconds, limits=limits)
    return await serve_at(app, place, conduct)


async def serve_at(app: Gateway, place: Place, conduct: Conduct) -> signal.Signals | None:
    """Serve at a place; see :func:`serve`.

    Raises:
        ConfigurationError: As there.
    """
    check_exposure(app, place)
    with bound(place) as groups:
        return await serve_on(app, place, groups[0], conduct)


async def serve_on(
    app: Gateway, place: Place, sockets: Sequence[socket.socket], conduct: Conduct, *, orders_from: int | None = None
) -> signal.Signals | None:
    """Serve on sockets that are bound already; see :func:`serve`.

    Args:
        app: The application.
        place: Where the sockets are.
        sockets: They listen; are closed at the end.
        conduct: How to behave.
        orders_from: Take orders from this pipe instead of signals.

    Raises:
        ConfigurationError: A file for TLS is none.
    """
    app = _reachable_as(app, place)
    orders = Orders()
    tls = await asyncio.to_thread(ServerTLS, place.tls) if place.tls is not None else None
    if tls is not None:
        orders.on_reload.append(tls.reload)
    if conduct.on_reload is not None:
        reload = conduct.on_reload
        orders.on_reload.append(lambda: reload(app))
    listener = Listener(app, conduct.limits, tls=tls.context if tls is not None else None)
    listener.adopt(sockets)
    if app.registry is not None and place.socket_path is None:  # it must not find itself on a usual port
        app.registry.own_addresses |= {own_address(place.host, listener.port)}
    try:
        await listener.start()
        with orders.on_signals() if orders_from is None else orders.on_pipe(orders_from):
            if conduct.on_ready is not None:
                conduct.on_ready(place.url(listener.port))
            await orders.first.wait()
            if conduct.on_stopping is not None:
                conduct.on_stopping(len(app.admission.answers))
            await _drain(app, listener, orders, conduct.grace_seconds)
    finally:
        await listener.aclose()
        await orders.aclose()
        await app.aclose()
    return orders.signal


async def _drain(app: Gateway, listener: Listener, orders: Orders, grace_seconds: float | None) -> None:
    """Let answers end, then end them, then close; listening goes on until then, so that ``/readyz`` can be asked."""
    if grace_seconds is None:
        grace_seconds = QUICK_GRACE_SECONDS if orders.signal == signal.SIGINT else GRACE_SECONDS
    answers = app.admission.answers
    app.admission.draining = True
    loop = asyncio.get_running_loop()
    end = loop.time() + grace_seconds
    await _first_of(answers.wait_until_none(), orders.second.wait(), seconds=grace_seconds)
    if answers:
        answers.interrupt()
        await _first_of(answers.wait_until_none(), seconds=_FAREWELL_SECONDS)
    left = max(end - loop.time(), _LAST_SECONDS)
    await _first_of(listener.aclose(left), orders.second.wait(), seconds=left + _FAREWELL_SECONDS)


async def _first_of(*waits: Coroutine[Any, Any, object], seconds: float) -> None:
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def check_exposure(app: Gateway, place: Place) -> None:
    """Check that other machines could only reach a server with client keys.

    Raises:
        ConfigurationError: They could without.
    """
    if place.socket_path is not None:
        return
    host = place.host
    try:
        infos = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"{host[:80]!r} is no address of this machine", "listen on 127.0.0.1") from None
    if not all(is_loopback(str(info[4][0])) for info in infos) and not app.keys.required:
        raise ConfigurationError(
            f"listening on {host[:80]} without client keys would open this server to other machines",
            f"make a key with: {keys_command('add NAME', app.settings.keys_file)}; or listen on 127.0.0.1",
        )


def _reachable_as(app: Gateway, place: Place) -> Gateway:
    """Accept as ``Host`` what the server was told to listen on."""
    if place.socket_path is not None:
        return app
    if place.host in ("0.0.0.0", "::", "[::]"):  # noqa: S104 - compared, and only with client keys
        return app.with_settings(any_address_host=True)
    host = f"[{place.host}]" if ":" in place.host and not place.host.startswith("[") else place.host
    return app.with_settings(allowed_hosts=(*app.settings.allowed_hosts, host.lower()))
