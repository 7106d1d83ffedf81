"""A server whose models are faults: each does what the table says, in every dialect, read by our own client parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backstream import BackstreamError, Content, DialectProvider, ModelNotFoundError, RateLimitError, StreamSession
from backstream.dialects.names import DIALECTS
from backstream.errors import BackendRequestError
from backstream.options import Deadlines
from backstream.registry.rows import row_at
from backstream.testing.chaos import FAULTS, ROWS, UNSHOWABLE, ChaosServer, Fault, find_fault
from backstream.testing.chaos.shape import words

BASES = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": "/v1", "gemini": "/v1beta"}
SHORT = 0.05  # for answers that never end
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture
async def chaos() -> AsyncIterator[ChaosServer]:
    async with ChaosServer(pace_seconds=0.001) as server:
        yield server


def provider_at(chaos: ChaosServer, dialect: str) -> DialectProvider:
    return DialectProvider(row_at(chaos.url + BASES.get(dialect, ""), name="chaos", dialect=dialect))


async def read(
    provider: DialectProvider, fault: Fault, *, stream: bool = True, model: str = "", **keywords: Any
) -> tuple[str, str]:
    """Return how an answer ended, ``complete`` or else, and its text."""
    said_whole = fault.outcome_of(provider.dialect.name, stream=stream) == "complete"
    patience = (
        Deadlines(idle=10) if fault.ends or said_whole else Deadlines(total=0.3, idle=SHORT, between_content=SHORT)
    )
    answer = provider.create_async_generator(
        model or fault.model, [{"role": "user", "content": "Hi"}], stream=stream, deadlines=patience, **keywords
    )
    text = ""
    try:
        async for chunk in answer:
            text += chunk.text if isinstance(chunk, Content) else ""
    except BackstreamError as error:
        return type(error).__name__, text
    assert answer.end is not None
    return answer.end.state, text


@each_dialect
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_what_the_table_says(chaos: ChaosServer, fault: Fault, stream: bool, dialect: str) -> None:
    provider = provider_at(chaos, dialect)
    if not fault.suits(dialect):
        assert (await read(provider, fault, stream=stream))[0] == "BackendRequestError"
        return
    ended, text = await read(provider, fault, stream=stream)
    expected = fault.outcome_of(dialect, stream=stream)
    assert expected == "either" or (ended == "complete") is (expected == "complete"), ended
    if fault.is_exact_in(dialect):
        said = "".join(fault.said())
        assert text == said if ended == "complete" else said.startswith(text)
    assert chaos.played[-1].model.removeprefix("chaos/") in fault.model


@each_dialect
async def test_the_lists_of_models_name_every_fault(chaos: ChaosServer, dialect: str) -> None:
    listed = await provider_at(chaos, dialect).list_models()
    assert [model.id for model in listed] == [fault.model for fault in FAULTS.values()]


@each_dialect
async def test_a_cut_delivers_what_came_before(chaos: ChaosServer, dialect: str) -> None:
    for count in (0, 1, 5):
        ended, text = await read(provider_at(chaos, dialect), FAULTS["cut-after-N"], model=f"chaos/cut-after-{count}")
        assert (ended, text) == ("IncompleteStream", "".join(words(count)))


@each_dialect
async def test_a_limit_of_tokens_ends_the_answer_with_length(chaos: ChaosServer, dialect: str) -> None:
    answer = provider_at(chaos, dialect).create_async_generator(
        "chaos/ok", [{"role": "user", "content": "Hi"}], max_tokens=2
    )
    chunks = [chunk.get_dict() async for chunk in answer]
    finish = next(chunk["finish"] for chunk in chunks if chunk["type"] == "finish")
    usage = next(chunk["usage"] for chunk in chunks if chunk["type"] == "usage")
    assert finish["reason"] == "length"
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, 2)


@each_dialect
async def test_an_unknown_fault_is_an_unknown_model(chaos: ChaosServer, dialect: str) -> None:
    answer = provider_at(chaos, dialect).create_async_generator("chaos/nothing", [{"role": "user", "content": "Hi"}])
    with pytest.raises(ModelNotFoundError):
        [chunk async for chunk in answer]


@each_dialect
async def test_a_refusal_has_the_status_of_its_name(chaos: ChaosServer, dialect: str) -> None:
    provider = provider_at(chaos, dialect)
    messages = [{"role": "user", "content": "Hi"}]
    with pytest.raises(RateLimitError) as limited:
        [chunk async for chunk in provider.create_async_generator("chaos/error-first", messages)]
    assert (limited.value.status, limited.value.retry_after_seconds) == (429, 1)
    with pytest.raises(BackendRequestError) as refused:
        [chunk async for chunk in provider.create_async_generator("chaos/error-422", messages)]
    assert refused.value.status == 422


async def test_names_of_faults() -> None:
    assert find_fault("chaos/cut-after-17") == (FAULTS["cut-after-N"], 17)
    assert find_fault("cut-after") == (FAULTS["cut-after-N"], 3)
    assert find_fault("chaos/ok") == (FAULTS["ok"], 0)
    assert find_fault("chaos/ok-20") == (FAULTS["ok-N"], 20)
    assert find_fault("chaos/204") == (FAULTS["204"], 0)
    assert find_fault("chaos/cut-after-1001") is None
    assert find_fault("chaos/no-end-3") is None
    assert find_fault("gpt-5") is None


def test_every_row_has_a_model_or_a_reason() -> None:
    shown = {row for fault in FAULTS.values() for row in fault.rows}
    assert shown | set(UNSHOWABLE) == set(ROWS)
    assert not shown & set(UNSHOWABLE)


def test_the_guide_names_every_fault_beside_its_rows() -> None:
    guide = (Path(__file__).parents[3] / "docs/howto/testing.md").read_text()
    for number, title in ROWS.items():
        names = ", ".join(f"`{fault.name}`" for fault in FAULTS.values() if number in fault.rows)
        assert f"| {number} | {title} | {names or 'none: ' + UNSHOWABLE[number]} |" in guide


async def test_a_connection_serves_several_requests_and_notices_that_its_client_left(chaos: ChaosServer) -> None:
    async with StreamSession() as session:
        for _ in range(2):
            async with session.get(chaos.url + "/v1/models") as response:
                await response.json()
        assert chaos.connections == 1
    reader, writer = await asyncio.open_connection("127.0.0.1", chaos.port)
    body = json.dumps(
        {"model": "chaos/silence-after-1", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    )
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        while chaos.connections > 1:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /nothing", b"", 404),
        ("DELETE /v1/models", b"", 404),
        ("POST /v1/chat/completions", b"{", 400),
        ("POST /v1/chat/completions", b"[]", 400),
        ("POST /v1/messages", b'{"model": 3}', 400),
        ("GET /v1/models", b"", 200),
        ("GET /v1beta/models?pageSize=5", b"", 200),
    ],
)
async def test_what_is_no_fault_is_answered_in_good_order(
    chaos: ChaosServer, request_line: str, body: bytes, status: int
) -> None:
    answers = await speak(chaos, f"{request_line} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answers.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_chunked_request_is_read(chaos: ChaosServer) -> None:
    body = b'{"model":"chaos/ok","messages":[{"role":"user","content":"Hi"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await speak(chaos, head + b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]))
    assert b"chat.completion" in answer


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
    ],
)
async def test_what_is_no_request_is_closed(chaos: ChaosServer, raw: bytes) -> None:
    assert await speak(chaos, raw) == b""


async def test_gemini_without_events_streams_an_array(chaos: ChaosServer) -> None:
    body = b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}'
    head = f"POST /v1beta/models/chaos/http10:streamGenerateContent HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = await speak(chaos, head.encode() + body)
    frames = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "".join(frame["candidates"][0]["content"]["parts"][0]["text"] for frame in frames) == "".join(words(20))


async def speak(chaos: ChaosServer, raw: bytes) -> bytes:
    """Send bytes, and read until the server closes, or is done with what was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", chaos.port)
    try:
        writer.write(raw)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
