"""Responses that are kept, so that their clients can ask for them again and go on from them. Opens nothing itself.

A response is kept unless its request, or the operator, says no; for a day, for the client key that asked.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from backstream.chunks import Start
from backstream.dialects.base import Dialect, Envelope
from backstream.dialects.openai_responses.stored import StoredResponse, continued, items_of, write_response
from backstream.errors import BackendRequestError
from backstream.providers.dialect_provider import DialectProvider
from backstream.reply import Block, End, join_deltas
from backstream.request import Request
from backstream.server.backends import BackEnd
from backstream.server.gated import GatedAnswer
from backstream.server.routing import Exchange
from backstream.wire.json_text import encode_json

__all__ = ["Keeping", "KeptAnswer", "load_response"]

_LONGEST_ID = 256
_MOST_CHUNKS = 10_000
_DECODER = msgspec.json.Decoder(StoredResponse)


async def load_response(exchange: Exchange, response_id: object) -> StoredResponse | None:
    """Return a stored response of the request's key; ``None`` where it has none of that id."""
    if not isinstance(response_id, str) or not 0 < len(response_id) <= _LONGEST_ID:
        return None
    body = await exchange.ledger.get_response(response_id, exchange.key_name)
    if body is None:
        return None
    stored = await asyncio.to_thread(_DECODER.decode, body)
    if exchange.record.tally is not None:  # a provider that keeps nothing is asked all of it again
        exchange.record.tally.note_body(body[len(stored.response) :])
    return stored


class Keeping:
    """How one request goes on from a response, and whether its own is kept.

    Args:
        exchange: The request.
        dialect: OpenAI's Responses.
        members: The body's members.
        request: The same, read.
        before: The response it goes on from, where it is one of ours.

    Attributes:
        request: What the answer says was asked.
        id: The answer's id: 128 random bits.
        keeps: Whether the answer is kept.
    """

    def __init__(
        self,
        exchange: Exchange,
        dialect: Dialect,
        members: Mapping[str, Any],
        request: Request,
        before: StoredResponse | None,
    ) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._members = members
        self._before = before
        self.keeps = exchange.settings.store_responses and request.store is not False
        self.request = msgspec.structs.replace(request, store=self.keeps)
        self.id = secrets.token_hex(16)

    async def asked_of(self, back_end: BackEnd) -> Request:
        """Return what the provider is asked: one that keeps no such response gets the whole conversation.

        Raises:
            BackendRequestError: The request goes on from a response that nobody knows.
        """
        previous = self.request.previous_response_id
        if keeps_itself(back_end):
            own = self._before is None or self._before.own == back_end.name
            request = msgspec.structs.replace(self.request, store=self._members.get("store"))
            return request if previous is None or own else await self._whole(self._before)
        if previous is not None and self._before is None:
            raise BackendRequestError(
                "The previous response is not known here", status=400, kind="previous_response_not_found"
            )
        return await self._whole(self._before)

    async def _whole(self, before: StoredResponse | None) -> Request:
        members = continued(self._members, before.history if before is not None else [])
        return await asyncio.to_thread(self._dialect.parse_request, members)

    async def keep(self, back_end: BackEnd, chunks: Block, envelope: Envelope) -> None:
        """Keep a whole answer."""
        own = back_end.name if keeps_itself(back_end) else ""
        before = self._before.history if self._before is not None else []

        def encode() -> tuple[str, bytes]:
            response = write_response(chunks, envelope, streamed=self.request.stream)
            stored = StoredResponse(
                response=msgspec.Raw(encode_json(response)),
                history=[*before, *items_of(self._members), *response["output"]],
                own=own,
            )
            return response["id"], encode_json(stored)

        response_id, body = await asyncio.to_thread(encode)
        await self._exchange.ledger.put_response(response_id, self._exchange.key_name, body, envelope.created)


def keeps_itself(back_end: BackEnd) -> bool:
    """Tell whether a provider keeps its responses, by ids of its own."""
    provider = back_end.provider
    return isinstance(provider, DialectProvider) and provider.dialect.name == "openai_responses" and not back_end.route


class KeptAnswer(GatedAnswer):
    """One provider's answer, kept before its last block is given.

    Args:
        keeping: What keeps it.
        back_end: Who answers.
        request: What is asked.
        envelope: What the answer is rendered with.
        options: The local options of the call.
    """

    def __init__(self, keeping: Keeping, back_end: BackEnd, request: Request, envelope: Envelope, options: Any) -> None:
        super().__init__(back_end, request, None, options)
        self._keeping = keeping
        self._envelope = envelope
        self._chunks: Block = []
        self._loose = 0

    async def read_block(self) -> Block:
        """Return the next block; see :class:`GatedAnswer`."""
        block = await super().read_block()
        if not keeps_itself(self._back_end):  # the id is ours, and so cannot be guessed
            block = [msgspec.structs.replace(each, id=None) if isinstance(each, Start) else each for each in block]
        if self._keeping.keeps:
            await self._note(block)
        return block

    async def pump(self, take: Callable[[Block], bool]) -> None:
        """Do nothing: every block is looked at by :meth:`read_block`."""

    async def _note(self, block: Block) -> None:
        self._chunks += block
        self._loose += len(block)
        end = block[-1] if block else None
        if isinstance(end, End):
            if end.state == "complete":
                await self._keeping.keep(self._back_end, self._chunks, self._envelope)
            self._chunks = []
        elif self._loose > _MOST_CHUNKS:
            self._chunks, self._loose = [*join_deltas(self._chunks)], 0  # type: ignore[arg-type] # no End yet
