"""Gemini's routes: conversations, counts and vectors, below each of the versions its clients ask by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from backstream.dialects.names import dialect_for
from backstream.dialects.services.gemini_out import parse_batch, parse_embed, render_embeddings
from backstream.errors import DecodeError
from backstream.server.asgi import send_plain
from backstream.server.dialect_bodies import read_members
from backstream.server.offers import find_offer
from backstream.server.presence import ClientWatch
from backstream.server.routes.answers import answer_in
from backstream.server.routes.counts import count_in
from backstream.server.routing import Exchange, Handler, Route

__all__ = ["GEMINI_ROUTES"]

_GEMINI: Final = dialect_for("gemini")
_ARRAYS: Final = dialect_for("gemini", {"framing": "array"})


def _stream() -> Handler:
    """Without ``alt=sse`` its streams are one JSON array."""
    as_events, as_array = answer_in(_GEMINI), answer_in(_ARRAYS)

    async def handle(exchange: Exchange) -> None:
        await (as_events if exchange.request.query("alt") == "sse" else as_array)(exchange)

    return handle


def _embed(*, batch: bool) -> Handler:
    async def handle(exchange: Exchange) -> None:
        async with exchange.admission.admit(exchange):
            members = await read_members(exchange)
            texts: Any
            texts, settings = parse_batch(members) if batch else parse_embed(members)
            async with ClientWatch(exchange.receive):
                offer = await find_offer(exchange, {"model": exchange.parameters["model"]}, "embed")
                if offer.dialect != "gemini":  # what else there is only Gemini knows
                    settings = {name: value for name, value in settings.items() if name == "dimensions"}
                found = await offer.ask(settings, texts)
                exchange.record.usage = found.usage
                if len(found.vectors) != (len(texts) if batch else 1):
                    raise DecodeError("the provider gave another number of vectors than texts")
                body = await asyncio.to_thread(render_embeddings, found, batch=batch)
                exchange.record.status = 200
                await send_plain(exchange.send, 200, body, [(b"content-type", b"application/json")])

    return handle


def _routes(version: str, prefix: str) -> Iterator[Route]:
    for name, method, handler in (
        ("generate", "generateContent", answer_in(_GEMINI)),
        ("stream", "streamGenerateContent", _stream()),
        ("count", "countTokens", count_in(_GEMINI)),
        ("embed", "embedContent", _embed(batch=False)),
        ("batch-embed", "batchEmbedContents", _embed(batch=True)),
    ):
        yield Route(f"{prefix}-{name}", f"/{version}/models/{{*model}}:{method}", "POST", handler, dialect="gemini")


GEMINI_ROUTES: Final[Sequence[Route]] = (*_routes("v1beta", "gemini"), *_routes("v1", "gemini-v1"))
"""The routes of models; below ``/v1`` they must stand before OpenAI's, whose names of models may be anything."""
