"""Answers of any provider as sources of blocks: how they are read, whatever they were made by. Knows no clock."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import Any

from backstream.errors import IncompleteStream, ProviderError
from backstream.providers.base import blocks_of
from backstream.providers.result import AsyncResult, BlockSource
from backstream.reply import Block, End

__all__ = ["IteratorSource", "source_of"]


async def source_of(result: Any) -> BlockSource:
    """Open what ``create_async_generator`` gave.

    Args:
        result: An :class:`AsyncResult`, which is spent by this; any other asynchronous iterator, or an awaitable.

    Raises:
        BackstreamError: It could not be opened.
    """
    if inspect.isawaitable(result) and not isinstance(result, AsyncResult):
        try:
            result = await result
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _failure(error) from error  # nobody cancelled whoever asks
    if isinstance(result, AsyncResult):
        return await result.open_source()
    return IteratorSource(result)


class IteratorSource:
    """An answer that comes from an asynchronous generator; a :class:`backstream.providers.result.BlockSource`.

    The generator runs in one task from its begin to its end, so that its own clocks, task groups and context variables
    hold from one chunk to the next: in the context of whoever reads first, and no further than was asked for.
    One that just returns has answered whole, if it said anything: its own code is the word for done.

    Args:
        result: An asynchronous iterator of chunks, dicts or text.
    """

    __slots__ = ("_items", "_left", "_made", "_task", "_wanted")

    def __init__(self, result: Any) -> None:
        self._wanted = asyncio.Semaphore(0)
        self._items = _Items(result, self._wanted)
        self._made: asyncio.Queue[Block | End | BaseException] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._left = False

    async def read_block(self) -> Block:
        """Return the next block; the last one is an ``End``.

        Raises:
            ProviderError: The provider was cancelled, or closed, by its own doing.
            CancelledError: The reader is cancelled, or the answer was left.
            Exception: Whatever the provider's code does.
        """
        if self._left:
            raise asyncio.CancelledError
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
            if self._left:  # by another thread, which saw no task
                self._cancel(self._task)  # type: ignore[unreachable] # not for whoever knows of threads
        self._wanted.release()
        try:
            made = await self._made.get()
        except asyncio.CancelledError:  # it comes through, whatever the provider makes of its own
            await self.aclose()
            raise
        if self._left:
            raise asyncio.CancelledError
        if isinstance(made, End):
            self._made.put_nowait(made)
            return [made]
        if not isinstance(made, BaseException):
            return made
        self._made.put_nowait(End("failed", (type(made).__name__,)))
        try:
            if isinstance(made, asyncio.CancelledError | GeneratorExit):
                raise _failure(made) from made
            raise made
        finally:
            del made  # its traceback holds this frame

    async def _run(self) -> None:
        said = False
        try:
            async with contextlib.aclosing(blocks_of(self._items.given)) as blocks:
                async for block in blocks:
                    said = True
                    self._made.put_nowait(list(block))
                    if self._left:  # it went on although it was cancelled
                        return
            error = None if said else IncompleteStream("the provider's answer is empty")
            self._made.put_nowait(End("failed" if error else "complete", ("returned",), error))
        except BaseException as error:  # noqa: BLE001 - a task's edge: whoever reads gets it
            self._made.put_nowait(error)

    def abort(self) -> None:
        """Stop the generator, from any thread; it is closed by its event loop."""
        if self._left:  # a second cancellation would interrupt how it closes
            return
        self._left = self._items.left = True
        if self._task is not None:
            self._cancel(self._task)

    @staticmethod
    def _cancel(task: asyncio.Task[None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed
            task.get_loop().call_soon_threadsafe(task.cancel)  # not before it has begun, so that it ends as it should

    async def aclose(self) -> None:
        """Stop the generator, and wait until it is closed."""
        self.abort()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        await self._items.aclose()  # one that was never begun


class _Items:
    """What a provider makes, as it is wanted.

    Attributes:
        given: What to iterate over: this, or what is no iterator, for whoever says so.
        left: Whether nobody wants more.
    """

    __slots__ = ("_closed", "_items", "_wanted", "given", "left")

    def __init__(self, result: Any, wanted: asyncio.Semaphore) -> None:
        self._items = result
        self._wanted = wanted
        self._closed = False
        self.given: object = self if hasattr(result, "__aiter__") else result
        self.left = False

    def __aiter__(self) -> _Items:
        self._items = aiter(self._items)
        return self

    async def __anext__(self) -> object:
        try:
            await self._wanted.acquire()
        except asyncio.CancelledError as cancelled:
            throw = getattr(self._items, "athrow", None)
            if self.left or throw is None:
                raise
            item = await throw(cancelled)  # by a clock or a task group which the generator is within, as a rule
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it was not, and nothing else will end this
                raise
            return item
        return await anext(self._items)

    async def aclose(self) -> None:
        """Close it, once."""
        aclose = getattr(self._items, "aclose", None)
        if aclose is not None and not self._closed:
            self._closed = True
            await aclose()


def _failure(error: BaseException) -> ProviderError:
    return ProviderError(f"the provider failed ({type(error).__name__})")
