"""Answers of any provider as sources: generators that fail, say nothing, wait for ever, or are awaited first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream import AsyncResult, Content, IncompleteStream, RateLimitError
from backstream.providers.sources import IteratorSource, source_of
from backstream.reply import End
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")


class Waiting:
    """A generator that says one thing, then waits for ever, and notes that it was closed."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.closed = asyncio.Event()

    async def generate(self) -> AsyncIterator[Any]:
        try:
            yield "Hi"
            self.waits.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def saying(*chunks: Any) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


async def blocks(source: Any) -> list[Any]:
    found: list[Any] = []
    while not (found and isinstance(found[-1], End)):
        found += await source.read_block()
    await source.aclose()
    return found


async def test_a_generator_that_returns_has_answered_whole() -> None:
    *chunks, end = await blocks(await source_of(saying("Hi ", Content(content="you"))))
    assert "".join(map(str, chunks)) == "Hi you"
    assert end.state == "complete"


async def test_a_generator_that_says_nothing_failed() -> None:
    (end,) = await blocks(await source_of(saying()))
    assert end.state == "failed"
    assert isinstance(end.error, IncompleteStream)


async def test_an_awaitable_is_awaited_first() -> None:
    async def later() -> AsyncIterator[Any]:
        return saying("Hi")

    assert str((await blocks(await source_of(later())))[0]) == "Hi"


async def test_a_result_is_opened_not_iterated() -> None:
    inner = IteratorSource(saying("Hi"))

    async def open_source() -> IteratorSource:
        return inner

    assert await source_of(AsyncResult(open_source)) is inner
    await inner.aclose()


async def test_an_error_of_the_generator_is_raised_and_leaves_nothing() -> None:
    async def refused() -> AsyncIterator[Any]:
        yield "Hi"
        raise RateLimitError("slow down", status=429)

    source = await source_of(refused())
    assert str((await source.read_block())[0]) == "Hi"
    with pytest.raises(RateLimitError):
        await source.read_block()
    await source.aclose()


@pytest.mark.parametrize("how", ["abort", "aclose", "cancel"])
async def test_a_generator_that_waits_is_stopped(how: str) -> None:
    waiting = Waiting()
    source = await source_of(waiting.generate())
    assert str((await source.read_block())[0]) == "Hi"
    reading = asyncio.ensure_future(source.read_block())
    await waiting.waits.wait()
    if how == "abort":
        await asyncio.to_thread(source.abort)
    elif how == "aclose":
        await source.aclose()
    else:
        reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert waiting.closed.is_set()
    source.abort()  # nothing is being read
    await source.aclose()
