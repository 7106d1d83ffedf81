"""The clocks of a call, for answers of providers that have none of their own: asynchronous generators."""

from __future__ import annotations

import asyncio

from backstream.errors import (
    BackstreamError,
    BetweenContentTimeout,
    DeadlineError,
    FirstContentTimeout,
    TotalTimeout,
)
from backstream.options import Deadlines
from backstream.providers.result import BlockSource
from backstream.reply import Block, has_content

__all__ = ["ClockedSource", "has_clocks"]


def has_clocks(deadlines: Deadlines) -> bool:
    """Tell whether there is a clock that a :class:`ClockedSource` runs."""
    return any(each is not None for each in (deadlines.first_content, deadlines.between_content, deadlines.total))


class ClockedSource:
    """An answer that ends where a clock does: ``first_content``, ``between_content`` or ``total``.

    Args:
        source: The answer, just begun.
        deadlines: The clocks.
    """

    __slots__ = ("_ends_at", "_loop", "_said", "_since", "_source", "_times")

    def __init__(self, source: BlockSource, deadlines: Deadlines) -> None:
        self._source = source
        self._times = deadlines
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._ends_at = None if deadlines.total is None else self._since + deadlines.total
        self._said = False

    def __getattr__(self, name: str) -> object:
        """Give what the answer tells beside its blocks."""
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        """Return the next block.

        Raises:
            DeadlineError: A clock ran out.
        """
        at, expired = self._first_to_end()
        scope = asyncio.timeout_at(at)
        try:
            async with scope:
                block = await self._source.read_block()
        except TimeoutError as error:
            if expired is None or isinstance(error, BackstreamError) or not scope.expired():
                raise
            raise expired from None
        if has_content(block):
            self._said, self._since = True, self._loop.time()
        return block

    def _first_to_end(self) -> tuple[float | None, DeadlineError | None]:
        """Return when the first clock will have run out, and its error."""
        clock = BetweenContentTimeout if self._said else FirstContentTimeout
        seconds = self._times.between_content if self._said else self._times.first_content
        at = None if seconds is None else self._since + seconds
        if self._ends_at is not None and (at is None or self._ends_at < at):
            return self._ends_at, TotalTimeout(self._times.total or 0.0)
        return at, None if seconds is None else clock(seconds)

    def abort(self) -> None:
        """Stop now, from any thread."""
        self._source.abort()

    async def aclose(self) -> None:
        """Stop."""
        await self._source.aclose()
