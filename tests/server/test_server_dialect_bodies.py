"""Request bodies of the dialects: too large, too slow, encoded, large and left; each told in the client's dialect."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from backstream import Content, Finish, IncompleteStream, UnavailableError
from backstream.chunks import Reasoning
from backstream.server import BodyLimits, Settings, create_app
from support_server import Journal, close, head_and_body, parse_answers, provider_of, running, saying

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini": "/v1beta/models/x:generateContent",
    "ollama": "/api/chat",
}
CHAT = {"model": "", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
each_dialect = pytest.mark.parametrize("name", PATHS)


def message_in(name: str, body: Any) -> str:
    """What a refusal says, where the dialect's clients look for it."""
    if name == "ollama":
        return str(body["error"])
    if name == "anthropic_messages":
        assert body["type"] == "error"
    if name == "gemini":
        assert isinstance(body["error"]["code"], int)
    return str(body["error"]["message"])


@each_dialect
@pytest.mark.parametrize(
    ("raw", "headers", "status", "said"),
    [
        (b"{" + b" " * 300 + b"}", {}, 413, "too large"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
    ],
    ids=["too large", "encoded"],
)
async def test_a_body_that_is_refused(name: str, raw: bytes, headers: dict[str, str], status: int, said: str) -> None:
    app = create_app(None, Settings(keys_file=None, limits=BodyLimits(max_body_bytes=200)))
    async with running(app=app) as server:
        answer = await server.ask("POST", PATHS[name], raw, headers=headers)
    assert answer.status == status
    assert said in message_in(name, answer.json())


@each_dialect
async def test_a_body_announced_too_large_is_not_waited_for(name: str) -> None:
    async with running() as server:
        raw = f"POST {PATHS[name]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {'9' * 17}\r\n\r\n".encode()
        answer = await server.send(raw)
    assert answer.status == 413
    assert "larger than the limit" in message_in(name, answer.json())


@each_dialect
async def test_a_body_that_stops_is_told(name: str) -> None:
    async with running(body_idle_seconds=0.03) as server:
        answer = await server.send(head_and_body("POST", PATHS[name], b"{" * 100)[:-50])
    assert answer.status == 408
    assert "in time" in message_in(name, answer.json())
    assert answer.header("connection") == "close"


@each_dialect
async def test_a_client_that_leaves_within_its_body_is_no_ones_fault(name: str) -> None:
    async with running() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", PATHS[name], b"{" * 100)[:-50])
        await writer.drain()
        await close(writer)
        answer = await server.ask("POST", "/v1/chat/completions", CHAT)
    assert answer.status == 200


async def test_a_large_body_is_read_in_pieces() -> None:
    text = "x" * 400_000
    async with running() as server:
        answer = await server.ask(
            "POST", "/v1/chat/completions", {"model": "", "messages": [{"role": "user", "content": text}]}
        )
    assert answer.status == 200
    assert "400,000 characters" in answer.body.decode()


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/api/version"])
async def test_lists_are_told_without_their_body_where_that_is_asked(path: str) -> None:
    async with running() as server:
        got = await server.ask("GET", path)
        raw = await server.ask("HEAD", path)
    assert (got.status, raw.status) == (200, 200)
    assert raw.header("content-type") == got.header("content-type") == "application/json"
    assert raw.body == b""
    assert got.body


# --- the gate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_without_content_is_an_answer(stream: bool) -> None:
    async with running([saying(Finish(finish={"reason": "stop"}))]) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {**CHAT, "stream": stream})
    assert answer.status == 200
    if not stream:
        assert answer.json()["choices"][0]["finish_reason"] == "stop"


async def test_what_was_held_at_the_gate_is_not_lost() -> None:
    chunks = (Reasoning(token="I think. "), Content(content="Hello"), Finish(finish={"reason": "stop"}))
    async with running([saying(*chunks)]) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {**CHAT, "stream": True})
    assert b"I think. " in answer.body
    assert b"Hello" in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("failure", [IncompleteStream("the upstream was cut"), UnavailableError("busy", status=503)])
async def test_a_failure_past_the_gates_time_is_an_event(failure: Exception) -> None:
    journal = Journal()

    async def generate(*arguments: Any, **keywords: Any) -> Any:
        journal.note("asked")
        await journal.wait_for("head")
        raise failure
        yield

    async with running([provider_of(generate)], gate_seconds=0.01) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", "/v1/chat/completions", {**CHAT, "stream": True}))
        received = await reader.readuntil(b"\r\n\r\n")
        journal.note("head")
        received += await reader.read()
        await close(writer)
    (answer,) = parse_answers(received)
    assert answer.status == 200
    assert b"[DONE]" not in answer.body
    assert "error" in json.dumps(answer.events()[-1])


async def test_a_long_whole_answer_is_folded_as_it_comes() -> None:
    async with running([saying(*[Content(content="ab")] * 25_000, Finish(finish={"reason": "stop"}))]) as server:
        answer = await server.ask("POST", "/v1/chat/completions", CHAT)
    assert answer.json()["choices"][0]["message"]["content"] == "ab" * 25_000
