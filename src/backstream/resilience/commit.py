"""The commit point: the first content of an answer. What comes before it is held, and given first."""

from __future__ import annotations

from collections.abc import Callable

from backstream.errors import BackstreamError, IncompleteStream
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, end_after, has_content

__all__ = ["CommittedSource", "commit"]


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
        BackstreamError: The answer failed, or ended incomplete, before any content; it is closed then.
    """
    held: Block = []
    try:
        while not has_content(held):
            block = await source.read_block()
            held += block
            if block and isinstance(end := block[-1], End):
                if end.state != "complete" and not has_content(held):
                    raise end.error or IncompleteStream("the provider ended without an answer")
                break
    except BaseException:  # also a cancelled caller must not leave the connection open
        await source.aclose()
        raise
    return CommittedSource(source, held)
