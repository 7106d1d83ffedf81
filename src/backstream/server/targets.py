"""Who answers a client of the backend-api: a provider of the application, or one that the registry finds.

Such a client may name the provider apart from the model, and sends a key for it. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.chunks import Parameters, ProviderInfo, RawResponse
from backstream.errors import BackstreamError, UnknownModelError, UnknownProviderError
from backstream.options import CallOptions
from backstream.providers.result import AsyncResult, BlockSource
from backstream.request import Request
from backstream.request.call import attach_media, parse_call
from backstream.server.asgi import Refusal
from backstream.server.backends import BackEnd, with_own_keys
from backstream.server.catalog import Entry
from backstream.server.given import GivenAnswer, GivenBackEnd
from backstream.server.routing import Exchange
from backstream.transport.media import load_media

__all__ = ["Target", "find_target"]

_OF_THE_PROTOCOL: Final = frozenset({"conversation", "stream"})
"""Members that mean nothing to another back-end than the backend-api's."""


class Target:
    """Who answers; this one says why nobody does.

    Args:
        failure: Why nobody answers; to be told where the answer would be.

    Attributes:
        failure: The same; ``None`` where somebody does.
        intro: The events that come before the answer.
    """

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.intro: Sequence[RawResponse] = ()

    def ask(
        self, messages: Any, media: Any, key: object, parameters: Mapping[str, Any], options: CallOptions | None
    ) -> object:
        """Ask the provider.

        Args:
            messages: The conversation.
            media: What came with it.
            key: The client's key for the provider.
            parameters: Further members of the request.
            options: The local options of the call.

        Raises:
            Exception: Nobody answers.
        """
        raise self.failure or NotImplementedError

    def note(self, exchange: Exchange) -> None:
        """Tell the record of a request who answers."""
        exchange.record.model = "other"

    def check_key(self, exchange: Exchange, asked: str) -> None:
        """Check that the client's key may use it.

        Raises:
            Refusal: 403.
        """


async def find_target(exchange: Exchange, provider: object, model: str) -> Target:
    """Return who answers, noted in the record and allowed to the client's key.

    Args:
        exchange: The request.
        provider: The provider that it names.
        model: The model that it names.

    Raises:
        Refusal: 404 where there is no such provider, 403 where the key may not use it.
    """
    target = await _find(exchange, provider, model)
    target.note(exchange)
    target.check_key(exchange, model)
    return target


async def _find(exchange: Exchange, provider: object, model: str) -> Target:
    catalog = exchange.catalog
    try:
        found = (
            await exchange.back_ends.find_beyond(provider or "", model) if isinstance(provider, str | None) else None
        )
    except (UnknownProviderError, UnknownModelError) as error:
        if provider and (isinstance(error, UnknownProviderError) or not model):
            raise Refusal(404, "Provider not found") from None
        return Target(error)
    except BackstreamError as error:
        return Target(error)
    if found is None:
        return _Registered(exchange, await catalog.choose(provider, model), model)
    found.wishes = exchange.wishes
    entry = catalog.entries.get(found.name)
    if entry is not None and not found.route:
        return _Registered(exchange, entry, found.model)
    return _Found(found)


class _Registered(Target):
    """A provider of the application; it gets what the client sent, its key too."""

    def __init__(self, exchange: Exchange, entry: Entry, model: str) -> None:
        super().__init__()
        self._entry = entry
        self._back_ends = exchange.back_ends
        self._wishes = exchange.wishes
        self._is_known = not model or model in entry.known_models
        try:
            self._model = entry.resolve(model)
        except Exception as error:  # noqa: BLE001 - a provider's code
            self._model, self.failure = model, error
        self.intro = [ProviderInfo(provider=entry.card(self._model))]
        if entry.parameters:
            known = {**entry.parameters, "provider": entry.name, "model": self._model}
            self.intro = [*self.intro, Parameters(parameters=known)]

    def ask(
        self, messages: Any, media: Any, key: object, parameters: Mapping[str, Any], options: CallOptions | None
    ) -> object:
        """See :meth:`Target.ask`."""
        keywords = {**parameters, "media": media, "api_key": key}
        given = GivenBackEnd(self._entry, self._model, messages, keywords, is_known=self._is_known)
        back_end = self._back_ends.guarded(given)
        back_end.wishes = self._wishes
        return GivenAnswer(given, back_end, Request(model=self._model, turns=(), stream=True), options)

    def note(self, exchange: Exchange) -> None:
        """See :meth:`Target.note`."""
        exchange.record.provider = self._entry.name
        exchange.record.note_model(self._model, self._entry.known_models)

    def check_key(self, exchange: Exchange, asked: str) -> None:
        """See :meth:`Target.check_key`."""
        exchange.admission.check_model(exchange, self._entry.name, self._model, asked)


class _Found(Target):
    """A provider that the registry found; it is asked with the server's own key, and where it is nobody is told."""

    def __init__(self, back_end: BackEnd) -> None:
        super().__init__()
        self._back_end = back_end
        label = getattr(back_end.provider, "label", None) or back_end.name
        card = {"name": back_end.name, "url": None, "label": label, "model": back_end.model}
        self.intro = [ProviderInfo(provider=card)]

    def ask(
        self, messages: Any, media: Any, key: object, parameters: Mapping[str, Any], options: CallOptions | None
    ) -> object:
        """See :meth:`Target.ask`."""
        members = {name: value for name, value in parameters.items() if name not in _OF_THE_PROTOCOL}

        async def open_answer() -> BlockSource:
            request = await asyncio.to_thread(parse_call, self._back_end.model, messages, (), members)
            turns = attach_media(request.turns, await asyncio.to_thread(load_media, media))
            request = msgspec.structs.replace(request, turns=turns, stream=True)
            with with_own_keys(self._back_end.name):
                return await self._back_end.open(request, options=options)

        return AsyncResult(open_answer)

    def note(self, exchange: Exchange) -> None:
        """See :meth:`Target.note`."""
        back_end = self._back_end
        exchange.record.note_back_end(back_end.name, back_end.model, known=back_end.is_known)
        exchange.routed_as = exchange.record.route_list = back_end.route

    def check_key(self, exchange: Exchange, asked: str) -> None:
        """See :meth:`Target.check_key`."""
        self._back_end.check_key(functools.partial(exchange.admission.check_model, exchange), asked)
