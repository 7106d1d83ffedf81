"""Limits of a route on this side: slots in order, given back whatever happens, fewer when the route complains."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from backstream.chunks import Content, Start
from backstream.errors import DisconnectedError, RateLimitError, TotalTimeout
from backstream.reply import End
from backstream.resilience.limit import Limit, Window
from backstream.resilience.route import Ask, route_of
from support_routes import PlayedRoute, Sleeps, never, read, says, text_of
from support_transport import settle

NOW = Ask()


def limit(route: PlayedRoute, window: Window, most: int | None = 1) -> Limit:
    return Limit(route, window, max_concurrent=most)


async def test_without_a_limit_any_number_runs_and_is_counted() -> None:
    window, route = Window(), PlayedRoute("a/prefix", says("Hi"))
    wrapped = limit(route, window, None)
    assert (wrapped.name, wrapped.takes_prefix) == ("a/prefix", True)
    sources = [await wrapped.open(NOW) for _ in range(5)]
    assert (window.running, window.allowed) == (5, None)
    assert route_of(sources[0]) == "a/prefix"
    assert sources[0].service == "told beside"  # type: ignore[attr-defined]
    assert not hasattr(sources[0], "relay")
    for source in sources:
        assert await text_of(source) == "Hi"
    assert window.running == 0


async def test_callers_are_served_in_their_order() -> None:
    window, served = Window(), []
    wrapped = limit(PlayedRoute("a/m", says("Hi")), window)

    async def call(number: int) -> None:
        source = await wrapped.open(NOW)
        served.append(number)
        await settle()
        assert window.running == 1
        await read(source)

    await asyncio.gather(*(call(number) for number in range(4)))
    assert served == [0, 1, 2, 3]
    assert window.running == 0


async def test_a_slot_comes_back_however_an_answer_is_left() -> None:
    broken = DisconnectedError("cut")
    for script in (says("Hi"), [broken], [[End("failed", ("x",), broken)]]):
        window = Window()
        source = await limit(PlayedRoute("a/m", script), window).open(NOW)
        try:
            while not isinstance((await source.read_block())[-1], End):
                pass
        except DisconnectedError:
            pass
        assert window.running == 0  # before anybody closed it
        await source.aclose()
        await source.aclose()
        source.abort()
        assert window.running == 0


async def test_a_slot_comes_back_when_an_answer_is_closed_aborted_or_lost() -> None:
    window = Window()
    wrapped = limit(PlayedRoute("a/m", says("Hi")), window, 9)
    closed, aborted, aborted_elsewhere, lost = [await wrapped.open(NOW) for _ in range(4)]
    await closed.aclose()
    assert window.running == 3
    aborted.abort()
    thread = threading.Thread(target=aborted_elsewhere.abort)
    thread.start()
    thread.join()
    await settle()
    assert window.running == 1
    del lost
    gc.collect()
    await settle()
    assert window.running == 0


async def test_a_slot_comes_back_when_the_route_fails_or_is_left() -> None:
    window = Window()
    route = PlayedRoute("a/m", DisconnectedError("no"), never())
    with pytest.raises(DisconnectedError):
        await limit(route, window).open(NOW)
    assert window.running == 0
    task = asyncio.ensure_future(limit(route, window).open(NOW))
    await settle()
    assert window.running == 1
    task.cancel()
    await asyncio.wait([task])
    assert (window.running, route.left) == (0, 1)


async def test_who_leaves_the_queue_neither_keeps_a_place_nor_a_slot() -> None:
    window = Window()
    wrapped = limit(PlayedRoute("a/m", says("Hi")), window)
    first = await wrapped.open(NOW)
    waiting, granted, last = (asyncio.ensure_future(wrapped.open(NOW)) for _ in range(3))
    await settle()
    waiting.cancel()
    await settle()
    await first.aclose()  # gives the slot to the second in the queue,
    granted.cancel()  # who leaves before it could run
    source = await last
    assert window.running == 1
    await source.aclose()
    assert window.running == 0


def test_who_waited_in_a_loop_that_is_closed_is_passed_over() -> None:
    window = Window()
    loop = asyncio.new_event_loop()
    here = loop.run_until_complete(window.acquire(1))
    waiting = loop.create_task(window.acquire(1))
    loop.run_until_complete(settle())
    loop.close()
    here.give_back()
    assert window.running == 0
    with pytest.raises(GeneratorExit):
        waiting.get_coro().throw(GeneratorExit)  # as the collector would
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    assert window.running == 0


def test_an_answer_that_outlives_its_loop_gives_its_slot_back() -> None:
    window = Window()

    async def take() -> object:
        return await limit(PlayedRoute("a/m", says("Hi")), window).open(NOW)

    source = asyncio.run(take())
    assert window.running == 1
    del source
    gc.collect()
    assert window.running == 0


async def test_waiting_for_a_slot_is_inside_the_whole_time() -> None:
    window = Window()
    wrapped = limit(PlayedRoute("a/m", says("Hi")), window)
    source = await wrapped.open(NOW)
    loop = asyncio.get_running_loop()
    with pytest.raises(TotalTimeout, match="within 9 s") as caught:
        await wrapped.open(Ask(ends_at=loop.time() + 0.01, total_seconds=9))
    assert not caught.value.request_sent
    await source.aclose()
    again = await wrapped.open(Ask(ends_at=loop.time() + 9, total_seconds=9))
    await again.aclose()
    assert window.running == 0


# --- how many: less on 429 and when it becomes slow, more when it goes well ---


async def good(wrapped: Limit, times: int) -> None:
    for _ in range(times):
        await read(await wrapped.open(NOW))


async def test_a_429_halves_and_good_answers_add_one() -> None:
    window = Window()
    refused = RateLimitError("slow down", status=429)
    wrapped = limit(PlayedRoute("a/m", refused, [[Start(), End("failed", ("e",), refused)]], says("Hi")), window, 8)
    with pytest.raises(RateLimitError):
        await wrapped.open(NOW)
    assert window.allowed == 4
    with pytest.raises(RateLimitError):
        await read(await wrapped.open(NOW))
    assert window.allowed == 2
    await good(wrapped, 2)
    assert window.allowed == 3
    await good(wrapped, 3 + 4 + 5 + 6 + 7 + 20)
    assert window.allowed == 8


async def test_one_wave_of_429_halves_once_and_never_below_one() -> None:
    window = Window()
    loop = asyncio.get_running_loop()
    await window.acquire(8)
    began_at = loop.time()
    for _ in range(8):
        window.note_refusal(began_at, began_at + 1)
    assert window.allowed == 4
    for late in range(2, 9):
        window.note_refusal(began_at + late, began_at + late)
    assert window.allowed == 1


async def test_twice_the_usual_time_to_first_content_takes_a_tenth() -> None:
    window = Window()
    await window.acquire(10)
    for number in range(10):
        window.note_content(100.0 + number, 101.0 + number)
    assert window.allowed == 10
    window.note_content(200.0, 201.9)
    assert window.allowed == 10
    window.note_content(300.0, 303.0)
    assert window.allowed == 9
    window.note_content(301.0, 309.0)  # began before that was known
    assert window.allowed == 9


async def test_without_a_limit_nothing_adapts() -> None:
    window = Window()
    wrapped = limit(PlayedRoute("a/m", RateLimitError("no", status=429), says("Hi")), window, None)
    with pytest.raises(RateLimitError):
        await wrapped.open(NOW)
    await good(wrapped, 20)
    assert window.allowed is None


async def test_more_room_wakes_who_waits() -> None:
    window = Window()
    wrapped = limit(PlayedRoute("a/m", RateLimitError("no", status=429), says("Hi")), window, 2)
    with pytest.raises(RateLimitError):
        await wrapped.open(NOW)
    assert window.allowed == 1
    source = await wrapped.open(NOW)
    waiting = asyncio.ensure_future(wrapped.open(NOW))
    await settle()
    assert not waiting.done()
    assert await source.read_block() == [Content(content="Hi")]  # a good answer adds one, while it still runs
    other = await waiting
    assert window.running == 2
    await source.aclose()
    await other.aclose()


# --- how many in a minute ---


async def test_requests_over_the_rate_wait_for_their_minute() -> None:
    sleeps, window = Sleeps(), Window()
    wrapped = Limit(PlayedRoute("a/m", says("Hi")), window, requests_per_minute=2, sleep=sleeps)
    for _ in range(4):
        await read(await wrapped.open(NOW))
    assert len(sleeps.seconds) == 2
    assert all(59 < seconds <= 60 for seconds in sleeps.seconds)


async def test_a_wait_past_the_end_of_the_call_is_not_begun() -> None:
    sleeps, window = Sleeps(), Window()
    route = PlayedRoute("a/m", says("Hi"))
    wrapped = Limit(route, window, requests_per_minute=1, sleep=sleeps)
    await read(await wrapped.open(NOW))
    soon = asyncio.get_running_loop().time() + 20
    for ask in (Ask(ends_at=soon, total_seconds=20), Ask(leaves_at=soon)):
        with pytest.raises(RateLimitError, match="route a/m may begin 1 requests a minute") as caught:
            await wrapped.open(ask)
        assert caught.value.retry_after_seconds is not None
        assert 59 < caught.value.retry_after_seconds <= 60
        assert (caught.value.request_sent, caught.value.phase) == (False, "connect")
    assert (sleeps.seconds, len(route.asks)) == ([], 1)


async def test_who_leaves_while_waiting_takes_nobodys_place() -> None:
    window = Window()
    route = PlayedRoute("a/m", says("Hi"))
    await read(await Limit(route, window, requests_per_minute=1).open(NOW))
    waiting = asyncio.ensure_future(Limit(route, window, requests_per_minute=1).open(NOW))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    sleeps = Sleeps()
    await read(await Limit(route, window, requests_per_minute=1, sleep=sleeps).open(NOW))
    assert len(sleeps.seconds) == 1
    assert sleeps.seconds[0] <= 60
