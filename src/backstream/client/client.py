"""``Client``: every back-end through one name, one call and one stream of chunks."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

from backstream.chunks import Usage
from backstream.client.again import can_be_sent_again
from backstream.client.asking import Question, Talk
from backstream.client.call import Call, Models, names_of, split_format, split_tools
from backstream.client.finding import Candidate, find_candidates, list_named
from backstream.client.rounds import ToolRounds
from backstream.client.routes import Answering
from backstream.client.stream import ChatStream
from backstream.client.terms import Terms, check_recovery, without_recovery
from backstream.credentials import Secret
from backstream.errors import InvalidRequestError, MisuseError, TotalTimeout
from backstream.messages import ImageType, MediaListType, Messages, check_messages
from backstream.models import ModelInfo
from backstream.options import Deadlines, Recovery
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.recorder import FlightRecorder
from backstream.providers.result import BlockSource
from backstream.providers.rows_shape import Row
from backstream.registry.config import Config
from backstream.registry.names import Target
from backstream.registry.prices import cost_by_list, cost_by_price, has_price_list
from backstream.registry.registry import Registry
from backstream.reply import Cost, Reply
from backstream.request import Policy
from backstream.resilience.states import RouteSnapshot, RouteStates
from backstream.tools import ToolLimits

__all__ = ["Client"]

_CONTINUING: Final = frozenset({"conversation", "previous_response_id", "extra_body"})
"""Parameters by which a server may know messages that the call does not bring."""

_REPEATABLE: Final = frozenset({"embed", "count_tokens"})
"""Questions that may be asked again: they make nothing, and cost little."""


class Client:
    """Talks to every provider there is a name for: those of the table, of the configuration, and plug-ins.

    Conversations survive trouble: what may pass is asked again before the first content, a route that keeps failing
    rests, and of several models the next one is asked. What a client knows of routes, all its calls share.

    ``async with`` closes the answers that are still open when it is left; nothing else needs closing, connections are
    kept by event loop.

    Args:
        config: What was configured, or the path of ``backstream.toml``; ``None`` looks for it.
        receipts: What to do about parameters a back-end has no words for: ``strict``, ``warn`` or ``drop``; ``None``
            for the configured policy.
        deadlines: The clocks of calls that name none; ``None`` for the configured ones.
        recovery: What calls that do not say may do to survive trouble; ``None`` for what is configured.
        registry: Where names are looked up, instead of one made of ``config``.
        environ: The environment, for keys and settings; ``None`` for this process's.
        recorder: Who records the streams; ``None`` for the configured one, or nobody.

    Raises (at the first call):
        ConfigurationError: The configuration cannot be read, or is wrong.
    """

    def __init__(
        self,
        config: Config | str | PathLike[str] | None = None,
        *,
        receipts: Policy | None = None,
        deadlines: Deadlines | None = None,
        recovery: Recovery | None = None,
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self._config = config
        self._environ = environ
        self._receipts: Policy | None = receipts
        self._deadlines = deadlines
        self._recovery = recovery
        self._states = RouteStates()
        self._sleep = asyncio.sleep
        self._registry = registry
        self._recorder = recorder
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
        model: Models,
        messages: Messages | str,
        *,
        media: MediaListType = None,
        tools: Sequence[Any] | None = (),
        run_tools: bool | ToolLimits = False,
        response_format: Any = None,
        provider: str | type[Any] | Any | None = None,
        url: str | None = None,
        dialect: str | None = None,
        api_key: str | Secret | Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> ChatStream:
        """Start an answer; the request goes out with the first iteration.

        Args:
            model: ``provider/model``, an alias, or the bare name of a known model; ``None`` or ``""`` for the default
                one (see :meth:`backstream.registry.registry.Registry.default`). The name of a routing list, or a list
                of names, the preferred one first: the next one is asked where one fails or is silent before its first
                content.
            messages: The conversation, oldest message first; or the text of one message of the user.
            media: Items to send with the last message of the user, as ``BackendApi`` takes them.
            tools: Python functions, or tools in OpenAI's shape.
            run_tools: Whether to run the functions among ``tools`` when the model calls them, and to go on; limits
                instead of ``True`` set how far. Default: the calls are given to the caller.
            response_format: The form of the answer: in OpenAI's shape, or a type (msgspec ``Struct``, dataclass,
                ``TypedDict``, pydantic model) that ``reply.parsed`` shall be.
            provider: The provider's name, or a provider class or object; then ``model`` is the model's name there.
            url: The base URL of a server that has no name; then ``model`` is the model's name there.
            dialect: How the server at ``url`` is spoken to, by the dialect's name; default ``openai_chat``.
            api_key: A key for this call.
            **parameters: By the names of OpenAI's chat completions (``temperature``, ``max_tokens``, ``seed``,
                ``reasoning_effort``, ``conversation``, …); each back-end's dialect translates them. Local options as in
                :class:`backstream.CallOptions`; and ``recovery``, or of its settings ``retries``, ``switch_after``,
                ``hedge_after``, ``mid_stream``, as in :class:`backstream.Recovery`.

        Returns:
            The answer.

        Raises:
            CallerError: Messages, tools or types of the wrong shape, a ``dialect`` without ``url``; the rest while
                iterating. Nothing was sent.
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
        call = Call(model=model, provider=provider, url=url, dialect=dialect, api_key=api_key)
        check_recovery(parameters)
        sent = {**without_recovery(parameters), "response_format": form, "tools": described or None}
        sent = {name: value for name, value in sent.items() if value is not None}
        answering: Answering | None = None

        async def open_answer() -> BlockSource:
            nonlocal answering
            once = media is not None and not await asyncio.to_thread(can_be_sent_again, media)
            answering = found = await self._answering(call, parameters, once=once)
            recorder = self._recorder or (await self.registry()).config.recorder.recorder()
            talk = Talk(asked, media, found.terms.fill(sent), recorder)

            async def open_round(history: Sequence[Mapping[str, Any]]) -> BlockSource:
                return await talk.open(found, history)

            if run_tools and functions:
                limits = run_tools if isinstance(run_tools, ToolLimits) else ToolLimits()
                theirs = [name for name in names_of(described) if name not in functions]
                return await ToolRounds(
                    open_round, functions, limits, others=theirs, total_seconds=found.total_seconds
                ).open()
            return await open_round(())

        async def cost_of(usage: Usage, answered: str | None, route: str) -> Cost | None:
            assert answering is not None  # an answer is over
            return await self._cost(answering.candidate(route), usage, answered)

        stream = ChatStream(open_answer, answer_type=answer_type, cost_of=cost_of)
        self._streams.add(stream)
        return stream

    async def chat(self, model: Models, messages: Messages | str, **keywords: Any) -> Reply:
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

    async def _answering(self, call: Call, parameters: Mapping[str, Any], *, once: bool = False) -> Answering:
        """Find who may answer, within the deadline of the whole call."""
        clock = asyncio.get_running_loop().time
        began_at = clock()
        registry = await self.registry()
        terms = Terms(
            parameters,
            registry.config,
            list_named(call, registry),
            deadlines=self._deadlines,
            recovery=self._recovery,
            receipts=self._receipts,
        )
        total = terms.deadlines().total
        scope = asyncio.timeout_at(None if total is None else began_at + total)
        try:
            async with scope:
                candidates = await find_candidates(call, registry)
        except TimeoutError:
            if total is None or not scope.expired():
                raise
            raise TotalTimeout(total, phase="connect", request_sent=False) from None
        return Answering(candidates, terms, self._states, began_at=began_at, once=once, sleep=self._sleep)

    async def _cost(self, candidate: Candidate, usage: Usage, model: str | None) -> Cost | None:
        registry = await self.registry()
        target = candidate.target
        price = registry.price(target)
        if price is None and model:
            price = registry.price(Target(target.provider, model))
        if price is not None:
            return cost_by_price(usage, price)
        url = getattr(candidate.provider, "url", None)
        if not isinstance(url, str) or not has_price_list():
            return None
        return await asyncio.to_thread(cost_by_list, usage, model or target.model, url)

    def routes(self) -> Sequence[RouteSnapshot]:
        """Return what is known of each route that was asked: whether it rests, how many of its answers run."""
        return self._states.snapshot()

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
            **keywords: ``media``, ``tools``, ``provider``, ``url``, ``dialect``, ``api_key``, parameters,
                local options.

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
        if not isinstance(model, str | None):
            raise InvalidRequestError(f"{verb} takes one model", "pass its name")
        call = Call(
            model=model, **{name: keywords.pop(name, None) for name in ("provider", "url", "dialect", "api_key")}
        )
        check_recovery(keywords)
        answering = await self._answering(call, keywords, once=verb not in _REPEATABLE)
        return await Question(verb, subject, answering.terms.fill(without_recovery(keywords))).ask(answering)
