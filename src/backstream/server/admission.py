"""Who may have an answer now: one door for every route that asks a provider. Knows no dialect."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from backstream.server.asgi import Field, Refusal
from backstream.server.limits import StreamLimits
from backstream.server.routing import Exchange
from backstream.server.settings import Settings

__all__ = ["Admission"]

_RETRY: Final[list[Field]] = [(b"retry-after", b"1")]


class Admission:
    """The door of one application.

    Args:
        settings: How many answers there may be.

    Attributes:
        draining: Whether the server is about to stop: nothing new is let in.
    """

    def __init__(self, settings: Settings) -> None:
        self.draining = False
        self._streams = StreamLimits(settings.max_streams, settings.max_streams_per_key)

    @contextlib.asynccontextmanager
    async def admit(self, exchange: Exchange) -> AsyncIterator[None]:
        """Let one request have its answer while the context lasts; entered before its body is read.

        Raises:
            Refusal: 429 where its key has had enough, 503 where the server has, or stops; with ``Retry-After``.
        """
        if self.draining:
            raise Refusal(503, "This server is stopping", _RETRY)
        with self._streams.admit(exchange.key_name):
            yield

    def check_model(self, exchange: Exchange, provider: str, model: str) -> None:
        """Check that the request's key may use a model of a provider; called once both are known."""
