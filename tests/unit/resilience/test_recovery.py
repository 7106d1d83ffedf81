"""What a call may do, as a value: its defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.errors import ConfigurationError
from backstream.resilience.settings import Recovery


def test_the_defaults_are_those_that_are_documented() -> None:
    recovery = Recovery()
    assert (recovery.retries, recovery.switch_after, recovery.hedge_after) == (2, 10.0, None)
    assert (recovery.mid_stream, recovery.max_concurrent, recovery.requests_per_minute) == ("fail", None, None)
    assert (recovery.breaker_failures, recovery.breaker_seconds) == (3, 15.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"retries": -1},
        {"retries": 11},
        {"retries": 1.5},
        {"retries": True},
        {"max_concurrent": 0},
        {"requests_per_minute": "60"},
        {"breaker_failures": 0},
        {"switch_after": 0},
        {"switch_after": float("inf")},
        {"hedge_after": -1},
        {"hedge_after": True},
        {"breaker_seconds": None},
        {"mid_stream": "guess"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Recovery(**wrong)


def test_none_is_for_never_and_for_any_number() -> None:
    recovery = Recovery(switch_after=None, hedge_after=None, breaker_failures=None, max_concurrent=None)
    assert recovery.breaker_failures is None
    assert Recovery(retries=0, hedge_after=1, mid_stream="whole").mid_stream == "whole"
