"""Where this process itself listens, so that a gateway does not take itself for a back-end. Pure; opens nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from backstream.errors import UnavailableError
from backstream.providers.table import Row
from backstream.transport.url import is_loopback, parse_url

__all__ = ["Address", "check_not_own", "own_address", "rows_to_probe"]

Address: TypeAlias = tuple[str, int]
"""A host and a port; all forms of this machine's own host are one."""

_THIS_MACHINE: Final = "127.0.0.1"
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared


def own_address(host: str, port: int) -> Address:
    """Return an address in the form that is compared.

    Args:
        host: An address or name. That of every interface counts as this machine's loopback, where it answers too.
        port: The port.
    """
    host = host.strip("[]").lower()
    return (_THIS_MACHINE if host in _ANY or is_loopback(host) else host, port)


def check_not_own(row: Row, own: Collection[Address]) -> None:
    """Check that a row is not where this process listens: it would ask itself, without end.

    Args:
        row: The provider.
        own: Where this process listens; see :func:`own_address`.

    Raises:
        UnavailableError: It is; asking again does not help.
    """
    if not own or not row.url:
        return
    where = parse_url(row.url)
    if own_address(where.host, where.port) in own:
        error = UnavailableError(
            f"{row.name} is not there, its address is this server's own; "
            f"the operator must give url in [providers.{row.name}], or serve on another port",
            phase="connect",
        )
        error.retryable = False
        raise error


def rows_to_probe(rows: Iterable[Row], own: Collection[Address]) -> Sequence[Row]:
    """Return the local servers to look for, each with the ports where it may be.

    One that was put elsewhere is looked for there, if that is this machine, and nowhere else; none is looked for where
    this process listens.

    Args:
        rows: Every provider.
        own: Where this process listens; see :func:`own_address`.
    """
    found = []
    for row in rows:
        where = parse_url(row.url) if row.local_ports else None
        if where is None or where.scheme != "http" or not is_loopback(where.host):
            continue
        ports = row.local_ports if where.port in row.local_ports else (where.port,)
        ports = tuple(port for port in ports if own_address(_THIS_MACHINE, port) not in own)
        if ports:
            found.append(msgspec.structs.replace(row, local_ports=ports))
    return found
