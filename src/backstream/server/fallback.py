"""Routing lists: a name that clients ask for, and the models that answer for it, one after the other.

The next one is asked only before any content has come, and only where another provider may do better.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from backstream.chunks import Start
from backstream.dialects.base import Dialect
from backstream.dialects.relay import FrameRelay
from backstream.errors import (
    BackendRequestError,
    BackstreamError,
    CallerError,
    ContentRefusedError,
    MissingKeyError,
    ProviderError,
    UnavailableError,
    UnknownModelError,
    UnknownProviderError,
)
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.providers.result import BlockSource
from backstream.registry.routes import models_of, route_named
from backstream.reply import Block
from backstream.request import Request
from backstream.server.backends import BackEnd, BackEnds
from backstream.server.gated import GatedAnswer
from backstream.server.refusals import RequestRefused

__all__ = ["RoutedBackEnd", "RoutedBackEnds"]

_LOGGER: Final = logging.getLogger("backstream.server")

Check = Callable[[str, str, str], None]


class RoutedBackEnd(BackEnd):
    """The models of one routing list, as one back-end: ``name`` and ``model`` are those of the one that answers.

    Args:
        route: The list's name.
        first: Who is asked first.
        rest: The names of the models after it.
        find: Finds who answers for one of them.
    """

    __slots__ = ("_check", "_find", "_first", "_rest")

    def __init__(
        self, route: str, first: BackEnd, rest: Sequence[str], find: Callable[[str], Awaitable[BackEnd]]
    ) -> None:
        super().__init__(first.name, first.provider, first.model, is_known=first.is_known)
        self.route = route
        self._first = first
        self._rest = rest
        self._find = find
        self._check: Check | None = None

    def check_key(self, check: Check, asked: str) -> None:
        """Let a key that may use the list's name use all of it, and another one only the models it may use."""
        try:
            check("route", self.route, asked)
        except RequestRefused:
            self._check = check

    async def open(
        self, request: Request, client: Dialect | None = None, options: CallOptions | None = None
    ) -> BlockSource:
        """Ask one after the other, until one says something.

        Raises:
            BackstreamError: As the last one failed, or one that refused the request or its content.
            RequestRefused: The key may use none of them.
        """
        failure: BackstreamError | None = None
        refusal: RequestRefused | None = None
        entries: list[BackEnd | str] = [self._first, *self._rest]
        for each in entries:
            back_end = each if isinstance(each, BackEnd) else await self._find_one(each)
            if back_end is None:
                continue
            try:
                if self._check is not None:
                    self._check(back_end.name, back_end.model, "")
                return await self._open_one(back_end, request, client, options)
            except RequestRefused as refused:
                refusal = refused
            except BackstreamError as error:
                if not _may_go_on(error):
                    raise
                failure = error
                _LOGGER.info("route %s: %s failed with %s", self.route, back_end.name, type(error).__name__)
        assert failure is not None or refusal is not None
        raise failure or refusal  # type: ignore[misc]

    async def _find_one(self, model: str) -> BackEnd | None:
        try:
            return await self._find(model)
        except BackstreamError as error:
            _LOGGER.info("route %s: an entry cannot be asked (%s)", self.route, type(error).__name__)
            return None

    async def _open_one(
        self, back_end: BackEnd, request: Request, client: Dialect | None, options: CallOptions | None
    ) -> BlockSource:
        self.name, self.provider, self.model = back_end.name, back_end.provider, back_end.model
        self.is_known = back_end.is_known
        gated = GatedAnswer(back_end, request, client, options)
        try:
            await gated.wait()
        except BaseException:  # whatever it was: nobody else closes this one
            await gated.aclose()
            raise
        gated.held = _named(gated.held, f"{self.name}/{self.model}" if self.model else self.name)
        return _Opened(gated)


class _Opened:
    """An answer that has begun, as a source of blocks."""

    def __init__(self, gated: GatedAnswer) -> None:
        self._gated = gated
        self.relay: FrameRelay | None = gated.relay

    async def read_block(self) -> Block:
        return await self._gated.read_block()

    async def pump(self, take: Callable[[Block], bool]) -> None:
        await self._gated.pump(take)

    def abort(self) -> None:
        self._gated.abort()

    async def aclose(self) -> None:
        await self._gated.aclose()


def _named(block: Block, model: str) -> Block:
    """Return the begin of an answer with the model in it, which clients could not know from what they asked for."""
    for index, chunk in enumerate(block):
        if isinstance(chunk, Start):
            named = chunk if chunk.model else msgspec.structs.replace(chunk, model=model)
            return [*block[:index], named, *block[index + 1 :]]
    return [Start(model=model), *block]


def _may_go_on(error: BackstreamError) -> bool:
    """Tell whether another provider may do better with the same request."""
    if isinstance(error, ContentRefusedError | BackendRequestError):
        return False
    return isinstance(error, ProviderError | MissingKeyError | UnknownModelError | UnknownProviderError)


class RoutedBackEnds(BackEnds):
    """Finds who answers, also for the names of routing lists."""

    async def find(self, model: str) -> BackEnd:
        """Return who answers for a model; see :meth:`BackEnds.find`.

        Raises:
            UnavailableError: Also where no model of a routing list can be asked.
        """
        config = self._registry.config if self._registry is not None else None
        route = route_named(model, config.aliases, config.routes) if config is not None else None
        if config is None or route is None:
            return await super().find(model)
        models = models_of(route, config.aliases, config.routes)
        for index, each in enumerate(models):
            try:
                first = await super().find(each)
            except (CallerError, UnavailableError) as error:
                _LOGGER.info("route %s: an entry cannot be asked (%s)", route, type(error).__name__)
                continue
            return RoutedBackEnd(route, first, models[index + 1 :], super().find)
        nobody = UnavailableError(f"this server can ask no model of the route {route}", phase="headers")
        nobody.retryable = False
        raise nobody

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models of every provider, and the routing lists before them."""
        routes = self._registry.config.routes if self._registry is not None else {}
        listed = await super().models()
        return [
            *(ModelInfo(id=name, owned_by="backstream") for name in routes),
            *(each for each in listed if each.name not in routes),
        ]
