"""Rounds of tools: the model calls, the tools answer, the model goes on, within limits; one answer to the reader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from backstream.chunks import Finish, RawResponse, Switched, Usage
from backstream.errors import IncompleteStream, TotalTimeout
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, Reply, Service, fold, join_deltas
from backstream.request import Part, Receipt, TextPart, ToolCallPart, ToolResultPart, Turn
from backstream.request.messages import render_messages
from backstream.resilience.route import route_of
from backstream.tools import FunctionTool, ToolLimits, run_calls

__all__ = ["OpenRound", "ToolRounds"]

_ResultT = TypeVar("_ResultT")
_LOOSE_CHUNKS: Final = 10_000  # joining as many takes some milliseconds
_CUT_REASONS: Final = frozenset({"length", "content_filter"})
"""Finish reasons of answers whose last call may lack half of its arguments."""

OpenRound = Callable[[Sequence[Mapping[str, Any]]], Coroutine[Any, Any, BlockSource]]
"""Opens the next answer, given the messages that came since the caller's own."""


class ToolRounds:
    """An answer in several rounds; a :class:`backstream.providers.result.BlockSource`.

    What a round says on the way (its finish, its usage) is held back: the last round's finish ends the answer, and the
    usage of all rounds is added up.

    Args:
        open_round: See :data:`OpenRound`.
        tools: The tools by name.
        limits: How far it may go.
        others: The names of tools that are the caller's to run: an answer that calls one is handed back.
        total_seconds: The whole call's deadline, which holds beside that of the limits.

    Attributes:
        history: The messages of the rounds before the last.
    """

    def __init__(
        self,
        open_round: OpenRound,
        tools: Mapping[str, FunctionTool],
        limits: ToolLimits,
        *,
        others: Collection[str] = (),
        total_seconds: float | None = None,
    ) -> None:
        self._open_round = open_round
        self._tools = tools
        self._limits = limits
        self._others = frozenset(others)
        self._source: BlockSource | None = None
        self._round = 0
        self._chunks: list[RawResponse] = []
        self._loose = 0
        self._usage: Usage | None = None
        self._usages: list[Usage | None] = []
        self._left = False
        self._busy: asyncio.Task[Any] | None = None
        allowed = [limit for limit in (limits.total_seconds, total_seconds) if limit is not None]
        self._total = min(allowed) if allowed else None
        self._over_at: float | None = None
        self.history: list[dict[str, Any]] = []

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """Those of the last round."""
        return getattr(self._source, "receipts", ())

    @property
    def service(self) -> Service | None:
        """That of the last round."""
        return getattr(self._source, "service", None)

    @property
    def route(self) -> str:
        """Who answers in the last round."""
        return route_of(self._source)

    async def open(self) -> ToolRounds:
        """Open the first round.

        Raises:
            BackstreamError: It could not be opened.
        """
        if self._total is not None:
            self._over_at = asyncio.get_running_loop().time() + self._total
        async with self._in_time():
            await self._next_round()
        return self

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None, None]:
        """Hold what waits for a back-end to the deadline of all rounds."""
        clock = asyncio.timeout_at(self._over_at)
        try:
            async with clock:
                yield
        except TimeoutError:
            if self._total is None or not clock.expired():
                raise
            raise TotalTimeout(self._total) from None

    async def _next_round(self) -> None:
        self._round += 1
        self._chunks, self._loose, self._usage = [], 0, None
        opening = asyncio.ensure_future(self._open_round(self.history))
        try:
            self._source = source = await self._wait_for(opening)
        except asyncio.CancelledError:
            if not opening.cancelled() and opening.exception() is None:
                opening.result().abort()
            raise
        if self._left:
            source.abort()

    async def _wait_for(self, task: asyncio.Task[_ResultT]) -> _ResultT:
        """Wait for what leaving the answer must stop; it is over when this is."""
        self._busy = task
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait((task,))
            raise
        finally:
            self._busy = None

    def last_round(self) -> Sequence[RawResponse]:
        """Return the chunks of the last round, with the usage of all."""
        usage = self._whole_usage()
        return self._chunks if usage is None else [*self._chunks, usage]

    async def read_block(self) -> Block:
        """Return what has arrived; between rounds, run the tools."""
        while True:
            assert self._source is not None
            if self._over_at is None:
                block = await self._source.read_block()
            else:
                async with self._in_time():
                    block = await self._source.read_block()
            end = block.pop() if block and isinstance(block[-1], End) else None
            shown: Block = []
            for chunk in block:
                if isinstance(chunk, Usage):  # a back-end that counts as it goes says it again and again
                    self._usage = chunk
                elif isinstance(chunk, RawResponse):
                    if isinstance(chunk, Switched) and chunk.kept == "nothing":
                        self._usage = None
                    self._chunks.append(chunk)
                    if not isinstance(chunk, Finish):
                        shown.append(chunk)
            self._keep_small(len(shown))
            if isinstance(end, End):
                shown += await self._end_round(end)
            if shown:
                return shown

    def _keep_small(self, more: int) -> None:
        self._loose += more
        if self._loose > _LOOSE_CHUNKS:
            self._chunks, self._loose = join_deltas(self._chunks), 0

    async def _end_round(self, end: End) -> Block:
        self._usages.append(self._usage)
        self._usage = None
        reply = fold(self._chunks)
        if self._left or end.state != "complete" or not self._may_run(reply):
            return self._over(reply, end)
        if self._round >= self._limits.max_rounds:
            problem = f"the model still called tools in round {self._round}, the last one allowed"
            return self._over(reply, End("incomplete", ("tool rounds",), IncompleteStream(problem)))
        await self._source.aclose()  # type: ignore[union-attr] # set in the round that just ended
        await self._run(_with_ids(reply, self._round))
        async with self._in_time():
            await self._next_round()
        return []

    def _may_run(self, reply: Reply) -> bool:
        """Tell whether an answer is whole and all its calls are ours; a name nobody knows is told to the model."""
        names = {call.name for call in reply.tool_calls}
        whole = reply.finish_reason not in _CUT_REASONS
        return whole and not names.isdisjoint(self._tools) and names.isdisjoint(self._others)

    def _over(self, reply: Reply, end: End) -> Block:
        last: Block = [reply.finish] if reply.finish is not None else []
        usage = self._whole_usage()
        return [*last, end] if usage is None else [*last, usage, end]

    def _whole_usage(self) -> Usage | None:
        """Add the usage of the rounds up; that of a call one round of which told none is not known."""
        known = [usage for usage in self._usages if usage is not None]
        return _add_up(known) if known and len(known) == len(self._usages) else None

    async def _run(self, reply: Reply) -> None:
        left = None
        if self._over_at is not None:
            left = max(self._over_at - asyncio.get_running_loop().time(), 0.001)
        outcomes = await self._wait_for(
            asyncio.ensure_future(run_calls(reply.tool_calls, self._tools, self._limits, seconds=left))
        )
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
        """Stop now, from any thread: the answer, the tools that run, or the next round's request."""
        self._left = True
        busy = self._busy
        if busy is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                busy.get_loop().call_soon_threadsafe(busy.cancel)
        if self._source is not None:
            self._source.abort()

    async def aclose(self) -> None:
        """Close the answer, and stop the tools that run."""
        self._left = True
        busy = self._busy
        if busy is not None:
            busy.cancel()
            await asyncio.wait((busy,))
        if self._source is not None:
            await self._source.aclose()


def _with_ids(reply: Reply, number: int) -> Reply:
    """Give each call an id of its own where the back-end did not: results are told apart by it."""
    seen: set[str] = set()
    parts: list[Part] = []
    for index, part in enumerate(reply.parts):
        if isinstance(part, ToolCallPart):
            if not part.id or part.id in seen:
                part = msgspec.structs.replace(part, id=f"call_{number}_{index}")  # noqa: PLW2901
            seen.add(part.id)
        parts.append(part)
    return msgspec.structs.replace(reply, parts=tuple(parts))


def _add_up(usages: Sequence[Usage]) -> Usage:
    """Add the counts of several rounds up; one that a round did not report is not known for all."""
    if len(usages) == 1:
        return usages[0]
    total = _sum_members([usage.usage or {} for usage in usages])
    plain = [name for name, value in total.items() if isinstance(value, int)]
    return Usage(usage=total, computed=plain or None, model=usages[-1].model, provider=usages[-1].provider)


def _sum_members(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in counts[0]:
        values = [count.get(name) for count in counts]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        inner = [value for value in values if isinstance(value, Mapping)]
        if len(numbers) == len(values):
            total[name] = sum(numbers)
        elif len(inner) == len(values):
            total[name] = _sum_members(inner)
    return total
