"""Clocks for answers without any of their own: what a provider makes of running out, and whose time counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream import AsyncResult, BetweenContentTimeout, Content, Deadlines, FirstContentTimeout, TotalTimeout
from backstream.providers.clocks import ClockedSource, Clocks, clocked_source_of
from backstream.providers.sources import IteratorSource
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")


def stubborn(how: str) -> Any:
    """Say one thing, wait for ever, and make something else of being stopped."""

    async def generate() -> AsyncIterator[Any]:
        try:
            yield Content(content="Hi")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "raises":
                raise ValueError("its own") from None
            if how == "goes on":
                yield Content(content="still here")

    return generate()


@pytest.mark.parametrize("how", ["returns", "goes on", "raises"])
@pytest.mark.parametrize(
    ("clocks", "error"),
    [(Deadlines(total=0.01), TotalTimeout), (Deadlines(between_content=0.01, total=30), BetweenContentTimeout)],
    ids=["total", "between_content"],
)
async def test_a_clock_that_ran_out_is_told_whatever_the_provider_makes_of_it(
    how: str, clocks: Deadlines, error: type[Exception]
) -> None:
    source = await clocked_source_of(stubborn(how), clocks)
    assert str((await source.read_block())[0]) == "Hi"
    with pytest.raises(error):
        await source.read_block()
    await source.aclose()


@pytest.mark.parametrize("how", ["gives", "raises"])
async def test_a_source_that_swallows_its_cancellation_swallows_no_clock(how: str) -> None:
    class Swallowing:
        name = "its own"

        async def read_block(self) -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if how == "raises":
                    raise ValueError("its own") from None
            return []

        def abort(self) -> None: ...

        async def aclose(self) -> None: ...

    source = ClockedSource(Swallowing(), Clocks(Deadlines(first_content=0.01)))
    assert source.name == "its own"
    with pytest.raises(FirstContentTimeout):
        await source.read_block()


async def test_waiting_for_an_awaitable_is_within_the_clocks() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(FirstContentTimeout):
        await clocked_source_of(never(), Deadlines(first_content=0.01))


async def test_a_slow_reader_is_not_taken_for_silence() -> None:
    async def generate() -> AsyncIterator[Any]:
        for word in ("a", "b"):
            yield Content(content=word)

    source = await clocked_source_of(generate(), Deadlines(first_content=0.01, between_content=0.01))
    for word in ("a", "b"):
        await asyncio.sleep(0.02)
        assert str((await source.read_block())[0]) == word
    await source.aclose()


async def test_what_has_clocks_of_its_own_or_needs_none_is_left_alone() -> None:
    inner = IteratorSource(stubborn("returns"))

    class Other:
        read_block, abort, aclose = inner.read_block, inner.abort, inner.aclose

    async def open_other() -> Any:
        return other

    other = Other()
    assert await clocked_source_of(AsyncResult(open_other), Deadlines(total=30)) is other
    assert isinstance(await clocked_source_of(stubborn("returns"), Deadlines()), IteratorSource)
