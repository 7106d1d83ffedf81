"""Answers of any provider as sources: generators that fail, say nothing, wait for ever, or are awaited first."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream import AsyncResult, Content, IncompleteStream, MisuseError, ProviderError, RateLimitError
from backstream.providers.sources import IteratorSource, source_of
from backstream.reply import End
from support_transport import no_leaks, settle

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


# --- scopes of the generator's own ------------------------------------------------------------------------------------


async def read_until_it_fails(source: Any) -> tuple[str, BaseException]:
    said = ""
    try:
        while True:
            said += "".join(str(chunk) for chunk in await source.read_block() if not isinstance(chunk, End))
    except (Exception, asyncio.CancelledError) as error:
        return said, error
    finally:
        await source.aclose()


async def test_a_clock_of_its_own_runs_across_its_chunks() -> None:
    async def generate() -> AsyncIterator[Any]:
        async with asyncio.timeout(0.01):
            yield "Hi"
            await asyncio.Event().wait()

    said, error = await read_until_it_fails(await source_of(generate()))
    assert (said, type(error)) == ("Hi", TimeoutError)


@pytest.mark.parametrize("scope", ["clock", "group"])
async def test_a_scope_of_its_own_ends_it_while_nobody_reads(scope: str) -> None:
    ended = asyncio.Event()

    async def fail() -> None:
        raise ValueError("the child's")

    async def generate() -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(0.01 if scope == "clock" else None), asyncio.TaskGroup() as group:
                if scope == "group":
                    group.create_task(fail())
                yield "Hi"
                yield "never wanted"
        finally:
            ended.set()

    source = await source_of(generate())
    assert str((await source.read_block())[0]) == "Hi"
    await ended.wait()
    said, error = await read_until_it_fails(source)
    assert (said, type(error)) == ("", TimeoutError if scope == "clock" else ExceptionGroup)


async def test_one_that_catches_its_own_clock_goes_on() -> None:
    caught = asyncio.Event()

    async def generate() -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(0.01):
                yield "slow "
                yield "never wanted"
        except TimeoutError:
            caught.set()
        yield "reader"

    source = await source_of(generate())
    first: list[Any] = await source.read_block()
    await caught.wait()
    chunks = [*first, *await blocks(source)]
    end = chunks.pop()
    assert ("".join(map(str, chunks)), end.state) == ("slow reader", "complete")


async def test_its_context_is_one_and_begins_as_the_readers() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def generate() -> AsyncIterator[Any]:
        yield variable.get()
        token = variable.set("its own")
        yield variable.get()
        variable.reset(token)

    variable.set("the reader's ")
    *chunks, _ = await blocks(await source_of(generate()))
    assert "".join(map(str, chunks)) == "the reader's its own"
    assert variable.get() == "the reader's "


async def test_it_makes_no_more_than_was_asked_for() -> None:
    made = 0

    async def generate() -> AsyncIterator[Any]:
        nonlocal made
        while True:
            made += 1
            yield "more"

    source = await source_of(generate())
    for _ in range(3):
        await source.read_block()
        await settle()
    assert made == 3
    await source.aclose()


# --- cancellations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit])
async def test_a_cancellation_nobody_asked_for_is_a_failure(kind: type[BaseException]) -> None:
    async def generate() -> AsyncIterator[Any]:
        yield "Hi"
        raise kind

    source = await source_of(generate())
    await source.read_block()
    with pytest.raises(ProviderError, match=rf"^the provider failed \({kind.__name__}\)$"):
        await source.read_block()
    (end,) = await source.read_block()
    assert isinstance(end, End)
    assert end.state == "failed"
    await source.aclose()


async def test_an_awaitable_that_cancels_itself_failed() -> None:
    async def later() -> AsyncIterator[Any]:
        raise asyncio.CancelledError

    with pytest.raises(ProviderError, match="CancelledError"):
        await source_of(later())


async def test_cancelling_whoever_awaits_an_awaitable_is_no_failure() -> None:
    opening = asyncio.ensure_future(source_of(asyncio.get_running_loop().create_future()))
    await settle()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


@pytest.mark.parametrize("how", ["returns", "goes on", "raises"])
async def test_the_readers_cancellation_comes_through(how: str) -> None:
    waits = asyncio.Event()

    async def generate() -> AsyncIterator[Any]:
        try:
            yield "Hi"
            waits.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "raises":
                raise ValueError("its own") from None
            if how == "goes on":
                yield "still here"

    source = await source_of(generate())
    await source.read_block()
    reading = asyncio.ensure_future(source.read_block())
    await waits.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(asyncio.CancelledError):
        await source.read_block()


async def test_one_that_swallows_the_end_of_its_loop_is_closed_by_it() -> None:
    closed: list[str] = []

    async def generate() -> AsyncIterator[Any]:
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    yield "still here"
        finally:
            closed.append("closed")

    held: list[Any] = []

    async def leave() -> None:
        held.append(await source_of(generate()))
        await held[0].read_block()

    await asyncio.to_thread(asyncio.run, leave())
    assert closed == ["closed"]
    held[0].abort()  # its loop is gone


class Counted:
    """An iterator that is no generator, and counts how often it is closed."""

    closed = 0

    def __aiter__(self) -> Counted:
        return self

    async def __anext__(self) -> str:
        return "Hi"

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("reads", [0, 1])
async def test_whatever_can_be_closed_is_closed_once(reads: int) -> None:
    items = Counted()
    source = await source_of(items)
    for _ in range(reads):
        await source.read_block()
    await source.aclose()
    await source.aclose()
    assert items.closed == 1


async def test_an_iterator_that_is_no_generator_is_cancelled_while_nobody_reads() -> None:
    items = Counted()
    held: list[Any] = []

    async def leave() -> None:
        held.append(await source_of(items))
        await held[0].read_block()

    await asyncio.to_thread(asyncio.run, leave())
    assert items.closed == 1


async def test_what_is_no_iterator_is_told() -> None:
    source = await source_of(5)
    with pytest.raises(MisuseError, match="gave a int"):
        await source.read_block()
    await source.aclose()


async def test_the_last_word_stays() -> None:
    source = await source_of(saying("Hi"))
    await source.read_block()
    assert await source.read_block() == await source.read_block()
    await source.aclose()
