"""The clocks of a request on a loop whose time is moved by hand: what counts is which runs out, and what it means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from backstream.errors import DeadlineError, IdleTimeout, TotalTimeout
from backstream.options import Deadlines
from backstream.transport.timeouts import LINGER_SECONDS, Watchdog


class Timer:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self.call, self.on = when, call, True

    def cancel(self) -> None:
        self.on = False


class HandMovedLoop:
    """As much of a loop as the clocks need."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.on and timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            first.call()
        self.now = end


class Case:
    """A request whose head is there, and what its clocks said."""

    def __init__(self, **deadlines: Any) -> None:
        self.loop = HandMovedLoop()
        self.said: list[DeadlineError | str] = []
        self.waiting = True
        self.watch = Watchdog(
            cast("asyncio.AbstractEventLoop", self.loop),
            Deadlines(**deadlines),
            self.said.append,
            lambda: self.waiting,
        )
        self.watch.start()
        self.watch.note_sent()
        self.watch.note_head()

    def linger(self) -> None:
        self.watch.linger(lambda: self.said.append("over") is None)


def test_a_whole_answer_is_waited_for_no_longer_than_a_while() -> None:
    case = Case(idle=600)
    case.linger()
    case.loop.pass_by(LINGER_SECONDS - 0.1)
    assert case.said == []
    case.loop.pass_by(0.2)
    assert case.said == ["over"]
    case.loop.pass_by(1000)
    assert case.said == ["over"]


def test_keep_alives_do_not_lengthen_that() -> None:
    case = Case(idle=600)
    case.linger()
    for _ in range(10):
        case.loop.pass_by(LINGER_SECONDS / 8)
        case.watch.note_bytes()
    assert case.said == ["over"]


def test_without_any_deadline_it_is_waited_for_all_the_same() -> None:
    case = Case(idle=None, connect=None)
    case.linger()
    case.loop.pass_by(LINGER_SECONDS)
    assert case.said == ["over"]


@pytest.mark.parametrize("clock", ["idle", "between_content", "total"])
def test_a_clock_that_runs_out_before_ends_the_wait_and_not_the_answer(clock: str) -> None:
    case = Case(**{"idle": 600, clock: 1.0})
    case.watch.note_content()
    case.linger()
    case.loop.pass_by(1.1)
    assert case.said == ["over"]


def test_where_the_body_goes_on_the_clocks_are_as_before() -> None:
    case = Case(idle=600)
    case.linger()
    case.loop.pass_by(1)
    case.watch.linger(None)
    case.loop.pass_by(500)
    assert case.said == []
    case.loop.pass_by(100)
    (error,) = case.said
    assert isinstance(error, IdleTimeout)


def test_a_slow_reader_is_waited_for() -> None:
    case = Case(idle=600)
    case.linger()
    case.waiting = False
    case.loop.pass_by(10 * LINGER_SECONDS)
    assert case.said == []
    case.waiting = True
    case.loop.pass_by(LINGER_SECONDS)
    assert case.said == ["over"]


def test_a_slow_reader_of_a_whole_answer_does_not_lose_it_to_the_whole_time() -> None:
    case = Case(total=1.0)
    case.linger()
    case.waiting = False
    case.loop.pass_by(1)
    assert case.said == ["over"]
    case.loop.pass_by(1000)
    assert case.said == ["over"]


@pytest.mark.parametrize("taken_back", [False, True])
def test_the_whole_time_holds_for_a_slow_reader_while_the_answer_is_not_whole(taken_back: bool) -> None:
    case = Case(total=1.0)
    if taken_back:
        case.linger()
        case.watch.linger(None)
    case.waiting = False
    case.loop.pass_by(1)
    (error,) = case.said
    assert isinstance(error, TotalTimeout)


def test_nothing_stays_with_the_loop() -> None:
    case = Case(idle=600)
    case.linger()
    case.watch.cancel()
    case.loop.pass_by(1000)
    assert case.said == []
    assert not any(timer.on for timer in case.loop.timers)
