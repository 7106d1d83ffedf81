"""``GET /healthz`` and ``/readyz``: whether the server runs, and takes work. Strangers are told nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from backstream.models import ModelInfo
from backstream.server.asgi import send_json
from backstream.server.routing import Exchange

__all__ = ["tell_health", "tell_ready"]


async def tell_health(exchange: Exchange) -> None:
    """Answer ``{"status": "ok"}``."""
    await exchange.answer({"status": "ok"})


async def tell_ready(exchange: Exchange) -> None:
    """Answer whether new answers are begun; with 503 once the server is about to stop.

    With ``?verbose=1``, which needs a key where keys exist, also what this worker knows of the routes it asked.
    """
    draining = exchange.admission.draining
    exchange.record.status = 503 if draining else 200
    value: dict[str, Any] = {"status": "draining" if draining else "ready"}
    if exchange.request.query("verbose"):
        value["routes"] = _routes(exchange)
    head_only = exchange.request.method == "HEAD"
    await send_json(exchange.send, exchange.record.status, value, head_only=head_only)


def _routes(exchange: Exchange) -> list[dict[str, Any]]:
    """Return what is known of the routes whose models the key may use."""
    found = {each.name: each for each in exchange.seen.tell()}
    models = [ModelInfo(id=model, provider=provider) for provider, _, model in (name.partition("/") for name in found)]
    return [msgspec.structs.asdict(found[each.name]) for each in exchange.admission.visible(exchange, models)]
