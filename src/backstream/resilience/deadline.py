"""The whole time of a call: each attempt gets what is left of it. Sets no timer; the transport's clocks run."""

from __future__ import annotations

import asyncio

import msgspec

from backstream.errors import TotalTimeout
from backstream.providers.result import BlockSource
from backstream.reply import Block, End
from backstream.resilience.route import Ask, Route

__all__ = ["Deadline"]


class Deadline:
    """Asks a route for an answer within what is left of the whole time; a route itself.

    Args:
        route: The provider and model.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self.name = route.name

    @property
    def takes_prefix(self) -> bool:
        """Whether the route takes the begin of an answer."""
        return self.route.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Ask with what is left of the time.

        Raises:
            TotalTimeout: Nothing is left; it names the whole time, not what was left of it.
            BackstreamError: It was asked, and failed.
        """
        if ask.ends_at is None:
            return await self.route.open(ask)
        total = ask.total_seconds or 0.0
        left = ask.ends_at - asyncio.get_running_loop().time()
        if left <= 0:
            raise TotalTimeout(total, phase="connect", request_sent=False)
        deadlines = msgspec.structs.replace(ask.options.deadlines, total=left)
        options = msgspec.structs.replace(ask.options, deadlines=deadlines)
        try:
            source = await self.route.open(msgspec.structs.replace(ask, options=options))
        except TotalTimeout as error:
            raise _whole(error, total) from error.__cause__
        return _TimedSource(source, total)


class _TimedSource:
    """An answer whose end by the clock is told in terms of the whole call."""

    __slots__ = ("_source", "_total")

    def __init__(self, source: BlockSource, total: float) -> None:
        self._source = source
        self._total = total

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        try:
            block = await self._source.read_block()
        except TotalTimeout as error:
            raise _whole(error, self._total) from error.__cause__
        if block and isinstance(end := block[-1], End) and isinstance(end.error, TotalTimeout):
            block[-1] = msgspec.structs.replace(end, error=_whole(end.error, self._total))
        return block

    def abort(self) -> None:
        self._source.abort()

    async def aclose(self) -> None:
        await self._source.aclose()


def _whole(error: TotalTimeout, total: float) -> TotalTimeout:
    whole = TotalTimeout(total, phase=error.phase, request_sent=error.request_sent)
    whole.received = error.received
    return whole
