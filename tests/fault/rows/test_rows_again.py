"""Rows 38 to 40: what is asked again, after which wait; and what is not."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Sequence

import pytest

from backstream import IncompleteStream, RateLimitError, RefusedError, UnavailableError
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send, Step
from backstream.transport.pool import aclose_pools
from support_rows import (
    ASKING_AGAIN,
    DOORS,
    KEY,
    KINDS,
    OPENAI,
    Attempts,
    Door,
    Kind,
    ask_again,
    check_failed,
    check_whole,
    each,
    one_loop,
    provider,
    serving,
)
from support_transport import ok

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
FINAL = (400, 401, 403, 404, 413, 422)


def refusal(status: int, *fields: str) -> list[Step]:
    body = json.dumps({"error": {"message": "not now"}}).encode()
    return [ReadRequest(), Send(ok(body, "Content-Type: application/json", *fields, status=f"{status} No"))]


def whole(kind: Kind) -> list[Step]:
    return [ReadRequest(), Send(kind.chunked(kind.whole, last=True))]


async def again(kind: Kind, *scripts: Sequence[Step], chance: float = 1.0, total: float | None = None) -> Attempts:
    """Ask a server that answers one request for each script, on one connection where that goes."""
    async with ScriptedUpstream([step for script in scripts for step in script]) as upstream:
        attempts = await ask_again(provider(kind, upstream.url), chance=chance, total=total)
        await aclose_pools()
        await upstream.closed()
        assert len(upstream.requests) == attempts.count
        assert len({request.body for request in upstream.requests}) == 1
    return attempts


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("status", each(38, "never-again", FINAL))
async def test_a_final_refusal(status: int, kind: Kind) -> None:
    attempts = await again(kind, refusal(status))
    assert isinstance(attempts.error, RefusedError)
    assert (attempts.count, attempts.waits) == (1, [])
    assert KEY not in str(attempts.error)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("status", each(39, "asked-again", PASSING))
async def test_a_refusal_that_may_pass(status: int, kind: Kind) -> None:
    attempts = await again(kind, refusal(status), refusal(status), whole(kind))
    assert (attempts.text, attempts.error) == ("Hello", None)
    assert (attempts.count, attempts.waits) == (3, [0.5, 1.0])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("status", each(39, "twice-at-most", (429, 503)))
async def test_a_refusal_that_does_not_pass(status: int, kind: Kind) -> None:
    attempts = await again(kind, *[refusal(status)] * 3, chance=0.0)
    assert isinstance(attempts.error, RefusedError)
    assert attempts.error.status == status
    assert (attempts.count, attempts.waits) == (3, [0.0, 0.0])  # the whole wait is left to chance


@pytest.mark.parametrize("kind", each(39, "error-before-content", KINDS))
async def test_an_error_in_the_stream_before_content(kind: Kind) -> None:
    """The first content is what commits, not the status."""
    broken = [ReadRequest(), Send(kind.chunked(kind.opening, kind.error, last=True))]
    attempts = await again(kind, broken, whole(kind))
    if kind.name == "ollama":  # its line says no code: nothing tells that it may pass
        assert attempts.count == 1
    else:
        assert (attempts.text, attempts.error, attempts.count) == ("Hello", None, 2)


@pytest.mark.parametrize("kind", each(39, "never-after-content", KINDS))
async def test_after_content_nobody_is_asked_again(kind: Kind) -> None:
    begun = [ReadRequest(), Send(kind.chunked(kind.first, kind.error, last=True))]
    attempts = await again(kind, begun)
    assert (attempts.text, attempts.count) == ("Hel", 1)
    assert attempts.error is not None
    cut = [ReadRequest(), Send(kind.chunked(kind.first)), Close()]
    attempts = await again(kind, cut)
    assert (attempts.text, attempts.count) == ("Hel", 1)
    assert isinstance(attempts.error, IncompleteStream)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("field", each(39, "retry-after", ["Retry-After: 7", "retry-after-ms: 7000"]))
async def test_what_was_asked_for_is_the_least(field: str, kind: Kind) -> None:
    attempts = await again(kind, refusal(429, field), whole(kind))
    assert (attempts.text, attempts.waits) == ("Hello", [7.5])


@pytest.mark.parametrize("kind", each(39, "total-deadline-rules", KINDS))
async def test_a_wait_past_the_end_of_the_call_is_not_begun(kind: Kind) -> None:
    attempts = await again(kind, refusal(429, "Retry-After: 7"), total=5.0)
    assert isinstance(attempts.error, RateLimitError)
    assert (attempts.error.retry_after_seconds, attempts.count, attempts.waits) == (7.0, 1, [])


def date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("value", each(40, "retry-after", ["1000000000", "9" * 30, "61", "a-date-in-a-year"]))
async def test_more_patience_than_a_minute(value: str, kind: Kind) -> None:
    """It is held to a day, and told; a call waits for a minute at most."""
    said = date(365 * 86400) if value.startswith("a-date") else value
    attempts = await again(kind, refusal(503, f"Retry-After: {said}"))
    assert isinstance(attempts.error, UnavailableError)
    assert attempts.error.retry_after_seconds == min(float(value), 86400.0) if value.isdigit() else 86400.0
    assert (attempts.count, attempts.waits) == (1, [])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("value", each(40, "retry-after", ["-1", "NaN", "inf", "1e3", "soon", "a-date-past"]))
async def test_rubbish_and_the_past(value: str, kind: Kind) -> None:
    said = date(-100) if value.startswith("a-date") else value
    attempts = await again(kind, refusal(503, f"Retry-After: {said}"), whole(kind))
    assert (attempts.text, attempts.waits) == ("Hello", [0.5])  # as if nothing had been said


@pytest.mark.parametrize("kind", each(40, "retry-after-a-date-to-come", KINDS))
async def test_a_date_to_come(kind: Kind) -> None:
    field = f"Retry-After: {date(40)}"
    attempts = await again(kind, refusal(503, field), whole(kind))
    assert attempts.text == "Hello"
    assert 0.5 < attempts.waits[0] <= 40.5
    attempts = await again(kind, refusal(503, field), total=5.0)
    assert (attempts.count, attempts.waits) == (1, [])


@one_loop
@pytest.mark.parametrize("door", each(39, "asked-again-for", ASKING_AGAIN))
async def test_asked_again_through_a_gateway(door: Door) -> None:
    script = [*refusal(503), *refusal(503), *whole(OPENAI)]
    async with ScriptedUpstream(script) as upstream, serving(provider(OPENAI, upstream.url)) as server:
        answer = await server.ask("POST", door.path, door.body)
        await aclose_pools()
        await upstream.closed()
        assert len(upstream.requests) == 3
    check_whole(door, answer)


@one_loop
@pytest.mark.parametrize("door", each(40, "retry-after-1000000000-for", DOORS))
async def test_too_long_a_wait_through_a_gateway(door: Door) -> None:
    script = refusal(429, "Retry-After: 1000000000")
    async with ScriptedUpstream(script) as upstream, serving(provider(OPENAI, upstream.url)) as server:
        answer = await server.ask("POST", door.path, door.body)
        await aclose_pools()
        await upstream.closed()
        assert len(upstream.requests) == 1
    check_failed(door, answer, begun=False)
    if not door.name.startswith("backend_api"):
        assert (answer.status, answer.header("retry-after")) == (429, "86400")
