"""``GET /healthz`` and ``/readyz``: whether the server runs, and takes work. Tell nothing else: anybody may ask."""

from __future__ import annotations

from backstream.server.asgi import send_json
from backstream.server.routing import Exchange

__all__ = ["tell_health", "tell_ready"]


async def tell_health(exchange: Exchange) -> None:
    """Answer ``{"status": "ok"}``."""
    await exchange.answer({"status": "ok"})


async def tell_ready(exchange: Exchange) -> None:
    """Answer whether new answers are begun; with 503 once the server is about to stop."""
    draining = exchange.admission.draining
    exchange.record.status = 503 if draining else 200
    value = {"status": "draining" if draining else "ready"}
    head_only = exchange.request.method == "HEAD"
    await send_json(exchange.send, exchange.record.status, value, head_only=head_only)
