"""Who answers, with all that makes an answer survive trouble: asking again, resting, and the next one of a list.

A routing list is a name that clients ask for, and the models that answer for it, one after the other. What is done when
is decided in ``backstream.resilience``; here it gets its routes.
"""

from __future__ import annotations

import logging
import random as chance
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from backstream.chunks import Start
from backstream.dialects.base import Dialect
from backstream.dialects.relay import FrameRelay
from backstream.errors import BackstreamError, CallerError, UnavailableError
from backstream.models import ModelInfo
from backstream.options import CallOptions, Deadlines, MidStreamPolicy
from backstream.providers.result import BlockSource
from backstream.registry.config import Config
from backstream.registry.registry import Registry
from backstream.registry.routes import models_of, route_named
from backstream.reply import Block, End
from backstream.request import Request
from backstream.resilience.route import ask_with, route_of
from backstream.resilience.stack import build_stack
from backstream.server.asked import AskedRoute, Question
from backstream.server.backends import BackEnd, BackEnds
from backstream.server.catalog import Catalog
from backstream.server.policies import Policies
from backstream.server.refusals import RequestRefused
from backstream.server.seen import SeenRoutes
from backstream.server.settings import Settings

__all__ = ["RoutedBackEnd", "RoutedBackEnds"]

_LOGGER: Final = logging.getLogger("backstream.server")

Check = Callable[[str, str, str], None]


class RoutedBackEnd(BackEnd):
    """One model, or those of a routing list, as one back-end: ``name`` and ``model`` are those of the one that answers.

    Args:
        found: Who is asked first.
        back_ends: Finds the others, and says what may be done.
        route: The list's name; ``""`` for a single model.
        rest: The names of the models after the first.
    """

    __slots__ = ("_back_ends", "_check", "_first", "_rest")

    def __init__(self, found: BackEnd, back_ends: RoutedBackEnds, route: str = "", rest: Sequence[str] = ()) -> None:
        super().__init__(found.name, found.provider, found.model, is_known=found.is_known)
        self.route = route
        self._first = found
        self._rest = rest
        self._back_ends = back_ends
        self._check: Check | None = None

    def check_key(self, check: Check, asked: str) -> None:
        """Let a key that may use the list's name use all of it, and another one only the models it may use."""
        if not self.route:
            return super().check_key(check, asked)
        try:
            check("route", self.route, asked)
        except RequestRefused:
            self._check = check

    async def open(
        self, request: Request, client: Dialect | None = None, options: CallOptions | None = None
    ) -> BlockSource:
        """Ask until one has content, as is configured and wished.

        Raises:
            BackstreamError: None has; see :class:`backstream.resilience.fallback.Fallback`.
            RequestRefused: The key may use none of them.
        """
        policies, policy = self._back_ends.policies, self._policy(request)
        question = Question(request, client if policy == "fail" else None, self._clocks)
        routes = await self._routes(question)
        recovery = policies.recovery(self.route, "")
        if recovery.mid_stream != policy:
            recovery = msgspec.structs.replace(recovery, mid_stream=policy)
        stack = build_stack(
            routes,
            recovery,
            self._back_ends.seen.states,
            of_route={each.name: policies.recovery(self.route, each.provider) for each in routes},
            random=self._back_ends.random,
        )
        clocks = self._clocks("" if self.route else self.name)
        ask = ask_with(msgspec.structs.replace(options or CallOptions(), deadlines=clocks))
        source = await stack.open(msgspec.structs.replace(ask, hurried=self.wishes.deadlines))
        answer = _Answer(source, routes, self)
        answer.tell()
        return answer if self.route else source

    def _clocks(self, provider: str) -> Deadlines:
        return self.wishes.within(self._back_ends.policies.deadlines(self.route, provider))

    def _policy(self, request: Request) -> MidStreamPolicy:
        """Return what happens when the answer breaks; one that is given whole can be repaired unseen by a list."""
        policies = self._back_ends.policies
        policy = self.wishes.policy(policies.recovery(self.route, "" if self.route else self.name).mid_stream)
        says = self.wishes.mid_stream is not None or policies.says_mid_stream(self.route)
        return "whole" if policy == "fail" and self.route and not request.stream and not says else policy

    async def _routes(self, question: Question) -> list[AskedRoute]:
        """Return who may be asked, each once, the first one first."""
        find = self._back_ends.find_one
        routes = {self._first.route_name: AskedRoute(self._first.route_name, question, find, self._first)}
        for model in self._rest:
            routes.setdefault(model, AskedRoute(model, question, find))
        if self.route:
            for name in routes:
                self._back_ends.seen.note(name)
        return list(routes.values()) if self._check is None else await self._allowed(routes.values(), self._check)

    async def _allowed(self, routes: Iterable[AskedRoute], check: Check) -> list[AskedRoute]:
        """Return those that a key may use, by the models they mean."""
        allowed: list[AskedRoute] = []
        refusal: RequestRefused | None = None
        for route in routes:
            try:
                found = route.back_end = route.back_end or await self._back_ends.find_one(route.name)
                check(found.name, found.model, "")
            except RequestRefused as refused:
                refusal = refused
            except BackstreamError as error:
                _LOGGER.info("route %s: an entry cannot be asked (%s)", self.route, type(error).__name__)
            else:
                allowed.append(route)
        if refusal is not None and not allowed:
            raise refusal
        return allowed

    def answered_by(self, route: AskedRoute) -> None:
        """Take note of who answers."""
        found = route.back_end or self._first
        self.name, self.provider, self.model, self.is_known = found.name, found.provider, found.model, found.is_known
        if self.is_known is not False:
            self._back_ends.seen.note(route.name)


class _Answer:
    """An answer that tells who gives it: in its begin to the client, at its end to the back-end it was asked of."""

    __slots__ = ("_back_end", "_named", "_routes", "_source")

    def __init__(self, source: BlockSource, routes: Sequence[AskedRoute], back_end: RoutedBackEnd) -> None:
        self._source = source
        self._routes = routes
        self._back_end = back_end
        self._named = False

    @property
    def relay(self) -> FrameRelay | None:
        return getattr(self._source, "relay", None)

    def tell(self) -> None:
        name = route_of(self._source)
        for route in self._routes:
            if route.name == name:
                self._back_end.answered_by(route)

    async def read_block(self) -> Block:
        block = await self._source.read_block()
        if block and isinstance(block[-1], End):
            self.tell()
        if block and not self._named:
            self._named = True
            self.tell()
            return _named(block, self._back_end.route_name)
        return block

    async def pump(self, take: Callable[[Block], bool]) -> None:
        pump = getattr(self._source, "pump", None)
        if pump is not None and self._named:
            await pump(take)

    def abort(self) -> None:
        self._source.abort()

    async def aclose(self) -> None:
        await self._source.aclose()


def _named(block: Block, model: str) -> Block:
    """Return the begin of an answer with the model in it, which clients could not know from what they asked for."""
    for index, chunk in enumerate(block):
        if isinstance(chunk, Start):
            named = chunk if chunk.model else msgspec.structs.replace(chunk, model=model)
            return [*block[:index], named, *block[index + 1 :]]
    return [Start(model=model), *block]


class RoutedBackEnds(BackEnds):
    """Finds who answers, also for the names of routing lists; each answer survives what it can.

    Args:
        catalog: See :class:`BackEnds`.
        registry: See :class:`BackEnds`.
        settings: What may be done, and how long an answer may take, where the configuration says nothing of it.
        seen: What is known of the routes.

    Attributes:
        policies: What may be done.
        seen: The same.
        random: Gives a number from 0 to 1, for waits.
    """

    def __init__(
        self,
        catalog: Catalog,
        registry: Registry | None,
        settings: Settings,
        seen: SeenRoutes,
    ) -> None:
        super().__init__(catalog, registry)
        config = registry.config if registry is not None else Config()
        self.policies = Policies(config, settings.recovery, settings.deadlines)
        self.seen = seen
        self.random: Callable[[], float] = chance.random

    async def find_one(self, model: str) -> BackEnd:
        """Return who answers for the name of a single model; see :meth:`BackEnds.find`."""
        return await super().find(model)

    async def find(self, model: str) -> BackEnd:
        """Return who answers for a model; see :meth:`BackEnds.find`.

        Raises:
            UnavailableError: Also where no model of a routing list can be asked.
        """
        config = self._registry.config if self._registry is not None else None
        route = route_named(model, config.aliases, config.routes) if config is not None else None
        if config is None or route is None:
            return self.guarded(await super().find(model))
        models = models_of(route, config.aliases, config.routes)
        for index, each in enumerate(models):
            try:
                first = await super().find(each)
            except (CallerError, UnavailableError) as error:
                _LOGGER.info("route %s: an entry cannot be asked (%s)", route, type(error).__name__)
                continue
            return RoutedBackEnd(first, self, route, models[index + 1 :])
        nobody = UnavailableError(f"this server can ask no model of the route {route}", phase="headers")
        nobody.retryable = False
        raise nobody

    def guarded(self, found: BackEnd) -> BackEnd:
        """Return a back-end with all that makes its answers survive trouble.

        Args:
            found: Who is asked.
        """
        return RoutedBackEnd(found, self)

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models of every provider, and before them the routing lists and aliases."""
        config = self._registry.config if self._registry is not None else Config()
        named = dict.fromkeys([*config.routes, *config.aliases])
        listed = await super().models()
        return [
            *(ModelInfo(id=name, owned_by="backstream") for name in named),
            *(each for each in listed if each.name not in named),
        ]
