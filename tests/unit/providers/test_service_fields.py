"""What header fields say of an answer: the vendors' own examples, and what is none."""

from __future__ import annotations

import pytest

from backstream.providers.service import parse_service
from backstream.reply import RateLimit

OPENAI = {
    "x-request-id": "req_1",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "request-id": "req_2",
    "anthropic-ratelimit-input-tokens-limit": "50",
    "anthropic-ratelimit-input-tokens-remaining": "49",
    "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:00Z",
}


def test_openai() -> None:
    service = parse_service("openai", OPENAI)
    assert (service.provider, service.request_id) == ("openai", "req_1")
    assert service.rate_limits == (
        RateLimit(what="requests", limit=60, remaining=59, reset="1s"),
        RateLimit(what="tokens", limit=150000, remaining=149984, reset="6m0s"),
    )


def test_anthropic() -> None:
    service = parse_service("anthropic", ANTHROPIC)
    assert service.request_id == "req_2"
    assert service.rate_limits == (
        RateLimit(what="input-tokens", limit=50, remaining=49, reset="2026-01-01T00:00:00Z"),
    )


def test_fields_without_a_subject_are_about_requests() -> None:
    found = parse_service("x", {"ratelimit-limit": "5", "ratelimit-remaining": "4", "x-ratelimit-reset": "3"})
    assert found.rate_limits == (RateLimit(what="requests", limit=5, remaining=4, reset="3"),)


@pytest.mark.parametrize("count", ["", "-1", "many", "1.5", "9" * 16, "\u0661"])
def test_a_count_that_is_none_is_unknown(count: str) -> None:
    found = parse_service("x", {"x-ratelimit-remaining-tokens": count})
    assert found.rate_limits == (RateLimit(what="tokens"),)


def test_nothing_is_said() -> None:
    found = parse_service("x", {"content-type": "text/plain", "x-request-id": "", "x-ratelimit-limitless": "1"})
    assert (found.request_id, found.rate_limits) == (None, ())


def test_what_is_said_is_kept_short() -> None:
    fields = {f"x-ratelimit-limit-{letter * 3}": "1" for letter in "abcdefghijklmnopqrstuvwxyz"}
    found = parse_service("x", {"cf-ray": "r" * 999, "x-ratelimit-reset-aaa": "s" * 999, **fields})
    assert len(found.request_id or "") == 200
    assert len(found.rate_limits[0].reset or "") == 100
    assert len(found.rate_limits) == 16
