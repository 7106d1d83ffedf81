"""``POST /backend-api/v2/conversation``: one turn of a conversation, streamed.

A request names a backend and says what to tell it. Where the backend is, through which proxy, and how long it may take
is the server's to know: such members are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from backstream.chunks import Parameters, ProviderInfo, RawResponse
from backstream.dialects.backend_api import Framing
from backstream.errors import InvalidRequestError
from backstream.messages import check_messages
from backstream.server.asgi import Field, Message, Receive, Refusal, Request
from backstream.server.auth import bearer_token
from backstream.server.bodies import ReceivedBody, read_request
from backstream.server.catalog import Entry
from backstream.server.framing import accepts_json_lines, choose_framing
from backstream.server.routing import Exchange
from backstream.server.stream_out import stream_answer

__all__ = ["converse"]

_ARGUMENTS: Final = frozenset({"model", "messages", "media", "api_key"})
_SERVER_SIDE: Final = frozenset(
    {
        "base_url",
        "cls",
        "deadlines",
        "headers",
        "on_progress",
        "options",
        "provider",
        "proxies",
        "proxy",
        "self",
        "ssl",
        "stream_timeout",
        "timeout",
        "url",
    }
)


async def converse(exchange: Exchange) -> None:
    """Answer with a stream of events.

    Raises:
        Refusal: The body is malformed or too large, the provider is unknown, or too many streams run.
        ClientGone: The client went away.
    """
    settings = exchange.gateway.settings
    with exchange.gateway.streams.admit(exchange.key_name):  # before the body: what is refused is not received
        receive = _patient(exchange.receive, settings.body_idle_seconds)
        body = await read_request(receive, exchange.request.field_map(), settings.limits)
        try:
            await _answer(exchange, body)
        finally:
            body.close()


def _patient(receive: Receive, seconds: float) -> Receive:
    """Wrap ``receive`` so that a client which stops in the middle of its body is not waited for."""

    async def receive_soon() -> Message:
        try:
            async with asyncio.timeout(seconds):
                return await receive()
        except TimeoutError:
            raise Refusal(408, "The request body did not arrive in time", [(b"connection", b"close")]) from None

    return receive_soon


async def _answer(exchange: Exchange, body: ReceivedBody) -> None:
    members, record, settings = body.members, exchange.record, exchange.gateway.settings
    asked = members.get("model")
    entry = await exchange.gateway.catalog.choose(members.get("provider"), asked if isinstance(asked, str) else "")
    model = entry.resolve(asked) if isinstance(asked, str) else entry.resolve("")
    record.provider = entry.name
    record.note_model(model, await entry.models())
    framing = choose_framing(exchange.request, members, settings.framing, forced=exchange.forced_framing)

    def start() -> object:
        if not isinstance(asked, str | None):
            raise InvalidRequestError(f"model is a {type(asked).__name__}", "use text")
        messages: Any = members.get("messages")
        check_messages(messages)
        key = _provider_key(members, exchange.request, has_client_key=exchange.key_name is not None)
        return entry.provider.create_async_generator(
            model, messages, media=body.media, api_key=key, **_parameters(members)
        )

    await stream_answer(
        start,
        intro=_intro(entry, model),
        fields=_fields(exchange.request, framing, record.id),
        framing=framing,
        keepalive_seconds=settings.keepalive_seconds,
        receive=exchange.receive,
        send=exchange.send,
        record=record,
    )


def _intro(entry: Entry, model: str) -> list[RawResponse]:
    intro: list[RawResponse] = [ProviderInfo(provider=entry.card(model))]
    if entry.parameters:
        intro.append(Parameters(parameters={**entry.parameters, "provider": entry.name, "model": model}))
    return intro


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
    parameters = {
        name: value
        for name, value in members.items()
        if name not in _ARGUMENTS and name not in _SERVER_SIDE and not name.startswith("extra_")
    }
    if not isinstance(parameters.get("conversation", {}), dict):
        del parameters["conversation"]
    return parameters


def _provider_key(members: Mapping[str, Any], request: Request, *, has_client_key: bool) -> object:
    """Return the key for the back-end: the body's, or where the body is silent that of ``Authorization: Bearer``.

    On a server with client keys the header's first word is the client key, and a second one is the back-end's.
    """
    if "api_key" in members:
        return members["api_key"]
    token = bearer_token(request) or b""
    if has_client_key:
        token = token.partition(b" ")[2].strip()
    return token.decode("latin-1") or None
