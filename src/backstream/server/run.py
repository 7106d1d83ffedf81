"""A server as a whole program: where it may listen, signals, and a graceful end. Prints nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

from backstream.errors import ConfigurationError
from backstream.server.app import Gateway
from backstream.server.gate import is_loopback
from backstream.server.listener import Listener, bind
from backstream.server.protocol import ConnectionLimits

__all__ = ["serve"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def serve(
    app: Gateway,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    on_ready: Callable[[str], None] | None = None,
    grace_seconds: float = 5.0,
    limits: ConnectionLimits | None = None,
) -> signal.Signals | None:
    """Serve until SIGINT or SIGTERM; a second signal ends running answers at once.

    Args:
        app: The application.
        host: Where to listen; ``localhost`` means 127.0.0.1 and ::1.
        port: The port; 0 for a free one.
        on_ready: Called with the server's URL once it accepts connections.
        grace_seconds: How long running answers may take to end. Default 5.
        limits: The limits of connections.

    Returns:
        The signal that ended it; ``None`` where it was ended otherwise.

    Raises:
        ConfigurationError: The address is not loopback and there are no client keys, or cannot be listened on.
    """
    check_exposure(app, host)
    listener = Listener(_reachable_as(app, host), limits)
    listener.adopt(bind(host, port))
    stop = _Stop()
    try:
        await listener.start()
        with stop.on_signals():
            if on_ready is not None:
                on_ready(f"http://{_in_url(host)}:{listener.port}")
            await stop.first.wait()
            await _close_gracefully(listener, grace_seconds, stop)
    finally:
        await listener.aclose()
        await app.aclose()
    return stop.signal


async def _close_gracefully(listener: Listener, grace_seconds: float, stop: _Stop) -> None:
    closing = asyncio.create_task(listener.aclose(grace_seconds))
    impatience = asyncio.create_task(stop.second.wait())
    try:
        await asyncio.wait([closing, impatience], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (closing, impatience):
            task.cancel()
        await asyncio.wait([closing, impatience])


def check_exposure(app: Gateway, host: str) -> None:
    """Check that other machines could only reach a server with client keys.

    Raises:
        ConfigurationError: They could without.
    """
    try:
        infos = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"{host[:80]!r} is no address of this machine", "listen on 127.0.0.1") from None
    if not all(is_loopback(str(info[4][0])) for info in infos) and not app.keys.required:
        raise ConfigurationError(
            f"listening on {host[:80]} without client keys would open this server to other machines",
            "make a key with: backstream keys add NAME; or listen on 127.0.0.1",
        )


def _reachable_as(app: Gateway, host: str) -> Gateway:
    """Accept as ``Host`` what the server was told to listen on."""
    if host in ("0.0.0.0", "::", "[::]"):  # noqa: S104 - compared, and only with client keys
        return app.with_settings(any_address_host=True)
    return app.with_settings(allowed_hosts=(*app.settings.allowed_hosts, _in_url(host).lower()))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class _Stop:
    """What has been asked of us by signals."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.signal: signal.Signals | None = None

    def ask(self, number: int) -> None:
        if self.first.is_set():
            self.second.set()
        self.signal = self.signal or signal.Signals(number)
        self.first.set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals while the context lasts, in the main thread; elsewhere they are not ours."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {
            number: signal.signal(number, lambda number, frame: loop.call_soon_threadsafe(self.ask, number))
            for number in _SIGNALS
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
