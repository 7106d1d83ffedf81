"""Who gives a service (vectors, pictures, speech, transcripts) for a model. Knows no dialect and no route."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NamedTuple

from backstream.chunks import Usage
from backstream.dialects.base import Dialect
from backstream.dialects.services import services_for
from backstream.errors import InvalidRequestError, ModelNotFoundError
from backstream.options import CallOptions
from backstream.providers.dialect_provider import DialectProvider
from backstream.server.backends import BackEnd, with_own_keys
from backstream.server.choosing import choose
from backstream.server.members import for_provider
from backstream.server.routing import Exchange

__all__ = ["Offer", "Sound", "find_offer"]

_WORDS: Final = {"embed": "embeddings", "images": "images", "speech": "speech", "transcribe": "transcriptions"}
_PATHS: Final = {service: f"{words}_path" for service, words in _WORDS.items()}
_ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "embed": frozenset({"input"}),
    "images": frozenset({"prompt", "mask"}),
    "speech": frozenset({"text", "voice"}),
    "transcribe": frozenset({"audio"}),
}
"""Names of what goes to a provider by its place; a parameter cannot have them."""


class Offer:
    """A service of one provider, for one of its models.

    Args:
        back_end: Who gives it.
        service: ``embed``, ``images``, ``speech`` or ``transcribe``.
        options: The local options of the call, for providers that take such.

    Attributes:
        model: The model, as the provider names it.
        dialect: The name of the dialect its provider speaks; ``""`` where that is not known.

    Raises:
        ModelNotFoundError: The provider does not give it.
    """

    def __init__(self, back_end: BackEnd, service: str, options: CallOptions | None = None) -> None:
        found = getattr(back_end.provider, service, None)
        if not callable(found) or not _has(back_end.provider, service):
            problem = f"{back_end.name} offers no {_WORDS[service]}; name a model of another provider"
            raise ModelNotFoundError(problem, status=404)
        self._back_end = back_end
        self._method: Callable[..., Any] = found
        self._taken = _ARGUMENTS[service]
        self._options = options if isinstance(back_end.provider, DialectProvider) else None
        self.model = back_end.model
        dialect: Dialect | None = getattr(back_end.provider, "dialect", None)
        self.dialect = getattr(dialect, "name", "")

    async def ask(self, parameters: Mapping[str, Any], *arguments: Any) -> Any:
        """Ask for it.

        Args:
            parameters: The request's further members; those that are the server's to decide are left out.
            *arguments: What goes to the provider by its place.

        Raises:
            BackstreamError: It cannot be asked, or refused.
        """
        with with_own_keys(self._back_end.name):
            found = self._method(self.model, *arguments, **self._parameters(parameters))
            return await found if inspect.isawaitable(found) else found

    def _parameters(self, members: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in for_provider(members).items() if name not in self._taken}
        return found if self._options is None else {**found, "options": self._options}

    @contextlib.asynccontextmanager
    async def speak(self, text: str, voice: object, parameters: Mapping[str, Any]) -> AsyncIterator[Sound]:
        """Have a text spoken, and hand the sound on as it comes where the provider can do so; errors as :meth:`ask`."""
        opener: Any = getattr(self._back_end.provider, "speech_stream", None)
        if opener is None:
            speech = await self.ask(parameters, text, voice)
            yield Sound(speech.media_type, speech.usage, _once(speech.data))
            return
        async with contextlib.AsyncExitStack() as stack:
            with with_own_keys(self._back_end.name):
                opened = await stack.enter_async_context(
                    opener(self.model, text, voice, **self._parameters(parameters))
                )
            yield Sound(opened.media_type, opened.usage, opened)


class Sound(NamedTuple):
    """Speech on its way.

    Attributes:
        media_type: Its type.
        usage: What it used, as far as that is known when it begins.
        blocks: Its bytes.
    """

    media_type: str
    usage: Usage | None
    blocks: AsyncIterator[bytes]


def _has(provider: object, service: str) -> bool:
    """Tell whether a provider of the table has a service: every one has the methods."""
    if not isinstance(provider, DialectProvider):
        return True
    return getattr(provider.row, _PATHS[service]) is not None and services_for(provider.dialect.name) is not None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def find_offer(exchange: Exchange, members: Mapping[str, Any], service: str) -> Offer:
    """Return who gives a service for the model a request names.

    Args:
        exchange: The request; its record is told who answers.
        members: The request's members.
        service: ``embed``, ``images``, ``speech`` or ``transcribe``.

    Raises:
        InvalidRequestError: The model is no text.
        ModelNotFoundError: The provider that is meant does not give it.
        BackstreamError: There is none, or it cannot be asked.
        Refusal: The client's key may not use it.
    """
    model = members.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("the request names no model", "send its name as model")
    exchange.admission.check_members(exchange, members)
    back_end = await choose(exchange, model)
    return Offer(back_end, service, exchange.ask())
