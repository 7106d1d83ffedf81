"""The next route: after which errors, after how much silence, and what the caller is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstream.chunks import Content, ProviderInfo, Start, Switched
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    BackstreamError,
    ContentRefusedError,
    ModelNotFoundError,
    RateLimitError,
    TLSError,
    TotalTimeout,
    UnavailableError,
)
from backstream.resilience.breaker import Breaker, BreakerState
from backstream.resilience.fallback import Fallback
from backstream.resilience.retry import Budget, Retry
from backstream.resilience.route import Ask
from support_routes import COMPLETE, PlayedRoute, never, read, says, text_of
from support_transport import settle

DOWN = UnavailableError("down", status=503, phase="headers")
REFUSED = AuthenticationError("bad key", status=401, phase="headers")
NOW = Ask()


def fallback(*routes: Any, switch_after: float | None = 10.0, **changes: Any) -> Fallback:
    return Fallback([Retry(route, Budget(), retries=0) for route in routes], switch_after=switch_after, **changes)


async def test_the_first_route_that_answers_is_given_as_it_is() -> None:
    first, second = PlayedRoute("a/prefix", says("Hi")), PlayedRoute("b/m", says("no"))
    asked = fallback(first, second)
    assert (asked.name, asked.takes_prefix) == ("a/prefix", True)
    assert [route.name for route in asked.routes] == ["a/prefix", "b/m"]
    assert await read(await asked.open(NOW)) == [Content(content="Hi")]
    assert second.asks == []


@pytest.mark.parametrize(
    "error",
    [DOWN, REFUSED, ModelNotFoundError("no", status=404), TLSError("bad"), RateLimitError("slow", status=429)],
    ids=lambda error: type(error).__name__,
)
async def test_the_next_one_is_asked_where_it_may_do_better(error: BackstreamError) -> None:
    answer = [[Start(model="real")], [ProviderInfo(provider={"name": "B"})], [Content(content="Hi")], [COMPLETE]]
    source = await fallback(PlayedRoute("a/m", error), PlayedRoute("b/m", answer)).open(NOW)
    assert await source.read_block() == [Switched(from_="a/m", to="b/m", why=type(error).__name__, kept="all")]
    assert source.service == "told beside"  # type: ignore[attr-defined]
    assert await read(source) == [Start(model="real"), ProviderInfo(provider={"name": "B"}), Content(content="Hi")]


@pytest.mark.parametrize(
    "error",
    [BackendRequestError("bad", status=400), ContentRefusedError("no", status=400), TotalTimeout(1)],
    ids=lambda error: type(error).__name__,
)
async def test_what_no_other_would_mend_is_told(error: BackstreamError) -> None:
    second = PlayedRoute("b/m", says("Hi"))
    with pytest.raises(type(error)) as caught:
        await fallback(PlayedRoute("a/m", error), second).open(NOW)
    assert caught.value is error
    assert (second.asks, error.attempts) == ([], ())


async def test_each_step_is_told() -> None:
    routes = [PlayedRoute("a/m", DOWN), PlayedRoute("b/m", REFUSED), PlayedRoute("c/m", says("Hi"))]
    chunks = await read(await fallback(*routes).open(NOW))
    assert chunks == [
        Switched(from_="a/m", to="b/m", why="UnavailableError", kept="all"),
        Switched(from_="b/m", to="c/m", why="AuthenticationError", kept="all"),
        Content(content="Hi"),
    ]


async def test_an_answer_that_has_begun_is_never_left() -> None:
    second = PlayedRoute("b/m", says("no"))
    first = PlayedRoute("a/m", [[Content(content="H")], UnavailableError("cut")])
    with pytest.raises(UnavailableError):
        await read(await fallback(first, second).open(NOW))
    assert second.asks == []


async def test_no_second_route_and_no_rest() -> None:
    asked = fallback(*(PlayedRoute(name, says(name)) for name in ("a", "b", "c")))
    rest = asked.after("a")
    assert rest is not None
    assert [route.name for route in rest.routes] == ["b", "c"]
    assert await text_of(await rest.open(NOW)) == "b"
    assert asked.after("c") is None
    assert asked.after("x") is None


# --- when all fail ---


async def test_the_preferred_route_tells_why_and_the_others_are_named() -> None:
    first, second = UnavailableError("down", status=503), AuthenticationError("bad key", status=401)
    with pytest.raises(UnavailableError) as caught:
        await fallback(PlayedRoute("a/m", first), PlayedRoute("b/m", second)).open(NOW)
    assert caught.value is first
    assert first.attempts == (("a/m", "UnavailableError"), ("b/m", "AuthenticationError"))
    assert first.__notes__ == ["also tried b/m: AuthenticationError: bad key (401)"]


async def test_a_route_that_only_rests_tells_less_than_one_that_was_asked() -> None:
    state = BreakerState()
    state.note_failure(1, 1e12)
    resting = Breaker(PlayedRoute("a/m", says("Hi")), state)
    error = AuthenticationError("bad key", status=401)
    with pytest.raises(AuthenticationError) as caught:
        await Fallback([resting, PlayedRoute("b/m", error)]).open(NOW)
    assert caught.value.attempts == (("a/m", "UnavailableError"), ("b/m", "AuthenticationError"))
    with pytest.raises(UnavailableError, match="route a/m is resting"):
        await Fallback([resting, resting]).open(NOW)


async def test_a_refusal_of_a_later_route_is_told_with_all() -> None:
    error = ContentRefusedError("no", status=400)
    with pytest.raises(ContentRefusedError) as caught:
        await fallback(PlayedRoute("a/m", DOWN), PlayedRoute("b/m", error), PlayedRoute("c/m", says("x"))).open(NOW)
    assert caught.value.attempts == (("a/m", "UnavailableError"), ("b/m", "ContentRefusedError"))


# --- silence ---


async def test_a_silent_route_is_closed_and_then_the_next_one_is_asked() -> None:
    order: list[str] = []
    silent: list[str] = []

    class Told(PlayedRoute):
        async def open(self, ask: Ask) -> Any:
            order.append(f"asked {self.name}")
            source = await super().open(ask)
            close = source.aclose

            async def aclose() -> None:
                order.append(f"closed {self.name}")
                await close()

            source.aclose = aclose  # type: ignore[method-assign]
            return source

    first, second = Told("a/m", [[Start()], [], never()]), Told("b/m", says("Hi"))
    source = await fallback(first, second, switch_after=0.01, on_silence=lambda name, _: silent.append(name)).open(NOW)
    assert order == ["asked a/m", "closed a/m", "asked b/m"]
    assert await source.read_block() == [Switched(from_="a/m", to="b/m", why="silence", kept="all")]
    assert await text_of(source) == "Hi"
    assert silent == ["a/m"]


async def test_a_route_that_does_not_even_open_is_silent() -> None:
    first = PlayedRoute("a/m", never())
    assert await text_of(await fallback(first, PlayedRoute("b/m", says("Hi")), switch_after=0.01).open(NOW)) == "Hi"
    assert first.left == 1


async def test_the_last_route_may_be_silent_for_long() -> None:
    gate = asyncio.Event()
    asked = fallback(PlayedRoute("a/m", never()), PlayedRoute("b/m", gate, says("Hi")), switch_after=0.001)
    task = asyncio.ensure_future(asked.open(NOW))
    asyncio.get_running_loop().call_later(0.03, gate.set)
    assert await text_of(await task) == "Hi"


async def test_silence_may_be_suffered() -> None:
    gate = asyncio.Event()
    first, second = PlayedRoute("a/m", gate, says("Hi")), PlayedRoute("b/m", says("no"))
    task = asyncio.ensure_future(fallback(first, second, switch_after=None).open(NOW))
    await settle()
    assert first.asks[0].leaves_at is None
    gate.set()
    assert await text_of(await task) == "Hi"


async def test_an_attempt_knows_when_it_is_left_and_the_last_one_never_is() -> None:
    now = asyncio.get_running_loop().time()
    first, second = PlayedRoute("a/m", DOWN), PlayedRoute("b/m", says("Hi"))
    await read(await fallback(first, second).open(NOW))
    assert first.asks[0].leaves_at is not None
    assert now + 10 <= first.asks[0].leaves_at <= now + 11
    assert second.asks[0].leaves_at is None
    await read(await fallback(first, second).open(Ask(leaves_at=now + 3)))
    assert first.asks[1].leaves_at == now + 3


async def test_a_wait_that_would_be_too_long_leads_to_the_next_route_at_once() -> None:
    slow = RateLimitError("slow", status=429, retry_after_seconds=20.0)
    first, second = PlayedRoute("a/m", slow), PlayedRoute("b/m", says("Hi"))
    asked = Fallback([Retry(first, Budget()), second])
    assert await text_of(await asked.open(NOW)) == "Hi"
    assert len(first.asks) == 1


async def test_all_silent_but_the_last_which_fails() -> None:
    first, second = PlayedRoute("a/m", never()), PlayedRoute("b/m", UnavailableError("down"))
    with pytest.raises(UnavailableError) as caught:
        await fallback(first, second, switch_after=0.01).open(NOW)
    assert caught.value.attempts == (("a/m", "silence"), ("b/m", "UnavailableError"))
    assert caught.value.__notes__ == ["also tried a/m: silence"]


async def test_a_time_out_of_the_caller_is_the_callers() -> None:
    first = PlayedRoute("a/m", never())
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await fallback(first, PlayedRoute("b/m", says("Hi"))).open(NOW)
    assert not isinstance(caught.value, BackstreamError)
    assert first.left == 1


async def test_who_leaves_leaves_nothing() -> None:
    for switch_after in (10.0, None):
        first = PlayedRoute("a/m", [[Start()], never()])
        second = PlayedRoute("b/m", says("Hi"))
        task = asyncio.ensure_future(fallback(first, second, switch_after=switch_after).open(NOW))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert first.sources[0].closed == 1
        assert second.asks == []
