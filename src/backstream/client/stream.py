"""The answer a client gives: chunks while it comes, a reply when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from backstream.chunks import Start, Switched, Usage
from backstream.client.rounds import ToolRounds
from backstream.errors import DecodeError, MisuseError
from backstream.providers.result import AsyncResult, BlockSource
from backstream.reply import Cost, Reply, fold
from backstream.resilience.route import route_of
from backstream.schema import parse_answer

__all__ = ["ChatStream"]

CostOf = Callable[[Usage, str | None, str], Awaitable[Cost | None]]
"""Tells what an answer cost, by its usage, the model that answered, and the name of its route."""


_TELLING: Final = frozenset({Start, Switched, Usage})


class ChatStream(AsyncResult):
    """An answer, as an asynchronous iterator of chunks that knows what they add up to.

    Everything :class:`backstream.AsyncResult` says holds. ``async with`` closes it for sure.
    """

    __slots__ = ("_answer_type", "_cost", "_cost_of", "_reply")

    def __init__(
        self,
        open_source: Callable[[], Awaitable[BlockSource]],
        *,
        answer_type: Any = None,
        cost_of: CostOf | None = None,
    ) -> None:
        super().__init__(open_source)
        self._answer_type = answer_type
        self._cost_of = cost_of
        self._cost: Cost | None = None
        self._reply: Reply | None = None

    def cancel(self) -> None:
        """Stop the answer now, from any task or thread; who iterates over it finds it over, without an error."""
        self.abort()

    @property
    def route(self) -> str:
        """Who answers, as ``provider/model``; ``""`` before the answer began."""
        return route_of(self._source)

    @property
    def reply(self) -> Reply:
        """What the chunks add up to; also for an answer that was cut off, as far as it came.

        Raises:
            MisuseError: The answer is not over.
            DecodeError: A type was asked for, and the answer is none such; ``received`` on it holds the chunks.
        """
        if self.end is None:
            raise MisuseError("the answer is not over; iterate to its end first, or use chat()")
        if self._reply is None:
            self._reply = self._make_reply()
        return self._reply

    @property
    def history(self) -> list[dict[str, Any]]:
        """The messages to add for the next turn: the answer's, and before it those of the rounds of tools."""
        source = self._source
        earlier: Sequence[dict[str, Any]] = source.history if isinstance(source, ToolRounds) else ()
        if self.end is None:
            raise MisuseError("the answer is not over; iterate to its end first, or use chat()")
        last = self._fold()  # also an answer that is not of the type asked for
        said_nothing = self.end.state != "complete" and not last.parts
        return list(earlier) if said_nothing else [*earlier, last.message]

    def _make_reply(self) -> Reply:
        reply = self._fold()
        parsed = None
        if self._answer_type is not None and self.end is not None and self.end.state == "complete":
            parsed = self._parse(reply)
        return msgspec.structs.replace(
            reply,
            end=self.end,
            route=self.route,
            service=self.service,
            receipts=self.receipts,
            cost=self._cost,
            parsed=parsed,
        )

    def _fold(self) -> Reply:
        source = self._source
        if isinstance(source, ToolRounds):
            return fold(source.last_round())
        return fold(chunk for block in self._kept for chunk in block)

    def _parse(self, reply: Reply) -> Any:
        if reply.tool_calls or reply.refusal is not None:
            return None
        if reply.finish_reason == "length":
            raise self._describe(DecodeError("the answer was cut at its token limit, so it is not the type asked for"))
        try:
            return parse_answer(reply.text, self._answer_type)
        except DecodeError as error:
            if reply.finish_reason != "content_filter":
                self._describe(error)
                raise
        raise self._describe(DecodeError("the answer was cut by a content filter, so it is not the type asked for"))

    async def _settle(self) -> None:
        if self._cost_of is None or self._cost is not None or (self.end is not None and self.end.error is not None):
            return
        usage = model = None
        switched = False
        for block in reversed(self._kept):
            if _TELLING.isdisjoint(map(type, block)):
                continue
            for chunk in reversed(block):
                if isinstance(chunk, Usage):
                    usage = usage or chunk
                elif isinstance(chunk, Start):
                    model = model or chunk["model"] if "model" in chunk else model
                elif isinstance(chunk, Switched):  # what came before was another route's
                    model = model or (chunk.to or "").partition("/")[2] or None
                    switched = True
                    break
            if switched or (usage is not None and (model is not None or usage.model is not None)):
                break
        if usage is not None:
            self._cost = await self._cost_of(usage, model or usage.model, self.route)
            self._reply = None  # one that was asked for before knows no cost

    async def wait(self) -> Reply:
        """Read the answer to its end and return what it adds up to.

        Raises:
            CallerError: Something of the call cannot work.
            ProviderError: The back-end, or the way to it, failed.
            DecodeError: A type was asked for, and the answer is none such.
        """
        try:
            async for _ in self.blocks():
                pass
        except asyncio.CancelledError:
            self.abort()
            raise
        return self.reply
