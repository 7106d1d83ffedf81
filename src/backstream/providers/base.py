"""What every provider is: a class, or an instance, whose answers are asynchronous streams of chunks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Protocol, cast

from backstream.chunks import Content, Notice, RawResponse
from backstream.errors import MisuseError
from backstream.messages import MediaListType, Messages
from backstream.providers.result import AsyncResult

__all__ = ["AsyncGeneratorProvider", "Provider", "ProviderModelMixin", "blocks_of"]


class Provider(Protocol):
    """What a server or client needs of a provider; a class and an instance can both meet it."""

    def create_async_generator(
        self, model: str, messages: Messages, media: MediaListType = None, api_key: Any = None, **kwargs: Any
    ) -> Any:
        """Start an answer; see :meth:`AsyncGeneratorProvider.create_async_generator`."""
        ...


class AsyncGeneratorProvider:
    """A back-end whose answer is an asynchronous stream.

    Subclass it, set what describes the back-end, and override :meth:`create_async_generator`. Nothing is instantiated,
    and nothing is ever written to a class at run time.

    Attributes:
        url: Where the back-end is; ``None`` where that needs no saying.
        label: Its name for people; ``None`` for the class name.
        parent: The provider this one is part of.
        login_url: Where a user gets a key.
        working: Whether it may be chosen for a model that names no provider.
        active_by_default: Whether a page that lists providers shows it switched on; ``None`` leaves that to the page.
        needs_auth: Whether it cannot answer without a key.
        supports_stream: Whether the answer comes in pieces.
        supports_message_history: Whether it takes more than the last message.
        supports_system_message: Whether it takes system messages.
    """

    url: ClassVar[str | None] = None
    label: ClassVar[str | None] = None
    parent: ClassVar[str | None] = None
    login_url: ClassVar[str | None] = None
    working: ClassVar[bool] = True
    active_by_default: ClassVar[bool | None] = None
    needs_auth: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = True
    supports_message_history: ClassVar[bool] = True
    supports_system_message: ClassVar[bool] = True

    @classmethod
    def create_async_generator(
        cls,
        model: str,
        messages: Messages,
        media: MediaListType = None,
        api_key: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Start an answer.

        Args:
            model: The model's name; ``""`` for the default one.
            messages: The conversation, oldest message first.
            media: What to send with it.
            api_key: The key for the back-end.
            **kwargs: Every other parameter.

        Returns:
            An asynchronous iterator of chunks or text; an async generator method is the usual way to give one.
        """
        raise NotImplementedError(f"{cls.__name__} does not say how it answers")

    @classmethod
    def get_dict(cls) -> dict[str, str | None]:
        """Return ``name``, ``url`` and ``label``, as a ``provider`` event shows them."""
        return {"name": cls.__name__, "url": cls.url, "label": cls.label}

    @classmethod
    def get_parent(cls) -> str:
        """Return the name of the provider this one is part of; its own where it stands alone."""
        return cls.parent or cls.__name__

    @classmethod
    def get_parameters(cls, *, as_json: bool = False) -> dict[str, Any]:
        """Return the named parameters of :meth:`create_async_generator`.

        Args:
            as_json: Give an example value for each, instead of its ``inspect.Parameter``.
        """
        parameters = {
            name: parameter
            for name, parameter in inspect.signature(cls.create_async_generator).parameters.items()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }
        if not as_json:
            return dict(parameters)
        return {name: _example(name, parameter.default) for name, parameter in parameters.items()}


def _example(name: str, default: object) -> object:
    examples: Mapping[str, object] = {"model": "", "messages": [{"role": "user", "content": "Hi"}]}
    return examples.get(name, None if default is inspect.Parameter.empty else default)


class ProviderModelMixin:
    """The models of a provider, as data.

    Attributes:
        default_model: The model used where none is named.
        models: The models' names.
        model_aliases: Other names for models; an alias with a list of targets means the first. ``None`` means none.
        image_models: Those that make images.
        vision_models: Those that see images.
        video_models: Those that make video.
        models_tags: Tags of a model, for a page that lists them.
        audio_models: Those that speak, with their voices.
    """

    default_model: ClassVar[str | None] = None
    models: ClassVar[Sequence[str]] = ()
    model_aliases: ClassVar[Mapping[str, str | Sequence[str]]] = {}
    image_models: ClassVar[Sequence[str]] = ()
    vision_models: ClassVar[Sequence[str]] = ()
    video_models: ClassVar[Sequence[str]] = ()
    audio_models: ClassVar[Mapping[str, Sequence[str]]] = {}
    models_tags: ClassVar[Mapping[str, Sequence[str]]] = {}

    @classmethod
    def get_models(cls, api_key: Any = None, **kwargs: Any) -> list[str]:
        """Return the models' names; the default one where no others are listed.

        Args:
            api_key: For a subclass that asks its back-end; not used here.
            **kwargs: Likewise.
        """
        return list(cls.models or ()) or ([cls.default_model] if cls.default_model else [])

    @classmethod
    def get_model(cls, model: str | None, **kwargs: Any) -> str:
        """Return the name to send for a model asked for.

        Args:
            model: A name, an alias, or ``""`` or ``None`` for the default.
            **kwargs: For a subclass that needs more to choose; not used here.

        Returns:
            The alias's target (always the same one), or the name unchanged; an unknown name is the back-end's to judge.
        """
        if not model:
            return cls.default_model or ""
        target = (cls.model_aliases or {}).get(model, model)
        return target if isinstance(target, str) else target[0]


async def blocks_of(result: object) -> AsyncGenerator[list[RawResponse], None]:
    """Read any provider's answer block by block, and close it when left.

    Args:
        result: What ``create_async_generator`` gave: an :class:`AsyncResult`, any other asynchronous iterator of
            chunks, dicts or text, or an awaitable of either.

    Yields:
        Lists of chunks, never empty.

    Raises:
        MisuseError: The result, or something in it, is of another type.
    """
    if inspect.isawaitable(result) and not isinstance(result, AsyncResult):
        result = await result
    if isinstance(result, AsyncResult):
        async with result, aclosing(result.blocks()) as blocks:
            async for block in blocks:
                yield block
        return
    if not hasattr(result, "__aiter__"):
        raise MisuseError(f"the provider gave a {type(result).__name__}, not an asynchronous iterator")
    iterator = cast("AsyncIterator[object]", result)
    try:
        async for item in iterator:
            yield [_chunk_of(item)]
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def _chunk_of(item: object) -> RawResponse:
    if isinstance(item, RawResponse):
        return item
    if isinstance(item, str):
        return Content(content=item)
    if isinstance(item, Mapping):
        return RawResponse.from_dict(item)
    if isinstance(item, Exception):  # a problem that did not end the answer
        name = type(item).__name__
        return Notice(message=name, error=name)
    raise MisuseError(f"the provider yielded a {type(item).__name__}, neither chunk nor text")
