"""The registry: names to providers and models, with what was configured, found, listed and installed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Final, TypeAlias

import msgspec

from backstream.credentials import Secret
from backstream.errors import BackstreamError, CallerError, UnknownModelError, UnknownProviderError
from backstream.models import ModelInfo, Price
from backstream.providers.base import Provider
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.echo import Echo
from backstream.providers.table import ROWS, Row, url_of
from backstream.registry.config import Config, load_config
from backstream.registry.discovery import Choice, Found, choose_default, probe
from backstream.registry.keys import find_key, key_in_sight
from backstream.registry.models import ModelCache, default_cache_folder
from backstream.registry.names import Names, Target
from backstream.registry.own import Address, check_not_own, rows_to_probe
from backstream.registry.plugins import Plugin, Plugins
from backstream.registry.routes import models_of
from backstream.registry.rows import configured_rows, may_use_keyring, row_at

__all__ = ["Make", "Probe", "Registry"]

Make: TypeAlias = "Callable[[Row, Secret | None], Provider | type[Any]]"
"""Makes a provider of a row and its key."""

Probe: TypeAlias = "Callable[[Sequence[Row]], Awaitable[Sequence[Found]]]"
"""Looks for servers on this machine."""

ECHO: Final = "echo"
_LOGGER: Final = logging.getLogger("backstream.registry")
_LISTING_SECONDS: Final = 10.0
_FOUND_SECONDS: Final = 30.0
_SILENT_SECONDS: Final = 30.0  # who could not tell its models is not asked with all the others before


class Registry:
    """Finds the provider and the model that a name means, and makes the provider.

    Args:
        config: What was configured, or the path of the file; ``None`` looks for the file (see
            :func:`backstream.registry.config.find_config`).
        environ: The environment; ``None`` for this process's.
        make: Makes a provider of a row and its key; ``None`` for
            :class:`backstream.providers.dialect_provider.DialectProvider`, with the configured policy on receipts.
        table: The built-in providers by name.
        cache: Keeps lists of models; ``None`` for one in the user's cache folder.
        probe: Looks for servers on this machine.
        plugins: The installed plug-ins.

    Attributes:
        own_addresses: Where this process listens, as :func:`backstream.registry.own.own_address` says it; nobody is
            asked there.

    Raises:
        ConfigurationError: The configuration cannot be read, or is wrong.
    """

    def __init__(
        self,
        config: Config | str | PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        make: Make | None = None,
        table: Mapping[str, Row] = ROWS,
        cache: ModelCache | None = None,
        probe: Probe = probe,
        plugins: Plugins | None = None,
    ) -> None:
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self.config = config if isinstance(config, Config) else load_config(config, environ=self._environ)
        self._make: Make = make or functools.partial(DialectProvider, receipts=self.config.defaults.receipts)
        self._table = table
        self._rows = configured_rows(table, self.config, self._environ)
        self._cache = ModelCache(default_cache_folder(self._environ)) if cache is None else cache
        self._probe = probe
        self._plugins = Plugins() if plugins is None else plugins
        self.own_addresses: frozenset[Address] = frozenset()
        self._warned = False
        self._made: dict[tuple[str, str], Provider | type[Any]] = {}
        self._found: Mapping[str, Found] = {}
        self._found_until = -1.0
        self._silent_until: dict[str, float] = {}

    # --- providers ----------------------------------------------------------------------------------------------------

    def providers(self) -> Sequence[str]:
        """Return the names of all providers: built in, configured, installed, and ``echo``.

        Looks the plug-ins up the first time, which reads files.
        """
        if not self._warned:
            self._warned = True
            hidden = [name for name in (*self._rows, ECHO) if not self._prefers_plugin(name)]
            self._plugins.warn_of_clashes(hidden)
        return list(dict.fromkeys([*self._rows, *self._plugins.names(), ECHO]))

    def row(self, name: str) -> Row | None:
        """Return the row of a provider, at the address where it was found; ``None`` where it has none."""
        found = self._found.get(name)
        return found.row if found is not None else self._rows.get(name)

    async def provider(self, name: str, api_key: str | Secret | None = None) -> Provider | type[Any]:
        """Return a provider; without a key of the caller's own always the same one.

        Args:
            name: Its name.
            api_key: Its key; ``None`` looks for one (see :func:`backstream.registry.keys.find_key`).

        Raises:
            UnknownProviderError: There is none of that name.
            MissingKeyError: It needs a key, and there is none.
            UnavailableError: Its address is one of ``own_addresses``.
            ConfigurationError: It has no URL, its key is malformed, or its plug-in cannot be loaded.
        """
        row = self.row(name)
        if row is not None:
            check_not_own(row, self.own_addresses)
        where = (name, row.url if row is not None else "")
        if api_key is not None:
            return await self._provide(name, api_key)
        if where not in self._made:
            self._made[where] = await self._provide(name, None)
        return self._made[where]

    async def provider_at(
        self, url: str, *, dialect: str = "openai_chat", api_key: str | Secret | None = None
    ) -> Provider | type[Any]:
        """Return the provider of a server that has no name here.

        Args:
            url: Its base URL; for a server of OpenAI's kind what stands before ``/chat/completions``.
            dialect: How it is spoken to.
            api_key: Its key, where it needs one.

        Raises:
            ConfigurationError: The URL cannot work, or there is no such dialect.
        """
        row = row_at(url, dialect=dialect)
        return self._make(row, await find_key(row, api_key, environ={}))

    async def _provide(self, name: str, api_key: str | Secret | None) -> Provider | type[Any]:
        row = self.row(name)
        if row is None:
            plugin = await self._plugin(name)
            if not isinstance(plugin, Row):
                return plugin
            row = msgspec.structs.replace(plugin, name=name)
        url_of(row, self._environ)  # raises where nothing says where it is
        if api_key is not None and not self.config.trusted and self._was_moved(name, row):
            raise self.config.error(
                ["providers", name, "url"],
                "in a file that just lies in the working folder would take your key elsewhere",
                "set BACKSTREAM_CONFIG=backstream.toml if you trust it",
            )
        settings = self.config.providers.get(name)
        key = await find_key(
            row,
            api_key,
            settings,
            environ=self._environ,
            use_keyring=may_use_keyring(name, self.config),
            trusted=self.config.trusted,
        )
        return self._make(row, key)

    def _was_moved(self, name: str, row: Row) -> bool:
        """Tell whether the configuration put a built-in provider where its keys do not belong."""
        return name in self._table and bool(self._table[name].key_variables) and not row.key_variables

    async def _plugin(self, name: str) -> Plugin:
        known = await asyncio.to_thread(self.providers)
        if name not in known:
            raise UnknownProviderError(name, known)
        if name == ECHO and not self._prefers_plugin(name):
            return Echo
        return await asyncio.to_thread(self._plugins.load, name)

    def _prefers_plugin(self, name: str) -> bool:
        settings = self.config.providers.get(name)
        return settings is not None and settings.plugin

    # --- models -------------------------------------------------------------------------------------------------------

    async def resolve(self, model: str | None) -> Target:
        """Return the provider and the model that a name means; see :meth:`backstream.registry.names.Names.resolve`.

        A bare name is looked up in what is known; where it is not known there, local servers and every provider with a
        key are asked for their lists. A routing list means the first model of it.

        Args:
            model: The name; ``""`` or ``None`` for the default model (see :meth:`default`).

        Raises:
            UnknownProviderError: No such provider; names the nearest ones.
            UnknownModelError: No such model; names the nearest ones.
            ConfigurationError: The name is ambiguous; names the candidates. Or it is an alias of no known model; names
                its place in the file.
        """
        if not model:
            return (await self.default()).target
        if (target := self._in_full(model)) is not None:
            return target
        await asyncio.to_thread(self.providers)  # reads files, the first time
        for learn in (self._recall, self.models):
            try:
                return self._names().resolve(model)
            except (UnknownModelError, UnknownProviderError):
                await learn()
        try:
            return self._names().resolve(model)
        except (UnknownModelError, UnknownProviderError) as error:
            if model not in self.config.aliases:
                raise
            raise self.config.error(["aliases", model], f"leads nowhere: {error.problem}", error.remedy) from None

    def knows(self, target: Target) -> bool:
        """Tell whether a provider is known to have a model, without asking anybody; any name may stand in a target."""
        return not target.model or target.model in self._models_known(target.provider)

    def _models_known(self, name: str) -> Sequence[str]:
        row = self.row(name)
        here = self._found[name].models if name in self._found else ()
        listed = [each.id for each in self._cache.known(self._identity(name))]
        built_in = row.models if row is not None else Echo.models if name == ECHO else ()
        return [*here, *listed, *built_in]

    def _in_full(self, name: str) -> Target | None:
        """Return what ``provider/model`` means, without a look at any list: the usual name in a gateway's requests."""
        provider, _, model = name.partition("/")
        if not model or name in self.config.aliases or name in self.config.routes or self.row(provider) is None:
            return None
        return Target(provider, model)

    async def models(self, provider: str | None = None, *, refresh: bool = False) -> Sequence[ModelInfo]:
        """Return the models of a provider, asking it where its list is not known or old.

        Args:
            provider: Its name; ``None`` for all that could be asked, at once: of those that cannot answer the last
                known list is taken, with a warning, and they are asked again after half a minute.
            refresh: Ask also where a list is known.

        Raises:
            UnknownProviderError: There is none of that name.
            MissingKeyError: It needs a key, and there is none.
            ProviderError: It could not be asked.
        """
        if provider is not None:
            return await self._models_of(provider, refresh=refresh)
        await self.discover()
        first: dict[tuple[str, object], str] = {}  # a server with several rows, one for each dialect, is asked once
        for name in self._usable():
            first.setdefault(((self.row(name) or self._rows[name]).url, self._account(name)), name)
        asked = await asyncio.gather(*(self._models_or_none(name, refresh=refresh) for name in first.values()))
        return [model for models in asked for model in models]

    async def _models_or_none(self, name: str, *, refresh: bool = False) -> Sequence[ModelInfo]:
        identity = self._identity(name)
        if refresh or time.monotonic() >= self._silent_until.get(identity, -1.0):
            try:
                async with asyncio.timeout(_LISTING_SECONDS):
                    return await self._models_of(name, refresh=refresh)
            except (BackstreamError, TimeoutError) as error:
                self._silent_until[identity] = time.monotonic() + _SILENT_SECONDS
                _LOGGER.warning("%s lists no models: %s", name, str(error) or "no answer in time")
        row = self.row(name)
        return () if row is None or row.local_ports else self._of(name, self._cache.known(identity))

    async def _models_of(self, name: str, *, refresh: bool) -> Sequence[ModelInfo]:
        provider = await self.provider(name)
        row = self.row(name)
        models = [ModelInfo(id=model) for model in row.models] if row is not None else []
        if row is None or row.models_path is not None:
            local = row is not None and bool(row.local_ports)  # there a list may change at any time
            listed = await self._cache.get(
                self._identity(name),
                lambda: _list(provider),
                refresh=refresh or local,
                keep=row is not None and not local,
            )
            models = [*listed] or models
        return self._of(name, models)

    def _of(self, name: str, models: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        return [msgspec.structs.replace(each, provider=name, price=self._price(name, each)) for each in models]

    def _account(self, name: str) -> object:
        """Return what is the same for two rows of one server only where their keys are: another key, other models."""
        settings = self.config.providers.get(name)
        if settings is not None and (own := settings.key or settings.key_file):
            return own
        return key_in_sight(self.row(name) or self._rows[name], settings, self._environ)

    def _identity(self, name: str) -> str:
        row = self.row(name)
        seen = key_in_sight(row, self.config.providers.get(name), self._environ) if row else None
        return f"{name} {row.url if row else ''} {seen or ''}"

    def _price(self, name: str, model: ModelInfo) -> Price | None:
        return self.price(Target(name, model.id)) or model.price

    def price(self, target: Target) -> Price | None:
        """Return what was configured of a model's price."""
        return self.config.prices.get(str(target))

    async def _recall(self) -> None:
        kept = [name for name, row in self._rows.items() if not row.local_ports]
        await asyncio.gather(*(self._cache.recall(self._identity(name)) for name in kept))

    def _names(self) -> Names:
        names = self.providers()
        rows = {name: row for name in names if (row := self.row(name)) is not None}
        aliases, routes = self.config.aliases, self.config.routes
        return Names(
            defaults={name: (rows[name].default_model or "") if name in rows else "" for name in names},
            aliases={**aliases, **{name: models_of(name, aliases, routes)[0] for name in routes}},
            models={name: self._models_known(name) for name in names},
            usable=self._usable(),
        )

    def keyed(self) -> Sequence[str]:
        """Return the providers that have a key in the configuration or the environment."""
        settings = self.config.providers
        return [
            name
            for name, row in self._rows.items()
            if row.url and key_in_sight(row, settings.get(name), self._environ) is not None
        ]

    def _usable(self) -> Sequence[str]:
        configured = [name for name in self.config.providers if name in self._rows and self._rows[name].url]
        keyed = [
            name for name, row in self._rows.items() if row.url and key_in_sight(row, None, self._environ) is not None
        ]
        return list(dict.fromkeys([*configured, *self._found, *keyed]))

    # --- what is there ------------------------------------------------------------------------------------------------

    async def discover(self) -> Sequence[Found]:
        """Return the servers that run on this machine's usual ports; looked for again after half a minute."""
        if time.monotonic() >= self._found_until:
            found = await self._probe(rows_to_probe(self._rows.values(), self.own_addresses))
            first: dict[str, Found] = {}
            for each in found:
                first.setdefault(each.row.name, each)
            self._found = first
            self._found_until = time.monotonic() + _FOUND_SECONDS
        return list(self._found.values())

    async def default(self) -> Choice:
        """Choose the model that answers where none is named, and say why.

        The one configured (``BACKSTREAM_MODEL``, ``[defaults]``); else as
        :func:`backstream.registry.discovery.choose_default` says.

        Raises:
            CallerError: The configured name means nothing.
        """
        if self.config.defaults.model:
            try:
                target = await self.resolve(self.config.defaults.model)
            except CallerError as error:
                error.problem = f"the model of {self.config.model_from} cannot be used: {error.problem}"
                raise
            return Choice(target, f"named in {self.config.model_from}")
        found = await self.discover()
        return await choose_default(self._rows, self.config, self._environ, found, self._models_or_none)


async def _list(provider: Any) -> Sequence[ModelInfo]:
    """Ask a provider for its models: ``list_models()``, else ``get_models()``, which may do anything to get them."""
    listing = getattr(provider, "list_models", None)
    if listing is not None:
        found = await listing()
    elif (listing := getattr(provider, "get_models", None)) is not None:
        found = await asyncio.to_thread(listing)
        found = await found if inspect.isawaitable(found) else found
    else:
        found = ()
    return [each if isinstance(each, ModelInfo) else ModelInfo(id=str(each)) for each in found or ()]
