"""Rows 7 to 10, 13 and 33 to 38: what a server may do instead of beginning a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from backstream import (
    AuthenticationError,
    BackendRequestError,
    CallOptions,
    ContentTypeError,
    Deadlines,
    FramingError,
    HeadersTimeout,
    IncompleteStream,
    ModelNotFoundError,
    RedirectError,
    RefusedError,
    TooLargeError,
)
from backstream.testing.upstream import ExpectEOF, ReadRequest, ScriptedUpstream, Send, SendSlowly, Step
from backstream.transport.pool import aclose_pools
from support_rows import (
    ANTHROPIC,
    BACKEND_API,
    HI,
    KEY,
    KINDS,
    OLLAMA,
    OPENAI,
    Door,
    Fault,
    Kind,
    cases,
    check,
    check_through,
    converse,
    doors,
    each,
    one_loop,
    provider,
)
from support_transport import head, ok

SHORT = 0.04
SOON = CallOptions(deadlines=Deadlines(headers=SHORT, idle=30))
PAGE = b"<html><head><title>Sign in</title></head><body>" + f"key {KEY} ".encode() + b"Hotel wifi " * 100 + b"</body>"
INTERIM = head(status="100 Continue") + head("Link: </a>", status="103 Early Hints")


def refused(status: int, code: str) -> list[Step]:
    body = json.dumps({"error": {"message": f"No: {KEY}", "type": code, "code": code}})
    return [Send(ok(body.encode(), "Content-Type: application/json", status=f"{status} No"))]


def malformed(kind: Kind, *fields: str) -> list[Step]:
    return [Send(kind.head(*fields) + kind.whole), ExpectEOF()]


def moved(status: int, *fields: str) -> list[Step]:
    return [Send(head(*fields, "Content-Length: 0", status=f"{status} Moved"))]


HEADS: Sequence[Fault] = (
    Fault(7, "headers-never-come", lambda kind: [ExpectEOF()], HeadersTimeout, phase="headers", options=SOON),
    Fault(
        8,
        "headers-trickle",
        lambda kind: [SendSlowly(kind.head(*(f"F{n}: {'v' * 300}" for n in range(90)))), ExpectEOF()],
        HeadersTimeout,
        phase="headers",
        options=SOON,
    ),
    Fault(9, "header-of-64-kib", lambda kind: malformed(kind, "A: " + "b" * 70_000), TooLargeError, phase="headers"),
    Fault(
        9,
        "header-without-end",
        lambda kind: [Send(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000), ExpectEOF()],
        TooLargeError,
        phase="headers",
    ),
    Fault(
        9,
        "1000-headers",
        lambda kind: malformed(kind, *(f"F{n}: v" for n in range(1000))),
        FramingError,
        phase="headers",
    ),
    Fault(9, "obs-fold", lambda kind: malformed(kind, "A: b", " c"), FramingError, phase="headers"),
    Fault(9, "nul-in-a-header", lambda kind: malformed(kind, "A: b\0c"), FramingError, phase="headers"),
    Fault(
        10, "interim-answers", lambda kind: [SendSlowly(INTERIM + kind.chunked(kind.whole, last=True), 7)], text="Hello"
    ),
    Fault(
        13,
        "two-lengths",
        lambda kind: malformed(kind, "Content-Length: 3", "Content-Length: 4"),
        FramingError,
        phase="headers",
    ),
    Fault(
        13,
        "length-and-chunked",
        lambda kind: malformed(kind, "Content-Length: 3", "Transfer-Encoding: chunked"),
        FramingError,
        phase="headers",
    ),
    Fault(
        33,
        "page-of-a-captive-portal",
        lambda kind: [Send(ok(PAGE, "Content-Type: text/html"))],
        ContentTypeError,
        says="text/html, not an event stream: Sign in",
    ),
    Fault(34, "204", lambda kind: [Send(head(status="204 No Content"))], IncompleteStream, says="204"),
    Fault(34, "205", lambda kind: [Send(ok(status="205 Reset Content"))], IncompleteStream, says="205"),
    *(
        Fault(
            35,
            f"{status}-on-post",
            lambda kind, status=status: moved(status, "Location: /other"),
            RedirectError,
            phase="headers",
        )  # type: ignore[misc]
        for status in (301, 302, 303)
    ),
    Fault(
        37,
        "redirect-loop",
        lambda kind: [step for _ in range(9) for step in (*moved(307, "Location: /again"), ReadRequest())],
        RedirectError,
        phase="headers",
    ),
    Fault(37, "redirect-without-location", lambda kind: moved(308), RedirectError, phase="headers"),
    Fault(38, "400", lambda kind: refused(400, "invalid_request_error"), BackendRequestError, phase="headers"),
    Fault(38, "401", lambda kind: refused(401, "invalid_api_key"), AuthenticationError, phase="headers"),
    Fault(38, "403", lambda kind: refused(403, "permission_error"), AuthenticationError, phase="headers"),
    *(
        Fault(38, "404", lambda kind, code=code: refused(404, code), expected, phase="headers", kinds=(of,))  # type: ignore[misc]
        for of, code, expected in (
            (OPENAI, "model_not_found", ModelNotFoundError),
            (ANTHROPIC, "not_found_error", ModelNotFoundError),
            (BACKEND_API, "", RefusedError),
            (OLLAMA, "", ModelNotFoundError),
        )
    ),
    Fault(38, "413", lambda kind: refused(413, "request_too_large"), BackendRequestError, phase="headers"),
    Fault(38, "422", lambda kind: refused(422, "invalid_request_error"), BackendRequestError, phase="headers"),
)


@pytest.mark.parametrize(**cases(HEADS))
async def test_head(fault: Fault, kind: Kind) -> None:
    outcome = await converse(kind, fault.script(kind), fault.options)
    check(fault, outcome)
    assert len(str(outcome.error)) <= 300


@one_loop
@pytest.mark.parametrize(**doors(HEADS))
async def test_head_through_a_gateway(fault: Fault, kind: Kind, door: Door) -> None:
    await check_through(fault, kind, door)


@pytest.mark.parametrize("kind", each(36, "redirect-to-another-origin", KINDS))
@pytest.mark.parametrize("status", [307, 308])
async def test_nothing_leaves_for_another_origin(status: int, kind: Kind) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as elsewhere:
        outcome = await converse(kind, moved(status, f"Location: {elsewhere.url}/steal"))
        assert isinstance(outcome.error, RedirectError)
        assert not outcome.error.retryable
        assert elsewhere.connections == 0


@pytest.mark.parametrize("kind", each(36, "redirect-within-the-origin", KINDS))
@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_origin_keeps_method_body_and_key(status: int, kind: Kind) -> None:
    whole = Send(kind.chunked(kind.whole, last=True))
    script: list[Step] = [ReadRequest(), *moved(status, "Location: /other"), ReadRequest(), whole]
    async with ScriptedUpstream(script) as upstream:
        answer = provider(kind, upstream.url).create_async_generator("m", HI, stream=True)
        assert "".join([str(piece) async for piece in answer]) == "Hello"
        await aclose_pools()
        await upstream.closed()
    first, second = upstream.requests
    assert (second.method, second.target, second.body) == ("POST", "/other", first.body)
    assert second.headers["authorization"] == first.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", [pytest.param("snippet", id="row-33-snippet-without-markup-and-keys")])
async def test_the_snippet_of_a_page(name: str) -> None:
    outcome = await converse(OPENAI, [Send(ok(PAGE, "Content-Type: text/html"))])
    said = str(outcome.error)
    assert "Sign in" in said
    assert "<" not in said
    assert KEY not in said
    assert len(said.partition("stream: ")[2]) <= 200, name
