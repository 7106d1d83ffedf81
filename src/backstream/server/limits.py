"""How many streams run at the same time, in all and for each client key. Knows no route."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from backstream.server.asgi import Field, Refusal

__all__ = ["StreamLimits"]

_RETRY: Final[list[Field]] = [(b"retry-after", b"1")]


class StreamLimits:
    """The running streams of one application.

    Args:
        in_all: How many may run.
        per_key: How many may run for one client key.
    """

    def __init__(self, in_all: int, per_key: int) -> None:
        self._in_all = in_all
        self._per_key = per_key
        self._running = 0
        self._by_key: Counter[str] = Counter()

    @contextlib.contextmanager
    def admit(self, key_name: str | None) -> Iterator[None]:
        """Let one stream run while the context lasts.

        Args:
            key_name: Whose stream it is; ``None`` on a server without keys.

        Raises:
            Refusal: 429 where the key has too many streams, 503 where the server has; with ``Retry-After``.
        """
        if key_name is not None and self._by_key[key_name] >= self._per_key:
            raise Refusal(429, "Too many streams for this key", _RETRY)
        if self._running >= self._in_all:
            raise Refusal(503, "Too many streams", _RETRY)
        self._running += 1
        if key_name is not None:
            self._by_key[key_name] += 1
        try:
            yield
        finally:
            self._running -= 1
            if key_name is not None:
                self._by_key[key_name] -= 1
                if not self._by_key[key_name]:
                    del self._by_key[key_name]
