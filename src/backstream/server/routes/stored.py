"""OpenAI's Responses: the answers, and what becomes of those that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from backstream.dialects.names import dialect_for
from backstream.dialects.openai_responses.stored import render_deleted
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.server.asgi import Refusal, send_plain
from backstream.server.dialect_bodies import read_members
from backstream.server.keeping import Keeping, load_response
from backstream.server.routes.answers import answer
from backstream.server.routing import Exchange, Handler, Route

__all__ = ["RESPONSE_ROUTES"]

_INSTEAD: Final = ("previous_response_id", "conversation", "prompt")
_RESPONSES: Final = dialect_for("openai_responses")


async def respond(exchange: Exchange) -> None:
    """Answer ``POST /v1/responses``.

    Raises:
        Refusal: The server is full or stops, the key may not, or the body cannot be taken.
        BackstreamError: The request is wrong, or the provider failed.
        ClientGone: The client went away.
    """
    async with exchange.admission.admit(exchange):
        members = await read_members(exchange)
        request = await asyncio.to_thread(_RESPONSES.parse_request, members, exchange.request.path)
        previous = request.previous_response_id
        if not members.get("input") and members.get("input") != "" and not any(members.get(name) for name in _INSTEAD):
            raise InvalidRequestError("the request has no input", "send a text, or at least one item")
        before = None if previous is None else await load_response(exchange, previous)
        await answer(exchange, _RESPONSES, request, Keeping(exchange, _RESPONSES, members, request, before))


async def tell_response(exchange: Exchange) -> None:
    """Answer ``GET /v1/responses/{id}``.

    Raises:
        Refusal: 404, this key has none of that id, whoever else has.
        UnsupportedFeatureError: It is asked for as a stream.
    """
    stored = await load_response(exchange, exchange.parameters["id"])
    if stored is None:
        raise _unknown()
    if exchange.request.query("stream") == "true":
        raise UnsupportedFeatureError("a stored response is told whole", "leave stream out")
    await _send(exchange, bytes(stored.response))


async def delete_response(exchange: Exchange) -> None:
    """Answer ``DELETE /v1/responses/{id}``; raises as :func:`tell_response`."""
    response_id = exchange.parameters["id"]
    if not await exchange.ledger.delete_response(response_id, exchange.key_name):
        raise _unknown()
    await _send(exchange, render_deleted(response_id))


async def cancel_response(exchange: Exchange) -> None:
    """Answer ``POST /v1/responses/{id}/cancel``: what is stored here is over.

    Raises:
        Refusal: 400, or 404 as :func:`tell_response`.
    """
    if await load_response(exchange, exchange.parameters["id"]) is None:
        raise _unknown()
    raise Refusal(400, "Only a response that runs in the background can be cancelled, and none does here")


def _unknown() -> Refusal:
    return Refusal(404, "There is no response of that id")


async def _send(exchange: Exchange, body: bytes) -> None:
    exchange.record.status = 200
    fields = [(b"content-type", b"application/json")]
    await send_plain(exchange.send, 200, body, fields, head_only=exchange.request.method == "HEAD")


def _route(name: str, path: str, method: str, handler: Handler) -> Route:
    return Route(name, path, method, handler, dialect=_RESPONSES.name)


RESPONSE_ROUTES: Final[Sequence[Route]] = (
    _route("responses", "/v1/responses", "POST", respond),
    _route("response", "/v1/responses/{id}", "GET", tell_response),
    _route("response-deletion", "/v1/responses/{id}", "DELETE", delete_response),
    _route("response-cancel", "/v1/responses/{id}/cancel", "POST", cancel_response),
)
"""The routes of responses."""
