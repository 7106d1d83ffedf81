"""The clocks of a call, for answers of providers that have none of their own: asynchronous generators."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, TypeVar

from backstream.errors import BetweenContentTimeout, DeadlineError, FirstContentTimeout, TotalTimeout
from backstream.options import Deadlines
from backstream.providers.result import AsyncResult, BlockSource
from backstream.providers.sources import IteratorSource, source_of
from backstream.reply import Block, has_content

__all__ = ["ClockedSource", "Clocks", "clocked_source_of", "has_clocks"]

_Waited = TypeVar("_Waited")


def has_clocks(deadlines: Deadlines) -> bool:
    """Tell whether there is a clock that a :class:`ClockedSource` runs."""
    return any(each is not None for each in (deadlines.first_content, deadlines.between_content, deadlines.total))


async def clocked_source_of(result: Any, deadlines: Deadlines) -> BlockSource:
    """Open what ``create_async_generator`` gave, held to the clocks of a call if it has none of its own.

    Args:
        result: See :func:`backstream.providers.sources.source_of`.
        deadlines: The clocks, in seconds; an :class:`AsyncResult` has its own.

    Raises:
        DeadlineError: A clock ran out before there was anything to read.
        BackstreamError: It could not be opened.
    """
    if not has_clocks(deadlines):
        return await source_of(result)
    clocks = Clocks(deadlines)
    is_waited_for = inspect.isawaitable(result) and not isinstance(result, AsyncResult)
    source = await (clocks.hold(source_of(result)) if is_waited_for else source_of(result))
    return ClockedSource(source, clocks) if isinstance(source, IteratorSource) else source


class Clocks:
    """The clocks ``first_content``, ``between_content`` and ``total`` of one answer; they run from now.

    Those of content run only while the provider is waited for, so that a slow reader is not taken for silence.

    Args:
        deadlines: How long each runs.
    """

    __slots__ = ("_ends_at", "_loop", "_said", "_times", "_waited")

    def __init__(self, deadlines: Deadlines) -> None:
        self._times = deadlines
        self._loop = asyncio.get_running_loop()
        self._ends_at = None if deadlines.total is None else self._loop.time() + deadlines.total
        self._waited = 0.0
        self._said = False

    async def hold(self, waited: Awaitable[_Waited]) -> _Waited:
        """Wait for something of the provider's.

        Raises:
            DeadlineError: A clock ran out, whatever the provider made of that.
        """
        began = self._loop.time()
        at, expired = self._first_to_end(began)
        scope = asyncio.timeout_at(at)
        try:
            async with scope:
                found = await waited
        except Exception:
            if expired is None or not scope.expired():
                raise
            raise expired from None
        finally:
            self._waited += self._loop.time() - began
        if expired is not None and scope.expired():
            raise expired
        return found

    def note_content(self) -> None:
        """Take note that content came."""
        self._said, self._waited = True, 0.0

    def _first_to_end(self, now: float) -> tuple[float | None, DeadlineError | None]:
        """Return when the first clock will have run out, and its error."""
        clock = BetweenContentTimeout if self._said else FirstContentTimeout
        seconds = self._times.between_content if self._said else self._times.first_content
        at = None if seconds is None else now + seconds - self._waited
        if self._ends_at is not None and (at is None or self._ends_at < at):
            return self._ends_at, TotalTimeout(self._times.total or 0.0)
        return at, None if seconds is None else clock(seconds)


class ClockedSource:
    """An answer that ends where a clock does; a :class:`backstream.providers.result.BlockSource`.

    Args:
        source: The answer, just begun.
        clocks: Its clocks.
    """

    __slots__ = ("_clocks", "_source")

    def __init__(self, source: BlockSource, clocks: Clocks) -> None:
        self._source = source
        self._clocks = clocks

    def __getattr__(self, name: str) -> object:
        """Give what the answer tells beside its blocks."""
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        """Return the next block.

        Raises:
            DeadlineError: A clock ran out.
        """
        block = await self._clocks.hold(self._source.read_block())
        if has_content(block):
            self._clocks.note_content()
        return block

    def abort(self) -> None:
        """Stop now, from any thread."""
        self._source.abort()

    async def aclose(self) -> None:
        """Stop."""
        await self._source.aclose()
