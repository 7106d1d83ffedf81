"""A provider given to the application, as clients of the backend-api ask it: with all that makes an answer survive.

It gets what the client sent, as it was sent. What it tells before its first content is passed on at once, also of an
attempt that then fails and is made again. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from backstream.chunks import RawResponse
from backstream.dialects.base import Dialect
from backstream.errors import IncompleteStream
from backstream.options import CallOptions, Deadlines
from backstream.providers.clocks import clocked_source_of
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, has_content
from backstream.request import Request, TextPart
from backstream.resilience.continuation import messages_with_begin
from backstream.server.backends import BackEnd, render_options
from backstream.server.catalog import Entry

__all__ = ["GivenAnswer", "GivenBackEnd"]

News = Callable[[list[RawResponse]], Awaitable[object]]
"""Passes on what a provider tells before its first content."""


class GivenBackEnd(BackEnd):
    """A provider of the application, asked as a client of the backend-api asks.

    Args:
        entry: The provider.
        model: The model, as the provider names it.
        messages: The conversation, as the client sent it.
        keywords: What else the provider is asked with.
        is_known: See :class:`BackEnd`.

    Attributes:
        tell: Takes what comes before the first content; ``None`` where that stands in the answer.
    """

    __slots__ = ("_keywords", "_messages", "tell")

    def __init__(self, entry: Entry, model: str, messages: Any, keywords: Mapping[str, Any], *, is_known: bool) -> None:
        super().__init__(entry.name, entry.provider, model, is_known=is_known)
        self._messages = messages
        self._keywords = keywords
        self.tell: News | None = None

    @property
    def takes_prefix(self) -> bool:
        """Whether the model goes on with the begin of an answer, and the conversation does not end with one."""
        return super().takes_prefix and bool(self._messages) and self._messages[-1].get("role") != "assistant"

    async def open(
        self, request: Request, client: Dialect | None = None, options: CallOptions | None = None
    ) -> BlockSource:
        """Ask the provider.

        Args:
            request: Stands for what the client sent; its turns, if any, are the begin of the answer.
            client: Nothing of the provider's is passed on as it came.
            options: The local options of the call, for providers that take such.

        Raises:
            Exception: Whatever the provider's code does.
        """
        begin = "".join(part.text for turn in request.turns for part in turn.parts if isinstance(part, TextPart))
        messages = messages_with_begin([{**each} for each in self._messages], begin)  # it may add to its own list
        local = render_options(self.provider, options)
        result = self.provider.create_async_generator(self.model, messages, **self._keywords, **local)
        clocks = Deadlines() if options is None else options.deadlines
        return _Telling(await clocked_source_of(result, clocks), self)


class GivenAnswer:
    """What such a provider answers.

    Args:
        given: The provider.
        back_end: The same, with all that makes an answer survive.
        request: Stands for what the client sent.
        options: The local options of the call.
    """

    def __init__(self, given: GivenBackEnd, back_end: BackEnd, request: Request, options: CallOptions | None) -> None:
        self._given = given
        self._back_end = back_end
        self._request = request
        self._options = options

    async def blocks(self) -> AsyncGenerator[list[RawResponse], None]:
        """Ask, and read the answer; nothing of it is kept.

        Yields:
            Lists of chunks, never empty.

        Raises:
            BackstreamError: There is no answer, or it broke off.
        """
        news: asyncio.Queue[list[RawResponse]] = asyncio.Queue(1)  # a client that reads slowly is waited for
        self._given.tell = news.put
        opening = asyncio.ensure_future(self._back_end.open(self._request, None, self._options))
        try:
            async for block in _until(opening, news):
                yield block
            self._given.tell = None
            source = await opening
            end: End | None = None
            while end is None:
                read = await source.read_block()
                if read and isinstance(last := read[-1], End):
                    end = last
                    read = read[:-1]
                if read:
                    yield read  # type: ignore[misc] # the only End was taken off
            if end.state != "complete":
                raise end.error or IncompleteStream("the answer was cut off")
        finally:
            opening.cancel()
            if not opening.done():
                await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                opening.result().abort()  # this task may be cancelled once more while it waits
                await opening.result().aclose()


async def _until(
    opening: asyncio.Task[BlockSource], news: asyncio.Queue[list[RawResponse]]
) -> AsyncGenerator[list[RawResponse], None]:
    """Give what is told while an answer is asked for."""
    while True:
        getting = asyncio.ensure_future(news.get())
        try:
            await asyncio.wait([opening, getting], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                return
            yield getting.result()
        finally:
            getting.cancel()
            await asyncio.wait([getting])


class _Telling:
    """An answer whose begin is told as it comes; a :class:`backstream.providers.result.BlockSource`."""

    __slots__ = ("_given", "_source")

    def __init__(self, source: BlockSource, given: GivenBackEnd) -> None:
        self._source = source
        self._given = given

    async def read_block(self) -> Block:
        block = await self._source.read_block()
        tell = self._given.tell
        if tell is None or not block or has_content(block):
            return block
        last = block[-1]
        told = [chunk for chunk in block if not isinstance(chunk, End)]
        if isinstance(last, End) and last.state == "complete":
            return block
        if told:
            await tell(told)
        return [last] if isinstance(last, End) else []

    def abort(self) -> None:
        self._source.abort()

    async def aclose(self) -> None:
        await self._source.aclose()
