"""Who asks: the client behind trusted proxies, and the id it gives its request. Pure; knows no key and no route.

Every entry of a forwarded field but those of trusted proxies may have been written by the client itself, so the list is
read from the right, and only up to the first address that is not trusted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from backstream.errors import ConfigurationError
from backstream.server.asgi import Request

__all__ = ["UNKNOWN", "TrustedProxies", "request_id_of"]

UNKNOWN: Final = "unknown"
"""The address of a client that its proxy does not name in a way to believe; it is never this machine's."""

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_UNIX: Final = "unix"
_MAX_HOPS: Final = 64
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_PAIR: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\]|\\.)*\")\s*")


class _Hop(NamedTuple):
    """What one proxy says of who asked it; ``None`` where it does not say, or nothing to be believed."""

    client: str | None
    scheme: str | None = None
    host: str | None = None


class TrustedProxies:
    """The proxies whose word counts.

    Args:
        proxies: Addresses, networks (``10.0.0.0/8``), or ``unix`` for whoever speaks through a Unix socket.

    Raises:
        ConfigurationError: One of them is none of these.
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, proxies: Iterable[str]) -> None:
        named = list(proxies)
        self._unix = _UNIX in named
        self._networks: list[_Network] = [_network(each) for each in named if each != _UNIX]

    def __bool__(self) -> bool:
        """Whether any proxy is trusted."""
        return self._unix or bool(self._networks)

    def trusts(self, peer: str | None, *, over_unix: bool = False) -> bool:
        """Tell whether a peer is a trusted proxy.

        Args:
            peer: Its address.
            over_unix: Whether it speaks through a Unix socket, and so has none.
        """
        if peer is None:
            return self._unix and over_unix
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)

    def apply(self, request: Request) -> None:
        """Set scheme, client and forwarded host of a request as its trusted proxies tell them.

        A request that does not come from one stays as it is. Where the fields name no client that can be believed,
        or ``Forwarded`` and ``X-Forwarded-For`` name two, the client becomes :data:`UNKNOWN`.

        Source: RFC 7239 for ``Forwarded``; the other fields are custom.
        """
        if not self or not self.trusts(request.client_host, over_unix=request.over_unix):
            return
        told = self._client_of(_forwarded_hops(request.values(b"forwarded")))
        custom = self._client_of([_Hop(_node(each)) for each in _listed(request.values(b"x-forwarded-for"))])
        if custom is not None:
            different = told is not None and told.client != custom.client
            request.client_host = UNKNOWN if different else custom.client
        elif told is not None:
            request.client_host = told.client
        scheme = _scheme(_last(request, b"x-forwarded-proto")) or (told.scheme if told else None)
        request.scheme = scheme or request.scheme
        request.forwarded_host = _host(_last(request, b"x-forwarded-host")) or (told.host if told else None)

    def _client_of(self, hops: Sequence[_Hop]) -> _Hop | None:
        """Return the hop of the client: the last one that is no trusted proxy; ``None`` where there is no hop."""
        hop = None
        for hop in reversed(hops[-_MAX_HOPS:]):  # the outermost one counts where all are trusted
            if hop.client is None:
                return hop._replace(client=UNKNOWN)
            if not self.trusts(hop.client):
                return hop
        return hop


def request_id_of(request: Request) -> str | None:
    """Return the id a client gave its request, where it is of a form that is harmless in a log."""
    given = request.text(b"x-request-id") or request.text(b"x-client-request-id")
    return given if _REQUEST_ID.fullmatch(given) else None


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        raise ConfigurationError(
            f"{text[:80]!r} is no trusted proxy", "name an address, a network such as 10.0.0.0/8, or unix"
        ) from None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _listed(values: Iterable[bytes]) -> list[str]:
    return [item.strip() for value in values for item in value.decode("latin-1").split(",")]


def _last(request: Request, name: bytes) -> str:
    """Return what the nearest proxy said."""
    return next(reversed(_listed(request.values(name))), "")


def _node(text: str) -> str | None:
    """Return the address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            return None
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = None if "%" in text else _address(text)
    return None if address is None else str(address)


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in ("http", "https") else None


def _host(text: str) -> str | None:
    return text.lower() if _HOST.fullmatch(text) else None


def _forwarded_hops(values: Iterable[bytes]) -> list[_Hop]:
    """Read ``Forwarded``; of a malformed field no hop is left out, since what it hides is not known.

    Source: RFC 7239, section 4.
    """
    hops: list[_Hop] = []
    for value in values:
        for element in _split(value.decode("latin-1"), ","):
            pairs = dict(_pairs(element))
            hops.append(
                _Hop(_node(pairs.get("for", "")), _scheme(pairs.get("proto", "")), _host(pairs.get("host", "")))
            )
    return hops


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    found = [_PAIR.fullmatch(pair) for pair in _split(element, ";") if pair.strip()]
    if all(found):
        for pair in found:
            assert pair is not None
            text = pair[2]
            yield pair[1].lower(), re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark outside of quotes."""
    parts, begin, quoted, position = [], 0, False, 0
    while position < len(text):
        character = text[position]
        if character == "\\" and quoted:
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == mark and not quoted:
            parts.append(text[begin:position])
            begin = position + 1
        position += 1
    return [*parts, text[begin:]]
