"""Who may have an answer now: one door for every route that asks a provider. Knows no dialect."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from backstream.models import ModelInfo
from backstream.registry.server_config import KeyLimits
from backstream.server.asgi import Field, Refusal
from backstream.server.ledger import Wait
from backstream.server.limits import FURTHER_MODELS, StreamLimits, are_counted, limits_of, names_of, refusal_of
from backstream.server.routing import Exchange
from backstream.server.running import RunningAnswers
from backstream.server.tickets import Ticket

__all__ = ["Admission"]

_RETRY: Final[list[Field]] = [(b"retry-after", b"1")]


class Admission:
    """The door of one application.

    Attributes:
        draining: Whether the server is about to stop: nothing new is let in.
        answers: The answers that were let in and have not ended, to be told that the server stops.
    """

    def __init__(self) -> None:
        self.draining = False
        self.answers = RunningAnswers()
        self._streams = StreamLimits()

    @property
    def running(self) -> int:
        """How many answers run in this process."""
        return self._streams.running

    @contextlib.asynccontextmanager
    async def admit(self, exchange: Exchange, *, spends: bool = True) -> AsyncIterator[None]:
        """Let one request have its answer while the context lasts; entered before its body is read.

        The request's place is free again just before the last byte of its answer goes out.

        Args:
            exchange: The request; what it sends and receives is looked on at from now on.
            spends: Whether the answer takes tokens of the key's budget, reported or not.

        Raises:
            Refusal: 429 where its key has had enough, 503 where the server has, or stops; with ``Retry-After``.
        """
        self._check_draining()
        settings = exchange.settings
        self._streams.enter(exchange.key_name, settings.max_streams, settings.max_streams_per_key)
        exchange.ticket = ticket = Ticket(exchange, self._streams)
        try:
            await self._count(exchange, ticket, spends=spends)
            self._check_draining()  # counting may take seconds; who is not among the answers is not told to end
            with self.answers.answer() as exchange.interruption:
                yield
        except BaseException as error:
            ticket.end(error)
            raise
        ticket.end()

    def _check_draining(self) -> None:
        if self.draining:
            raise Refusal(503, "This server is stopping", _RETRY)

    async def _count(self, exchange: Exchange, ticket: Ticket, *, spends: bool) -> None:
        """Count a request in the ledger, where its key has a limit that needs it."""
        limits = _limits(exchange)
        if exchange.key_name is None or not are_counted(limits):
            return
        admitted = await exchange.ledger.admit(exchange.key_name, limits)
        if isinstance(admitted, Wait):
            raise refusal_of(admitted)
        ticket.hold(admitted, exchange, spends=spends and limits.tokens_per_day is not None)

    def check_model(self, exchange: Exchange, provider: str, model: str, asked: str = "") -> None:
        """Check that the request's key may use a model of a provider; called once both are known.

        Args:
            exchange: The request.
            provider: The provider's name.
            model: The model, as the provider names it.
            asked: The name the client asked for: an alias or a routing list may be allowed by its own name.

        Raises:
            Refusal: 403.
        """
        if exchange.ticket is not None:
            exchange.ticket.asked = True
        if not _limits(exchange).allows(names_of(provider, model, asked)):
            if exchange.ticket is not None:
                exchange.ticket.asked = False
            raise Refusal(403, "This key may not use that model; GET the list of models for those it may")

    def check_members(self, exchange: Exchange, members: Mapping[str, object]) -> None:
        """Check that a request names no further models, which nobody has looked at, where its key may not use all.

        Args:
            exchange: The request.
            members: Its members, as far as they may reach a back-end.

        Raises:
            Refusal: 403.
        """
        if _limits(exchange).models is not None and not FURTHER_MODELS.isdisjoint(members):
            raise Refusal(403, "This key may not use every model, and so may not name further ones; leave them out")

    def visible(self, exchange: Exchange, models: Iterable[ModelInfo]) -> list[ModelInfo]:
        """Return those of a list of models that the request's key may use."""
        limits = _limits(exchange)
        if limits.models is None:
            return list(models)
        return [each for each in models if limits.allows(names_of(each.provider or each.owned_by or "", each.id))]


def _limits(exchange: Exchange) -> KeyLimits:
    settings = exchange.settings
    return limits_of(exchange.key, settings.key_limits, settings.default_key_limits)
