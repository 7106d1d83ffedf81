"""The routes of the vendors' dialects: paths as their SDKs ask for them, conversations, models and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.server.asgi import send_plain
from backstream.server.dialect_bodies import read_members
from backstream.server.routes.answers import answer_in
from backstream.server.routing import Exchange, Handler, Route
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["DIALECT_ROUTES"]


async def _send(exchange: Exchange, body: bytes) -> None:
    exchange.record.status = 200
    fields = [(b"content-type", b"application/json")]
    await send_plain(exchange.send, 200, body, fields, head_only=exchange.request.method == "HEAD")


def _list_in(dialect: Dialect) -> Handler:
    async def handle(exchange: Exchange) -> None:
        await _send(exchange, dialect.render_models(await exchange.back_ends.models()))

    return handle


def _count_in(dialect: Dialect) -> Handler:
    async def handle(exchange: Exchange) -> None:
        request = dialect.parse_request(await read_members(exchange), exchange.request.path)
        back_end = await exchange.back_ends.find(request.model)
        exchange.record.provider = back_end.name
        tokens = await back_end.count_tokens(request)
        await _send(exchange, dialect.render_count(tokens))

    return handle


def _by_version(anthropic: Handler, otherwise: Handler) -> Handler:
    """Two vendors list models at one path; Anthropic's clients always send their version."""

    async def handle(exchange: Exchange) -> None:
        chosen = anthropic if exchange.request.values(b"anthropic-version") else otherwise
        await chosen(exchange)

    return handle


def _stream_gemini() -> Handler:
    """Without ``alt=sse`` its streams are one JSON array."""
    as_events, as_array = answer_in(GEMINI), answer_in(GEMINI_ARRAYS)

    async def handle(exchange: Exchange) -> None:
        await (as_events if exchange.request.query("alt") == "sse" else as_array)(exchange)

    return handle


async def _tell_ollama_version(exchange: Exchange) -> None:
    await _send(exchange, encode_json({"version": OLLAMA_VERSION}))


def _one_in(dialect: Dialect) -> Handler:
    """One model is written as an entry of a list of models."""

    async def handle(exchange: Exchange) -> None:
        model = await exchange.back_ends.model(exchange.parameters["model"])
        listed: Mapping[str, Any] = decode_json(dialect.render_models([model]))
        await _send(exchange, encode_json((listed.get("data") or listed.get("models"))[0]))  # type: ignore[index]

    return handle


OLLAMA_VERSION: Final = "0.12.0"
"""The version of Ollama whose API is spoken; its clients ask for it."""

CHAT: Final = dialect_for("openai_chat")
RESPONSES: Final = dialect_for("openai_responses")
ANTHROPIC: Final = dialect_for("anthropic_messages")
GEMINI: Final = dialect_for("gemini")
GEMINI_ARRAYS: Final = dialect_for("gemini", {"framing": "array"})
OLLAMA: Final = dialect_for("ollama")


def _route(name: str, path: str, method: str, dialect: Dialect, handler: Handler) -> Route:
    return Route(name, path, method, handler, dialect=dialect.name)


DIALECT_ROUTES: Final[Sequence[Route]] = (
    _route("chat-completions", "/v1/chat/completions", "POST", CHAT, answer_in(CHAT)),
    _route("responses", "/v1/responses", "POST", RESPONSES, answer_in(RESPONSES)),
    _route("messages", "/v1/messages", "POST", ANTHROPIC, answer_in(ANTHROPIC)),
    _route("messages-count", "/v1/messages/count_tokens", "POST", ANTHROPIC, _count_in(ANTHROPIC)),
    _route("v1-models", "/v1/models", "GET", CHAT, _by_version(_list_in(ANTHROPIC), _list_in(CHAT))),
    _route("v1-model", "/v1/models/{*model}", "GET", CHAT, _by_version(_one_in(ANTHROPIC), _one_in(CHAT))),
    _route("gemini-models", "/v1beta/models", "GET", GEMINI, _list_in(GEMINI)),
    _route("gemini-generate", "/v1beta/models/{*model}:generateContent", "POST", GEMINI, answer_in(GEMINI)),
    _route("gemini-stream", "/v1beta/models/{*model}:streamGenerateContent", "POST", GEMINI, _stream_gemini()),
    _route("gemini-count", "/v1beta/models/{*model}:countTokens", "POST", GEMINI, _count_in(GEMINI)),
    _route("gemini-model", "/v1beta/models/{*model}", "GET", GEMINI, _one_in(GEMINI)),
    _route("ollama-chat", "/api/chat", "POST", OLLAMA, answer_in(OLLAMA)),
    _route("ollama-tags", "/api/tags", "GET", OLLAMA, _list_in(OLLAMA)),
    Route("ollama-version", "/api/version", "GET", _tell_ollama_version, dialect="ollama"),
)
"""The routes of the vendors' dialects."""
