"""The routes of the vendors' dialects: paths as their SDKs ask for them, conversations, models and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.dialects.openai_chat.mistral import MistralClients
from backstream.server.asgi import send_plain
from backstream.server.choosing import find_model, list_visible
from backstream.server.routes.answers import answer_in
from backstream.server.routes.counts import count_in
from backstream.server.routes.gemini import GEMINI_ROUTES
from backstream.server.routes.ollama import OLLAMA_ROUTES
from backstream.server.routes.root import tell_root
from backstream.server.routes.services import SERVICE_ROUTES
from backstream.server.routes.stored import RESPONSE_ROUTES
from backstream.server.routes.unknown import dialect_of
from backstream.server.routing import Exchange, Handler, Route
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["DIALECT_ROUTES"]


async def _send(exchange: Exchange, body: bytes) -> None:
    exchange.record.status = 200
    fields = [(b"content-type", b"application/json")]
    await send_plain(exchange.send, 200, body, fields, head_only=exchange.request.method == "HEAD")


def _list_in(dialect: Dialect) -> Handler:
    async def handle(exchange: Exchange) -> None:
        await _send(exchange, dialect.render_models(await list_visible(exchange)))

    return handle


def _one_in(dialect: Dialect) -> Handler:
    """One model is written as an entry of a list of models."""

    async def handle(exchange: Exchange) -> None:
        model = await find_model(exchange, exchange.parameters["model"])
        listed: Mapping[str, Any] = decode_json(dialect.render_models([model]))
        await _send(exchange, encode_json((listed.get("data") or listed.get("models"))[0]))  # type: ignore[index]

    return handle


def _by_client(handlers: Mapping[str, Handler]) -> Handler:
    """Three vendors list models at one path; the client's header fields tell whose list it wants."""

    async def handle(exchange: Exchange) -> None:
        await handlers[dialect_of(exchange.request, CHAT.name)](exchange)

    return handle


def _by_agent(mistral: Handler, otherwise: Handler) -> Handler:
    """Mistral's clients ask at OpenAI's paths, and hold the answer to their vendor's form."""

    async def handle(exchange: Exchange) -> None:
        is_mistral = exchange.request.text(b"user-agent").startswith(_MISTRAL_AGENT)
        await (mistral if is_mistral else otherwise)(exchange)

    return handle


CHAT: Final = dialect_for("openai_chat")
MISTRAL: Final = MistralClients()
ANTHROPIC: Final = dialect_for("anthropic_messages")
GEMINI: Final = dialect_for("gemini")
OLLAMA: Final = dialect_for("ollama")
_SHARED: Final = (ANTHROPIC, GEMINI)
_MISTRAL_AGENT: Final = "mistral-client-"
_LISTS: Final = {
    CHAT.name: _by_agent(_list_in(MISTRAL), _list_in(CHAT)),
    **{each.name: _list_in(each) for each in _SHARED},
}
_ONES: Final = {CHAT.name: _by_agent(_one_in(MISTRAL), _one_in(CHAT)), **{each.name: _one_in(each) for each in _SHARED}}


def _route(name: str, path: str, method: str, dialect: Dialect, handler: Handler) -> Route:
    return Route(name, path, method, handler, dialect=dialect.name)


DIALECT_ROUTES: Final[Sequence[Route]] = (
    Route("root", "/", "GET", tell_root),
    _route("chat-completions", "/v1/chat/completions", "POST", CHAT, _by_agent(answer_in(MISTRAL), answer_in(CHAT))),
    *RESPONSE_ROUTES,
    *SERVICE_ROUTES,
    _route("messages", "/v1/messages", "POST", ANTHROPIC, answer_in(ANTHROPIC)),
    _route("messages-count", "/v1/messages/count_tokens", "POST", ANTHROPIC, count_in(ANTHROPIC)),
    *GEMINI_ROUTES,
    _route("v1-models", "/v1/models", "GET", CHAT, _by_client(_LISTS)),
    _route("v1-model", "/v1/models/{*model}", "GET", CHAT, _by_client(_ONES)),
    _route("gemini-models", "/v1beta/models", "GET", GEMINI, _list_in(GEMINI)),
    _route("gemini-model", "/v1beta/models/{*model}", "GET", GEMINI, _one_in(GEMINI)),
    *OLLAMA_ROUTES,
    _route("ollama-tags", "/api/tags", "GET", OLLAMA, _list_in(OLLAMA)),
)
"""The routes of the vendors' dialects."""
