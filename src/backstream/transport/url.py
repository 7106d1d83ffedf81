"""URLs as the transport needs them: where to connect, what to ask for. Opens nothing, resolves nothing."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode, urljoin, urlsplit

from backstream.errors import ConfigurationError

__all__ = ["URL", "Params", "encode_host", "is_loopback", "join_url", "parse_url"]

Params = Mapping[str, "str | int | float"] | Sequence[tuple[str, "str | int | float"]]
"""Query parameters."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\<>\"{}|^`]")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?\Z")
_SHORT = 1000
_KEEP = "/%:@!$&'()*+,;=~?[]"


@dataclasses.dataclass(frozen=True, slots=True)
class URL:
    """An http or https URL, taken apart; equal origins compare equal.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Lower-case ASCII name (punycode) or address, without brackets.
        port: The port, also where the URL names none.
        target: Path and query, percent-encoded; never empty.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What goes into the Host field: the host, and the port unless it is the scheme's own."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """``scheme://host[:port]``."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return self.origin + self.target

    def __repr__(self) -> str:
        # The query may hold a key.
        return f"<URL {self.origin}{self.target.partition('?')[0]}>"


def _refuse(url: str, problem: str) -> ConfigurationError:
    shown = f" {url[:80]!r}" if url.isprintable() and not any(mark in url for mark in "@? ") else ""
    return ConfigurationError(f"the URL{shown} {problem}", "use http://host[:port]/path or https://…")


def parse_url(url: str, params: Params | None = None) -> URL:
    """Take an http or https URL apart, strictly.

    Args:
        url: An absolute URL without user information; a fragment is dropped.
        params: Query parameters to append.

    Raises:
        ConfigurationError: Not such a URL. The text shows neither user information nor the query.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"the URL is a {type(url).__name__}", "pass a str")
    if params is None and "?" not in url and len(url) <= _SHORT:
        return _parse_known(url)
    return _parse(url, params)


@functools.lru_cache(256)
def _parse_known(url: str) -> URL:
    """Take a URL apart that comes again and again; none with a query, which may hold a key."""
    return _parse(url, None)


def _parse(url: str, params: Params | None) -> URL:
    if not url or _FORBIDDEN.search(url):
        raise _refuse(url, "is empty or holds spaces or other characters no URL can hold")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refuse(url, "has a malformed host or port") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refuse(url, "is no absolute http or https URL")
    if "@" in parts.netloc:
        raise _refuse(url, "carries a user name or password; send credentials as a header")
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        raise _refuse(url, "has no valid host and port")
    return URL(
        scheme=parts.scheme,
        host=encode_host(parts.hostname),
        port=port or _DEFAULT_PORTS[parts.scheme],
        target=_render_target(parts.path, parts.query, params),
    )


def _render_target(path: str, query: str, params: Params | None) -> str:
    added = urlencode(params if params is not None else (), quote_via=quote)
    whole_query = "&".join(part for part in (quote(query, safe=_KEEP), added) if part)
    target = quote(path, safe=_KEEP.replace("?", "")) or "/"
    return f"{target}?{whole_query}" if whole_query else target


def join_url(base: URL, location: str) -> URL:
    """Resolve a Location value against the URL that gave it.

    Raises:
        ConfigurationError: The result is no URL that :func:`parse_url` takes.
    """
    try:
        joined = urljoin(str(base), location)
    except ValueError as error:
        raise ConfigurationError("the Location is no URL") from error
    return parse_url(joined)


def encode_host(host: str) -> str:
    """Return a host in the form that goes on the wire: lower case, internationalised names as punycode.

    Raises:
        ConfigurationError: Neither an address nor a name.
    """
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ConfigurationError("the host is no IPv6 address") from error
        return host.lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ConfigurationError("the host is no valid internationalised name") from error
    if not _HOST_NAME.match(host) or ".." in host:
        raise ConfigurationError("the host is neither a name nor an address", "use http://host[:port]/path")
    return host.lower()


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its name or address; no look-up is made."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback)
