"""The breaker: when a route rests, who may try it again, and what says nothing of it."""

from __future__ import annotations

import asyncio

import pytest

from backstream.chunks import Content
from backstream.errors import (
    AuthenticationError,
    BackstreamError,
    BetweenContentTimeout,
    ConnectError,
    ContentRefusedError,
    IncompleteStream,
    InvalidRequestError,
    RateLimitError,
    TotalTimeout,
    UnavailableError,
)
from backstream.reply import End
from backstream.resilience.breaker import Breaker, BreakerState
from backstream.resilience.retry import Budget, Retry
from backstream.resilience.route import Ask
from support_routes import Clock, PlayedRoute, never, read, says
from support_transport import settle

DOWN = ConnectError("no connection")
NOW = Ask()


class Kit:
    """A breaker around a route, with a clock to turn."""

    def __init__(self, *scripts: object, failures: int | None = 3) -> None:
        self.route = PlayedRoute("a/prefix", *scripts)  # type: ignore[arg-type]
        self.clock, self.state = Clock(), BreakerState()
        self.breaker = Breaker(self.route, self.state, failures=failures, clock=self.clock)

    async def fail(self, times: int, kind: type[BackstreamError] = ConnectError) -> None:
        for _ in range(times):
            with pytest.raises(kind):
                await self.breaker.open(NOW)

    async def answer(self) -> None:
        await read(await self.breaker.open(NOW))


async def test_three_failures_in_a_row_let_a_route_rest() -> None:
    kit = Kit(DOWN)
    assert (kit.breaker.name, kit.breaker.takes_prefix) == ("a/prefix", True)
    await kit.fail(2)
    assert kit.state.state == "closed"
    await kit.fail(1)
    assert kit.state.state == "open"
    kit.clock.now += 4.0
    with pytest.raises(UnavailableError) as caught:
        await kit.breaker.open(NOW)
    assert len(kit.route.asks) == 3
    assert str(caught.value) == "route a/prefix is resting after 3 failures; next try in 11 s"
    assert (caught.value.phase, caught.value.request_sent, caught.value.retryable) == ("connect", False, True)
    assert caught.value.retry_after_seconds == 11.0


async def test_an_answer_between_begins_the_row_anew() -> None:
    kit = Kit(DOWN, DOWN, says("Hi"), DOWN)
    await kit.fail(2)
    await kit.answer()
    await kit.fail(2)
    assert kit.state.state == "closed"


async def test_one_call_tries_and_its_answer_closes_the_breaker() -> None:
    gate = asyncio.Event()
    kit = Kit(DOWN, DOWN, DOWN, gate, says("Hi"))
    await kit.fail(3)
    kit.clock.now += 15.0
    probe = asyncio.ensure_future(kit.breaker.open(NOW))
    await settle()
    assert kit.state.state == "probing"
    with pytest.raises(UnavailableError, match="next try in 1 s"):
        await kit.breaker.open(NOW)
    gate.set()
    await read(await probe)
    assert (kit.state.state, kit.state.failures) == ("closed", 0)
    await kit.answer()


async def test_a_try_that_fails_lets_it_rest_again() -> None:
    kit = Kit(DOWN)
    await kit.fail(3)
    kit.clock.now += 15.0
    await kit.fail(1)
    await kit.fail(1, UnavailableError)
    assert len(kit.route.asks) == 4
    kit.clock.now += 15.0
    await kit.fail(1)
    assert len(kit.route.asks) == 5


async def test_a_try_that_was_left_leaves_the_next_call_to_try() -> None:
    kit = Kit(DOWN, DOWN, DOWN, never(), says("Hi"))
    await kit.fail(3)
    kit.clock.now += 15.0
    probe = asyncio.ensure_future(kit.breaker.open(NOW))
    await settle()
    probe.cancel()
    await asyncio.wait([probe])
    assert kit.state.state == "open"
    kit.route._scripts = [says("Hi")]
    await kit.answer()
    assert kit.state.state == "closed"


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("slow", status=429),
        AuthenticationError("no", status=401),
        ContentRefusedError("no", status=400),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_refusal_shows_that_the_route_is_up(error: BackstreamError) -> None:
    kit = Kit(DOWN, DOWN, error, DOWN, DOWN, error)
    await kit.fail(2)
    await kit.fail(1, type(error))
    assert kit.state.failures == 0
    await kit.fail(2)
    await kit.fail(9, type(error))
    assert kit.state.state == "closed"


@pytest.mark.parametrize("error", [InvalidRequestError("bad"), TotalTimeout(1)], ids=lambda error: type(error).__name__)
async def test_what_the_caller_did_says_nothing_of_the_route(error: BackstreamError) -> None:
    kit = Kit(DOWN, DOWN, error, DOWN, error, says("Hi"))
    await kit.fail(2)
    await kit.fail(1, type(error))
    await kit.fail(1)
    assert kit.state.state == "open"
    kit.clock.now += 15.0
    await kit.fail(1, type(error))
    assert kit.state.state == "open"
    await kit.answer()


async def leave(kit: Kit, ask: Ask) -> None:
    """Ask, and leave the route for its silence."""
    call = asyncio.ensure_future(kit.breaker.open(ask))
    await settle()
    call.cancel()
    await asyncio.wait([call])
    kit.breaker.note_silence(ask)


async def test_silence_counts_and_so_does_that_of_a_try() -> None:
    kit = Kit(never())
    for _ in range(3):
        await leave(kit, Ask())
    assert (kit.state.state, kit.state.opened_at) == ("open", 1000.0)
    kit.clock.now += 15.0
    kit.route._scripts = [never()]
    await leave(kit, Ask())
    assert (kit.state.state, kit.state.opened_at, kit.state.openings) == ("open", 1015.0, 2)


async def test_silence_of_a_call_from_before_is_no_failed_try() -> None:
    kit = Kit(never(), DOWN, DOWN, DOWN, never(), says("Hi"))
    old, probe = Ask(), Ask()
    call = asyncio.ensure_future(kit.breaker.open(old))
    await settle()
    await kit.fail(3)
    for seconds in (5.0, 10.0):  # while it rests, and when it may be tried
        kit.clock.now += seconds
        kit.breaker.note_silence(old)
        assert (kit.state.opened_at, kit.state.openings) == (1000.0, 1)
    trying = asyncio.ensure_future(kit.breaker.open(probe))
    await settle()
    kit.breaker.note_silence(old)  # while it is tried
    assert (kit.state.state, kit.state.openings) == ("probing", 1)
    for each in (call, trying):
        each.cancel()
    await asyncio.wait([call, trying])
    kit.route._scripts = [says("Hi")]
    await kit.answer()
    kit.breaker.note_silence(probe)  # another try had an answer meanwhile
    assert (kit.state.state, kit.state.openings) == ("closed", 1)


async def test_calls_from_before_do_not_prolong_the_rest() -> None:
    gate = asyncio.Event()
    kit = Kit(*[gate] * 5, DOWN)
    calls = [asyncio.ensure_future(kit.breaker.open(NOW)) for _ in range(5)]
    await settle()
    gate.set()
    await asyncio.wait(calls)
    assert all(isinstance(call.exception(), ConnectError) for call in calls)
    assert (kit.state.opened_at, kit.state.failures) == (1000.0, 5)


async def test_it_may_be_switched_off() -> None:
    kit = Kit(DOWN, failures=None)
    await kit.fail(9)
    kit.breaker.note_silence(NOW)
    assert kit.state.state == "closed"
    assert Breaker(kit.route, BreakerState()).name == "a/prefix"


async def test_one_failure_is_told_as_one() -> None:
    kit = Kit(DOWN, failures=1)
    await kit.fail(1)
    with pytest.raises(UnavailableError, match="after 1 failure;"):
        await kit.breaker.open(NOW)


# --- answers that break after their first content ---------------------------------------------------------------------

HI = [Content(content="Hi")]
CUT = [HI, [End("incomplete", ("closed",), IncompleteStream("cut"))]]


class CommittedKit(Kit):
    """The same, with the attempts of a route within, as in the published order."""

    def __init__(self, *scripts: object, failures: int | None = 3) -> None:
        super().__init__(*scripts, failures=failures)
        within = Retry(self.route, Budget(), retries=0)
        self.breaker = Breaker(within, self.state, failures=failures, clock=self.clock)

    async def read_broken(self, ask: Ask = NOW) -> None:
        with pytest.raises(BackstreamError):
            await read(await self.breaker.open(ask))


@pytest.mark.parametrize("script", [CUT, [HI, IncompleteStream("cut")], [HI, BetweenContentTimeout(3.0)]])
async def test_three_answers_in_a_row_that_break_let_a_route_rest(script: list[object]) -> None:
    kit = CommittedKit(script)
    for _ in range(2):
        await kit.read_broken()
    assert kit.state.state == "closed"
    await kit.read_broken()
    assert (kit.state.state, kit.state.openings) == ("open", 1)
    with pytest.raises(UnavailableError, match="resting after 3 failures"):
        await kit.breaker.open(NOW)


async def test_a_whole_answer_between_begins_the_row_of_breaks_anew() -> None:
    kit = CommittedKit(CUT, CUT, says("Hi"), CUT)
    await kit.read_broken()
    await kit.read_broken()
    await kit.answer()
    await kit.read_broken()
    assert (kit.state.state, kit.state.breaks) == ("closed", 1)


async def test_an_answer_that_its_reader_leaves_says_nothing() -> None:
    kit = CommittedKit(CUT, CUT, says("Hi", "you"), CUT)
    await kit.read_broken()
    await kit.read_broken()
    left = await kit.breaker.open(NOW)
    await left.read_block()
    await left.aclose()
    assert kit.state.breaks == 2
    await kit.read_broken()
    assert kit.state.state == "open"


async def test_a_probe_that_breaks_lets_the_route_rest_again() -> None:
    kit = CommittedKit(CUT)
    for _ in range(3):
        await kit.read_broken()
    kit.clock.now += 15.0
    await kit.read_broken()
    assert (kit.state.state, kit.state.openings) == ("open", 2)


async def test_a_clock_that_was_set_for_one_call_is_no_break() -> None:
    kit = CommittedKit([HI, BetweenContentTimeout(3.0)])
    for _ in range(4):
        await kit.read_broken(Ask(hurried={"between_content": 3.0}))
    assert (kit.state.state, kit.state.breaks) == ("closed", 0)


async def test_breaks_are_counted_without_a_rest_where_there_is_none() -> None:
    kit = CommittedKit(CUT, failures=None)
    for _ in range(4):
        await kit.read_broken()
    assert (kit.state.state, kit.state.breaks) == ("closed", 4)
