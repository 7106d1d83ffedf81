"""What is known of routes: told as it is, kept for those that matter."""

from __future__ import annotations

import pytest

from backstream.errors import ConnectError, UnavailableError
from backstream.resilience.route import Ask
from backstream.resilience.settings import Recovery
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteSnapshot, RouteStates
from support_routes import Clock, PlayedRoute, Sleeps, read, says


async def test_a_snapshot_tells_what_each_route_is_like() -> None:
    clock = Clock()
    states = RouteStates(clock)
    recovery = Recovery(retries=0, max_concurrent=4)
    well = build_stack([PlayedRoute("a/m", says("Hi"))], recovery, states)
    down = build_stack([PlayedRoute("b/m", ConnectError("no"))], recovery, states)
    source = await well.open(Ask())
    for _ in range(3):
        with pytest.raises(ConnectError):
            await down.open(Ask())
    clock.now += 5.0
    assert states.snapshot() == [
        RouteSnapshot("a/m", "closed", 0, None, 1, 4),
        RouteSnapshot("b/m", "open", 3, 5.0, 0, 4, openings=1),
    ]
    await read(source)
    assert states.snapshot()[0].running == 0


async def test_what_was_asked_again_is_counted_by_cause() -> None:
    states = RouteStates()
    route = PlayedRoute("a/m", ConnectError("no"), UnavailableError("no", status=503), says("Hi"))
    await read(await build_stack([route], Recovery(), states, sleep=Sleeps()).open(Ask()))
    assert states.snapshot()[0].retries == {"ConnectError": 1, "UnavailableError": 1}
    assert states.snapshot()[0].openings == 0


async def test_a_probe_that_fails_opens_it_once_more() -> None:
    clock = Clock()
    states = RouteStates(clock)
    down = build_stack([PlayedRoute("b/m", ConnectError("no"))], Recovery(retries=0, breaker_failures=1), states)
    for _ in range(2):
        with pytest.raises(ConnectError):
            await down.open(Ask())
        clock.now += 15.0
    assert (states.snapshot()[0].openings, states.snapshot()[0].failures) == (2, 2)


def test_calls_share_what_is_known_and_other_states_do_not() -> None:
    states = RouteStates()
    assert states.of("a/m") is states.of("a/m")
    assert RouteStates().of("a/m") is not states.of("a/m")


def test_idle_routes_are_forgotten_when_there_are_too_many() -> None:
    states = RouteStates()
    states.of("first").breaker.failures = 1
    states.of("second").window.running = 1
    for number in range(2000):
        states.of(str(number))
    names = [snapshot.name for snapshot in states.snapshot()]
    assert names[:2] == ["first", "second"]
    assert len(names) == 1024
    assert names[-1] == "1999"


def test_routes_that_are_all_in_use_are_all_kept() -> None:
    states = RouteStates()
    for number in range(1030):
        states.of(str(number)).breaker.failures = 1
    assert len(states.snapshot()) == 1030
