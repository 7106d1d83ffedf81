"""What every answer that is repaired has: the one that runs, the request for the next one, and how it is left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from backstream.chunks import Switched
from backstream.errors import BackstreamError, IncompleteStream
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, end_after
from backstream.resilience.causes import cause_of
from backstream.resilience.route import Ask, Route, route_of

__all__ = ["MendedSource", "Routes", "takes_prefix", "why_of"]

_LOGGER: Final = logging.getLogger("backstream.resilience")


def why_of(error: BackstreamError | None) -> str:
    """Return the class name of what broke an answer."""
    return IncompleteStream.__name__ if error is None else type(error).__name__


class Routes(Route, Protocol):
    """Routes that are asked one after the other, as :class:`backstream.resilience.fallback.Fallback` does.

    Attributes:
        routes: They, the preferred one first.
    """

    @property
    def routes(self) -> Sequence[Route]: ...  # noqa: D102 - see the class

    def after(self, name: str) -> Routes | None:
        """Return those after the one of a name; ``None`` where none is left."""
        ...


def takes_prefix(routes: Routes, source: BlockSource) -> bool:
    """Tell whether the route that gave an answer took the begin of it."""
    name = route_of(source)
    return any(route.takes_prefix for route in routes.routes if route.name == name)


class MendedSource:
    """An answer that other routes may be asked to repair; a :class:`backstream.providers.result.BlockSource`.

    Args:
        routes: The routes.
        ask: What the first was asked with.
        source: Its answer.

    Attributes:
        relay: ``None``: frames of one back-end cannot be passed on where another may take over.
        pump: ``None``, since every block is looked at here.
    """

    relay = None
    pump = None

    def __init__(self, routes: Routes, ask: Ask, source: BlockSource) -> None:
        self._routes = routes
        self._ask = ask
        self._source = source
        self._once_more = len(routes.routes) == 1
        self._opening: asyncio.Task[BlockSource] | None = None
        self._broken: End | None = None
        self._left = False
        self._tried: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> object:
        """Give what the answer that runs tells beside its blocks."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        """Return the next block."""
        raise NotImplementedError

    async def _read(self) -> tuple[Block, End | None]:
        """Read a block, and whether the answer is over; a break is told by itself, when all before it was given."""
        if self._broken is not None:
            end, self._broken = self._broken, None
            return [], end
        try:
            block = await self._source.read_block()
        except BackstreamError as error:
            return [], end_after(error)
        last = block[-1] if block else None
        if not isinstance(last, End):
            return block, None
        if len(block) == 1 or not self._is_break(last):
            return block[:-1], last
        self._broken = last
        return block[:-1], None

    def _note_break(self, end: End) -> None:
        """Keep who broke off, and why, for the error that tells of all."""
        self._tried.append((route_of(self._source), why_of(end.error)))

    def _is_break(self, end: End) -> bool:
        """Tell whether an end is one that another route may mend."""
        if self._left or end.state not in ("incomplete", "failed"):
            return False
        return end.error is None or cause_of(end.error).next

    def _rest(self) -> Routes | None:
        """Return who is to be asked: the routes after the one that answered; the only one once more."""
        rest = self._routes.after(route_of(self._source))
        if rest is None and self._once_more:
            self._once_more = False
            return self._routes
        return rest

    async def _open(self, routes: Routes, prefix: str = "") -> BlockSource:
        """Ask routes, the answer before being closed; abandoned by whoever leaves this one.

        Raises:
            BackstreamError: None answers.
        """
        self._broken = None
        await self._source.aclose()
        ask = msgspec.structs.replace(self._ask, prefix=prefix)
        self._opening = opening = asyncio.ensure_future(routes.open(ask))
        try:
            source = await opening
        except asyncio.CancelledError:
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().abort()
            raise
        finally:
            self._opening = None
        self._source, self._routes = source, routes
        if self._left:
            source.abort()
        return source

    def _given_up(self, end: End) -> End:
        """Put on the error of an answer that stays broken what became of the attempts to repair it."""
        if end.error is not None and len(self._tried) > 1:
            end.error.attempts = tuple(self._tried)
            end.error.add_note("; ".join(f"also tried {name}: {why}" for name, why in self._tried[1:]))
        return end

    def _switched(self, left: str, end: End, kept: str) -> Switched:
        """Say that the answer that runs takes the place of one that broke."""
        to = route_of(self._source)
        _LOGGER.info("route %s broke off, %s goes on: %s", left, to, why_of(end.error))
        return Switched(from_=left, to=to, why=why_of(end.error), kept=kept)

    def abort(self) -> None:
        """Stop now, from any thread: the answer, or the request for the next one."""
        self._left = True
        opening = self._opening
        if opening is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                opening.get_loop().call_soon_threadsafe(opening.cancel)
        self._source.abort()

    async def aclose(self) -> None:
        """Stop, and wait until the connection is closed."""
        self._left = True
        opening = self._opening
        if opening is not None:
            opening.cancel()
            await asyncio.wait((opening,))
        await self._source.aclose()
