"""Hedging: the second route is asked when the first is silent, the first to speak is kept, the other one closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstream.chunks import Content, Start, Switched
from backstream.errors import BackstreamError, ContentRefusedError, RateLimitError, UnavailableError
from backstream.resilience.fallback import Fallback
from backstream.resilience.retry import Budget, Retry
from backstream.resilience.route import Ask
from support_routes import PlayedRoute, never, read, says, text_of
from support_transport import settle

NOW = Ask()


def hedged(*routes: PlayedRoute, after: float = 0.01, **changes: Any) -> Fallback:
    return Fallback([Retry(route, Budget(), retries=0) for route in routes], hedge_after=after, **changes)


def down(text: str = "down") -> UnavailableError:
    return UnavailableError(text, status=503, phase="headers")


async def test_a_route_that_speaks_in_time_is_alone() -> None:
    first, second = PlayedRoute("a/m", says("Hi")), PlayedRoute("b/m", says("no"))
    assert await read(await hedged(first, second, after=30).open(NOW)) == [Content(content="Hi")]
    assert second.asks == []


async def test_the_second_to_begin_may_be_the_first_to_speak() -> None:
    first, second = PlayedRoute("a/m", [[Start()], never()]), PlayedRoute("b/m", says("Hi"))
    source = await hedged(first, second).open(NOW)
    assert first.sources[0].closed >= 1  # before the answer is given
    assert await read(source) == [
        Switched(from_="a/m", to="b/m", why="silence", kept="all"),
        Content(content="Hi"),
    ]


async def test_the_first_may_still_be_the_first_to_speak() -> None:
    gate = asyncio.Event()
    second = PlayedRoute("b/m", [[Start()], never()])
    first = PlayedRoute("a/m", gate, says("Hi"))
    task = asyncio.ensure_future(hedged(first, second).open(NOW))
    while not second.sources:
        await asyncio.sleep(0.001)
    gate.set()
    assert await read(await task) == [Content(content="Hi")]
    assert second.sources[0].closed >= 1


async def test_where_both_speak_at_once_the_preferred_one_is_kept() -> None:
    gate = asyncio.Event()
    first, second = PlayedRoute("a/m", gate, says("Hi")), PlayedRoute("b/m", gate, says("no"))
    asked = Fallback([first, second], hedge_after=0.001)
    task = asyncio.ensure_future(asked.open(NOW))
    while not second.asks:
        await asyncio.sleep(0.001)
    await settle()
    gate.set()
    assert await text_of(await task) == "Hi"
    assert second.sources[0].closed == 1
    await settle()
    assert second.sources[0].aborted == 1


async def test_a_failure_of_the_first_asks_the_second_at_once() -> None:
    first, second = PlayedRoute("a/m", down()), PlayedRoute("b/m", says("Hi"))
    chunks = await read(await hedged(first, second, after=30).open(NOW))
    assert chunks[0] == Switched(from_="a/m", to="b/m", why="UnavailableError", kept="all")


async def test_a_failure_of_the_second_leaves_the_first_alone() -> None:
    gate = asyncio.Event()
    first, second = PlayedRoute("a/m", gate, says("Hi")), PlayedRoute("b/m", down())
    task = asyncio.ensure_future(hedged(first, second, after=0.001).open(NOW))
    while not second.asks:
        await asyncio.sleep(0.001)
    await settle()
    gate.set()
    assert await read(await task) == [Content(content="Hi")]


async def test_where_both_fail_the_next_one_is_asked_or_the_preferred_ones_error_told() -> None:
    def pair() -> tuple[PlayedRoute, PlayedRoute]:
        gate = asyncio.Event()
        asyncio.get_running_loop().call_later(0.03, gate.set)
        return PlayedRoute("a/m", gate, down("first")), PlayedRoute("b/m", RateLimitError("second", status=429))

    chunks = await read(await hedged(*pair(), PlayedRoute("c/m", says("Hi")), after=0.001).open(NOW))
    assert chunks[:2] == [
        Switched(from_="a/m", to="b/m", why="UnavailableError", kept="all"),
        Switched(from_="b/m", to="c/m", why="RateLimitError", kept="all"),
    ]
    with pytest.raises(UnavailableError, match="first") as caught:
        await hedged(*pair(), after=0.001).open(NOW)
    assert caught.value.attempts == (("a/m", "UnavailableError"), ("b/m", "RateLimitError"))


async def test_a_refusal_ends_both() -> None:
    first = PlayedRoute("a/m", [[Start()], never()])
    second = PlayedRoute("b/m", ContentRefusedError("no", status=400))
    with pytest.raises(ContentRefusedError):
        await hedged(first, second).open(NOW)
    assert first.sources[0].closed >= 1


async def test_two_silent_ones_are_left_together_and_never_more_than_two_run() -> None:
    silent: list[str] = []
    routes = [PlayedRoute("a/m", [[Start()], never()]), PlayedRoute("b/m", never()), PlayedRoute("c/m", says("Hi"))]
    asked = hedged(*routes, after=0.001, switch_after=0.03, on_silence=lambda name, _: silent.append(name))
    chunks = await read(await asked.open(NOW))
    assert [chunk.to for chunk in chunks if isinstance(chunk, Switched)] == ["b/m", "c/m"]
    assert routes[0].sources[0].closed >= 1
    assert routes[1].left == 1
    assert silent == ["a/m", "b/m"]


async def test_one_that_failed_is_not_silent_too() -> None:
    silent: list[str] = []
    routes = [PlayedRoute("a/m", never()), PlayedRoute("b/m", down()), PlayedRoute("c/m", says("Hi"))]
    await read(
        await hedged(*routes, after=0.001, switch_after=0.03, on_silence=lambda name, _: silent.append(name)).open(NOW)
    )
    assert silent == ["a/m"]


async def test_one_that_was_asked_late_has_its_own_time() -> None:
    gate = asyncio.Event()
    silent: list[str] = []

    def note(name: str, ask: Ask) -> None:
        silent.append(name)
        gate.set()

    first, second = PlayedRoute("a/m", [[Start()], never()]), PlayedRoute("b/m", gate, says("Hi"))
    third = PlayedRoute("c/m", says("no"))
    asked = hedged(first, second, third, after=0.045, switch_after=0.05, on_silence=note)
    assert await read(await asked.open(NOW)) == [
        Switched(from_="a/m", to="b/m", why="silence", kept="all"),
        Content(content="Hi"),
    ]
    assert (silent, len(second.asks), second.left, third.asks) == (["a/m"], 1, 0, [])
    assert first.sources[0].closed >= 1
    ends = [route.asks[0].leaves_at for route in (first, second)]
    assert None not in ends
    assert ends[0] < ends[1]  # type: ignore[operator]


async def test_one_that_was_not_asked_yet_is_the_next() -> None:
    """The first one's wait puts off asking the second until after the first is left."""
    silent: list[str] = []

    async def wait(seconds: float) -> None:
        await asyncio.Event().wait()

    slow = RateLimitError("slow", status=429, retry_after_seconds=0.02)
    first, second, third = PlayedRoute("a/m", slow), PlayedRoute("b/m", says("Hi")), PlayedRoute("c/m", says("no"))
    asked = Fallback(
        [Retry(first, Budget(), sleep=wait, random=lambda: 0.0), second, third],
        hedge_after=0.04,
        switch_after=0.05,
        on_silence=lambda name, _: silent.append(name),
    )
    assert await text_of(await asked.open(NOW)) == "Hi"
    assert (silent, len(first.asks), len(second.asks), third.asks) == (["a/m"], 1, 1, [])


@pytest.mark.parametrize("after", [0.01, 30])
async def test_where_the_first_is_left_before_nothing_is_asked_beside_it(after: float) -> None:
    silent: list[str] = []
    for more in ([], [PlayedRoute("c/m", says("no"))]):
        first, second = PlayedRoute("a/m", never()), PlayedRoute("b/m", says("Hi"))
        asked = hedged(
            first, second, *more, after=after, switch_after=0.01, on_silence=lambda name, _: silent.append(name)
        )
        assert await text_of(await asked.open(NOW)) == "Hi"
        assert first.left == 1
    assert silent == ["a/m", "a/m"]


async def test_neither_of_the_last_two_is_left() -> None:
    gate = asyncio.Event()
    silent: list[str] = []
    first, second = PlayedRoute("a/m", gate, says("Hi")), PlayedRoute("b/m", never())
    asked = hedged(first, second, after=0.001, switch_after=0.002, on_silence=lambda name, _: silent.append(name))
    asyncio.get_running_loop().call_later(0.03, gate.set)
    assert await text_of(await asked.open(NOW)) == "Hi"
    assert (silent, first.asks[0].leaves_at, len(second.asks)) == ([], None, 1)


async def test_a_wait_that_was_asked_for_is_no_silence() -> None:
    """The first route asks for patience, then answers; the second would have been asked long before."""
    gate = asyncio.Event()
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await gate.wait()

    first = PlayedRoute("a/m", RateLimitError("slow", status=429, retry_after_seconds=5.0), says("Hi"))
    second = PlayedRoute("b/m", says("no"))
    asked = Fallback([Retry(first, Budget(), sleep=wait, random=lambda: 0.0), second], hedge_after=0.02)
    task = asyncio.ensure_future(asked.open(NOW))
    await asyncio.sleep(0.045)
    assert second.asks == []
    gate.set()
    assert await read(await task) == [Content(content="Hi")]
    assert waits == [5.0]


async def test_a_wait_of_our_own_is_silence() -> None:
    gate = asyncio.Event()

    async def wait(seconds: float) -> None:
        await gate.wait()

    first, second = PlayedRoute("a/m", down(), says("no")), PlayedRoute("b/m", says("Hi"))
    asked = Fallback([Retry(first, Budget(), sleep=wait), second], hedge_after=0.01)
    assert await text_of(await asked.open(NOW)) == "Hi"


async def test_who_leaves_leaves_neither() -> None:
    routes = [PlayedRoute(name, [[Start()], never()]) for name in ("a/m", "b/m")]
    task = asyncio.ensure_future(hedged(*routes, after=0.001).open(NOW))
    while not all(route.sources for route in routes):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [route.sources[0].closed for route in routes] == [1, 1]


async def test_a_loser_that_answers_while_it_is_left_is_closed_too() -> None:
    class Stubborn(PlayedRoute):
        async def open(self, ask: Ask) -> Any:
            self.asks.append(ask)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self._scripts = [says("late")]
                return await self._play()

    stubborn = Stubborn("a/m", never())
    asked = Fallback([stubborn, PlayedRoute("b/m", says("Hi"))], hedge_after=0.001)
    source = await asked.open(NOW)
    assert stubborn.sources[0].closed == 1
    await source.aclose()


async def test_an_error_of_ours_in_a_loser_is_nobodys() -> None:
    class Odd(PlayedRoute):
        async def open(self, ask: Ask) -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise BackstreamError("left") from None

    asked = Fallback([Odd("a/m", never()), PlayedRoute("b/m", says("Hi"))], hedge_after=0.001)
    assert await text_of(await asked.open(NOW)) == "Hi"


async def test_hedging_needs_a_second_route() -> None:
    assert await text_of(await hedged(PlayedRoute("a/m", says("Hi"))).open(NOW)) == "Hi"
