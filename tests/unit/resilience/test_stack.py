"""The published order of the wrappers, and all of them together over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from backstream.chunks import Switched
from backstream.errors import (
    BackendRequestError,
    BackstreamError,
    ConfigurationError,
    ConnectError,
    IncompleteStream,
    RateLimitError,
    TotalTimeout,
    UnavailableError,
)
from backstream.options import CallOptions, Deadlines
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.result import BlockSource
from backstream.providers.rows_shape import Row
from backstream.providers.sources import source_of
from backstream.resilience.breaker import Breaker
from backstream.resilience.deadline import Deadline
from backstream.resilience.fallback import Fallback
from backstream.resilience.limit import Limit
from backstream.resilience.retry import Retry
from backstream.resilience.route import Ask, Route, ask_with, route_of
from backstream.resilience.settings import Recovery
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates
from backstream.testing.upstream import ExpectEOF, ReadRequest, Reset, ScriptedUpstream, Send, Step, Wait
from support_routes import PlayedRoute, Sleeps, read, says, text_of
from support_transport import CHUNKED, LAST_CHUNK, chunk, no_leaks, ok, settle

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")
HI = [{"role": "user", "content": "Hi"}]


def layers(route: Any) -> Iterator[Any]:
    while True:
        yield route
        inner = getattr(route, "routes", None)
        if inner is not None:
            route = inner[0]
        elif hasattr(route, "route"):
            route = route.route
        else:
            return


async def test_the_order_is_the_published_one() -> None:
    inner = PlayedRoute("a/prefix", says("Hi"))
    built = build_stack([inner], Recovery(), RouteStates())
    assert [type(layer) for layer in layers(built)] == [Fallback, Breaker, Retry, Limit, Deadline, PlayedRoute]
    assert all((layer.name, layer.takes_prefix) == ("a/prefix", True) for layer in layers(built))
    assert await text_of(await built.open(Ask())) == "Hi"


def test_without_a_route_there_is_nothing_to_build() -> None:
    with pytest.raises(ConfigurationError, match="no route"):
        build_stack([], Recovery(), RouteStates())


async def test_what_may_be_done_reaches_each_wrapper() -> None:
    sleeps, states = Sleeps(), RouteStates()
    recovery = Recovery(retries=1, breaker_failures=2, max_concurrent=3, requests_per_minute=60)
    down = PlayedRoute("a/m", ConnectError("no"))
    built = build_stack([down], recovery, states, sleep=sleeps, random=lambda: 1.0)
    for error in (ConnectError, ConnectError, UnavailableError):
        with pytest.raises(error):
            await built.open(Ask())
    assert len(down.asks) == 4
    assert sleeps.seconds == [0.5, 0.5]
    assert states.snapshot()[0].allowed == 3


async def test_a_route_may_be_treated_otherwise() -> None:
    states, down = RouteStates(), PlayedRoute("a/m", ConnectError("no"))
    own = {"a/m": Recovery(retries=0, breaker_failures=None, max_concurrent=7)}
    built = build_stack([down, PlayedRoute("b/m", says("Hi"))], Recovery(), states, of_route=own, sleep=Sleeps())
    assert [await text_of(await built.open(Ask())) for _ in range(4)] == ["Hi"] * 4
    assert len(down.asks) == 4
    assert [(each.state, each.allowed) for each in states.snapshot()] == [("closed", 7), ("closed", None)]


async def test_a_silent_route_comes_to_rest() -> None:
    states = RouteStates()
    silent = PlayedRoute("a/m", asyncio.Event())
    built = build_stack([silent, PlayedRoute("b/m", says("Hi"))], Recovery(switch_after=0.001), states)
    for _ in range(4):
        assert await text_of(await built.open(Ask())) == "Hi"
    assert len(silent.asks) == 3
    assert [(each.name, each.state) for each in states.snapshot()] == [("a/m", "open"), ("b/m", "closed")]


@pytest.mark.parametrize("hedge_after", [None, 0.001])
async def test_a_try_that_is_silent_lets_the_route_rest_anew(hedge_after: float | None) -> None:
    clock = [1000.0]
    states = RouteStates(lambda: clock[0])
    silent, last = PlayedRoute("a/m", asyncio.Event()), PlayedRoute("c/m", says("Hi"))
    recovery = Recovery(switch_after=0.002, hedge_after=hedge_after, breaker_failures=1)
    routes = [silent, PlayedRoute("b/m", asyncio.Event()), last]
    for times in (1, 2):
        for _ in range(2):  # the second time it rests
            assert await text_of(await build_stack(routes, recovery, states).open(Ask())) == "Hi"
        assert len(silent.asks) == times
        assert (states.of("a/m").breaker.opened_at, states.of("a/m").breaker.openings) == (clock[0], times)
        clock[0] += 15


# --- over real sockets ---


class ProviderRoute:
    """A back-end as a route: what the client makes of a provider and a model."""

    takes_prefix = False

    def __init__(self, name: str, url: str, dialect: str = "openai_chat") -> None:
        self.name = f"{name}/m"
        self._provider = DialectProvider(
            Row(name=name, label=name, url=url, dialect=dialect, documentation="here", key_needed=False)
        )

    async def open(self, ask: Ask) -> BlockSource:
        return await source_of(self._provider.create_async_generator("m", HI, options=ask.options))


def event(members: object) -> bytes:
    return chunk(b"data: " + json.dumps(members).encode() + b"\n\n")


def answer(text: str) -> list[Step]:
    delta = event({"id": "1", "model": "real", "choices": [{"index": 0, "delta": {"content": text}}]})
    finish = event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [ReadRequest(), Send(CHUNKED + delta + finish + chunk(b"data: [DONE]\n\n") + LAST_CHUNK)]


def refuses(status: str, *fields: str, body: object = None) -> list[Step]:
    members = {"error": {"message": "no"}} if body is None else body
    return [
        ReadRequest(),
        Send(ok(json.dumps(members).encode(), "Content-Type: application/json", *fields, status=status)),
    ]


def stack(routes: Sequence[Route], sleeps: Sleeps | None = None, **changes: Any) -> Route:
    return build_stack(routes, Recovery(**changes), RouteStates(), sleep=sleeps or Sleeps(), random=lambda: 0.0)


@pytest.mark.parametrize(
    "fault",
    [
        [ReadRequest(), Reset()],
        refuses("503 Service Unavailable"),
        refuses("529 Overloaded"),
        refuses("408 Request Timeout"),
        refuses("409 Conflict"),
        refuses("425 Too Early"),
        refuses("429 Too Many Requests", "Retry-After: 2"),
        refuses("429 Too Many Requests", "retry-after-ms: 2000", "Retry-After: 9"),
        [ReadRequest(), Send(CHUNKED + event({"error": {"code": "server_error", "message": "down"}}) + LAST_CHUNK)],
    ],
    ids=["reset", "503", "529", "408", "409", "425", "429", "429 in ms", "event"],
)
async def test_what_may_pass_is_asked_again_until_it_has_passed(fault: list[Step]) -> None:
    sleeps = Sleeps()
    again = [fault, fault, answer("Hello")] if fault[-1] == Reset() else [[*fault, *fault, *answer("Hello")]]
    upstream = ScriptedUpstream(*again)
    async with upstream:
        source = await stack([ProviderRoute("up", upstream.url)], sleeps).open(Ask())
        assert route_of(source) == "up/m"
        assert await text_of(source) == "Hello"
    assert len(upstream.requests) == 3
    assert len({request.body for request in upstream.requests}) == 1
    asked_for = 2.0 if "429" in str(fault) else 0.0
    assert sleeps.seconds == [asked_for, asked_for]


@pytest.mark.parametrize(
    "fault",
    [
        [ReadRequest(), Send(b"HTTP/1.1 200 OK\r\nContent-"), Reset()],
        refuses("503 Service Unavailable", "x-should-retry: false"),
        refuses("400 Bad Request"),
        refuses("429 Too Many Requests", body={"error": {"message": "no", "code": "insufficient_quota"}}),
        [ReadRequest(), Send(CHUNKED), Reset()],
        [ReadRequest(), Send(ok(b"<p>Sign in", "Content-Type: text/html"))],
    ],
    ids=["half a head", "says not to", "400", "no money", "cut before content", "page"],
)
async def test_what_will_not_pass_or_was_acted_on_is_asked_once(fault: list[Step]) -> None:
    async with ScriptedUpstream(fault) as upstream:
        with pytest.raises(BackstreamError):
            await stack([ProviderRoute("up", upstream.url)]).open(Ask())
        await settle()
    assert len(upstream.requests) == 1


async def test_the_next_route_answers_and_is_named() -> None:
    too_long = refuses("400 Bad Request", body={"error": {"message": "long", "code": "context_length_exceeded"}})
    async with ScriptedUpstream(too_long) as first, ScriptedUpstream(answer("Hello")) as second:
        built = stack([ProviderRoute("one", first.url), ProviderRoute("two", second.url)])
        source = await built.open(Ask())
        assert route_of(source) == "two/m"
        chunks = await read(source)
    assert chunks[0] == Switched(from_="one/m", to="two/m", why="BackendRequestError", kept="all")
    assert [item.model for item in chunks if item.type == "start"] == ["real"]
    assert len(first.requests) == 1


async def test_a_wrong_request_goes_to_nobody_else() -> None:
    async with ScriptedUpstream(refuses("400 Bad Request")) as first, ScriptedUpstream(answer("no")) as second:
        with pytest.raises(BackendRequestError):
            await stack([ProviderRoute("one", first.url), ProviderRoute("two", second.url)]).open(Ask())
    assert second.connections == 0


@pytest.mark.parametrize("said", [b"", CHUNKED, CHUNKED + chunk(b": ping\n\n") * 3], ids=["nothing", "head", "pings"])
async def test_a_silent_back_end_is_closed_and_left(said: bytes) -> None:
    silent: list[Step] = [ReadRequest(), Send(said), ExpectEOF()]
    async with ScriptedUpstream(silent) as first, ScriptedUpstream(answer("Hello")) as second:
        built = stack([ProviderRoute("one", first.url), ProviderRoute("two", second.url)], switch_after=0.03)
        assert await text_of(await built.open(Ask())) == "Hello"
        await first.closed()
    assert len(first.requests) == 1


async def test_the_first_to_speak_is_kept_and_the_other_closed() -> None:
    gate = asyncio.Event()
    head, *rest = answer("late")
    late: list[Step] = [head, Send(CHUNKED), Wait(gate), *rest]
    async with ScriptedUpstream(late) as first, ScriptedUpstream(answer("Hello")) as second:
        built = stack([ProviderRoute("one", first.url), ProviderRoute("two", second.url)], hedge_after=0.01)
        source = await built.open(Ask())
        gate.set()
        await first.closed()
        assert await text_of(source) == "Hello"
    assert len(first.requests) == 1


async def test_the_whole_time_is_named_over_what_was_left_of_it() -> None:
    options = CallOptions(deadlines=Deadlines(total=0.05))
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED), ExpectEOF()]) as upstream:
        with pytest.raises(TotalTimeout, match=r"within 0\.05 s"):
            await stack([ProviderRoute("up", upstream.url)]).open(ask_with(options))
        await upstream.closed()


async def test_a_wait_that_would_end_too_late_is_not_begun() -> None:
    options = CallOptions(deadlines=Deadlines(total=20))
    sleeps = Sleeps()
    async with ScriptedUpstream(refuses("429 Too Many Requests", "Retry-After: 30")) as upstream:
        with pytest.raises(RateLimitError) as caught:
            await stack([ProviderRoute("up", upstream.url)], sleeps).open(ask_with(options))
    assert caught.value.retry_after_seconds == 30.0
    assert (sleeps.seconds, len(upstream.requests)) == ([], 1)


async def test_a_route_rests_and_comes_back() -> None:
    clock = [1000.0]
    states = RouteStates(lambda: clock[0])
    down = refuses("500 Internal Server Error")
    async with ScriptedUpstream([*down, *down, *down, *answer("Hello")]) as upstream:
        built = build_stack([ProviderRoute("up", upstream.url)], Recovery(retries=0), states)
        for _ in range(3):
            with pytest.raises(UnavailableError, match="no"):
                await built.open(Ask())
        with pytest.raises(UnavailableError, match="route up/m is resting"):
            await built.open(Ask())
        assert len(upstream.requests) == 3
        clock[0] += 15
        assert await text_of(await built.open(Ask())) == "Hello"
    assert states.snapshot()[0].state == "closed"


async def test_answers_of_a_limited_route_follow_each_other() -> None:
    async with ScriptedUpstream([*answer("0"), *answer("1"), *answer("2")]) as upstream:
        built = stack([ProviderRoute("up", upstream.url)], max_concurrent=1)

        async def call() -> str:
            return await text_of(await built.open(Ask()))

        assert await asyncio.gather(*(call() for _ in range(3))) == ["0", "1", "2"]
        assert upstream.connections == 1


async def test_an_answer_that_breaks_after_content_is_told_as_broken() -> None:
    head, _ = answer("x")
    delta = event({"id": "1", "choices": [{"index": 0, "delta": {"content": "Hel"}}]})
    async with ScriptedUpstream([head, Send(CHUNKED + delta), Reset()]) as upstream:
        source = await stack([ProviderRoute("up", upstream.url)]).open(Ask())
        with pytest.raises(IncompleteStream):
            await read(source)
    assert len(upstream.requests) == 1


async def test_who_leaves_in_between_closes_what_is_open() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED), ExpectEOF()]) as first:
        built = stack([ProviderRoute("one", first.url), ProviderRoute("two", first.url)], hedge_after=0.01)
        task = asyncio.ensure_future(built.open(Ask()))
        while len(first.requests) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await first.closed()


async def test_blocks_may_be_pushed_once_what_was_held_is_read() -> None:
    more, last = asyncio.Event(), asyncio.Event()
    first, second = (
        event({"id": "1", "choices": [{"index": 0, "delta": {"content": text}}]}) for text in ("Hel", "lo")
    )
    script: list[Step] = [ReadRequest(), Send(CHUNKED + first), Wait(more), Send(second), Wait(last)]
    states = RouteStates()
    pushed: list[Any] = []

    def take(block: list[Any]) -> bool:
        pushed.extend(block)
        last.set()
        return True

    async with ScriptedUpstream([*script, Send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)]) as upstream:
        source: Any = await build_stack([ProviderRoute("up", upstream.url)], Recovery(), states).open(Ask())
        await source.pump(take)  # what is held comes first, by reading
        assert pushed == []
        held = "".join(str(item) for item in await source.read_block())
        more.set()
        await source.pump(take)
        assert states.snapshot()[0].running == 1
        assert await read(source) == []
        assert states.snapshot()[0].running == 0
    assert held + "".join(str(item) for item in pushed) == "Hello"


async def test_an_answer_that_cannot_push_is_read() -> None:
    source: Any = await build_stack([PlayedRoute("a/m", says("Hi"))], Recovery(), RouteStates()).open(Ask())
    assert await source.read_block()
    await source.pump(bool)
    assert await read(source) == []
