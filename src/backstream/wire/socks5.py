"""The client's side of a SOCKS5 handshake, without I/O: bytes in, bytes out.

Source: RFC 1928 (SOCKS5), RFC 1929 (user name and password).
"""

from __future__ import annotations

import ipaddress

from backstream.errors import ConfigurationError, ProxyError

__all__ = ["Socks5Handshake"]

_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}
_ADDRESS_SIZES = {1: 4, 4: 16}


class Socks5Handshake:
    """Asks a SOCKS5 proxy for a connection.

    Args:
        host: An address, or a name that the proxy looks up.
        port: The port.
        user: The user name; ``None`` offers no authentication.
        password: The password that goes with it.

    Raises:
        ConfigurationError: A host, user name or password longer than 255 bytes, or an empty user name or password.

    Attributes:
        done: The proxy has connected; what follows belongs to the target.
    """

    def __init__(self, host: str, port: int, user: str | None = None, password: str | None = None) -> None:
        self.done = False
        self._buffer = b""
        self._state = "method"
        self._request = b"\x05\x01\x00" + _render_address(host) + port.to_bytes(2, "big")
        self._login = None
        if user is not None:
            self._login = b"\x01" + _render_short(user, "user name") + _render_short(password or "", "password")

    def __repr__(self) -> str:
        return f"<Socks5Handshake {self._state}>"

    def open(self) -> bytes:
        """Return the first bytes to send."""
        return b"\x05\x01\x00" if self._login is None else b"\x05\x02\x00\x02"

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy said; return what to answer.

        Raises:
            ProxyError: The proxy refused, or does not speak SOCKS5.
        """
        self._buffer += data
        answer = b""
        while not self.done:
            size = self._needed()
            if len(self._buffer) < size:
                break
            said, self._buffer = self._buffer[:size], self._buffer[size:]
            answer += self._step(said)
        if self.done and self._buffer:
            raise ProxyError("the SOCKS5 proxy sent more than its reply")
        return answer

    def _needed(self) -> int:
        if self._state != "reply":
            return 2
        if len(self._buffer) < 5:
            return 5
        kind = self._buffer[3]
        if self._buffer[0] != 5 or (kind != 3 and kind not in _ADDRESS_SIZES):
            raise ProxyError("the proxy does not speak SOCKS5")
        return 6 + (1 + self._buffer[4] if kind == 3 else _ADDRESS_SIZES[kind])

    def _step(self, said: bytes) -> bytes:
        if self._state == "method":
            return self._choose(said)
        if self._state == "login":
            if said[1] != 0:
                raise ProxyError("the SOCKS5 proxy refused the user name or password")
            self._state = "reply"
            return self._request
        if said[1] != 0:
            raise ProxyError(f"the SOCKS5 proxy could not connect: {_REPLIES.get(said[1], 'unknown reason')}")
        self.done = True
        return b""

    def _choose(self, said: bytes) -> bytes:
        if said[0] != 5:
            raise ProxyError("the proxy does not speak SOCKS5")
        if said[1] == 0:
            self._state = "reply"
            return self._request
        if said[1] == 2 and self._login is not None:
            self._state = "login"
            return self._login
        raise ProxyError("the SOCKS5 proxy wants another way of authentication")


def _render_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return b"\x03" + _render_short(host, "host")
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _render_short(text: str, what: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) < 256:
        raise ConfigurationError(f"the {what} for the SOCKS5 proxy is empty or longer than 255 bytes")
    return bytes([len(data)]) + data
