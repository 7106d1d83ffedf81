"""The same streams without ``async``: for scripts and notebooks, also inside a running event loop.

One event loop per process runs in a daemon thread, started when first needed. It hands over blocks, not items, through
a bounded queue, so that a slow consumer slows the back-end down instead of filling memory.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, Final, TypeVar, cast

from backstream.errors import MisuseError
from backstream.providers.result import AsyncResult

__all__ = ["run", "sync_iter"]

T = TypeVar("T")

_QUEUED_BLOCKS: Final = 16
_END: Final = object()


class _Background:
    """The event loop of this process's synchronous callers, in a daemon thread."""

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="backstream-sync", daemon=True)
        self.thread.start()
        atexit.register(self.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._wind_up())
        finally:
            self.loop.close()

    async def _wind_up(self) -> None:
        tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Not the default executor: its threads ended before this runs, and waiting for them would need a new one, which
        # an ending interpreter refuses (3.12).
        await self.loop.shutdown_asyncgens()

    def stop(self) -> None:
        """Close every connection of the loop, and the loop."""
        if self.process_id == os.getpid() and self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(timeout=5)


_lock = threading.Lock()
_background: _Background | None = None


def _loop() -> asyncio.AbstractEventLoop:
    global _background  # noqa: PLW0603 - one per process, by design
    with _lock:
        if _background is None or _background.process_id != os.getpid() or _background.loop.is_closed():
            _background = _Background()  # also after a fork: the parent's thread does not exist in the child
        if _background.thread is threading.current_thread():
            raise MisuseError("synchronous calls cannot be made within the loop that serves them; use async for")
        return _background.loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result.

    Args:
        coroutine: What to run.

    Returns:
        Its result.

    Raises:
        MisuseError: Called in the background loop itself, which would wait for itself for ever.
        Exception: Whatever the coroutine raises.
    """
    try:
        loop = _loop()
    except MisuseError:
        coroutine.close()
        raise
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:  # above all Ctrl-C, which must not leave the coroutine running
        future.cancel()
        raise


def sync_iter(iterable: AsyncIterable[T] | Awaitable[AsyncIterable[T]]) -> Iterator[T]:
    """Iterate over an asynchronous iterable without ``async``.

    Works with or without a running event loop (which it blocks, as any synchronous call does). Leaving the loop early,
    by ``break`` or by an exception, closes the iterable and its connection; so does Ctrl-C.

    Args:
        iterable: What ``create_async_generator`` gave, or any other asynchronous iterable not yet started.

    Yields:
        Its items.

    Raises:
        MisuseError: Called in the background loop itself, by a callback such as ``on_progress``.
        Exception: Whatever iterating raises.
    """
    loop = _loop()
    handed_over: queue.SimpleQueue[object] = queue.SimpleQueue()
    free = asyncio.Semaphore(_QUEUED_BLOCKS)
    pump = asyncio.run_coroutine_threadsafe(_pump(iterable, handed_over, free), loop)
    try:
        while (block := handed_over.get()) is not _END:
            loop.call_soon_threadsafe(free.release)
            yield from cast("list[T]", block)
        pump.result()
    finally:
        if not pump.done():
            pump.cancel()
            while handed_over.get() is not _END:  # comes once the source is closed
                pass


async def _pump(iterable: object, handed_over: queue.SimpleQueue[object], free: asyncio.Semaphore) -> None:
    try:
        async with aclosing(_blocks(iterable)) as blocks:
            async for block in blocks:
                await free.acquire()
                handed_over.put(block)
    finally:
        handed_over.put(_END)


async def _blocks(iterable: object) -> AsyncGenerator[list[object], None]:
    if isinstance(iterable, AsyncResult):
        async with iterable, aclosing(iterable.blocks()) as blocks:
            async for block in blocks:
                yield cast("list[object]", block)
        return
    if not hasattr(iterable, "__aiter__"):
        iterable = await cast("Awaitable[object]", iterable)
    iterator = aiter(cast("AsyncIterable[object]", iterable))
    try:
        async for item in iterator:
            yield [item]
    finally:
        aclose = cast("Callable[[], Awaitable[None]] | None", getattr(iterator, "aclose", None))
        if aclose is not None:
            await aclose()
