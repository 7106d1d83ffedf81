"""Gemini's routes: conversations, counts and vectors, below each of the versions its clients ask by."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from backstream.dialects.names import dialect_for
from backstream.dialects.services.gemini_out import parse_batch, parse_embed, render_embeddings
from backstream.errors import DecodeError
from backstream.server.asgi import send_plain
from backstream.server.dialect_bodies import read_members
from backstream.server.offers import Offer, find_offer
from backstream.server.presence import ClientWatch
from backstream.server.routes.answers import answer_in
from backstream.server.routes.counts import count_in
from backstream.server.routing import Exchange, Handler, Route
from backstream.services import Embeddings

__all__ = ["GEMINI_ROUTES"]

_GEMINI: Final = dialect_for("gemini")
_ARRAYS: Final = dialect_for("gemini", {"framing": "array"})
_Wanted: TypeAlias = "tuple[str, Mapping[str, Any]]"


def _stream() -> Handler:
    """Without ``alt=sse`` its streams are one JSON array."""
    as_events, as_array = answer_in(_GEMINI), answer_in(_ARRAYS)

    async def handle(exchange: Exchange) -> None:
        await (as_events if exchange.request.query("alt") == "sse" else as_array)(exchange)

    return handle


async def embed(exchange: Exchange) -> None:
    """Answer ``:embedContent``.

    Raises:
        Refusal: The server is full or stops, the key may not, or the body cannot be taken.
        BackstreamError: The request is wrong, or the provider failed.
        ClientGone: The client went away.
    """
    await _embed(exchange, lambda members: [parse_embed(members)], batch=False)


async def embed_batch(exchange: Exchange) -> None:
    """Answer ``:batchEmbedContents``; raises as :func:`embed`."""
    await _embed(exchange, parse_batch, batch=True)


async def _embed(exchange: Exchange, parse: Callable[[Mapping[str, Any]], Sequence[_Wanted]], *, batch: bool) -> None:
    async with exchange.admission.admit(exchange):
        wanted = parse(await read_members(exchange))
        async with ClientWatch(exchange.receive):
            offer = await find_offer(exchange, {"model": exchange.parameters["model"]}, "embed")
            found: list[Embeddings] = []
            # a provider is asked once for all texts that follow each other with the same parameters
            for settings, group in itertools.groupby(wanted, lambda each: each[1]):
                texts = [text for text, _ in group]
                found.append(await _ask(offer, texts, settings, batch=batch))
                if found[-1].usage is not None:
                    exchange.record.note_usage(found[-1].usage)
            vectors = tuple(vector for each in found for vector in each.vectors)
            body = await asyncio.to_thread(render_embeddings, Embeddings(vectors=vectors), batch=batch)
            exchange.record.status = 200
            await send_plain(exchange.send, 200, body, [(b"content-type", b"application/json")])


async def _ask(offer: Offer, texts: list[str], settings: Mapping[str, Any], *, batch: bool) -> Embeddings:
    if offer.dialect != "gemini":  # what else there is only Gemini knows
        settings = {name: value for name, value in settings.items() if name == "dimensions"}
    found: Embeddings = await offer.ask(settings, texts if batch else texts[0])
    if len(found.vectors) != len(texts):
        raise DecodeError("the provider gave another number of vectors than texts")
    return found


def _routes(version: str, prefix: str) -> Iterator[Route]:
    for name, method, handler in (
        ("generate", "generateContent", answer_in(_GEMINI)),
        ("stream", "streamGenerateContent", _stream()),
        ("count", "countTokens", count_in(_GEMINI)),
        ("embed", "embedContent", embed),
        ("batch-embed", "batchEmbedContents", embed_batch),
    ):
        yield Route(f"{prefix}-{name}", f"/{version}/models/{{*model}}:{method}", "POST", handler, dialect="gemini")


GEMINI_ROUTES: Final[Sequence[Route]] = (*_routes("v1beta", "gemini"), *_routes("v1", "gemini-v1"))
"""The routes of models; below ``/v1`` they must stand before OpenAI's, whose names of models may be anything."""
