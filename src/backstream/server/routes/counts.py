"""How many tokens a request has, in any dialect that asks."""

from __future__ import annotations

import asyncio

from backstream.dialects.base import Dialect
from backstream.errors import ModelNotFoundError, UnsupportedFeatureError
from backstream.server.asgi import send_plain
from backstream.server.choosing import choose
from backstream.server.dialect_bodies import read_members
from backstream.server.media_count import check_media_count
from backstream.server.presence import ClientWatch
from backstream.server.routing import Exchange, Handler

__all__ = ["count_in"]


def count_in(dialect: Dialect) -> Handler:
    """Make the handler that counts in a dialect."""

    async def handle(exchange: Exchange) -> None:
        async with exchange.admission.admit(exchange, spends=False):
            members = await read_members(exchange)
            # in a thread: a conversation may be long, and its pictures large
            request = await asyncio.to_thread(dialect.parse_request, members, exchange.request.path)
            check_media_count(request, exchange.settings.limits)
            async with ClientWatch(exchange.receive):
                back_end = await choose(exchange, request.model)
                try:
                    tokens = await back_end.count_tokens(request)
                except UnsupportedFeatureError as error:  # as Google says it of a model that cannot
                    raise ModelNotFoundError(error.problem, status=404) from None
                body = dialect.render_count(tokens)
                exchange.record.status = 200
                await send_plain(exchange.send, 200, body, [(b"content-type", b"application/json")])

    return handle
