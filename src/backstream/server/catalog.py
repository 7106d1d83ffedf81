"""The providers of one server, by name, label and model. A request can only name one; where it is, is set here."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import msgspec

from backstream.errors import ConfigurationError
from backstream.providers.base import Provider, ProviderModelMixin
from backstream.server.asgi import Refusal

__all__ = ["Catalog", "Entry", "Providers"]

Providers: TypeAlias = "Iterable[Provider | type[Any]] | Mapping[str, Provider | type[Any]]"
"""Providers, first the default one; a mapping gives them other names."""

_LOGGER: Final = logging.getLogger("backstream.server")
_FRESH_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 10.0
_LISTING_SECONDS: Final = 10.0


class Entry:
    """One registered provider.

    Args:
        name: The name it is registered under.
        provider: The class or instance.

    Attributes:
        label: Its name for people.
        url: Where it is, without user information and query; ``None`` where that is not said.
    """

    def __init__(self, name: str, provider: Any) -> None:
        self.name = name
        self.provider = provider
        self.label: str = getattr(provider, "label", None) or name
        self.url = _public_url(getattr(provider, "url", None))
        self._listing = getattr(provider, "get_models", None)
        plain = ProviderModelMixin.get_models.__func__  # type: ignore[attr-defined]
        self._lists_plainly = getattr(self._listing, "__func__", None) is plain
        self._models: Sequence[str] = ()
        self._fresh_until = -1.0
        self._pending: asyncio.Future[None] | None = None
        # of its own: a listing that hangs must not take a thread that uploads and keys wait for
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstream-models")  # starts when first used

    def feature(self, name: str, default: Any = None) -> Any:
        """Return a describing attribute of the provider, or the default where it is absent or ``None``."""
        value = getattr(self.provider, name, None)
        return default if value is None else value

    @property
    def known_models(self) -> Sequence[str]:
        """The names of its models, as far as they are known without asking anybody."""
        if self._lists_plainly:
            try:
                self._models = [str(name) for name in self.provider.get_models()]
            except Exception as error:  # noqa: BLE001 - a provider's attributes
                self._warn(error)
        return self._models

    async def models(self) -> Sequence[str]:
        """Return the names of its models; none where it cannot say.

        It is asked again after a minute, or ten seconds where it failed; by one caller, while the others wait.
        """
        if self._lists_plainly or self._listing is None or time.monotonic() < self._fresh_until:
            return self.known_models
        while self._pending is not None and self._pending.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([self._pending])
            if time.monotonic() < self._fresh_until:  # not so where the one that asked has gone away
                return self._models
        self._pending = pending = asyncio.get_running_loop().create_future()
        try:
            self._models = [str(name) for name in await self._list(self._listing)]
            self._fresh_until = time.monotonic() + _FRESH_SECONDS
        except Exception as error:  # noqa: BLE001 - a provider's code; its list stays what it was
            self._fresh_until = time.monotonic() + _RETRY_SECONDS
            self._warn(error)
        finally:
            self._pending = None
            pending.set_result(None)
        return self._models

    async def _list(self, listing: Callable[[], Any]) -> Iterable[Any]:
        """Ask for the models; a listing of the provider's own may do anything to get them, and so has a thread."""
        async with asyncio.timeout(_LISTING_SECONDS):
            found: Any = await asyncio.get_running_loop().run_in_executor(self._thread, listing)
            return await found if inspect.isawaitable(found) else found  # type: ignore[no-any-return]

    def _warn(self, error: Exception) -> None:
        _LOGGER.warning("provider %s lists no models: %s", self.name, type(error).__name__)

    def resolve(self, model: str) -> str:
        """Return the model to ask the provider for: its own word for an alias, its default for ``""``.

        Raises:
            Exception: Whatever the provider's code does.
        """
        get_model = getattr(self.provider, "get_model", None)
        found = get_model(model) if get_model is not None else model
        return found if isinstance(found, str) else model

    def card(self, model: str) -> dict[str, Any]:
        """Return what a ``provider`` event says."""
        return {"name": self.name, "url": self.url, "label": self.label, "model": model}

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters it knows, with examples: nothing of any request."""
        describe = getattr(self.provider, "get_parameters", None)
        if describe is None:
            return {}
        try:
            examples: Mapping[str, Any] = dict(describe(as_json=True))
        except Exception as error:  # noqa: BLE001 - a provider's code; nothing needs what it says here
            _LOGGER.warning("provider %s tells no parameters: %s", self.name, type(error).__name__)
            return {}
        return {name: value for name, value in examples.items() if name != "api_key" and _is_json(value)}


def _is_json(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError):
        return False
    return True


def _public_url(url: object) -> str | None:
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return None if "@" in parts.netloc else urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


class Catalog:
    """The registered providers.

    Args:
        providers: See :data:`Providers`; ``None`` for the built-in one.

    Raises:
        ConfigurationError: There are none, or two of the same name.
    """

    def __init__(self, providers: Providers | None = None) -> None:
        if providers is None:
            from backstream.providers.echo import Echo

            providers = [Echo]
        if not isinstance(providers, Iterable):
            raise ConfigurationError(f"providers is one {_name_of(providers)}", "put it into a list: [provider]")
        pairs: Any = (
            providers.items() if isinstance(providers, Mapping) else ((_name_of(one), one) for one in providers)
        )
        self.entries: dict[str, Entry] = {}
        for name, provider in pairs:
            if name in self.entries:
                raise ConfigurationError(f"two providers are named {name}", "register them in a mapping by name")
            self.entries[name] = Entry(name, provider)
        if not self.entries:
            raise ConfigurationError("a server without providers can answer nothing", "register one")

    def find(self, name: str) -> Entry | None:
        """Return the provider of that name, or else of that label; ``None`` where there is none."""
        entry = self.entries.get(name)
        return entry or next((entry for entry in self.entries.values() if entry.label == name), None)

    async def choose(self, provider: object, model: str) -> Entry:
        """Return the provider a request asks for.

        Args:
            provider: The request's word; ``None`` or ``""`` leaves the choice to its model, and then to us.
            model: The request's model.

        Raises:
            Refusal: 404 where it names one we do not have. Nothing is asked of anybody to find out.
        """
        if provider:
            entry = self.find(provider) if isinstance(provider, str) else None
            if entry is None:
                raise Refusal(404, "Provider not found")
            return entry
        return await self.having(model) or next(iter(self.entries.values()))

    async def having(self, model: str) -> Entry | None:
        """Return the first provider that lists a model, by its name or an alias; ``None`` where none does."""
        if model:
            for entry in self.entries.values():
                if not entry.feature("working", True):
                    continue
                if model in entry.feature("model_aliases", ()) or model in await entry.models():
                    return entry
        return None


def _name_of(provider: Any) -> str:
    describe = getattr(provider, "get_dict", None)
    name = describe().get("name") if describe is not None else None
    name = name or getattr(provider, "__name__", None) or type(provider).__name__
    return str(name)
