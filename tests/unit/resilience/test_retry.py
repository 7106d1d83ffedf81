"""Asking the same route again: when, how often, after how long, and when not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstream.chunks import Content, Start
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    BackstreamError,
    ConnectError,
    ContentRefusedError,
    DecodeError,
    DisconnectedError,
    FirstContentTimeout,
    HeadersTimeout,
    IncompleteStream,
    InvalidRequestError,
    PaymentError,
    RateLimitError,
    TLSError,
    UnavailableError,
)
from backstream.reply import End
from backstream.resilience.retry import Budget, Retry
from backstream.resilience.route import Ask
from support_routes import COMPLETE, PlayedRoute, Sleeps, never, read, says, text_of
from support_transport import settle

DOWN = UnavailableError("down", status=503, phase="headers")
NOW = Ask()


def retry(route: PlayedRoute, sleeps: Sleeps | None = None, *, budget: Budget | None = None, **changes: Any) -> Retry:
    settings: dict[str, Any] = {"sleep": sleeps or Sleeps(), "random": lambda: 1.0, **changes}
    return Retry(route, budget or Budget(), **settings)


@pytest.mark.parametrize(
    "error",
    [
        ConnectError("no"),
        DisconnectedError("reset"),
        DOWN,
        RateLimitError("slow", status=429),
        UnavailableError("overloaded", status=529),
        UnavailableError("conflict", status=409),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_pass_is_asked_again_twice(error: BackstreamError) -> None:
    sleeps = Sleeps()
    route = PlayedRoute("a/prefix", error, error, says("Hi"))
    wrapped = retry(route, sleeps)
    assert (wrapped.name, wrapped.takes_prefix) == ("a/prefix", True)
    assert await text_of(await wrapped.open(NOW)) == "Hi"
    assert sleeps.seconds == [0.5, 1.0]
    always = PlayedRoute("a/m", error)
    with pytest.raises(type(error)):
        await retry(always).open(NOW)
    assert len(always.asks) == 3


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("bad"),
        BackendRequestError("bad", status=400),
        ContentRefusedError("no", status=400),
        AuthenticationError("no", status=401),
        PaymentError("no", status=402),
        TLSError("certificate"),
        HeadersTimeout(1),
        FirstContentTimeout(1),
        DecodeError("no JSON"),
        IncompleteStream("nothing came"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_will_not_pass_is_not_asked_again(error: BackstreamError) -> None:
    sleeps, budget = Sleeps(), Budget()
    for script in (error, [[Start()], error], [[End("failed", ("e",), error)]]):
        route = PlayedRoute("a/m", script)  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            await retry(route, sleeps, budget=budget).open(NOW)
        assert len(route.asks) == 1
    assert (sleeps.seconds, budget.tokens) == ([], 10.0)


async def test_an_error_inside_the_stream_counts_until_there_is_content() -> None:
    route = PlayedRoute("a/m", [[Start(id="1")], [End("failed", ("event",), DOWN)]], says("Hi"))
    assert await text_of(await retry(route).open(NOW)) == "Hi"
    assert [source.closed for source in route.sources] == [1, 1]
    begun = PlayedRoute("a/m", [[Start(id="1")], [Content(content="H")], [End("failed", ("event",), DOWN)]])
    source = await retry(begun).open(NOW)
    with pytest.raises(UnavailableError):
        await read(source)
    assert len(begun.asks) == 1


async def test_what_came_before_the_content_is_given_first() -> None:
    route = PlayedRoute("a/m", [[], [Start(id="1")], [Content(content="Hi")], [COMPLETE]])
    source = await retry(route).open(NOW)
    assert await source.read_block() == [Start(id="1"), Content(content="Hi")]
    assert source.service == "told beside"  # type: ignore[attr-defined]
    assert await source.read_block() == [COMPLETE]
    source.abort()
    assert route.sources[0].aborted == 1
    await source.aclose()


async def test_a_complete_answer_without_content_is_an_answer() -> None:
    source = await retry(PlayedRoute("a/m", says())).open(NOW)
    assert await read(source) == []
    with pytest.raises(IncompleteStream, match="without an answer"):
        await retry(PlayedRoute("a/m", [[End("incomplete", ("eof",))]])).open(NOW)


async def test_none_may_be_asked_for() -> None:
    route = PlayedRoute("a/m", DOWN)
    with pytest.raises(UnavailableError):
        await retry(route, retries=0).open(NOW)
    assert len(route.asks) == 1


# --- how long ---


async def test_waits_double_by_chance_up_to_eight_seconds() -> None:
    sleeps = Sleeps()
    chances = iter([0.0, 0.5, 1.0, 0.25, 1.0, 1.0, 1.0])
    route = PlayedRoute("a/m", *[ConnectError("no")] * 7, says("Hi"))
    budget = Budget()
    budget.tokens = 100.0
    await read(await retry(route, sleeps, budget=budget, retries=9, random=lambda: next(chances)).open(NOW))
    assert sleeps.seconds == [0.0, 0.5, 2.0, 1.0, 8.0, 8.0, 8.0]


async def test_what_the_back_end_asks_for_is_the_least() -> None:
    for chance in (0.0, 1.0):
        sleeps = Sleeps()
        route = PlayedRoute("a/m", RateLimitError("slow", status=429, retry_after_seconds=3.0), says("Hi"))
        await read(await retry(route, sleeps, random=lambda chance=chance: chance).open(NOW))
        assert sleeps.seconds == [3.0 + 0.5 * chance]


@pytest.mark.parametrize("field", ["ends_at", "leaves_at"])
async def test_a_wait_past_the_end_is_not_begun(field: str) -> None:
    sleeps = Sleeps()
    slow = RateLimitError("slow", status=429, retry_after_seconds=3.0)
    now = asyncio.get_running_loop().time()
    route = PlayedRoute("a/m", slow)
    with pytest.raises(RateLimitError) as caught:
        await retry(route, sleeps).open(Ask(**{field: now + 3.2}))
    assert caught.value is slow
    assert (sleeps.seconds, len(route.asks)) == ([], 1)
    route = PlayedRoute("a/m", slow, says("Hi"))
    await read(await retry(route, sleeps).open(Ask(**{field: now + 9})))
    assert sleeps.seconds == [3.5]


async def test_more_patience_than_a_minute_is_the_callers_to_have() -> None:
    sleeps = Sleeps()
    slow = [RateLimitError("slow", status=429, retry_after_seconds=seconds) for seconds in (60.0, 60.5, 86400.0)]
    await read(await retry(PlayedRoute("a/m", slow[0], says("Hi")), sleeps).open(NOW))
    assert sleeps.seconds == [60.5]
    for error in slow[1:]:
        with pytest.raises(RateLimitError):
            await retry(PlayedRoute("a/m", error, says("Hi")), sleeps).open(NOW)
    assert sleeps.seconds == [60.5]


async def test_only_a_wait_that_was_asked_for_is_told() -> None:
    told: list[float] = []
    route = PlayedRoute("a/m", DOWN, RateLimitError("slow", status=429, retry_after_seconds=3.0), says("Hi"))
    now = asyncio.get_running_loop().time()
    await read(await retry(route).open(Ask(on_wait=told.append)))
    assert len(told) == 1
    assert told[0] >= now + 4.0


# --- the budget ---


async def test_an_outage_is_not_multiplied() -> None:
    budget, route = Budget(), PlayedRoute("a/m", DOWN)
    for _ in range(20):
        with pytest.raises(UnavailableError):
            await retry(route, budget=budget).open(NOW)
    assert len(route.asks) == 20 + 3  # three times again, until half of the budget was spent
    assert not budget.allows
    well = PlayedRoute("a/m", says("Hi"))
    for _ in range(200):
        await read(await retry(well, budget=budget).open(NOW))
    assert budget.allows
    assert budget.tokens == 10.0


async def test_a_limit_on_this_side_costs_nothing() -> None:
    ours = RateLimitError("not yet", retry_after_seconds=1.0, phase="connect")
    ours.request_sent = False
    budget = Budget()
    await read(await retry(PlayedRoute("a/m", ours, says("Hi")), budget=budget).open(NOW))
    assert budget.tokens == 10.0


# --- leaving ---


async def test_who_leaves_while_it_waits_leaves_nothing() -> None:
    route = PlayedRoute("a/m", RateLimitError("slow", status=429, retry_after_seconds=30.0))
    task = asyncio.ensure_future(Retry(route, Budget()).open(NOW))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(route.asks) == 1


async def test_who_leaves_before_the_first_content_closes_the_answer() -> None:
    route = PlayedRoute("a/m", [[Start()], never()])
    task = asyncio.ensure_future(retry(route).open(NOW))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert route.sources[0].closed == 1
