"""``Client``: every back-end through one name, one call and one stream of chunks."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from backstream.chunks import Usage
from backstream.client.call import Call, names_of, split_format, split_tools
from backstream.client.rounds import ToolRounds
from backstream.client.stream import ChatStream
from backstream.credentials import Secret
from backstream.errors import (
    InvalidRequestError,
    MisuseError,
    TotalTimeout,
    UnknownProviderError,
    UnsupportedFeatureError,
)
from backstream.messages import ImageType, MediaListType, Messages, check_messages
from backstream.models import ModelInfo
from backstream.options import CallOptions, Deadlines, split_options
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.result import BlockSource
from backstream.providers.rows_shape import Row
from backstream.providers.sources import source_of
from backstream.registry.config import Config
from backstream.registry.names import Target
from backstream.registry.prices import cost_by_list, cost_by_price, has_price_list
from backstream.registry.registry import Registry
from backstream.reply import Cost, Reply
from backstream.request import Policy
from backstream.tools import ToolLimits

__all__ = ["Client"]

_CONTINUING: Final = frozenset({"conversation", "previous_response_id", "extra_body"})
"""Parameters by which a server may know messages that the call does not bring."""


class Client:
    """Talks to every provider there is a name for: those of the table, of the configuration, and plug-ins.

    ``async with`` closes the answers that are still open when it is left; nothing else needs closing, connections are
    kept by event loop.

    Args:
        config: What was configured, or the path of ``backstream.toml``; ``None`` looks for it.
        receipts: What to do about parameters a back-end has no words for: ``strict``, ``warn`` or ``drop``; ``None``
            for the configured policy.
        deadlines: The clocks of calls that name none; ``None`` for the configured ones.
        registry: Where names are looked up, instead of one made of ``config``.
        environ: The environment, for keys and settings; ``None`` for this process's.

    Raises (at the first call):
        ConfigurationError: The configuration cannot be read, or is wrong.
    """

    def __init__(
        self,
        config: Config | str | PathLike[str] | None = None,
        *,
        receipts: Policy | None = None,
        deadlines: Deadlines | None = None,
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._environ = environ
        self._receipts = receipts
        self._deadlines = deadlines
        self._registry = registry
        self._streams: weakref.WeakSet[ChatStream] = weakref.WeakSet()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the answers that are still open; no call can follow."""
        self._closed = True
        for stream in list(self._streams):
            await stream.aclose()

    def __repr__(self) -> str:
        return "<Client closed>" if self._closed else "<Client>"

    async def registry(self) -> Registry:
        """Return where names are looked up; made when first needed, in a thread, since that reads files.

        Raises:
            ConfigurationError: The configuration cannot be read, or is wrong.
        """
        if self._registry is None:
            self._registry = await asyncio.to_thread(Registry, self._config, self._environ, make=self._make)
        return self._registry

    def _make(self, row: Row, key: Secret | None) -> DialectProvider:
        return DialectProvider(row, key)

    # --- conversations ------------------------------------------------------------------------------------------------

    def stream(
        self,
        model: str | None,
        messages: Messages | str,
        *,
        media: MediaListType = None,
        tools: Sequence[Any] | None = (),
        run_tools: bool | ToolLimits = False,
        response_format: Any = None,
        provider: str | type[Any] | Any | None = None,
        url: str | None = None,
        api_key: str | Secret | Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> ChatStream:
        """Start an answer; the request goes out with the first iteration.

        Args:
            model: ``provider/model``, an alias, or the bare name of a known model; ``None`` or ``""`` for the default
                one (see :meth:`backstream.registry.registry.Registry.default`).
            messages: The conversation, oldest message first; or the text of one message of the user.
            media: Items to send with the last message of the user, as ``BackendApi`` takes them.
            tools: Python functions, or tools in OpenAI's shape.
            run_tools: Whether to run the functions among ``tools`` when the model calls them, and to go on; limits
                instead of ``True`` set how far. Default: the calls are given to the caller.
            response_format: The form of the answer: in OpenAI's shape, or a type (msgspec ``Struct``, dataclass,
                ``TypedDict``, pydantic model) that ``reply.parsed`` shall be.
            provider: The provider's name, or a provider class or object; then ``model`` is the model's name there.
            url: The base URL of an OpenAI-compatible server that has no name; then ``model`` is the model's name there.
            api_key: A key for this call.
            **parameters: By the names of OpenAI's chat completions (``temperature``, ``max_tokens``, ``seed``,
                ``reasoning_effort``, ``conversation``, …); each back-end's dialect translates them. Local options as in
                :class:`backstream.CallOptions`.

        Returns:
            The answer.

        Raises:
            CallerError: Messages, tools or types of the wrong shape; the rest while iterating. Nothing was sent.
            MisuseError: The client is closed.
        """
        if self._closed:
            raise MisuseError("the client is closed")
        asked: Messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        check_messages(asked)
        if not asked and media is None and not parameters.keys() & _CONTINUING:
            raise InvalidRequestError("messages is empty", "send at least one")
        form, answer_type = split_format(response_format)
        functions, described = split_tools(tools)
        call = Call(model=model, provider=provider, url=url, api_key=api_key)
        sent = {**parameters, "response_format": form, "tools": described or None}
        sent = {name: value for name, value in sent.items() if value is not None}

        async def open_round(history: Sequence[Mapping[str, Any]]) -> BlockSource:
            return await self._open(call, [*asked, *history], media, sent)

        async def open_answer() -> BlockSource:
            if run_tools and functions:
                limits = run_tools if isinstance(run_tools, ToolLimits) else ToolLimits()
                deadlines = await self._deadlines_of(parameters)
                theirs = [name for name in names_of(described) if name not in functions]
                rounds = ToolRounds(open_round, functions, limits, others=theirs, total_seconds=deadlines.total)
                return await rounds.open()
            return await open_round(())

        async def cost_of(usage: Usage, answered: str | None) -> Cost | None:
            return await self._cost(call, usage, answered)

        stream = ChatStream(open_answer, answer_type=answer_type, cost_of=cost_of)
        self._streams.add(stream)
        return stream

    async def chat(self, model: str | None, messages: Messages | str, **keywords: Any) -> Reply:
        """Send a conversation and return the whole reply.

        Args:
            model: As :meth:`stream` takes it, like the rest.
            messages: The conversation, or one message's text.
            **keywords: Everything else :meth:`stream` takes.

        Raises:
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: The back-end, or the way to it, failed; an answer that was cut off is ``IncompleteStream``.
            DecodeError: A type was asked for, and the answer is none such.
        """
        async with self.stream(model, messages, **keywords) as stream:
            return await stream.wait()

    async def _open(
        self, call: Call, messages: Messages, media: MediaListType, parameters: Mapping[str, Any]
    ) -> BlockSource:
        options = await self._options(parameters)
        provider = await self._find_in_time(call, options, parameters)
        result = provider.create_async_generator(
            call.target.model,
            messages,
            media=media,
            api_key=call.own_key,
            **{**parameters, **options},
        )
        return await source_of(result)

    async def _find_in_time(self, call: Call, options: dict[str, Any], parameters: Mapping[str, Any]) -> Any:
        """Find the provider within the deadline of the whole call, and take the time off it where that is much."""
        if call.found is not None:
            return call.found
        deadlines = await self._deadlines_of(parameters)
        clock = asyncio.get_running_loop().time
        began_at = clock()
        scope = asyncio.timeout(deadlines.total)
        try:
            async with scope:
                provider = await self._find(call)
        except TimeoutError:
            if deadlines.total is None or not scope.expired():
                raise
            raise TotalTimeout(deadlines.total, phase="connect", request_sent=False) from None
        spent = clock() - began_at
        if deadlines.total is not None and spent > deadlines.total / 20:
            options["deadlines"] = msgspec.structs.replace(deadlines, total=max(deadlines.total - spent, 0.001))
        return provider

    async def _find(self, call: Call) -> Any:
        """Return the provider a call means, and note on the call which model of which provider it is."""
        if call.found is None:
            registry = await self.registry()
            if call.url is not None:
                call.target = Target(call.url, call.model or "")
                call.found = await registry.provider_at(call.url, api_key=call.key_for(None))
            elif call.provider is not None and not isinstance(call.provider, str):
                name = getattr(call.provider, "__name__", type(call.provider).__name__)
                call.target, call.own_key = Target(name, call.model or ""), call.api_key
                call.found = call.provider
            else:
                call.target = await self._target(call, registry)
                call.found = await self._provider(call, registry)
        return call.found

    async def _target(self, call: Call, registry: Registry) -> Target:
        if call.provider is None:
            return await registry.resolve(call.model)
        known = await asyncio.to_thread(registry.providers)  # reads files, the first time
        name = call.provider if call.provider in known else call.provider.lower()
        if name not in known:  # a model of another provider may be called like this
            raise UnknownProviderError(call.provider, known)
        return await registry.resolve(f"{name}/{call.model or ''}")

    async def _provider(self, call: Call, registry: Registry) -> Any:
        if registry.row(call.target.provider) is None:  # a class of its own: it takes its key with the call
            call.own_key = call.api_key
            return await registry.provider(call.target.provider)
        return await registry.provider(call.target.provider, call.key_for(call.target.provider))

    async def _deadlines_of(self, parameters: Mapping[str, Any]) -> Deadlines:
        """Return the clocks of a call: its own, those of its ``options``, the client's, the configured ones."""
        if {"deadlines", "timeout", "stream_timeout"} & parameters.keys():
            return split_options(parameters)[0].deadlines
        given = parameters.get("options")
        if isinstance(given, CallOptions) and given.deadlines != Deadlines():
            return given.deadlines
        return self._deadlines or (await self.registry()).config.defaults.deadlines

    async def _options(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the client's and the configured options where the call has none."""
        options: dict[str, Any] = {}
        given = parameters.get("options")
        if parameters.get("receipts") is None and not (isinstance(given, CallOptions) and given.receipts):
            options["receipts"] = self._receipts or (await self.registry()).config.defaults.receipts
        if not {"deadlines", "timeout", "stream_timeout"} & parameters.keys():
            options["deadlines"] = await self._deadlines_of(parameters)
        return options

    async def _cost(self, call: Call, usage: Usage, model: str | None) -> Cost | None:
        registry = await self.registry()
        target = call.target
        price = registry.price(target)
        if price is None and model:
            price = registry.price(Target(target.provider, model))
        if price is not None:
            return cost_by_price(usage, price)
        url = getattr(call.found, "url", None)
        if not isinstance(url, str) or not has_price_list():
            return None
        return await asyncio.to_thread(cost_by_list, usage, model or target.model, url)

    # --- beside conversations -----------------------------------------------------------------------------------------

    async def models(self, provider: str | None = None, *, refresh: bool = False) -> Sequence[ModelInfo]:
        """Return the models of one provider, or of all that can be asked.

        Args:
            provider: Its name; ``None`` for all.
            refresh: Ask also where a list is known.

        Raises:
            CallerError: There is no such provider, or its key is missing.
            ProviderError: It could not be asked.
        """
        return await (await self.registry()).models(provider, refresh=refresh)

    async def count_tokens(self, model: str | None, messages: Messages | str, **keywords: Any) -> int:
        """Ask the back-end how many tokens a request has.

        Args:
            model: As :meth:`stream` takes it.
            messages: The conversation, or one message's text.
            **keywords: ``media``, ``tools``, ``provider``, ``url``, ``api_key``, parameters and local options.

        Raises:
            UnsupportedFeatureError: It cannot be asked.
            CallerError: Something of the call cannot work.
            ProviderError: The back-end, or the way to it, failed.
        """
        asked = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        _, described = split_tools(keywords.pop("tools", ()))
        if described:
            keywords["tools"] = described
        count: int = await self._ask("count_tokens", model, asked, keywords)
        return count

    async def embed(self, model: str | None, input: str | Sequence[str], **keywords: Any) -> Any:  # noqa: A002 - OpenAI's name
        """Turn texts into vectors; see :meth:`backstream.providers.services.Services.embed`."""
        return await self._ask("embed", model, input, keywords)

    async def images(self, model: str | None, prompt: str, **keywords: Any) -> Any:
        """Make or edit pictures; see :meth:`backstream.providers.services.Services.images`."""
        return await self._ask("images", model, prompt, keywords)

    async def speech(self, model: str | None, text: str, **keywords: Any) -> Any:
        """Speak a text; see :meth:`backstream.providers.services.Services.speech`."""
        return await self._ask("speech", model, text, keywords)

    async def transcribe(self, model: str | None, audio: ImageType, **keywords: Any) -> Any:
        """Write down what is said; see :meth:`backstream.providers.services.Services.transcribe`."""
        return await self._ask("transcribe", model, audio, keywords)

    async def _ask(self, verb: str, model: str | None, subject: Any, keywords: dict[str, Any]) -> Any:
        if self._closed:
            raise MisuseError("the client is closed")
        call = Call(model=model, **{name: keywords.pop(name, None) for name in ("provider", "url", "api_key")})
        provider = await self._find(call)
        method: Callable[..., Awaitable[Any]] | None = getattr(provider, verb, None)
        if method is None:
            raise UnsupportedFeatureError(f"{call.target.provider} has no {verb}", "choose another provider")
        if isinstance(provider, DialectProvider):
            keywords = {**keywords, **await self._options(keywords)}
        if call.own_key is not None:
            keywords["api_key"] = call.own_key
        return await method(call.target.model, subject, **keywords)
