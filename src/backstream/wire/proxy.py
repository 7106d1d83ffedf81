"""HTTP proxies as values: their URLs, and the CONNECT handshake without I/O."""

from __future__ import annotations

import base64
import dataclasses
import re
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

from backstream.errors import ConfigurationError, ProxyError
from backstream.wire.http import render_head

__all__ = ["ConnectHandshake", "ProxyAddress", "parse_proxy_url"]

ProxyScheme = Literal["http", "https", "socks5", "socks5h"]

_PORTS: dict[str, int] = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_MAX_HEAD_BYTES = 16 * 1024


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ProxyAddress:
    """Where a proxy is, and how to log in there. Its ``repr`` shows neither user name nor password.

    Attributes:
        scheme: ``http``, ``https`` (TLS to the proxy), ``socks5`` (names are looked up here) or ``socks5h`` (there).
        host: Name or address.
        port: Port.
        user: User name, where one is needed.
        password: Password, where one is needed.
    """

    scheme: ProxyScheme
    host: str
    port: int
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"<ProxyAddress {self.scheme}://{self.host}:{self.port}>"

    @property
    def authorization(self) -> str | None:
        """The value of Proxy-Authorization, where a user name is known."""
        if self.user is None:
            return None
        # RFC 7617 leaves the charset open; UTF-8 is what its §2.1 recommends.
        return "Basic " + base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode("ascii")


def parse_proxy_url(url: str) -> ProxyAddress:
    """Take a proxy's URL apart.

    Args:
        url: ``scheme://[user:password@]host[:port]``; without a scheme it is an http proxy.

    Raises:
        ConfigurationError: No such URL. The text does not show it.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("the proxy URL has a malformed host or port") from error
    if parts.scheme not in _PORTS:
        raise ConfigurationError(
            f"proxies of scheme {parts.scheme[:20]!r} are not supported", "use http, https, socks5"
        )
    if not parts.hostname or port == 0 or re.search(r"[\x00-\x20\x7f]", url):
        raise ConfigurationError("the proxy URL has no valid host and port", "use http://[user:password@]host:port")
    return ProxyAddress(
        scheme=cast("ProxyScheme", parts.scheme),
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username) if parts.username is not None else None,
        password=unquote(parts.password) if parts.password is not None else None,
    )


class ConnectHandshake:
    """Asks an HTTP proxy for a tunnel.

    Args:
        authority: ``host:port`` of the target.
        authorization: The value of Proxy-Authorization.
        user_agent: The value of User-Agent.

    Attributes:
        done: The tunnel stands; what follows belongs to the target.

    Source: RFC 9110 §9.3.6.
    """

    def __init__(self, authority: str, authorization: str | None = None, user_agent: str = "") -> None:
        self.done = False
        self._buffer = b""
        fields = [("Host", authority)]
        if user_agent:
            fields.append(("User-Agent", user_agent))
        if authorization is not None:
            fields.append(("Proxy-Authorization", authorization))
        self._head = render_head("CONNECT", authority, fields)

    def open(self) -> bytes:
        """Return the first bytes to send."""
        return self._head

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy said; there is never anything to answer.

        Raises:
            ProxyError: The proxy refused, or does not speak HTTP.
        """
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(self._buffer) > _MAX_HEAD_BYTES or not b"HTTP/1.".startswith(self._buffer[:7]):
                raise ProxyError("the proxy did not answer CONNECT with an HTTP head")
            return b""
        status_line = _STATUS_LINE.match(head + b"\r\n")
        if status_line is None:
            raise ProxyError("the proxy did not answer CONNECT with an HTTP head")
        status = int(status_line[1])
        if status < 200:  # interim
            self._buffer = b""
            return self.feed(rest)
        if status >= 300:
            raise _refused(status)
        if rest:
            raise ProxyError("the proxy sent more than its answer to CONNECT")
        self.done = True
        return b""


def _refused(status: int) -> ProxyError:
    if status == 407:
        error = ProxyError("the proxy wants a user name and password (status 407)")
        error.retryable = False
        return error
    return ProxyError(f"the proxy refused the tunnel with status {status}")
