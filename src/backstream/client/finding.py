"""Who may answer a call: the models it names, each of a provider that is made when it is first asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from backstream.client.call import Call
from backstream.credentials import Secret
from backstream.errors import InvalidRequestError, UnknownModelError, UnknownProviderError
from backstream.providers.prefixes import takes_prefix
from backstream.providers.rows_shape import Row
from backstream.registry.names import Target
from backstream.registry.registry import Registry
from backstream.registry.routes import models_of, route_named
from backstream.transport.url import parse_url

__all__ = ["Candidate", "find_candidates", "list_named"]


class Candidate:
    """A model of a provider, that may answer.

    Args:
        target: Which.
        find: Finds the provider, and the key that it takes with the call.
        row: The provider's row, where it is known beforehand.
        name: What it is called as a route; ``""`` for ``provider/model``.

    Attributes:
        name: What it is called as a route.
        target: Which.
        own_key: The key that the provider takes with the call; ``None`` for the one it has.
        provider: The provider; ``None`` before it was asked for.
    """

    __slots__ = ("_find", "_row", "name", "own_key", "provider", "target")

    def __init__(
        self,
        target: Target,
        find: Callable[[], Awaitable[tuple[Any, Any]]],
        row: Row | None = None,
        name: str = "",
    ) -> None:
        self.target = target
        self.name = name or (str(target) if target.model else target.provider)
        self.own_key: Any = None
        self.provider: Any = None
        self._find = find
        self._row = row

    async def found(self) -> Any:
        """Return the provider.

        Raises:
            CallerError: It cannot be made: no key, no such provider, a URL that cannot work.
        """
        if self.provider is None:
            self.provider, self.own_key = await self._find()
        return self.provider

    @property
    def takes_prefix(self) -> bool:
        """Whether it is known to go on with the begin of an answer."""
        return self._row is not None and takes_prefix(self._row, self.target.model)


def list_named(call: Call, registry: Registry) -> str | None:
    """Return the routing list that a call asks for; ``None`` where it asks for none, or for several models."""
    if call.url is not None or call.provider is not None or len(call.models) != 1 or not call.models[0]:
        return None
    return route_named(call.models[0], registry.config.aliases, registry.config.routes)


async def find_candidates(call: Call, registry: Registry) -> Sequence[Candidate]:
    """Return who may answer a call, in the order they are to be asked, each once.

    Raises:
        CallerError: The call cannot work. A name that means nothing, among several, is told when its turn comes:
            another model may answer.
    """
    if call.url is not None:
        found = [_at_url(call, call.url, model, registry) for model in call.models]
    elif call.provider is not None and not isinstance(call.provider, str):
        found = [_given(call, model) for model in call.models]
    else:
        found = await _named(call, registry)
    first: dict[str, Candidate] = {}
    for each in found:
        first.setdefault(each.name, each)
    return list(first.values())


def _at_url(call: Call, url: str, model: str | None, registry: Registry) -> Candidate:
    async def find() -> tuple[Any, Any]:
        dialect = call.dialect or "openai_chat"
        return await registry.provider_at(url, dialect=dialect, api_key=call.key_for(None)), None

    where = parse_url(url)  # only its authority is shown: a path may hold what is nobody's business
    return Candidate(Target(where.authority, model or ""), find)


def _given(call: Call, model: str | None) -> Candidate:
    async def find() -> tuple[Any, Any]:
        return call.provider, call.api_key

    row = getattr(call.provider, "row", None)
    row = row if isinstance(row, Row) else None
    own = getattr(call.provider, "__name__", type(call.provider).__name__)
    return Candidate(Target(row.name if row is not None else own, model or ""), find, row)


async def _named(call: Call, registry: Registry) -> list[Candidate]:
    names: list[str | None] = []
    aliases, routes = registry.config.aliases, registry.config.routes
    for model in call.models:
        route = route_named(model, aliases, routes) if model and call.provider is None else None
        names += [model] if route is None else models_of(route, aliases, routes)
    provider = None if call.provider is None else await _known(call.provider, registry)
    found = [await _resolved(call, name, provider, registry, alone=len(names) == 1) for name in names]
    if isinstance(call.api_key, str | Secret) and len({each.target.provider for each in found}) > 1:
        raise InvalidRequestError(
            "api_key is one key, and the models are of several providers", "pass a dict of keys by provider"
        )
    return found


async def _resolved(
    call: Call, name: str | None, provider: str | None, registry: Registry, *, alone: bool
) -> Candidate:
    try:
        target = await registry.resolve(name if provider is None else f"{provider}/{name or ''}")
    except (UnknownModelError, UnknownProviderError) as error:
        if alone:
            raise
        return _meaningless(name or "", error)

    async def find() -> tuple[Any, Any]:
        if registry.row(target.provider) is None:  # a class of its own: it takes its key with the call
            return await registry.provider(target.provider), call.api_key if alone else call.key_for(target.provider)
        return await registry.provider(target.provider, call.key_for(target.provider)), None

    return Candidate(target, find, registry.row(target.provider))


def _meaningless(name: str, error: Exception) -> Candidate:
    async def find() -> tuple[Any, Any]:
        raise error

    return Candidate(Target(name[:80], ""), find)


async def _known(provider: str, registry: Registry) -> str:
    known = await asyncio.to_thread(registry.providers)  # reads files, the first time
    name = provider if provider in known else provider.lower()
    if name not in known:  # a model of another provider may be called like this
        raise UnknownProviderError(provider, known)
    return name
