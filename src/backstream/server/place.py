"""Where a server listens: an address and port, with TLS or without, or a Unix socket. Accepts nothing itself."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from backstream.errors import ConfigurationError
from backstream.server.tls import TLSFiles

__all__ = ["BACKLOG", "Place", "bind", "bind_unix", "bound"]

BACKLOG: Final = 1024
"""How many connections may wait to be accepted."""
_HAS_OWN_QUEUES: Final = sys.platform == "linux"  # elsewhere SO_REUSEPORT does not spread connections


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens.

    Attributes:
        host: An address or name; ``localhost`` means 127.0.0.1, and ::1 where the machine has it.
        port: The port; 0 for a free one.
        socket_path: A Unix socket, instead of host and port.
        socket_mode: Who may use that: its file's mode. Default 0600.
        tls: Speak TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    socket_path: Path | None = None
    socket_mode: int = 0o600
    tls: TLSFiles | None = None

    def __post_init__(self) -> None:
        if self.socket_path is not None and self.tls is not None:
            raise ConfigurationError("a Unix socket needs no TLS", "leave out the certificate, or the socket")

    def url(self, port: int) -> str:
        """Return what clients are told: a URL, or ``unix:`` and a path.

        Args:
            port: The port it listens on.
        """
        if self.socket_path is not None:
            return f"unix:{self.socket_path.absolute()}"
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"{'https' if self.tls is not None else 'http'}://{host}:{port}"


@contextlib.contextmanager
def bound(place: Place, workers: int = 1) -> Iterator[list[list[socket.socket]]]:
    """Bind a place while the context lasts.

    Args:
        place: The place.
        workers: How many processes are to accept there.

    Yields:
        The sockets of each of them, listening. On Linux each has its own; those of a Unix socket are common.

    Raises:
        ConfigurationError: It cannot be bound.
    """
    path = place.socket_path
    if path is not None:
        first = [bind_unix(path, place.socket_mode)]
    elif workers > 1 and _HAS_OWN_QUEUES:
        first = _probe(place.host, place.port)
    else:
        first = bind(place.host, place.port)
    groups = [first]
    made = _identity(path)
    try:
        if path is None and _HAS_OWN_QUEUES and workers > 1:
            port = first[0].getsockname()[1]
            groups += [bind(place.host, port, shared=True) for _ in range(workers - 1)]
        yield groups if len(groups) == workers else [first] * workers
    finally:
        for group in groups:
            for each in group:
                each.close()
        if path is not None and made is not None and _identity(path) == made:
            path.unlink(missing_ok=True)


def _probe(host: str, port: int) -> list[socket.socket]:
    """Bind the first worker's sockets, where nobody else has the port: sharing one with a stranger is no error."""
    sockets = bind(host, port)
    port = sockets[0].getsockname()[1]
    for each in sockets:
        each.close()
    return bind(host, port, shared=True)


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Bind a host's addresses, each on the same port.

    Args:
        host: An address or name; ``localhost`` means 127.0.0.1, and ::1 where the machine has it.
        port: The port; 0 for a free one.
        shared: Let further sockets listen there too.

    Raises:
        ConfigurationError: The name is unknown, or the port is taken or forbidden.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {port} is none", "use 1 to 65535, or 0 for a free one")
    sockets: list[socket.socket] = []
    try:
        for address in ["127.0.0.1", "::1"] if host == "localhost" else [host.strip("[]")]:
            try:
                chosen = sockets[0].getsockname()[1] if sockets else port
                sockets.append(_bind_one(address, chosen, shared=shared))
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


def _bind_one(address: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        # on Windows SO_REUSEADDR would steal the port from its owner
        option: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setblocking(False)
        opened.bind(target)
        opened.listen(BACKLOG)
    except BaseException:  # whatever it was, nobody else knows the socket yet
        opened.close()
        raise
    return opened


def bind_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """Bind a Unix socket; the file that a dead server left is replaced.

    Args:
        path: Its file.
        mode: The file's mode; set before anybody can connect.

    Raises:
        ConfigurationError: A server listens there, the path is something else, too long or forbidden, or this system
            has no Unix sockets.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError("this system has no Unix sockets", "listen on 127.0.0.1")
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        opened.setblocking(False)
        opened.bind(os.fspath(path))
        path.chmod(mode)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot listen on {path}: {reason}", "choose another path") from None
    except BaseException:
        opened.close()
        raise
    return opened


def _make_way(path: Path) -> None:
    """Remove the socket of a server that is gone."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationError(f"{path} exists and is no socket", "choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # its queue is full, so somebody listens
            pass
    raise ConfigurationError(f"a server listens on {path}", "stop it, or choose another path")


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.lstat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)
