"""The JSON body of a request in a vendor's dialect, held in memory under its cap. Knows no dialect."""

from __future__ import annotations

import asyncio
from typing import Any

from backstream.errors import DecodeError, InvalidRequestError
from backstream.server.asgi import Refusal
from backstream.server.bodies import check_head
from backstream.server.presence import patient
from backstream.server.refusals import ClientGone
from backstream.server.routing import Exchange
from backstream.wire.json_text import decode_json

__all__ = ["read_members"]

_LARGE_BYTES = 256 * 1024


async def read_members(exchange: Exchange) -> dict[str, Any]:
    """Read the body of a request: a JSON object.

    Raises:
        Refusal: 413 over the cap, 415 encoded, 408 not there in time.
        InvalidRequestError: It is no JSON object.
        ClientGone: The client went away before it was whole.
    """
    settings = exchange.settings
    left = min(check_head(exchange.request.field_map(), settings.limits), settings.limits.max_body_bytes)
    blocks: list[bytes] = []
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
        blocks.append(data)
    body = b"".join(blocks)
    blocks.clear()
    try:
        members = await asyncio.to_thread(decode_json, body) if len(body) > _LARGE_BYTES else decode_json(body)
    except DecodeError:
        raise InvalidRequestError("the request body is no JSON") from None
    if not isinstance(members, dict):
        raise InvalidRequestError(f"the request body is a JSON {type(members).__name__}", "send an object")
    return members
