"""What the mock of five vendors' wire formats answers, byte by byte, when asked through our transport."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstream import DisconnectedError, IncompleteStream, RateLimitError, StreamSession
from conformance.aimock_cases import DIALECTS, OSLO, PARIS, SILENT, TEXT, cases, fixtures, has_whole, question
from conformance.support_aimock import Aimock

RECORDED = Path(__file__).parent.parent / "data" / "recorded" / "aimock"
# What the mock makes up anew for each answer, and no fixture can fix.
VOLATILE = re.compile(rb'"(?:(?:msg|fc|rs|ws)-[\w-]{16}|20\d\d-\d\d-\d\dT[\d:.]+Z)"')

each_dialect = pytest.mark.parametrize("name", DIALECTS)
BEGUN = [(name, case) for name in DIALECTS for case in cases(name) if case not in SILENT]


async def ask(aimock: Aimock, name: str, text: str, stream: bool) -> tuple[dict[str, str], int, bytes, bool]:
    """Return fields, status, body, and whether it came to its end."""
    dialect = DIALECTS[name]
    body, whole = b"", True
    async with (
        StreamSession(headers=dialect.headers) as session,
        session.post(aimock.url + dialect.path(stream), json=dialect.body(text, stream)) as response,
    ):
        try:
            async for block in response.iter_content():
                body += block
        except IncompleteStream:
            whole = False
        return dict(response.headers.items()), response.status, body, whole


def still(body: bytes) -> bytes:
    return VOLATILE.sub(b'"-"', body)


def recorded(name: str, case: str) -> tuple[int, bytes, bool]:
    first, *_ = (RECORDED / name / f"{case}.headers").read_text("utf-8").split("\n")
    status, ended = first.split(" ", 1)
    return int(status), still((RECORDED / name / f"{case}.body").read_bytes()), ended == "whole"


@pytest.mark.parametrize(("name", "case"), BEGUN)
async def test_streams_are_as_recorded(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    fields, status, body, whole = await ask(aimock, name, question(case), True)
    assert (status, still(body), whole) == recorded(name, case)
    streamed = status == 200 and case != "error-malformed"
    assert fields["content-type"] == (DIALECTS[name].media_type if streamed else "application/json")


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, case in BEGUN if has_whole(case)])
async def test_whole_answers_are_as_recorded(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    fields, status, body, whole = await ask(aimock, name, question(case), False)
    assert (status, still(body), whole) == recorded(name, f"{case}.whole")
    assert fields["content-type"] == "application/json"


@each_dialect
@pytest.mark.parametrize("case", SILENT)
async def test_an_answer_that_never_begins_is_a_lost_connection(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    with pytest.raises(DisconnectedError):
        await ask(aimock, name, question(case), True)


def chat_text(event: Any) -> str:
    return event["choices"][0]["delta"].get("content") or "" if event["choices"] else ""


def responses_text(event: Any) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


def anthropic_text(event: Any) -> str:
    return event["delta"].get("text", "") if event["type"] == "content_block_delta" else ""


def gemini_text(event: Any) -> str:
    return "".join(part.get("text", "") for part in event["candidates"][0]["content"]["parts"])


def ollama_text(event: Any) -> str:
    return event["message"]["content"]


TEXT_OF: dict[str, Callable[[Any], str]] = {
    "openai_chat": chat_text,
    "openai_responses": responses_text,
    "anthropic_messages": anthropic_text,
    "gemini": gemini_text,
    "ollama": ollama_text,
}


@each_dialect
async def test_our_decoders_read_the_text(aimock: Aimock, name: str) -> None:
    aimock.answer("greet", {"content": TEXT}, chunkSize=4)
    dialect = DIALECTS[name]
    async with (
        StreamSession(headers=dialect.headers) as session,
        session.post(aimock.url + dialect.path(True), json=dialect.body("Please greet me", True)) as response,
    ):
        events = (
            [json.loads(line) async for line in response.iter_lines()]
            if name == "ollama"
            else [event async for event in response.sse()]
        )
    assert "".join(TEXT_OF[name](event) for event in events) == TEXT
    assert len(events) > len(TEXT) / 4


@each_dialect
async def test_the_request_is_understood(aimock: Aimock, name: str) -> None:
    aimock.answer("Tromsø", {"toolCalls": [PARIS, OSLO]})
    *_, whole = await ask(aimock, name, "Weather in Tromsø? 🙂", True)
    (entry,) = aimock.journal()
    assert whole
    assert entry["path"] == DIALECTS[name].path(True)
    assert entry["body"]["messages"][-1]["content"] == "Weather in Tromsø? 🙂"
    assert [tool["function"]["name"] for tool in entry["body"]["tools"]] == ["get_weather"]
    assert entry["body"]["stream"] is True
    given = {key.lower(): value for key, value in entry["headers"].items()}
    assert all(key.lower() in given for key in DIALECTS[name].headers)


@each_dialect
async def test_a_question_without_an_answer_goes_nowhere(aimock: Aimock, name: str) -> None:
    _, status, body, whole = await ask(aimock, name, "Nobody knows", True)
    assert (status, whole) == (404, True)
    assert "No fixture matched" in json.loads(body)["error"]["message"]


@each_dialect
async def test_a_refusal_is_given_once(aimock: Aimock, name: str) -> None:
    aimock.answer("hi", {"content": "Hello"})
    aimock.fail_next(429, "Slow down")
    dialect = DIALECTS[name]
    async with StreamSession(headers=dialect.headers) as session:
        async with session.post(aimock.url + dialect.path(True), json=dialect.body("hi", True)) as response:
            with pytest.raises(RateLimitError) as caught:
                raise await response.refusal()
        async with session.post(aimock.url + dialect.path(True), json=dialect.body("hi", True)) as response:
            assert response.status == 200
    assert caught.value.retry_after_seconds == 1
