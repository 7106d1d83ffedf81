"""How many requests may begin in a minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backstream.resilience.pace import Pace


def begin(pace: Pace, per_minute: int, now: float) -> float:
    at = pace.next_at(per_minute, now)
    pace.take(at)
    return at


def test_so_many_begin_at_once_and_the_next_ones_a_minute_later_in_order() -> None:
    pace = Pace()
    assert [begin(pace, 2, 100.0) for _ in range(5)] == [100.0, 100.0, 160.0, 160.0, 220.0]


def test_after_a_minute_of_rest_it_is_as_new() -> None:
    pace = Pace()
    assert begin(pace, 1, 100.0) == 100.0
    assert begin(pace, 1, 160.0) == 160.0
    assert begin(pace, 1, 161.0) == 220.0


def test_a_place_that_was_given_back_is_free() -> None:
    pace = Pace()
    begin(pace, 1, 100.0)
    waiting = begin(pace, 1, 100.0)
    pace.give_back(waiting)
    pace.give_back(5.0)  # long forgotten
    assert pace.next_at(1, 100.0) == 160.0


@given(st.integers(1, 5), st.lists(st.floats(0, 40), max_size=40))
def test_no_minute_sees_more_begins(per_minute: int, gaps: list[float]) -> None:
    pace, now, begins = Pace(), 0.0, []
    for gap in gaps:
        now += gap
        begins.append(begin(pace, per_minute, now))
    assert begins == sorted(begins)
    for first, after in zip(begins, begins[per_minute:], strict=False):
        assert after >= first + 60.0
