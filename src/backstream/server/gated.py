"""The first-chunk gate: what comes before the first content is held back, so that a failure can still be a status."""

from __future__ import annotations

from collections.abc import Callable

from backstream.dialects.base import Dialect
from backstream.dialects.relay import FrameRelay
from backstream.errors import BackstreamError, ProviderError
from backstream.options import CallOptions
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, end_after
from backstream.request import Request
from backstream.resilience.commit import read_begin
from backstream.server.backends import BackEnd, with_own_keys

__all__ = ["GatedAnswer"]


class GatedAnswer:
    """One provider's answer, behind the gate.

    Args:
        back_end: Who answers.
        request: What is asked.
        client: The client's dialect, where frames of the same dialect may be passed on.
        options: The local options of the call.

    Attributes:
        held: What came before the gate opened; the last item may be the ``End``.
        relay: What keeps the provider's frames, where they are to be passed on; from the gate's opening on.
    """

    def __init__(
        self,
        back_end: BackEnd,
        request: Request,
        client: Dialect | None = None,
        options: CallOptions | None = None,
    ) -> None:
        self._back_end = back_end
        self._request = request
        self._client = client
        self._options = options
        self.relay: FrameRelay | None = None
        self._source: BlockSource | None = None
        self.held: Block = []

    async def wait(self) -> None:
        """Wait for the first real content, or for the end.

        Raises:
            BackstreamError: The answer failed before any.
        """
        with with_own_keys(self._back_end.name):
            await self._wait()

    async def _wait(self) -> None:
        self._source = await self._back_end.open(self._request, self._client, self._options)
        self.relay = getattr(self._source, "relay", None)
        await read_begin(self._source, self.held)

    async def read_block(self) -> Block:
        """Return the next block; what was held first. An error becomes an ``End``."""
        if self.held:
            block, self.held = self.held, []
            return block
        assert self._source is not None
        try:
            return await self._source.read_block()
        except BackstreamError as error:
            return [end_after(error)]
        except Exception as error:  # noqa: BLE001 - a provider's code: what it raises is told by its name alone
            name = type(error).__name__
            return [End("failed", (name,), ProviderError(f"the provider failed ({name})"))]

    async def pump(self, take: Callable[[Block], bool]) -> None:
        """Give blocks to ``take`` as they arrive, where the provider can; :meth:`read_block` goes on from there."""
        pump = getattr(self._source, "pump", None)
        if pump is not None and not self.held:
            await pump(take)

    def abort(self) -> None:
        """Close the provider's answer now."""
        if self._source is not None:
            self._source.abort()

    async def aclose(self) -> None:
        """Close the provider's answer."""
        if self._source is not None:
            await self._source.aclose()
