"""What Ollama's clients ask beside conversations: one prompt, what a model can do, vectors, and what is loaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from backstream.dialects.names import dialect_for
from backstream.dialects.ollama.generate import OllamaGenerate, render_loaded
from backstream.dialects.ollama.models import render_show
from backstream.dialects.services.ollama_out import parse_embed, render_embeddings
from backstream.errors import InvalidRequestError
from backstream.server.asgi import send_plain
from backstream.server.choosing import choose, find_model
from backstream.server.dialect_bodies import read_members
from backstream.server.offers import find_offer
from backstream.server.presence import ClientWatch
from backstream.server.routes.answers import answer, answer_in
from backstream.server.routing import Exchange, Handler, Route
from backstream.services import Embeddings
from backstream.wire.json_text import encode_json

__all__ = ["OLLAMA_ROUTES"]

_VERSION: Final = "0.12.0"
"""The version of Ollama whose API is spoken; its clients ask for it."""

_GENERATE: Final = OllamaGenerate()
_OWN: Final = ("truncate", "keep_alive")  # of embeddings, understood by Ollama alone


async def generate(exchange: Exchange) -> None:
    """Answer ``POST /api/generate``; without a prompt a model is "loaded", as Ollama's clients ask for first.

    Raises:
        Refusal: The server is full or stops, the key may not, or the body cannot be taken.
        BackstreamError: The request is wrong, or the provider failed.
        ClientGone: The client went away.
    """
    async with exchange.admission.admit(exchange):
        members = await read_members(exchange)
        request = await asyncio.to_thread(_GENERATE.parse_request, members)
        if request.turns:
            await answer(exchange, _GENERATE, request)
            return
        await choose(exchange, request.model)
        if exchange.ticket is not None:
            exchange.ticket.asked = False  # nobody is
        await _send(exchange, render_loaded(request.model, time.time()))


async def show(exchange: Exchange) -> None:
    """Answer ``POST /api/show``; raises as :func:`generate`."""
    async with exchange.admission.admit(exchange, spends=False):
        members = await read_members(exchange)
        name = members.get("model") or members.get("name")
        if not isinstance(name, str):
            raise InvalidRequestError("the request names no model", "send its name as model")
        await _send(exchange, render_show(await find_model(exchange, name)))


def _embed(*, old: bool) -> Handler:
    async def handle(exchange: Exchange) -> None:
        async with exchange.admission.admit(exchange):
            members = await read_members(exchange)
            texts = parse_embed(members, old=old)
            dimensions = members.get("dimensions", 1)
            if not isinstance(dimensions, int) or isinstance(dimensions, bool):
                raise InvalidRequestError("dimensions is no number")
            async with ClientWatch(exchange.receive):
                offer = await find_offer(exchange, members, "embed")
                names = ("dimensions", *(_OWN if offer.dialect == "ollama" else ()))
                parameters = {name: members[name] for name in names if name in members}
                found = Embeddings(vectors=()) if texts == [] else await offer.ask(parameters, texts)
                exchange.record.usage = found.usage
                await _send(exchange, await asyncio.to_thread(render_embeddings, found, members["model"], old=old))

    return handle


async def list_loaded(exchange: Exchange) -> None:
    """Answer ``GET /api/ps``: nothing is loaded here."""
    await _send(exchange, encode_json({"models": []}))


async def tell_version(exchange: Exchange) -> None:
    """Answer ``GET /api/version``."""
    await _send(exchange, encode_json({"version": _VERSION}))


async def _send(exchange: Exchange, body: bytes) -> None:
    exchange.record.status = 200
    fields = [(b"content-type", b"application/json")]
    await send_plain(exchange.send, 200, body, fields, head_only=exchange.request.method == "HEAD")


def _route(name: str, path: str, method: str, handler: Handler) -> Route:
    return Route(f"ollama-{name}", path, method, handler, dialect="ollama")


OLLAMA_ROUTES: Final[Sequence[Route]] = (
    _route("chat", "/api/chat", "POST", answer_in(dialect_for("ollama"))),
    _route("generate", "/api/generate", "POST", generate),
    _route("show", "/api/show", "POST", show),
    _route("embed", "/api/embed", "POST", _embed(old=False)),
    _route("embeddings", "/api/embeddings", "POST", _embed(old=True)),
    _route("ps", "/api/ps", "GET", list_loaded),
    _route("version", "/api/version", "GET", tell_version),
)
"""The routes that only Ollama's clients ask for; its list of models stands with the other lists."""
