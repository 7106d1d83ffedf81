"""Addresses that present wrong keys: after some, they wait before another is looked at. Knows no key.

The table is bounded: the address that was quiet the longest is forgotten first.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from typing import Final

from backstream.server.asgi import Refusal

__all__ = ["MAX_ADDRESSES", "MAX_FAILURES", "FailedKeys"]

MAX_FAILURES: Final = 20
"""How many wrong keys an address may present in a minute."""

MAX_ADDRESSES: Final = 4096
"""How many addresses are remembered."""

_MINUTE: Final = 60.0


class FailedKeys:
    """The wrong keys of the last minute, by address."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def check(self, host: str | None) -> None:
        """Check that an address may present a key.

        Args:
            host: The client's address; ``None`` for all that come without one.

        Raises:
            Refusal: 429 with ``Retry-After``.
        """
        if not self._times:
            return
        times = self._times.get(_address(host))
        if times is None or len(times) < MAX_FAILURES:
            return
        seconds = times[0] + _MINUTE - time.monotonic()
        if seconds > 0:
            fields = [(b"retry-after", b"%d" % math.ceil(seconds))]
            raise Refusal(429, "Too many wrong keys from this address", fields)

    def note(self, host: str | None, count: int) -> None:
        """Note that an address has presented a number of wrong keys."""
        if count < 1:
            return
        address = _address(host)
        times = self._times.setdefault(address, deque(maxlen=MAX_FAILURES))
        self._times.move_to_end(address)
        times.extend([time.monotonic()] * count)
        while len(self._times) > MAX_ADDRESSES:
            self._times.popitem(last=False)


def _address(host: str | None) -> str:
    """Return what counts as one address: of IPv6 the network of 64 bits, since whoever has one has all of it."""
    if host is None or ":" not in host:
        return host or ""
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
