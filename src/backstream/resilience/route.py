"""The contract of every wrapper: a route, and what an attempt on it may know. Knows nothing of how to survive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from backstream.errors import BackstreamError, DeadlineError
from backstream.options import CallOptions
from backstream.providers.result import BlockSource

__all__ = ["Ask", "Route", "ask_with", "route_of", "was_hurried"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt may know of the call; messages, media and parameters stay with the innermost route.

    Attributes:
        options: The local options; the clocks in it are those of one attempt, but for ``total``.
        ends_at: When the whole call is over, by the loop's clock; ``None`` for never.
        total_seconds: How long the whole call may take, for the error that says it was over.
        prefix: The text of the answer that the caller has already, for a route that takes the begin of an answer.
        leaves_at: When a silent route is left for the next one, by the loop's clock; ``None`` for never. A wait that
            would reach past it is not begun.
        on_wait: Called with the time, by the loop's clock, until which a wait that the back-end asked for will last.
        hurried: The clocks that were set for this call alone, in seconds by their names. Where one of them runs
            out, that says nothing of the route to anybody else.
    """

    options: CallOptions = CallOptions()
    ends_at: float | None = None
    total_seconds: float | None = None
    prefix: str = ""
    leaves_at: float | None = None
    on_wait: Callable[[float], None] | None = None
    hurried: Mapping[str, float] = {}


def ask_with(options: CallOptions) -> Ask:
    """Return what the attempts of a call that begins now may know: its options, and when it is over by them."""
    total = options.deadlines.total
    if total is None:
        return Ask(options=options)
    return Ask(options=options, ends_at=asyncio.get_running_loop().time() + total, total_seconds=total)


def was_hurried(error: BackstreamError, ask: Ask) -> bool:
    """Tell whether a call failed by a clock that was set for it alone: that is no fault of the route."""
    return isinstance(error, DeadlineError) and ask.hurried.get(error.clock) == error.seconds


def route_of(source: object) -> str:
    """Return the name of the route that gave an answer; ``""`` where it does not tell."""
    name = getattr(source, "route", "")
    return name if isinstance(name, str) else ""


class Route(Protocol):
    """A provider and a model, or what wraps them.

    Attributes:
        name: ``provider/model``.
        takes_prefix: Whether it goes on with the begin of an answer, as far as that is known beforehand.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class

    @property
    def takes_prefix(self) -> bool: ...  # noqa: D102 - see the class

    async def open(self, ask: Ask) -> BlockSource:
        """Ask, and give the running answer; whoever gets it closes it.

        From ``Retry`` outwards it has content, or is over and complete.

        Raises:
            BackstreamError: It cannot be asked, refused, or failed before its first content; nothing is left open.
        """
        ...
