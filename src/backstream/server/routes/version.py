"""``GET /backend-api/v2/version``: ours. Nobody is asked for the latest one."""

from __future__ import annotations

from backstream._version import __version__
from backstream.server.routing import Exchange

__all__ = ["tell_version"]


async def tell_version(exchange: Exchange) -> None:
    """Answer ``{"latest_version": null, "version": …}``."""
    await exchange.answer({"version": __version__, "latest_version": None})
