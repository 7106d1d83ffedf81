"""Telling systemd, or whoever else started the server as a service, how it fares. Knows nothing of the server."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

__all__ = ["tell_service_manager"]


def tell_service_manager(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell a state, e.g. ``READY=1`` or ``STOPPING=1``, to the socket that ``NOTIFY_SOCKET`` names; else do nothing.

    Source: the manual page sd_notify(3), "Notes".
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # of the abstract name space
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)
