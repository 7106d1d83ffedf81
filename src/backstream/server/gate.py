"""Who may talk to this server at all, by ``Host`` and ``Origin``: decided before keys and bodies. Pure checks.

A page in a browser can make its user's machine talk to a local port. ``Host`` stops names that were re-bound to
loopback; ``Origin`` stops other pages.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from backstream.server.asgi import Field, Refusal, Request

__all__ = ["LOOPBACK_HOSTS", "check_host", "check_origin", "cors_fields", "is_loopback", "is_preflight"]

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")

_PAGES_MAY_SEND: Final = (
    b"authorization, content-type, accept, x-api-key, g4f-api-key, x-backstream-deadlines, x-backstream-mid-stream"
)


def check_host(request: Request, allowed: Collection[str], *, any_address: bool = False) -> str:
    """Check the ``Host`` field, and the host that a trusted proxy was asked for.

    Through a Unix socket, which no page can open, a client may send any well-formed name; a page that reaches it
    through a proxy is known by its ``Origin``, or by what the proxy forwards.

    Args:
        request: The request.
        allowed: Further names, each with or without a port; loopback names are always allowed, with any port.
        any_address: Allow every IP address too: a page cannot re-bind those.

    Returns:
        The host that the client asked for, in lower case.

    Raises:
        Refusal: 400 where it is missing, repeated or malformed; 403 where the name is another.
    """
    values = request.values(b"host")
    found = _HOST.fullmatch(values[0].decode("latin-1")) if len(values) == 1 else None
    if found is None:
        raise Refusal(400, "The Host header must be sent once, as name or name:port")
    if request.over_unix and not request.values(b"origin") and not _is_forwarded(request):
        return found[0].lower()
    for asked in (found[0].lower(), request.forwarded_host or ""):
        name = asked if asked.endswith("]") else asked.rpartition(":")[0] or asked
        if asked and not (
            name in LOOPBACK_HOSTS or name in allowed or asked in allowed or (any_address and _is_address(name))
        ):
            break
    else:
        return request.forwarded_host or found[0].lower()
    raise Refusal(403, "This server does not answer to that Host; its operator must allow the name: --allow-host NAME")


def _is_forwarded(request: Request) -> bool:
    return any(name == b"forwarded" or name.startswith(b"x-forwarded-") for name, _ in request.fields)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Tell whether an IP address, as text, is this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def check_origin(request: Request, host: str, allowed: Collection[str]) -> str | None:
    """Check the ``Origin`` field.

    Args:
        request: The request.
        host: The checked ``Host``.
        allowed: Origins of pages that may use this server.

    Returns:
        The other origin that was allowed; ``None`` for none or our own.

    Raises:
        Refusal: 403 for any other page; ``Origin: null`` is one.
    """
    origins = [value.decode("latin-1").lower() for value in request.values(b"origin")]
    if len(origins) == 1 and origins[0] in allowed:
        return origins[0]
    if origins == [f"{request.scheme}://{host}"]:
        return None
    if origins or request.text(b"sec-fetch-site") == "cross-site":
        raise Refusal(403, "Pages of other origins may not use this server; allow the origin in its settings")
    return None


def is_preflight(request: Request) -> bool:
    """Tell whether this is a browser's question before a request of another origin."""
    return request.method == "OPTIONS" and bool(request.values(b"access-control-request-method"))


def cors_fields(origin: str, request: Request) -> list[Field]:
    """Return the header fields that let a page of an allowed origin read the answer.

    The origin is named, never ``*``, and no credentials of the browser's (cookies) are let through.

    Raises:
        Refusal: 403 where a public page asks for the way into a private network.
    """
    fields = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    if is_preflight(request):
        if request.values(b"access-control-request-private-network"):
            raise Refusal(403, "Pages of the public network may not reach this server")
        fields += [
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", _PAGES_MAY_SEND),
            (b"access-control-max-age", b"600"),
        ]
    return fields
