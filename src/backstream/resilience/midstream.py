"""What happens when an answer breaks after its first content: a wrapper around the routes that could answer instead.

The outermost wrapper of a call. Knows who is asked and when; what fits what is decided in ``matching.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from backstream.chunks import RawResponse
from backstream.errors import (
    BackendRequestError,
    BackstreamError,
    InvalidRequestError,
    TooLargeError,
    UnsupportedFeatureError,
)
from backstream.providers.result import BlockSource
from backstream.reply import Block, End
from backstream.resilience.continuation import Continued, Given
from backstream.resilience.matching import Matcher, SeamMatcher, StartMatcher
from backstream.resilience.midstream_source import MendedSource, Routes, takes_prefix, why_of
from backstream.resilience.route import Ask, route_of
from backstream.resilience.settings import MidStreamPolicy

__all__ = ["MOST_HELD_BYTES", "UNMATCHED", "MidStream"]

MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""How large an answer ``whole`` holds."""

UNMATCHED: Final = "unmatched"
"""Why a route could not go on with an answer: what it said does not fit what the reader has."""

_Outcome: TypeAlias = Literal["joined", "from start", "broken", "failed"]

_CHUNK_BYTES: Final = 200
"""About what a chunk takes beside its texts."""

_REFUSALS: Final = (BackendRequestError, InvalidRequestError, UnsupportedFeatureError)
"""How a route says that it does not go on with the begin of an answer."""


class MidStream:
    """Asks routes for an answer, and what of them is left to repair it; a route itself.

    A break is an end that is not complete, or an error, after the first content, unless the table of causes says that
    another route would not mend it. Who is asked then: the routes after the one that answered; a call with one route
    asks that once more.

    - ``fail``: nobody. The answer is passed on as it is.
    - ``restart``: an answer anew. ``Switched`` with ``kept="nothing"`` voids what came before.
    - ``continue``: the rest of the answer, behind a ``Switched`` with ``kept="all"``. The reader gets every word once,
      or the error of the break. Only text is gone on from, and reasoning before it; the second answer's is dropped.
    - ``whole``: an answer anew, and nothing is given before one is complete.

    The usage and the finish are those of the answer that ended; nobody knows what the broken one used.

    Args:
        routes: The routes, as ``Fallback`` holds them.
        policy: What happens.
    """

    def __init__(self, routes: Routes, policy: MidStreamPolicy) -> None:
        self.routes = routes
        self.name = routes.name
        self.policy: MidStreamPolicy = policy

    @property
    def takes_prefix(self) -> bool:
        """Whether the first route takes the begin of an answer."""
        return self.routes.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Ask until a route has content.

        Raises:
            BackstreamError: None has.
        """
        source = await self.routes.open(ask)
        made = _SOURCES.get(self.policy)
        return source if made is None else made(self.routes, ask, source)


class _Restarted(MendedSource):
    """An answer that is begun anew when it breaks."""

    async def read_block(self) -> Block:
        block, end = await self._read()
        if end is None:
            return block
        if not self._is_break(end):
            return [*block, end]
        self._note_break(end)
        rest = self._rest()
        return [*block, self._given_up(end)] if rest is None else await self._begin_anew(rest, end)

    async def _begin_anew(self, rest: Routes, end: End) -> Block:
        left = route_of(self._source)
        try:
            await self._open(rest)
        except BackstreamError as error:
            self._tried.append((rest.name, why_of(error)))
            return [self._given_up(end)]
        return [self._switched(left, end, "nothing")]


class _Continued(MendedSource):
    """An answer that goes on where it broke."""

    def __init__(self, routes: Routes, ask: Ask, source: BlockSource) -> None:
        super().__init__(routes, ask, source)
        self._given = Given()
        self._continued: Continued | None = None

    async def read_block(self) -> Block:
        while True:
            block, end = await self._read()
            given = self._given.give(block if self._continued is None else self._continued.feed(block))
            if end is not None:
                return [*given, *await self._go_on(end)]
            if given:
                return given

    async def _go_on(self, end: End) -> Block:
        """Return how an answer goes on that is over: elsewhere, or not at all."""
        if not self._is_break(end):
            return [*self._given.release(), end]
        self._note_break(end)
        rest = self._rest() if self._given.can_go_on else None
        left = route_of(self._source)
        text = self._given.text
        prefix = text.rstrip()
        while rest is not None:
            outcome, new = await self._attempt(rest, prefix, (left, end))
            if outcome == "joined":
                self._given.forget()
                return self._given.give(new)
            if outcome == "from start" and prefix:
                prefix = ""
            else:
                rest = self._routes.after(route_of(self._source)) if outcome == "broken" else None
                prefix = text.rstrip()
        return [*self._given.release(), self._given_up(end)]

    async def _attempt(self, routes: Routes, prefix: str, broken: tuple[str, End]) -> tuple[_Outcome, Block]:
        """Ask for the rest of the answer: given its begin, or without it for all of it."""
        try:
            source = await self._open(routes, prefix)
        except BackstreamError as error:
            self._tried.append((routes.name, why_of(error)))
            return ("from start" if isinstance(error, _REFUSALS) else "failed"), []
        text = self._given.text
        took = takes_prefix(routes, source) if prefix else not text.strip()
        matcher: Matcher = SeamMatcher(text) if took else StartMatcher(text)
        continued = Continued(matcher, self._switched(*broken, "all"), self._given)
        new: Block = []
        end: End | None = None
        while matcher.state == "open" and end is None:
            block, end = await self._read()
            new += continued.feed(block)
        if end is not None and end.state == "complete":
            new += continued.finish()
        if matcher.state == "joined":
            self._continued, self._broken = continued, end or self._broken
            return "joined", new
        if matcher.state == "open" and end is not None:
            self._tried.append((route_of(source), why_of(end.error)))
            return "broken", []
        self._tried.append((route_of(source), UNMATCHED))
        return ("from start" if took else "failed"), []


class _Whole(MendedSource):
    """An answer that is given when it is complete."""

    async def read_block(self) -> Block:
        switched: Block = []
        held: Block = []
        size = 0
        while True:
            block, end = await self._read()
            held += block
            size += sum(map(_size_of, block))
            if size > MOST_HELD_BYTES:
                await self.aclose()
                return [End("failed", ("TooLargeError",), TooLargeError("answer", MOST_HELD_BYTES))]
            if end is None:
                continue
            if end.state == "complete":
                return [*switched, *held, end]
            if not self._is_break(end):
                return [end]
            self._note_break(end)
            rest = self._rest()
            if rest is None:
                return [self._given_up(end)]
            left = route_of(self._source)
            try:
                await self._open(rest)
            except BackstreamError as error:
                self._tried.append((rest.name, why_of(error)))
                return [self._given_up(end)]
            switched.append(self._switched(left, end, "all"))
            held, size = [], 0


def _size_of(chunk: object) -> int:
    members = chunk.get_dict() if isinstance(chunk, RawResponse) else {}
    return _CHUNK_BYTES + sum(len(each) for each in members.values() if isinstance(each, str))


_SOURCES: Final[Mapping[MidStreamPolicy, type[MendedSource]]] = {
    "restart": _Restarted,
    "continue": _Continued,
    "whole": _Whole,
}
