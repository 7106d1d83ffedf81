"""``GET /metrics``: the counters of all workers, for Prometheus. Needs a key where keys exist."""

from __future__ import annotations

from backstream.server.asgi import send_plain
from backstream.server.exposition import OPENMETRICS, PLAIN, wants_openmetrics
from backstream.server.routing import Exchange

__all__ = ["tell_metrics"]


async def tell_metrics(exchange: Exchange) -> None:
    """Answer with every metric, in the text format 0.0.4, or as OpenMetrics where that is asked for."""
    openmetrics = wants_openmetrics(exchange.request.values(b"accept"))
    page = await exchange.measures.render(openmetrics=openmetrics)
    exchange.record.status = 200
    content_type = OPENMETRICS if openmetrics else PLAIN
    fields = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
    await send_plain(exchange.send, 200, page, fields, head_only=exchange.request.method == "HEAD")
