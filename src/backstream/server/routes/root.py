"""``GET /``: what this is, in a line; Ollama's command line asks by ``HEAD`` whether somebody is there."""

from __future__ import annotations

from typing import Final

from backstream.server.asgi import send_plain
from backstream.server.routing import Exchange

__all__ = ["tell_root"]

_TEXT: Final = b"backstream: a gateway to language models; its routes are described by /openapi.json\n"


async def tell_root(exchange: Exchange) -> None:
    """Answer a line of text."""
    exchange.record.status = 200
    fields = [(b"content-type", b"text/plain; charset=utf-8")]
    await send_plain(exchange.send, 200, _TEXT, fields, head_only=exchange.request.method == "HEAD")
