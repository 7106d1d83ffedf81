"""Any client, any provider: each dialect's routes, asked by our own providers, before Echo and scripted answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from backstream import (
    AuthenticationError,
    BackstreamError,
    Client,
    Content,
    DialectProvider,
    Finish,
    IncompleteStream,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    Reply,
    StreamSession,
    ToolCallDelta,
    UnavailableError,
    UnsupportedFeatureError,
    Usage,
)
from backstream.chunks import Reasoning, Start
from backstream.options import Recovery
from backstream.providers.table import row
from support_server import provider_of, running

PNG = "iVBORw0KGgo="
ROWS = {
    "openai_chat": ("openai", "/v1"),
    "openai_responses": ("openai-responses", "/v1"),
    "anthropic_messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
    "ollama": ("ollama", ""),
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini": "/v1beta/models/x:generateContent",
    "ollama": "/api/chat",
}
each_dialect = pytest.mark.parametrize("name", ROWS)
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def client_of(server: str, name: str, key: str = "key-of-nobody-in-particular") -> DialectProvider:
    known, path = ROWS[name]
    return DialectProvider(msgspec.structs.replace(row(known), url=server + path), key)


async def ask(server: str, name: str, model: str, messages: Any = "Hi", **keywords: Any) -> Reply:
    async with Client(environ={"HOME": "/nonexistent"}, recovery=Recovery(retries=0)) as client:
        return await client.chat(model, messages, provider=client_of(server, name), max_tokens=500, **keywords)


async def read(result: Any) -> list[Any]:
    return [chunk async for chunk in result]


def scripted(*chunks: Any) -> Any:
    """A provider that answers with chunks; one that is an exception is raised, an event waited for."""

    async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **keywords: Any) -> Any:
        for chunk in chunks:
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
            elif isinstance(chunk, BaseException):
                raise chunk
            else:
                yield chunk

    return provider_of(generate)


@each_dialect
@streamed_or_whole
async def test_a_conversation_with_a_picture(name: str, stream: bool) -> None:
    asked = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "One"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Second"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
    ]
    async with running() as server:
        reply = await ask(server.url, name, "echo", asked, stream=stream, temperature=0.5)
    assert "4 messages arrived" in reply.text
    assert "system: 9 characters" in reply.text
    assert "“Second”" in reply.text
    assert "`temperature`" in reply.text
    assert "image/png, 8 bytes" in reply.text
    assert reply.finish_reason == "stop"
    assert reply.usage is not None
    assert (reply.usage.input_tokens, (reply.usage.output_tokens or 0) > 20) == (5, True)


@each_dialect
@streamed_or_whole
async def test_reasoning_and_parallel_tool_calls(name: str, stream: bool) -> None:
    provider = scripted(
        Start(id="up", model="real-model"),
        Reasoning(token="I "),
        Reasoning(token="think."),
        ToolCallDelta(part=0, id="call_a", name="first", arguments='{"x"'),
        ToolCallDelta(part=1, id="call_b", name="second"),
        ToolCallDelta(part=0, arguments=":1}"),
        ToolCallDelta(part=1, arguments='{"y":2}'),
        Finish(finish={"reason": "tool_calls"}),
        Usage(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
    )
    async with running([provider]) as server:
        reply = await ask(server.url, name, "m", stream=stream)
    assert reply.reasoning == "I think."
    calls = [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]
    assert sorted(calls) == [("first", {"x": 1}), ("second", {"y": 2})]
    assert reply.finish_reason == "tool_calls"
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 4)


@each_dialect
@streamed_or_whole
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("echo-fail-start", UnavailableError),
        ("echo-fail-rate", RateLimitError),
        ("echo-fail-auth", AuthenticationError),
        ("no-such-model", ModelNotFoundError),
        ("echo-empty", UnavailableError),
    ],
)
async def test_what_fails_before_the_first_content_is_a_status(
    name: str, stream: bool, model: str, error: type[ProviderError]
) -> None:
    async with running() as server:
        with pytest.raises(error) as caught:
            await ask(server.url, name, model, stream=stream)
    assert type(caught.value) is error
    assert caught.value.phase == "headers"
    if error is RateLimitError:
        assert getattr(caught.value, "retry_after_seconds", None) == 1


@each_dialect
@pytest.mark.parametrize("failure", [UnavailableError("overloaded", status=503), IncompleteStream("cut")])
async def test_what_fails_after_it_is_an_event_and_no_end_is_invented(name: str, failure: Exception) -> None:
    async with running([scripted(Content(content="Hel"), Content(content="lo"), failure)]) as server:
        with pytest.raises(ProviderError) as caught:
            await ask(server.url, name, "m", stream=True)
        assert "".join(map(str, caught.value.received)) == "Hello"
        known, path = ROWS[name]
        del known, path
        with pytest.raises(ProviderError) as caught:
            await ask(server.url, name, "m", stream=False)
        assert caught.value.phase == "headers"


@each_dialect
async def test_a_provider_that_says_nothing_for_long_gets_its_head_out(name: str) -> None:
    """Past the gate's time the answer begins; what fails then is an event."""
    told = asyncio.Event()
    provider = scripted(told, UnavailableError("overloaded", status=503))
    async with running([provider], gate_seconds=0.01, keepalive_seconds=0.01) as server:
        result = client_of(server.url, name).create_async_generator("m", [{"role": "user", "content": "Hi"}])
        reading = asyncio.ensure_future(read(result))
        while result.service is None:  # the head has come
            await asyncio.sleep(0.005)
        told.set()
        with pytest.raises(ProviderError) as caught:
            await reading
        assert caught.value.phase == "body"


@each_dialect
@pytest.mark.parametrize("before", [(), (Content(content="Hi"),)], ids=["before", "within"])
async def test_a_client_that_leaves_closes_the_provider(name: str, before: Sequence[Any]) -> None:
    started, closed = asyncio.Event(), asyncio.Event()

    async def generate(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        try:
            for chunk in before:
                yield chunk
            started.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with running([provider_of(generate)]) as server:
        result = client_of(server.url, name).create_async_generator("m", [{"role": "user", "content": "Hi"}])
        reading = asyncio.ensure_future(anext(result))
        await started.wait()
        if before:
            await reading
        else:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await result.aclose()
        async with asyncio.timeout(10):
            await closed.wait()


@each_dialect
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b"{}", b'{"messages":5}', b'{"model":[],"messages":[],"input":{}}']
)
async def test_a_body_that_is_none_is_the_clients_fault(name: str, body: bytes) -> None:
    async with running() as server, StreamSession() as session:
        response = await session.post(server.url + PATHS[name], data=body)
        assert 400 <= response.status < 500, await response.text()
        answer = await response.json()
        assert "error" in answer
        await response.aclose()


@each_dialect
async def test_keys_are_asked_for_in_the_dialects_words(name: str, tmp_path: Any) -> None:
    from backstream.server.keys import add_key

    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    async with running(keys_file=keys) as server:
        with pytest.raises(AuthenticationError):
            await ask(server.url, name, "echo")
        async with Client(environ={"HOME": "/nonexistent"}) as client:
            provider = client_of(server.url, name, key)
            if name == "ollama":  # its clients have no key of their own: they add a header field
                headers = {"Authorization": f"Bearer {key}"}
                reply = await client.chat("echo", "Hi", provider=provider, extra_headers=headers)
            else:
                reply = await client.chat("echo", "Hi", provider=provider)
        assert "Echo" in reply.text


@each_dialect
async def test_models_are_listed_and_told_one_by_one(name: str) -> None:
    async with running() as server:
        models = await client_of(server.url, name).list_models()
        assert "echo-reasoning" in [model.id for model in models]
        if name == "ollama":
            return
        path = ROWS[name][1] + "/models/echo-tools"
        headers = {"anthropic-version": "2023-06-01"} if name == "anthropic_messages" else {}
        async with StreamSession(headers=headers) as session:
            response = await session.get(server.url + path)
            entry = await response.json()
            assert "echo-tools" in (entry.get("id"), entry.get("name", "").removeprefix("models/"))
            assert entry.get("type") == ("model" if name == "anthropic_messages" else None)
            response = await session.get(server.url + path + "-not")
            assert response.status == 404
            assert "error" in await response.json()


async def test_a_client_of_mistral_gets_its_vendors_form_at_openais_paths() -> None:
    asked = {"model": "echo-reasoning", "messages": [{"role": "user", "content": "Hi"}]}
    async with running() as server:
        agent = {"headers": {"User-Agent": "mistral-client-python/3.7.0"}}
        told = (await server.ask("POST", "/v1/chat/completions", asked, **agent)).json()
        plain = (await server.ask("POST", "/v1/chat/completions", asked)).json()
        listed = (await server.ask("GET", "/v1/models", **agent)).json()
        one = (await server.ask("GET", "/v1/models/echo", **agent)).json()
    assert told["choices"][0]["message"]["content"][0]["type"] == "thinking"
    assert plain["choices"][0]["message"]["reasoning_content"].startswith("I look")
    assert {entry["type"] for entry in [*listed["data"], one]} == {"base"}


@pytest.mark.parametrize("name", ["anthropic_messages", "gemini"])
async def test_tokens_are_counted_only_by_those_who_can(name: str) -> None:
    async with running() as server:
        with pytest.raises(BackstreamError) as caught:
            await client_of(server.url, name).count_tokens("echo", [{"role": "user", "content": "Hi"}])
    assert not isinstance(caught.value, UnsupportedFeatureError)  # it is the server that cannot
    assert "does not count tokens" in str(caught.value)


async def test_geminis_streams_are_an_array_unless_events_are_asked_for() -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    path = "/v1beta/models/Echo/echo:streamGenerateContent"
    async with running() as server, StreamSession() as session:
        array = await session.post(server.url + path, json=body)
        assert array.headers["content-type"].startswith("application/json")
        events = await array.json()
        text = "".join(p["text"] for e in events for p in e["candidates"][0]["content"].get("parts", ()))
        assert text.startswith("I am **Echo**")
        stream = await session.post(server.url + path, json=body, params={"alt": "sse"})
        assert stream.headers["content-type"].startswith("text/event-stream")
        await stream.aclose()


async def test_ollamas_clients_learn_a_version() -> None:
    async with running() as server, StreamSession() as session:
        response = await session.get(server.url + "/api/version")
        assert (await response.json())["version"]


@each_dialect
async def test_a_provider_behind_a_provider(name: str) -> None:
    """A gateway in front of a gateway: what the table's provider is asked is what the client asked."""
    other = {"openai_chat": "anthropic_messages"}.get(name, "openai_chat")
    async with running() as inner, running([client_of(inner.url, other)]) as outer:
        reply = await ask(outer.url, name, "echo-reasoning", "A question", temperature=0.25)
        assert "“A question”" in reply.text
        assert "`temperature`" in reply.text
        assert reply.reasoning.startswith("I look at what arrived")
        with pytest.raises(UnavailableError):
            await ask(outer.url, name, "echo-fail-start")
        with pytest.raises(ProviderError) as caught:
            await ask(outer.url, name, "echo-fail-middle")
        assert "".join(map(str, caught.value.received)).startswith("I am")


@each_dialect
async def test_a_client_cannot_say_where_the_back_end_is_or_how_it_is_reached(name: str) -> None:
    given: list[str] = []

    async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **keywords: Any) -> Any:
        given.extend(keywords)
        yield "Hi"

    bad = ["proxy", "base_url", "options", "extra_headers", "extra_body", "receipts", "timeout", "ssl", "messages_"]
    members = {member: {"x": 1} for member in bad}
    async with running([provider_of(generate)]) as server:
        await ask(server.url, name, "m", extra_body=members, receipts="drop")
    assert not set(given) & (set(bad) - {"messages_"})
