"""What is asked of a candidate: the next part of a conversation, or one question with one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from backstream.client.finding import Candidate
from backstream.client.routes import Answering, ValueSource
from backstream.errors import TotalTimeout, UnsupportedFeatureError
from backstream.messages import MediaListType, Messages
from backstream.providers.clocks import clocked_source_of
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.recorder import FlightRecorder, recorded_by
from backstream.providers.result import BlockSource
from backstream.resilience.continuation import messages_with_begin
from backstream.resilience.route import Ask

__all__ = ["Question", "Talk"]


class Talk(msgspec.Struct, frozen=True):
    """A conversation, as its caller gave it.

    Attributes:
        messages: The messages.
        media: Items to send with the last message of the user.
        parameters: The keywords for the provider.
        recorder: Who records the answer; ``None`` for nobody.
    """

    messages: Messages
    media: MediaListType
    parameters: Mapping[str, Any]
    recorder: FlightRecorder | None = None

    async def open(self, answering: Answering, history: Sequence[Mapping[str, Any]]) -> BlockSource:
        """Ask for the answer to the messages, and to those that came since.

        Raises:
            BackstreamError: Nobody answers.
        """
        messages: Messages = [*self.messages, *history]

        async def start(candidate: Candidate, ask: Ask) -> BlockSource:
            begun = messages_with_begin(messages, ask.prefix if takes_prefix and candidate.takes_prefix else "")
            with recorded_by(self.recorder):
                result = candidate.provider.create_async_generator(
                    candidate.target.model,
                    begun,
                    media=self.media,
                    api_key=candidate.own_key,
                    **{**self.parameters, "deadlines": ask.options.deadlines},
                )
                return await clocked_source_of(result, ask.options.deadlines)

        takes_prefix = bool(messages) and messages[-1].get("role") != "assistant"  # which may be a begin itself
        return await answering.open(start, with_prefix=takes_prefix)


class Question(msgspec.Struct, frozen=True):
    """A question with one answer, as its caller gave it.

    Attributes:
        verb: The provider's method.
        subject: What it is about.
        parameters: The keywords for the provider.
    """

    verb: str
    subject: Any
    parameters: Mapping[str, Any]

    async def ask(self, answering: Answering) -> Any:
        """Ask, and return the answer.

        Raises:
            BackstreamError: There is none.
        """
        source = await answering.open(self._start)
        try:
            return source.value  # type: ignore[attr-defined] # of the ValueSource within
        finally:
            await source.aclose()

    async def _start(self, candidate: Candidate, ask: Ask) -> BlockSource:
        provider = candidate.provider
        method: Callable[..., Awaitable[Any]] | None = getattr(provider, self.verb, None)
        if method is None:
            raise UnsupportedFeatureError(f"{candidate.target.provider} has no {self.verb}", "choose another provider")
        keywords = dict(self.parameters)
        if isinstance(provider, DialectProvider):
            keywords["deadlines"] = ask.options.deadlines
        else:
            keywords.pop("receipts", None)
        if candidate.own_key is not None:
            keywords["api_key"] = candidate.own_key
        scope = asyncio.timeout_at(ask.ends_at)
        try:
            async with scope:
                return ValueSource(await method(candidate.target.model, self.subject, **keywords))
        except TimeoutError as error:
            if isinstance(error, TotalTimeout) or not scope.expired():
                raise
            raise TotalTimeout(ask.total_seconds or 0.0) from None
