"""Rounds of tools: the model calls, the tools answer, the model goes on, within limits; one answer to the reader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from backstream.chunks import Finish, RawResponse, Usage
from backstream.errors import IncompleteStream
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, Reply, Service, fold
from backstream.request import Receipt, TextPart, ToolResultPart, Turn
from backstream.request.messages import render_messages
from backstream.tools import FunctionTool, ToolLimits, run_calls

__all__ = ["OpenRound", "ToolRounds"]

OpenRound = Callable[[Sequence[Mapping[str, Any]]], Awaitable[BlockSource]]
"""Opens the next answer, given the messages that came since the caller's own."""


class ToolRounds:
    """An answer in several rounds; a :class:`backstream.providers.result.BlockSource`.

    What a round says on the way (its finish, its usage) is held back: the last round's finish ends the answer, and the
    usage of all rounds is added up.

    Args:
        open_round: See :data:`OpenRound`.
        tools: The tools by name.
        limits: How far it may go.

    Attributes:
        history: The messages of the rounds before the last.
        receipts: Those of the last round.
        service: That of the last round.
    """

    def __init__(self, open_round: OpenRound, tools: Mapping[str, FunctionTool], limits: ToolLimits) -> None:
        self._open_round = open_round
        self._tools = tools
        self._limits = limits
        self._source: BlockSource | None = None
        self._round = 0
        self._chunks: list[RawResponse] = []
        self._usages: list[Usage] = []
        self._before = 0
        self._given = 0
        self._left = False
        self._calls: asyncio.Task[Any] | None = None
        self._over_at: float | None = None
        self.history: list[dict[str, Any]] = []
        self.receipts: tuple[Receipt, ...] = ()
        self.service: Service | None = None

    async def open(self) -> ToolRounds:
        """Open the first round.

        Raises:
            BackstreamError: It could not be opened.
        """
        if self._limits.total_seconds is not None:
            self._over_at = asyncio.get_running_loop().time() + self._limits.total_seconds
        await self._next_round()
        return self

    async def _next_round(self) -> None:
        self._round += 1
        self._before = self._given
        self._chunks = []
        self._source = source = await self._open_round(self.history)
        self.receipts = getattr(source, "receipts", ())
        self.service = getattr(source, "service", None)
        if self._left:
            source.abort()

    def last_round(self, chunks: Sequence[RawResponse]) -> Sequence[RawResponse]:
        """Return the chunks of the last round, out of all that were given."""
        return chunks[self._before :]

    async def read_block(self) -> Block:
        """Return what has arrived; between rounds, run the tools."""
        while True:
            assert self._source is not None
            block = await self._source.read_block()
            end = block.pop() if block and isinstance(block[-1], End) else None
            shown: Block = []
            for chunk in block:
                if isinstance(chunk, Usage):
                    self._usages.append(chunk)
                elif isinstance(chunk, RawResponse):
                    self._chunks.append(chunk)
                    if not isinstance(chunk, Finish):
                        shown.append(chunk)
            self._given += len(shown)
            if isinstance(end, End):
                shown += await self._end_round(end)
            if shown:
                return shown

    async def _end_round(self, end: End) -> Block:
        reply = fold(self._chunks)
        wanted = end.state == "complete" and bool(reply.tool_calls) and not self._left
        known = [call for call in reply.tool_calls if call.name in self._tools]
        if not wanted or not known:
            return self._over(reply, end)
        if self._round >= self._limits.max_rounds:
            problem = f"the model still called tools in round {self._round}, the last one allowed"
            return self._over(reply, End("incomplete", ("tool rounds",), IncompleteStream(problem)))
        await self._source.aclose()  # type: ignore[union-attr] # set in the round that just ended
        await self._run(reply)
        await self._next_round()
        return []

    def _over(self, reply: Reply, end: End) -> Block:
        last: Block = [reply.finish] if reply.finish is not None else []
        if self._usages:
            last.append(_add_up(self._usages))
        self._given += len(last)
        return [*last, end]

    async def _run(self, reply: Reply) -> None:
        left = None
        if self._over_at is not None:
            left = max(self._over_at - asyncio.get_running_loop().time(), 0.001)
        self._calls = asyncio.ensure_future(run_calls(reply.tool_calls, self._tools, self._limits, seconds=left))
        try:
            outcomes = await self._calls
        except asyncio.CancelledError:
            self._calls.cancel()
            await asyncio.wait((self._calls,))
            raise
        finally:
            self._calls = None
        results = tuple(
            ToolResultPart(
                tool_call_id=outcome.call_id,
                name=outcome.name,
                content=(TextPart(text=outcome.content),) if outcome.content else (),
                is_error=outcome.is_error,
            )
            for outcome in outcomes
        )
        self.history += [reply.message, *render_messages((Turn(role="tool", parts=results),))]

    def abort(self) -> None:
        """Stop now, from any thread: the answer, or the tools that run."""
        self._left = True
        calls = self._calls
        if calls is not None:
            calls.get_loop().call_soon_threadsafe(calls.cancel)
        if self._source is not None:
            self._source.abort()

    async def aclose(self) -> None:
        """Close the answer, and stop the tools that run."""
        self._left = True
        calls = self._calls
        if calls is not None:
            calls.cancel()
            await asyncio.wait((calls,))
        if self._source is not None:
            await self._source.aclose()


def _add_up(usages: Sequence[Usage]) -> Usage:
    """Add the counts of several rounds up; one that a round did not report is not known for all."""
    if len(usages) == 1:
        return usages[0]
    counts = [usage.usage or {} for usage in usages]
    total = _sum_members(counts)
    plain = [name for name, value in total.items() if isinstance(value, int)]
    return Usage(usage=total, computed=plain or None, model=usages[-1].model, provider=usages[-1].provider)


def _sum_members(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in counts[0]:
        values = [count.get(name) for count in counts]
        numbers = [value for value in values if isinstance(value, int)]
        inner = [value for value in values if isinstance(value, Mapping)]
        if len(numbers) == len(values):
            total[name] = sum(numbers)
        elif len(inner) == len(values):
            total[name] = _sum_members(inner)
    return total
