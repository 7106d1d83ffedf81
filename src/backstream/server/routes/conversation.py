"""``POST /backend-api/v2/conversation``: one turn of a conversation, streamed.

A request names a backend and says what to tell it. Where the backend is, through which proxy, and how long it may take
is the server's to know: such members are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Parameters, ProviderInfo, RawResponse
from backstream.dialects.backend_api import Framing
from backstream.dialects.backend_api.stream_out import BackendApiRenderer
from backstream.errors import InvalidRequestError
from backstream.messages import check_messages
from backstream.server.asgi import Field, Request
from backstream.server.auth import bearer_token
from backstream.server.backends import render_options
from backstream.server.bodies import ReceivedBody, read_request
from backstream.server.catalog import Entry
from backstream.server.framing import accepts_json_lines, choose_framing, wants_own_types
from backstream.server.members import for_provider
from backstream.server.presence import patient
from backstream.server.routing import Exchange
from backstream.server.stream_out import stream_answer

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
    entry = await exchange.catalog.choose(members.get("provider"), asked if isinstance(asked, str) else "")
    model, unresolved = _resolve(entry, asked if isinstance(asked, str) else "")
    record.provider, record.stream = entry.name, True
    record.note_model(model, entry.known_models)
    exchange.admission.check_model(exchange, entry.name, model, asked if isinstance(asked, str) else "")
    framing = choose_framing(exchange.request, members, settings.framing, forced=exchange.forced_framing)

    def start() -> object:
        if not isinstance(asked, str | None):
            raise InvalidRequestError(f"model is a {type(asked).__name__}", "use text")
        if unresolved is not None:
            raise unresolved
        messages: Any = members.get("messages")
        check_messages(messages)
        key = _provider_key(members, _spare_token(exchange))
        options = render_options(entry.provider, exchange.ask())
        return entry.provider.create_async_generator(
            model, messages, media=body.media, api_key=key, **_parameters(members), **options
        )

    await stream_answer(
        start,
        intro=_intro(entry, model),
        fields=_fields(exchange.request, framing, record.id),
        renderer=BackendApiRenderer(framing, own_types=wants_own_types(exchange.request)),
        keepalive_seconds=settings.keepalive_seconds,
        receive=exchange.receive,
        send=exchange.send,
        record=record,
        interruption=exchange.interruption,
    )


def _resolve(entry: Entry, model: str) -> tuple[str, Exception | None]:
    """Return the provider's word for a model; with what it raised instead, to be told where the answer would be."""
    try:
        return entry.resolve(model), None
    except Exception as error:  # noqa: BLE001 - a provider's code
        return model, error


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
