"""``GET /healthz``: whether the server runs. Says nothing else, since anybody may ask."""

from __future__ import annotations

from backstream.server.routing import Exchange

__all__ = ["tell_health"]


async def tell_health(exchange: Exchange) -> None:
    """Answer ``{"status": "ok"}``."""
    await exchange.answer({"status": "ok"})
