"""What an answer cost: by a configured price, by the real price list, and not at all where something is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import Usage
from backstream.models import Price
from backstream.registry.prices import cost_by_list, cost_by_price, has_price_list

OPENAI = "https://api.openai.com/v1"


def used(heard: int | None, said: int | None, cached: int | None = None) -> Usage:
    counts: dict[str, Any] = {"prompt_tokens": heard, "completion_tokens": said}
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return Usage(usage={name: value for name, value in counts.items() if value is not None})


@pytest.mark.parametrize(
    ("usage", "price", "amount"),
    [
        (used(1_000_000, 500_000), Price(input=2.0, output=4.0), 4.0),
        (used(1_000_000, 0, cached=400_000), Price(input=2.0, output=4.0, cached_input=1.0), 1.6),
        (used(1_000_000, 0, cached=400_000), Price(input=2.0, output=4.0), 2.0),
        (used(10, 0, cached=1_000_000), Price(input=2.0, output=4.0, cached_input=1.0), 0.00001),
        (used(0, 0), Price(input=2.0, output=4.0), 0.0),
    ],
)
def test_by_a_configured_price(usage: Usage, price: Price, amount: float) -> None:
    cost = cost_by_price(usage, price)
    assert cost is not None
    assert (cost.amount, cost.source) == (pytest.approx(amount), "configuration")


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (used(None, 5), Price(input=2.0, output=4.0)),
        (used(5, None), Price(input=2.0, output=4.0)),
        (used(5, 5), Price(output=4.0)),
        (used(5, 5), Price(input=2.0)),
    ],
)
def test_what_is_unknown_costs_not_nothing_but_an_unknown_amount(usage: Usage, price: Price) -> None:
    assert cost_by_price(usage, price) is None


def test_by_the_price_list() -> None:
    assert has_price_list()
    cost = cost_by_list(used(1_000_000, 1_000_000), "gpt-4o", OPENAI)
    assert cost is not None
    assert (cost.currency, cost.source) == ("USD", "genai-prices")
    cached = cost_by_list(used(1_000_000, 1_000_000, cached=900_000), "gpt-4o", OPENAI)
    assert cached is not None
    assert 0 < cached.amount < cost.amount


@pytest.mark.parametrize(
    ("usage", "model", "url"),
    [
        (used(None, 5), "gpt-4o", OPENAI),
        (used(5, None), "gpt-4o", OPENAI),
        (used(5, 5), "no-such-model", OPENAI),
        (used(5, 5), "gpt-4o", "http://127.0.0.1:8080/v1"),
    ],
)
def test_the_list_guesses_no_price(usage: Usage, model: str, url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert cost_by_list(usage, model, url) is None
    assert not caplog.records
