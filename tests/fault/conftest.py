"""Every fault is tried on asyncio's own loop and, where it is installed, on uvloop; nothing may stay open after it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import pytest_asyncio

from backstream.transport.pool import aclose_pools
from support_transport import no_leaks

__all__ = ["no_leaks", "nothing_left"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops on which every test here runs."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:  # there is none for this system
        return factories
    return {**factories, "uvloop": uvloop.new_event_loop}


def _descriptors() -> Counter[str]:
    """How many of each kind this process has open: files by their names, sockets, pipes, what a loop waits with."""
    found: Counter[str] = Counter()
    folder = "/proc/self/fd"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with contextlib.suppress(OSError):  # the one that the list was read with
            found[os.readlink(f"{folder}/{name}").partition(":[")[0]] += 1
    del found[os.devnull]  # libuv keeps one in reserve once it has listened
    return found


@pytest_asyncio.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a descriptor open; idle pooled connections are closed first."""
    tasks, opened = asyncio.all_tasks(), _descriptors()
    yield
    await aclose_pools()
    left_tasks: set[asyncio.Task[object]] = set()
    left: Counter[str] = Counter()
    for attempt in range(400):  # a connection left to its end is closed after a second
        for _ in range(5):
            await asyncio.sleep(0)
        left_tasks = {task for task in asyncio.all_tasks() - tasks if task is not asyncio.current_task()}
        left = _descriptors() - opened
        if not left and not left_tasks:
            return
        if attempt % 25 == 1:
            gc.collect()
        await asyncio.sleep(0.01)
    assert not left_tasks, f"tasks left: {left_tasks}"
    assert not left, f"descriptors left: {left}"
