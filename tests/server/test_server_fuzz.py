"""Hostile requests: any status but 500, any body of the error shape, and the server goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstream.server import Settings, create_app
from backstream.server.protocol import ConnectionLimits
from support_server import CONVERSATION, Answer, head_and_body, parse_answers, running, saying

SUITE = Path(__file__).parent.parent / "data" / "jsontestsuite"

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
names = st.sampled_from(
    [
        "model",
        "messages",
        "media",
        "api_key",
        "provider",
        "conversation",
        "stream",
        "tools",
        "self",
        "cls",
        "__class__",
        "timeout",
        "proxy",
        "base_url",
        "action",
        "get_dict",
        "pace_seconds",
    ]
) | st.just("")
messages = st.lists(
    st.fixed_dictionaries({}, optional={"role": st.sampled_from(["user", "tool", ""]) | values, "content": values}),
    max_size=3,
)
media = st.lists(
    st.lists(st.sampled_from(["/etc/passwd", "data:image/png;base64,AAAA", "data:,", "http://a/b", "a.png"]) | values)
)
members = st.dictionaries(names, values, max_size=6) | st.fixed_dictionaries(
    {"messages": messages, "model": st.sampled_from(["", "echo", "echo-tools", "x"])},
    optional={"media": media, "provider": st.sampled_from(["Echo", "", None, "x"]) | values},
)
field_names = st.sampled_from(
    [
        "Accept",
        "Authorization",
        "Content-Type",
        "Content-Encoding",
        "Cookie",
        "Expect",
        "Origin",
        "Range",
        "Upgrade",
        "Sec-Fetch-Site",
        "Transfer-Encoding",
        "Content-Length",
        "X-Api-Key",
        "g4f-api-key",
        "Host",
        "TE",
        "Trailer",
    ]
)
field_values = (
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
    | st.sampled_from(
        ["chunked", "gzip", "multipart/form-data; boundary=x", "multipart/form-data", "null", "100-continue"]
    )
    | st.sampled_from(["Basic !", "Bearer", "application/x-www-form-urlencoded", "0", "-1", "websocket", "identity"])
)
paths = st.sampled_from([CONVERSATION, "/jsonl" + CONVERSATION, "/healthz", "/backend-api/v2/models", "/"]) | st.text(
    st.characters(min_codepoint=33, max_codepoint=126), max_size=30
).map(lambda text: "/" + text)
methods = st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE", "TRACE", "FOO"])

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


HASTY = ConnectionLimits(head_seconds=0.02, drain_seconds=0.02)  # for bytes that may leave a server waiting for more


def ask(raw: bytes, providers: Any = None, limits: ConnectionLimits | None = None) -> list[Answer]:
    app = create_app(providers, Settings(keys_file=None, body_idle_seconds=0.02 if limits else 30))

    async def main() -> list[Answer]:
        async with running(app=app, limits=limits) as server, running(app=app) as patient:
            answers = []
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            with contextlib.suppress(ConnectionError):
                writer.write(raw)
                answers = parse_answers(await reader.read())
            writer.transport.abort()
            assert (await patient.ask("GET", "/healthz")).status == 200
            return answers

    return asyncio.run(main())


def check(answers: list[Answer]) -> None:
    for answer in answers:
        assert answer.status != 500
        if answer.status >= 400 and answer.body:
            assert set(answer.json()) == {"error"}
            assert set(answer.json()["error"]) == {"message"}
            assert str(SUITE.parents[2]) not in answer.message  # no path of this machine
            assert len(answer.message) < 200


@pytest.fixture(autouse=True)
def no_defects(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.ERROR, "backstream.server")
    yield
    assert not caplog.records


@FUZZ
@given(members)
def test_any_members(body: Any) -> None:
    answers = ask(head_and_body("POST", CONVERSATION, body))
    check(answers)
    assert len(answers) == 1
    if answers[0].status == 200:
        assert answers[0].whole
        assert answers[0].events()[0]["type"] == "provider"


@FUZZ
@given(methods, paths, st.lists(st.tuples(field_names, field_values), max_size=4), st.binary(max_size=60))
def test_any_request(method: str, path: str, fields: list[tuple[str, str]], body: bytes) -> None:
    check(ask(head_and_body(method, path, body, headers=fields), [saying()], HASTY))


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    check(ask(raw, [saying()], HASTY))


@FUZZ
@given(
    st.binary(max_size=100), st.sampled_from(["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
)
def test_any_form(body: bytes, content_type: str) -> None:
    for raw in (body, b"--x\r\n" + body + b"\r\n--x--\r\n", b"json=" + body):
        check(ask(head_and_body("POST", CONVERSATION, raw, headers={"Content-Type": content_type}), [saying()]))


async def test_the_json_suite_as_bodies() -> None:
    bodies = [path.read_bytes() for path in sorted(SUITE.rglob("*.json"))]
    assert len(bodies) > 300
    async with running([saying()]) as server:
        for body in bodies:
            answer = await server.ask("POST", CONVERSATION, body)
            assert answer.status in (200, 400, 413, 422), body[:80]
            check([answer])
