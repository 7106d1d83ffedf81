"""The edge of a stream: where blocks of chunks become the chunks a caller iterates over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from backstream.chunks import RawResponse
from backstream.errors import BackstreamError, IncompleteStream, MisuseError, ProviderError
from backstream.reply import Block, End, Service, advice_for, end_after, fold, join_deltas, judged
from backstream.request.receipts import Receipt

__all__ = ["AsyncResult", "BlockSource"]

_KEPT_CHUNKS = 10_000  # joining as many takes some milliseconds


class BlockSource(Protocol):
    """A running answer, block by block."""

    async def read_block(self) -> Block:
        """Return what has arrived since, waiting for something; the last item of the last block is an ``End``.

        Raises:
            ProviderError: The back-end, or the way to it, failed.
        """
        ...

    def abort(self) -> None:
        """Close the connection now, from any thread; harmless when repeated."""
        ...

    async def aclose(self) -> None:
        """Close the connection and wait until it is; harmless when repeated."""
        ...


class AsyncResult(AsyncIterator[RawResponse]):
    """An answer, as an asynchronous iterator of chunks.

    Use it at once in ``async for``, or ``await`` it first: awaiting gives the same object and does nothing else. The
    request goes out with the first iteration.

    ``break`` closes the connection at once where nothing else holds the iterator. Where a name holds it, write
    ``async with``, or call :meth:`aclose`; otherwise it is closed when it is collected. Cancelling the task that
    iterates closes it too. Leaving it while another task waits for its next chunk ends that task's loop, without an
    error; ``end`` tells.

    Attributes:
        end: How the stream ended; ``None`` while it runs.

    Raises (while iterating):
        CallerError: Media could not be read, or a setting cannot work.
        ProviderError: The back-end, or the way to it, failed; ``received`` on it holds the chunks before it (of more
            than 10,000, neighbouring pieces of text are joined).
        IncompleteStream: The answer was cut off, after every chunk that had arrived was delivered.
        MisuseError: Two tasks iterate over it at once, or it was begun in another event loop.
    """

    __slots__ = (
        "__weakref__",
        "_joined",
        "_kept",
        "_loop",
        "_loose",
        "_open",
        "_opening",
        "_reading",
        "_ready",
        "_source",
        "end",
    )

    def __init__(self, open_source: Callable[[], Awaitable[BlockSource]]) -> None:
        self._open = open_source
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[BlockSource] | None = None
        self._source: BlockSource | None = None
        self._ready: Iterator[RawResponse] = iter(())
        self._reading = False
        self._kept: list[Sequence[RawResponse]] = []
        self._joined = 0
        self._loose = 0
        self.end: End | None = None

    def __await__(self) -> Generator[Any, Any, AsyncResult]:
        return self._itself().__await__()

    async def _itself(self) -> AsyncResult:
        return self

    def __aiter__(self) -> AsyncResult:
        return self

    async def __anext__(self) -> RawResponse:
        for chunk in self._ready:
            return chunk
        self._ready = iter(await self._next_block())
        return next(self._ready)

    async def blocks(self) -> AsyncGenerator[list[RawResponse], None]:
        """Iterate over blocks instead of chunks: what each read of the socket brought. Never empty."""
        while True:
            try:
                block = await self._next_block()
            except StopAsyncIteration:
                return
            yield block

    async def _next_block(self) -> list[RawResponse]:
        """Return the next chunks; raise how the stream ended once there are none."""
        if self._reading:
            raise MisuseError("this answer is already being iterated over")
        self._reading = True
        try:
            while self.end is None:
                if self._loop is not None and self._loop is not asyncio.get_running_loop():
                    raise MisuseError("this answer was begun in another event loop")
                try:
                    source = self._source or await self._start()
                    block = await source.read_block() if self.end is None else []  # type: ignore[redundant-expr]
                except BaseException as error:
                    if self._is_to_be_raised(error):
                        raise
                    continue
                if self.end is not None:  # left by another task meanwhile
                    source.abort()  # type: ignore[unreachable] # not for whoever knows of awaits
                elif self._keep(block):
                    return block  # type: ignore[return-value] # the only End was taken off
        finally:
            self._reading = False
        await self._close()
        await self._settle()
        failure, self.end = self.end.error, _told(self.end)
        if failure is None:
            raise StopAsyncIteration
        raise self._describe(failure)

    async def _settle(self) -> None:
        """Do what is to be done once the answer is over."""

    def _is_to_be_raised(self, error: BaseException) -> bool:
        """Note what went wrong while reading; tell whether it is for the reader at once, not an end of the answer."""
        if isinstance(error, BackstreamError):
            self.end = self.end or end_after(error, received=any(self._kept))
            return False
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if self.end is not None and task is not None and not task.cancelling():
                return False  # another task left the answer while it was being opened; this one goes on
        elif isinstance(error, Exception):  # a provider's own fault
            self.end = self.end or End("failed", (type(error).__name__,), advice="mend the provider")
        self.abort()  # the socket must not outlive whatever this is
        return True

    def _keep(self, block: Block) -> bool:
        """Take the end off a block and keep its chunks; tell whether there are any."""
        if not block:
            return False
        if type(block[-1]) is End:
            self.end = judged(block.pop(), received=bool(block) or any(self._kept))  # type: ignore[arg-type]
        self._kept.append(block)  # type: ignore[arg-type]
        self._loose += len(block)
        if self._loose > _KEPT_CHUNKS:
            self._join_kept()
        return bool(block)

    def _join_kept(self) -> None:
        """Keep what came last in less room: a chunk takes some twenty times as much as its text."""
        loose = [chunk for block in self._kept[self._joined :] for chunk in block]
        self._kept[self._joined :] = [join_deltas(loose)]
        self._joined += 1
        self._loose = 0

    async def _start(self) -> BlockSource:
        """Open the source in a task of its own, which leaving the answer can stop without stopping the reader."""
        self._loop = asyncio.get_running_loop()
        self._opening = self._loop.create_task(self._open_source())
        try:
            return await self._opening
        finally:
            self._opening = None

    async def _open_source(self) -> BlockSource:
        self._source = source = await self._open()
        return source

    async def open_source(self) -> BlockSource:
        """Open the answer for a wrapper that reads it itself; this object is spent by that.

        Raises:
            MisuseError: The answer was begun already.
            BackstreamError: It could not be opened.
        """
        if self.end is not None or self._loop is not None:
            raise MisuseError("this answer was begun already")
        self.end = End("cancelled", ("handed over",))
        return await self._open()

    def _is_at_home(self) -> bool:
        return self._loop is asyncio.get_running_loop()

    def _describe(self, error: BackstreamError) -> BackstreamError:
        """Put on an error what had arrived before it."""
        if isinstance(error, ProviderError):
            error.left = "" if self.end is None else self.end.state
            error.received = tuple(chunk for block in self._kept for chunk in block)
            reply = fold(error.received)
            error.usage = reply.usage
            if isinstance(error, IncompleteStream):
                error.text = reply.text
        return error

    def abort(self) -> None:
        """Close the connection now, without waiting; for callers that cannot await, in any thread."""
        self._ready = iter(())
        self.end = self.end or End("cancelled")
        if self._source is not None:
            self._source.abort()
        elif (opening := self._opening) is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                opening.get_loop().call_soon_threadsafe(opening.cancel)

    async def _close(self) -> None:
        if not self._is_at_home():
            self.abort()
        elif self._source is not None:
            await self._source.aclose()
        elif (opening := self._opening) is not None:
            opening.cancel()
            await asyncio.wait((opening,))

    async def aclose(self) -> None:
        """Leave the answer and close its connection. Harmless when repeated, or after the end."""
        self._ready = iter(())
        self.end = self.end or End("cancelled")
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        source = getattr(self, "_source", None)
        if source is not None:
            source.abort()

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What became of each parameter of the request; ``()`` before the answer began, or where nobody tells."""
        return getattr(self._source, "receipts", ())

    @property
    def service(self) -> Service | None:
        """What the back-end's service said beside the answer; ``None`` before it began, or where nobody tells."""
        return getattr(self._source, "service", None)

    def __repr__(self) -> str:
        state = self.end.state if self.end else ("running" if self._source is not None else "not started")
        return f"<{type(self).__name__} {state}>"


def _told(end: End) -> End:
    """The end once its error was raised: asking again just finds the stream over."""
    return End(end.state, end.evidence, advice=end.advice if end.error is None else advice_for(end.error))
