"""Answers of any provider as sources of blocks: how the client reads them, whatever they were made by."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator
from typing import Any

from backstream.chunks import RawResponse
from backstream.errors import IncompleteStream
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
        result = await result
    if isinstance(result, AsyncResult):
        return await result.open_source()
    return IteratorSource(blocks_of(result))


class IteratorSource:
    """An answer that comes from an asynchronous generator; a :class:`backstream.providers.result.BlockSource`.

    A provider that just returns has answered whole, if it said anything: its own code is the word for done.
    """

    __slots__ = ("_blocks", "_reading", "_said")

    def __init__(self, blocks: AsyncGenerator[list[RawResponse], None]) -> None:
        self._blocks = blocks
        self._reading: asyncio.Task[list[RawResponse]] | None = None
        self._said = False

    async def read_block(self) -> Block:
        """Return the next block; the last one is an ``End``."""
        self._reading = asyncio.ensure_future(_next(self._blocks))
        try:
            block: Block = list(await self._reading)
        except asyncio.CancelledError:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
            raise
        finally:
            self._reading = None
        if block:
            self._said = True
            return block
        if self._said:
            return [End("complete", ("returned",))]
        return [End("failed", ("returned",), IncompleteStream("the provider's answer is empty"))]

    def abort(self) -> None:
        """Stop the generator, from any thread; it is closed by its event loop."""
        reading = self._reading
        if reading is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                reading.get_loop().call_soon_threadsafe(reading.cancel)

    async def aclose(self) -> None:
        """Close the generator."""
        reading = self._reading
        if reading is not None:
            reading.cancel()
            await asyncio.wait((reading,))
        await self._blocks.aclose()


async def _next(blocks: AsyncGenerator[list[RawResponse], None]) -> list[RawResponse]:
    async for block in blocks:
        return block
    return []
