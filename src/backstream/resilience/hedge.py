"""Two routes for one call: the second is asked when the first is silent, and the first to speak is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from backstream.errors import BackstreamError
from backstream.providers.result import BlockSource
from backstream.resilience.causes import cause_of
from backstream.resilience.route import Ask, Route

__all__ = ["Answered", "Tried", "hedge"]

Tried: TypeAlias = "list[tuple[Route, BackstreamError | None]]"
"""The routes that did not answer, each with its error; ``None`` for silence."""

Answered: TypeAlias = tuple[Route, BlockSource]
"""The route that answers, and its answer."""

_Task: TypeAlias = "asyncio.Task[BlockSource]"


class _Silence:
    """When the first route will have been silent for too long; a wait that its back-end asked for is no silence."""

    def __init__(self, after: float) -> None:
        self._after = after
        self.ends_at = asyncio.get_running_loop().time() + after

    def pause(self, until: float) -> None:
        self.ends_at = until + self._after

    def left(self) -> float:
        return max(self.ends_at - asyncio.get_running_loop().time(), 0.0)


async def hedge(first: Route, second: Route, ask: Ask, after: float, tried: Tried) -> Answered | None:
    """Ask one route, and a second one too once the first was silent for a while, or failed.

    Args:
        first: Who is asked first.
        second: Who is asked then.
        ask: What an attempt may know.
        after: How many seconds of silence are too many.
        tried: Gets each route that did not answer.

    Returns:
        The first answer that has content; the other attempt is closed by then. ``None`` where both failed for causes
        that leave hope for another route.

    Raises:
        BackstreamError: One of them failed for a cause that another route would not mend.
    """
    silence = _Silence(after)
    running: dict[_Task, Route] = {}

    def start(route: Route, ask: Ask) -> None:
        running[asyncio.ensure_future(route.open(ask))] = route

    start(first, msgspec.structs.replace(ask, on_wait=silence.pause))
    alone = True
    try:
        while running:
            await asyncio.wait(running, timeout=silence.left() if alone else None, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in running if each.done()]:
                answered = _take(task, running.pop(task), tried)
                if answered is not None:
                    tried += [(route, None) for route in running.values()]
                    return answered
            if alone and (not running or not silence.left()):
                alone = False
                start(second, ask)
    finally:
        await _leave(running)
    return None


def _take(task: _Task, route: Route, tried: Tried) -> Answered | None:
    try:
        return route, task.result()
    except BackstreamError as error:
        tried.append((route, error))
        if not cause_of(error).next:
            raise
        return None


async def _leave(tasks: Iterable[_Task]) -> None:
    """Cancel attempts, and close what they may still bring, also where waiting for that is cancelled."""
    left = list(tasks)
    for task in left:
        task.cancel()
        task.add_done_callback(_abort)
    if left:
        await asyncio.wait(left)
    for task in left:
        if not task.cancelled() and task.exception() is None:
            await task.result().aclose()


def _abort(task: _Task) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
