"""Two routes for one call: the second is asked when the first is silent, and the first to speak is kept.

Each of them has its own time until it is left for its silence. Knows nothing of the routes after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from backstream.errors import BackstreamError
from backstream.providers.result import BlockSource
from backstream.resilience.causes import cause_of
from backstream.resilience.route import Ask, Route

__all__ = ["Answered", "OnSilence", "Tried", "ask_until", "hedge"]

Tried: TypeAlias = "list[tuple[Route, BackstreamError | None]]"
"""The routes that did not answer, each with its error; ``None`` for silence."""

Answered: TypeAlias = tuple[Route, BlockSource]
"""The route that answers, and its answer."""

OnSilence: TypeAlias = Callable[[str, Ask], object]
"""Takes the name of a route that was left for its silence, and what it was given to know."""

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


def ask_until(ask: Ask, switch_after: float) -> Ask:
    """Return what an attempt may know that begins now, and is left after some seconds of silence."""
    leaves_at = asyncio.get_running_loop().time() + switch_after
    return msgspec.structs.replace(ask, leaves_at=leaves_at if ask.leaves_at is None else min(leaves_at, ask.leaves_at))


async def hedge(
    first: Route,
    second: Route,
    ask: Ask,
    after: float,
    tried: Tried,
    *,
    switch_after: float | None,
    on_silence: OnSilence,
) -> Answered | None:
    """Ask one route, and a second one too once the first was silent for a while, failed, or was left.

    Args:
        first: Who is asked first.
        second: Who is asked then.
        ask: What an attempt may know.
        after: How many seconds of silence are too many.
        tried: Gets each route that did not answer.
        switch_after: After how many seconds of silence, from its own begin, each of them is left; ``None`` for never.
        on_silence: Called for each that was left.

    Returns:
        The first answer that has content; the other attempt is closed by then. ``None`` where both failed for causes
        that leave hope for another route, or were left.

    Raises:
        BackstreamError: One of them failed for a cause that another route would not mend.
    """
    silence = _Silence(after)
    running: dict[_Task, tuple[Route, Ask]] = {}

    def start(route: Route, ask: Ask) -> None:
        own = ask if switch_after is None else ask_until(ask, switch_after)
        running[asyncio.ensure_future(route.open(own))] = route, own

    start(first, msgspec.structs.replace(ask, on_wait=silence.pause))
    alone = True
    try:
        while running:
            ends = [] if switch_after is None else [own.leaves_at for _, own in running.values()]
            await _wait(running, [*ends, silence.ends_at if alone else None])
            for task in [each for each in running if each.done()]:
                answered = _take(task, running.pop(task)[0], tried)
                if answered is not None:
                    tried += [(route, None) for route, _ in running.values()]
                    return answered
            if switch_after is not None and (silent := _silent(running)):
                await _leave(silent)
                for route, own in [running.pop(task) for task in silent]:
                    tried.append((route, None))
                    on_silence(route.name, own)
            if alone and (not running or not silence.left()):
                alone = False
                start(second, ask)
    finally:
        await _leave(running)
    return None


async def _wait(tasks: Iterable[_Task], ends: Iterable[float | None]) -> None:
    """Wait for a task, at most until the first of some times."""
    first = min((end for end in ends if end is not None), default=None)
    left = None if first is None else max(first - asyncio.get_running_loop().time(), 0.0)
    await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _silent(running: dict[_Task, tuple[Route, Ask]]) -> list[_Task]:
    """Return the attempts whose time is over."""
    now = asyncio.get_running_loop().time()
    return [task for task, (_, own) in running.items() if own.leaves_at is not None and own.leaves_at <= now]


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
