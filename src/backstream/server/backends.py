"""Who answers a request: the providers the application was given, else whoever the registry finds for the model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.dialects.relay import relay_for
from backstream.errors import (
    ConfigurationError,
    MissingKeyError,
    ProviderError,
    UnavailableError,
    UnknownModelError,
    UnknownProviderError,
    UnsupportedFeatureError,
)
from backstream.models import ModelInfo
from backstream.options import CallOptions, Deadlines
from backstream.providers.backend_api import BackendApi
from backstream.providers.clocks import clocked_source_of
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.prefixes import takes_prefix
from backstream.providers.result import BlockSource
from backstream.providers.sources import source_of
from backstream.registry.registry import Registry
from backstream.request import Receipts, Request, TextPart, Turn
from backstream.request.call import render_call
from backstream.server.catalog import Catalog
from backstream.server.members import for_provider
from backstream.server.places import hide_place
from backstream.server.wishes import Wishes

__all__ = ["BackEnd", "BackEnds", "render_options", "with_own_keys"]

_LOGGER: Final = logging.getLogger("backstream.server")
_TAKING_OPTIONS: Final = (
    BackendApi.create_async_generator.__func__,  # type: ignore[attr-defined]
    DialectProvider.create_async_generator,
)


@contextlib.contextmanager
def with_own_keys(provider: str) -> Iterator[None]:
    """Turn a key that this server lacks into what it is for a client, who cannot mend it; hide where back-ends are.

    Raises:
        UnavailableError: A key was missing; asking again does not help.
    """
    try:
        yield
    except MissingKeyError as missing:
        said = f"this server has no key for {provider}; its operator must set {missing.variable.rstrip(',')}"
        error = UnavailableError(said, phase="headers")
        error.retryable = False
        raise error from missing
    except ProviderError as failure:
        hide_place(failure)
        raise


def render_options(provider: Any, options: CallOptions | None) -> dict[str, Any]:
    """Return local options as keywords of ``create_async_generator``; none for a class that may not know them."""
    if options is None:
        return {}
    method = getattr(getattr(provider, "create_async_generator", None), "__func__", None)
    return {"options": options} if method in _TAKING_OPTIONS else {}


class BackEnd:
    """A provider, and which of its models is meant.

    Args:
        name: The provider's name here.
        provider: The provider.
        model: The model, as the provider names it; ``""`` for its default.
        is_known: Whether the model's name is one of a known list, and so may be logged; ``None`` where it may be once
            its provider has answered for it.

    Attributes:
        route: The routing list that was asked for; ``""`` for none.
        wishes: What the request says of how its answer is made.
    """

    __slots__ = ("is_known", "model", "name", "provider", "route", "wishes")

    def __init__(self, name: str, provider: Any, model: str, *, is_known: bool | None) -> None:
        self.name = name
        self.provider = provider
        self.model = model
        self.is_known = is_known
        self.route = ""
        self.wishes = Wishes()

    @property
    def route_name(self) -> str:
        """``provider/model``."""
        model = self.model or getattr(self.provider, "default_model", None) or ""
        return f"{self.name}/{model}" if model else self.name

    @property
    def takes_prefix(self) -> bool:
        """Whether the model is known to go on with the begin of an answer."""
        if not isinstance(self.provider, DialectProvider):
            return False
        return takes_prefix(self.provider.row, self.model or self.provider.default_model or "")

    def check_key(self, check: Callable[[str, str, str], None], asked: str) -> None:
        """Check that a client key may use it.

        Args:
            check: Checks a provider's name, its model and the name that was asked for.
            asked: The name that was asked for.

        Raises:
            RequestRefused: It may not.
        """
        check(self.name, self.model, asked)

    async def open(
        self, request: Request, client: Dialect | None = None, options: CallOptions | None = None
    ) -> BlockSource:
        """Ask the provider.

        Args:
            request: What is asked.
            client: The client's dialect, where the provider's frames may be passed on as they come: then the source has
                a ``relay`` that keeps them (:class:`backstream.dialects.relay.FrameRelay`).
            options: The local options of the call, for providers that take such.

        Raises:
            BackstreamError: It cannot be asked, or refused.
        """
        if isinstance(self.provider, DialectProvider):
            model = self.model or self.provider.default_model or ""
            relay = relay_for(client, self.provider.dialect, request) if client is not None else None
            request = msgspec.structs.replace(request, model=model)
            return await source_of(self.provider.answer(request, options=options, relay=relay))
        if request.dialect not in ("", "openai_chat"):  # other dialects' own members would not be understood
            request = msgspec.structs.replace(request, extra={})
        messages, media, keywords = await asyncio.to_thread(render_call, request)
        more: dict[str, Any] = render_options(self.provider, options)
        if media:
            more["media"] = [(each, getattr(each, "filename", None)) for each in media]
        result = self.provider.create_async_generator(self.model, messages, **more, **for_provider(keywords))
        return await clocked_source_of(result, Deadlines() if options is None else options.deadlines)

    async def count_tokens(self, request: Request) -> int:
        """Ask the provider how many tokens a request has.

        Raises:
            UnsupportedFeatureError: It cannot be asked.
            BackstreamError: It could not be asked, or refused.
        """
        if not isinstance(self.provider, DialectProvider):
            raise UnsupportedFeatureError(f"{self.name} does not count tokens")
        with with_own_keys(self.name):
            model = self.model or self.provider.default_model or ""
            return await self.provider.count(msgspec.structs.replace(request, model=model))


def _counts(dialect: object) -> bool:
    """Tell whether a dialect has a question for the number of tokens."""
    question = getattr(dialect, "render_token_count", None)
    return question is not None and question(_ONE_WORD, Receipts()) is not None


_ONE_WORD: Final = Request(model="model", turns=(Turn(role="user", parts=(TextPart(text="word"),)),))


class BackEnds:
    """Finds who answers.

    Args:
        catalog: The providers the application was given; the first is the default one.
        registry: Where other names are looked up; ``None`` for nowhere.
    """

    def __init__(self, catalog: Catalog, registry: Registry | None = None) -> None:
        self._catalog = catalog
        self._registry = registry

    async def find(self, model: str) -> BackEnd:
        """Return who answers for a model.

        Args:
            model: ``provider/model``, or the name of a model; ``""`` for the default one. Without a registry a name
                that nobody lists goes to the first provider.

        Raises:
            UnknownModelError: Nobody.
            UnknownProviderError: What stands before the slash is no provider.
            UnavailableError: This server has no key for the provider that is meant.
            CallerError: The provider that is meant cannot be asked for another reason.
        """
        named, _, rest = model.partition("/")
        entry = self._catalog.entries.get(named) or next(
            (each for name, each in self._catalog.entries.items() if name.lower() == named.lower()), None
        )
        if entry is not None:
            return BackEnd(
                entry.name, entry.provider, entry.resolve(rest), is_known=not rest or rest in entry.known_models
            )
        for each in self._catalog.entries.values():
            if not model or model in each.feature("model_aliases", ()) or model in await each.models():
                return BackEnd(each.name, each.provider, each.resolve(model), is_known=True)
        if self._registry is None:  # the default provider judges a name nobody lists
            first = next(iter(self._catalog.entries.values()))
            return BackEnd(first.name, first.provider, first.resolve(model), is_known=False)
        try:
            target = await self._registry.resolve(model)
        except (UnknownModelError, UnknownProviderError) as error:
            error.remedy = f"{error.remedy} see GET /v1/models" if error.nearest else "see GET /v1/models"
            raise
        with with_own_keys(target.provider):
            provider = await self._provider(self._registry, target.provider)
        return BackEnd(target.provider, provider, target.model, is_known=self._registry.knows(target) or None)

    async def _provider(self, registry: Registry, name: str) -> Any:
        """Return a provider of the registry; why its key file gives no key is for the log, since it names the file."""
        try:
            return await registry.provider(name)
        except ConfigurationError as error:
            settings = registry.config.providers.get(name)
            if settings is None or settings.key_file is None:
                raise
            _LOGGER.warning("%s has no key: %s", name, error)
            raise MissingKeyError(name, f"the key file of [providers.{name}]") from error

    async def find_beyond(self, provider: str, model: str) -> BackEnd | None:
        """Return who answers for a model where a client may name the provider apart from it.

        Args:
            provider: The provider's name; ``""`` for none.
            model: The model's name, alone or with a provider's; ``""`` for the default one.

        Returns:
            Who answers; ``None`` where it is the catalog's to choose.

        Raises:
            BackstreamError: As :meth:`find` does.
        """
        if self._registry is None:
            return None
        if provider:
            known = self._catalog.find(provider) is not None
            return None if known else await self.find(f"{provider}/{model}" if model else provider)
        return None if not model or await self._catalog.having(model) else await self.find(model)

    def guarded(self, found: BackEnd) -> BackEnd:
        """Return a back-end with all that makes its answers survive trouble: here nothing.

        Args:
            found: Who is asked.
        """
        return found

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models of every provider; their ``name`` is what a client asks for."""
        found: list[ModelInfo] = []
        for entry in self._catalog.entries.values():
            counts = _counts(getattr(entry.provider, "dialect", None))
            found += [ModelInfo(id=name, owned_by=entry.name, counts_tokens=counts) for name in await entry.models()]
        if self._registry is not None:
            known = {model.name for model in found}
            listed = [model for model in await self._registry.models() if model.name not in known]
            rows = {name: self._registry.row(name) for name in {model.provider for model in listed}}
            counting = {name for name, row in rows.items() if row and _counts(dialect_for(row.dialect, row.quirks))}
            found += [
                msgspec.structs.replace(model, counts_tokens=model.provider in counting)
                if model.counts_tokens is None
                else model
                for model in listed
            ]
        return found
