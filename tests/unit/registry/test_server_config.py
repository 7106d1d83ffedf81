"""What the configuration says of the gateway, as values."""

from __future__ import annotations

import pytest

from backstream.registry.server_config import KeyLimits


def test_limits_that_say_nothing_leave_what_is_below() -> None:
    below = KeyLimits(models=("echo",), requests_per_minute=60)
    assert KeyLimits(requests_per_minute=5, tokens_per_day=9).over(below) == KeyLimits(
        models=("echo",), requests_per_minute=5, tokens_per_day=9
    )
    assert KeyLimits(models=()).over(below).models == ()


@pytest.mark.parametrize(
    ("models", "names", "allowed"),
    [
        (None, ["openai/gpt-5"], True),
        ((), ["openai/gpt-5"], False),
        (("openai/*",), ["openai/gpt-5"], True),
        (("openai/*",), ["anthropic/claude"], False),
        (("fast",), ["openai/gpt-5", "fast"], True),
        (("Echo*",), ["echo"], False),
        (("a/*", "b/?", "c[12]"), ["b/x"], True),
        (("a/*", "b/?", "c[12]"), ["b/xy", "a", "c3"], False),
        (("a|b", "a.c"), ["a", "b", "abc"], False),
        (("a|b", "(?i)x"), ["a|b"], True),
        (("echo",), ["echo\n", "an echo"], False),
    ],
)
def test_models_are_allowed_by_pattern(models: tuple[str, ...] | None, names: list[str], allowed: bool) -> None:
    assert KeyLimits(models=models).allows(names) is allowed
