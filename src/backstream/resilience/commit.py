"""The commit point: the first content of an answer. What comes before it is held, and given first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from backstream.chunks import RawResponse
from backstream.errors import BackstreamError, IncompleteStream, TooLargeError
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, end_after, has_content

__all__ = ["MOST_HELD_BYTES", "MOST_HELD_CHUNKS", "CommittedSource", "commit", "read_begin"]

MOST_HELD_CHUNKS: Final = 65_536
"""How much of an answer is held before its first content."""

MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""And how much in bytes, written as JSON."""


class CommittedSource:
    """An answer that has begun to say something; a :class:`backstream.providers.result.BlockSource`.

    Args:
        source: The answer.
        held: What has been read of it.

    Attributes:
        on_end: Called once with how it ended, in case it does: an answer that its reader leaves has no end.
    """

    __slots__ = ("_held", "_source", "on_end")

    def __init__(self, source: BlockSource, held: Block) -> None:
        self.on_end: Callable[[End], object] | None = None
        self._source = source
        self._held = held

    def __getattr__(self, name: str) -> object:
        """Give what the answer tells beside its blocks: ``receipts``, ``service``, ``relay``."""
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        """Return what was held, then what comes."""
        if self._held:
            block, self._held = self._held, []
        else:
            try:
                block = await self._source.read_block()
            except BackstreamError as error:
                self._tell(end_after(error))
                raise
        if block and type(end := block[-1]) is End:
            self._tell(end)
        return block

    def _tell(self, end: End) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(end)

    async def pump(self, take: Callable[[Block], bool]) -> None:
        """Give blocks to ``take`` as they arrive; see :meth:`backstream.providers.http_provider.HTTPSource.pump`."""
        pump = getattr(self._source, "pump", None)
        if pump is not None and not self._held:
            await pump(take)

    def abort(self) -> None:
        """Close the connection now, from any thread."""
        self._source.abort()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._source.aclose()


async def commit(source: BlockSource) -> CommittedSource:
    """Wait for the first content of an answer, or for its end.

    Raises:
        BackstreamError: As :func:`read_begin`; the answer is closed then.
    """
    held: Block = []
    try:
        await read_begin(source, held)
    except BaseException:  # also a cancelled caller must not leave the connection open
        await source.aclose()
        raise
    return CommittedSource(source, held)


async def read_begin(source: BlockSource, held: Block) -> None:
    """Read an answer up to its first content, or to its end.

    Args:
        source: The answer.
        held: Takes what has been read.

    Raises:
        TooLargeError: It goes on and on without content.
        BackstreamError: It failed, or ended incomplete, before any.
    """
    size = 0
    while True:
        block = await source.read_block()
        held += block
        if has_content(block):
            return
        if block and isinstance(end := block[-1], End):
            if end.state != "complete":
                raise end.error or IncompleteStream("the provider ended without an answer")
            return
        if len(held) > MOST_HELD_CHUNKS:
            raise TooLargeError("what came before the first content", MOST_HELD_CHUNKS, unit="chunks")
        size += sum(map(_size_of, block))
        if size > MOST_HELD_BYTES:
            raise TooLargeError("what came before the first content", MOST_HELD_BYTES)


def _size_of(chunk: object) -> int:
    members = chunk.get_dict() if isinstance(chunk, RawResponse) else {}
    return len(msgspec.json.encode(members, enc_hook=repr))
