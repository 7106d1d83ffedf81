"""``POST /backend-api/v2/conversation``: one turn of a conversation, streamed.

A request names a backend and says what to tell it. Where the backend is, through which proxy, and how long it may take
is the server's to know: such members are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.dialects.backend_api import Framing
from backstream.dialects.backend_api.stream_out import BackendApiRenderer
from backstream.errors import InvalidRequestError
from backstream.messages import check_messages
from backstream.server.asgi import Field, Request
from backstream.server.auth import bearer_token
from backstream.server.bodies import ReceivedBody, read_request
from backstream.server.framing import accepts_json_lines, choose_framing, wants_own_types
from backstream.server.members import for_provider
from backstream.server.presence import patient
from backstream.server.routing import Exchange
from backstream.server.stream_out import stream_answer
from backstream.server.targets import find_target
from backstream.server.wishes import parse_wishes

__all__ = ["converse"]


async def converse(exchange: Exchange) -> None:
    """Answer with a stream of events.

    Raises:
        Refusal: The body is malformed or too large, the provider is unknown, or too many streams run.
        ClientGone: The client went away.
    """
    settings = exchange.settings
    async with exchange.admission.admit(exchange):  # before the body: what is refused is not received
        receive = patient(exchange.receive, settings.body_idle_seconds, settings.body_bytes_per_second)
        body = await read_request(receive, exchange.request.field_map(), settings.limits)
        try:
            await _answer(exchange, body)
        finally:
            body.close()


async def _answer(exchange: Exchange, body: ReceivedBody) -> None:
    members, record, settings = body.members, exchange.record, exchange.settings
    asked = members.get("model")
    record.stream = True
    own_types = wants_own_types(exchange.request)
    exchange.wishes = parse_wishes(exchange.request, takes_restart=own_types)
    exchange.admission.check_members(exchange, members)
    target = await find_target(exchange, members.get("provider"), asked if isinstance(asked, str) else "")
    framing = choose_framing(exchange.request, members, settings.framing, forced=exchange.forced_framing)

    def start() -> object:
        if not isinstance(asked, str | None):
            raise InvalidRequestError(f"model is a {type(asked).__name__}", "use text")
        if target.failure is not None:
            raise target.failure
        messages: Any = members.get("messages")
        check_messages(messages)
        key = _provider_key(members, _spare_token(exchange))
        return target.ask(messages, body.media, key, _parameters(members), exchange.ask())

    try:
        await stream_answer(
            start,
            intro=target.intro,
            fields=_fields(exchange.request, framing, record.id),
            renderer=BackendApiRenderer(framing, own_types=own_types, answer_id=record.id),
            keepalive_seconds=settings.keepalive_seconds,
            receive=exchange.receive,
            send=exchange.send,
            record=record,
            interruption=exchange.interruption,
        )
    finally:
        target.note(exchange)  # of a routing list it is known only now


def _fields(request: Request, framing: Framing, request_id: str) -> list[Field]:
    """Return the header fields; servers of this protocol call both framings an event stream."""
    named = framing == "jsonl" and accepts_json_lines(request)
    return [
        (b"content-type", b"application/x-ndjson" if named else b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
    ]


def _parameters(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that a provider gets as keywords."""
    parameters = for_provider(members)
    if not isinstance(parameters.get("conversation", {}), dict):
        del parameters["conversation"]
    return parameters


def _provider_key(members: Mapping[str, Any], token: str | None) -> object:
    """Return the key for the back-end: the body's, or where the body is silent the one of the header."""
    return members.get("api_key", token)


def _spare_token(exchange: Exchange) -> str | None:
    """Return what ``Authorization: Bearer`` holds for the back-end.

    On a server with client keys the first word is the client key; inside another application that checks who asks, it
    is that application's, and no back-end may see it. A second word is the back-end's.
    """
    token = bearer_token(exchange.request) or b""
    if exchange.key_name is not None or exchange.settings.behind_own_auth:
        token = token.partition(b" ")[2].strip()
    return token.decode("latin-1") or None
