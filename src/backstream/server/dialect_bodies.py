"""The body of a request in a vendor's dialect: JSON, held in memory under its cap, or its blocks. Knows no dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from backstream.errors import DecodeError, InvalidRequestError
from backstream.server.asgi import Refusal
from backstream.server.bodies import check_head
from backstream.server.presence import patient
from backstream.server.refusals import ClientGone
from backstream.server.routing import Exchange
from backstream.wire.http import media_type
from backstream.wire.json_text import decode_json

__all__ = ["LARGE_BYTES", "body_blocks", "read_members"]

LARGE_BYTES: Final = 256 * 1024
"""A body above this is taken apart in a thread."""

# Precedent: curl calls any --data a form; browsers and some clients name a body of text without being asked.
_JSON_LIKE: Final = frozenset(
    {"", "application/json", "text/json", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"}
)


async def body_blocks(exchange: Exchange, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes.

    Args:
        exchange: The request.
        max_bytes: Cap on the whole.

    Raises:
        Refusal: 413 over the cap, 415 encoded, 408 not there in time.
        ClientGone: The client went away before it was whole.
    """
    settings = exchange.settings
    left = min(check_head(exchange.request.field_map(), settings.limits), max_bytes)
    receive = patient(exchange.receive, settings.body_idle_seconds, settings.body_bytes_per_second)
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        data, more = event.get("body", b""), event.get("more_body", False)
        left -= len(data)
        if left < 0:
            raise Refusal(413, "The request body is too large", [(b"connection", b"close")])
        yield data


async def read_members(exchange: Exchange) -> dict[str, Any]:
    """Read the body of a request: a JSON object.

    Raises:
        Refusal: 413 over the cap, 415 encoded or of another type, 408 not there in time.
        InvalidRequestError: It is no JSON object.
        ClientGone: The client went away before it was whole.
    """
    said = media_type(exchange.request.text(b"content-type"))
    if said not in _JSON_LIKE and not said.endswith("+json"):
        raise Refusal(415, "Send the body as application/json")
    blocks = [block async for block in body_blocks(exchange, exchange.settings.limits.max_body_bytes)]
    body = b"".join(blocks)
    blocks.clear()
    exchange.body_bytes = len(body)
    try:
        members = await asyncio.to_thread(decode_json, body) if len(body) > LARGE_BYTES else decode_json(body)
    except DecodeError:
        raise InvalidRequestError("the request body is no JSON") from None
    if not isinstance(members, dict):
        raise InvalidRequestError(f"the request body is a JSON {type(members).__name__}", "send an object")
    return members
