"""The providers of one server, by name, label and model. A request can only name one; where it is, is set here."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from backstream.errors import ConfigurationError
from backstream.providers.base import Provider, ProviderModelMixin
from backstream.server.asgi import Refusal

__all__ = ["Catalog", "Entry", "Providers"]

Providers: TypeAlias = "Iterable[Provider | type[Any]] | Mapping[str, Provider | type[Any]]"
"""Providers, first the default one; a mapping gives them other names."""

_LOGGER: Final = logging.getLogger("backstream.server")
_FRESH_SECONDS: Final = 60.0
_LISTING_SECONDS: Final = 10.0


class Entry:
    """One registered provider.

    Args:
        name: The name it is registered under.
        provider: The class or instance.

    Attributes:
        label: Its name for people.
        url: Where it is, without user information; ``None`` where that is not said.
    """

    def __init__(self, name: str, provider: Any) -> None:
        self.name = name
        self.provider = provider
        self.label: str = getattr(provider, "label", None) or name
        self.url = _public_url(getattr(provider, "url", None))
        self._models: Sequence[str] = ()
        self._listed: float | None = None

    def feature(self, name: str, default: Any = None) -> Any:
        """Return a describing attribute of the provider, or the default where it is absent or ``None``."""
        value = getattr(self.provider, name, None)
        return default if value is None else value

    async def models(self) -> Sequence[str]:
        """Return the names of its models; none where it cannot say. Asked again after a minute.

        A provider with a listing of its own may do anything to get it, so that it runs in a thread.
        """
        now = time.monotonic()
        if self._listed is not None and now - self._listed < _FRESH_SECONDS:
            return self._models
        listing = getattr(self.provider, "get_models", None)
        if listing is None:
            return ()
        try:
            if getattr(listing, "__func__", None) is ProviderModelMixin.get_models.__func__:  # type: ignore[attr-defined]
                names = listing()
            else:
                async with asyncio.timeout(_LISTING_SECONDS):
                    names = await asyncio.to_thread(listing)
                    if inspect.isawaitable(names):
                        names = await names
            self._models = [str(name) for name in names]
        except Exception as error:  # noqa: BLE001 - a provider's code; its list stays what it was
            _LOGGER.warning("provider %s lists no models: %s", self.name, type(error).__name__)
        else:
            self._listed = now
        return self._models

    def resolve(self, model: str) -> str:
        """Return the model to ask the provider for: its own word for an alias, its default for ``""``."""
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
        examples: Mapping[str, Any] = describe(as_json=True)
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
        return None if "@" in urlsplit(url).netloc else url
    except ValueError:
        return None


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
        if model:
            for entry in self.entries.values():
                if not entry.feature("working", True):
                    continue
                if model in entry.feature("model_aliases", ()) or model in await entry.models():
                    return entry
        return next(iter(self.entries.values()))


def _name_of(provider: Any) -> str:
    describe = getattr(provider, "get_dict", None)
    name = describe().get("name") if describe is not None else None
    name = name or getattr(provider, "__name__", None) or type(provider).__name__
    return str(name)
