"""Streams as the server writes them: bytes, framing, events, failures, and what reaches a provider."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstream.chunks import Content, Finish, RawResponse, Usage
from backstream.errors import AuthenticationError, IncompleteStream, RateLimitError
from support_server import CONVERSATION, HELLO, Journal, provider_of, running, saying

SAYS_HI = (Content(content="Hi ✓"), Finish(finish={"reason": "stop"}), Usage(usage={"total_tokens": 2}))

INTRO = (
    '{"type":"provider","provider":{"name":"Scripted","url":null,"label":"Scripted","model":"one"}}',
    (
        '{"type":"parameters","parameters":{"model":"one","messages":[{"role":"user","content":"Hi"}],'
        '"media":null,"provider":"Scripted"}}'
    ),
)
EVENTS = (
    *INTRO,
    '{"type":"content","content":"Hi ✓"}',
    '{"type":"finish","finish":{"reason":"stop"}}',
    '{"type":"usage","usage":{"total_tokens":2}}',
)
NAMES = ("provider", "parameters", "content", "finish", "usage")
SSE = "".join(f"event: {name}\ndata: {event}\n\n" for name, event in zip(NAMES, EVENTS, strict=True)).encode()
JSONL = "".join(f"{event}\n" for event in EVENTS).encode()

G4F = {"model": "", "messages": [], "media": None, "api_key": None, "stream": True}
AIOHTTP = {"User-Agent": "Python/3.12 aiohttp/3.9.1"}


async def test_sse_byte_for_byte() -> None:
    async with running([saying(*SAYS_HI)]) as server:
        answer = await server.converse(headers={"User-Agent": "backstream/0.1.0"})
    assert answer.status == 200
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("x-accel-buffering") == "no"
    assert answer.header("server") is None
    assert answer.whole
    assert answer.body == SSE


async def test_json_lines_byte_for_byte() -> None:
    async with running([saying(*SAYS_HI)]) as server:
        answer = await server.converse(path="/jsonl" + CONVERSATION)
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.body == JSONL


@pytest.mark.parametrize(
    ("setting", "path", "headers", "members", "framing"),
    [
        ("auto", CONVERSATION, {"Accept": "text/event-stream"}, G4F, JSONL),
        ("auto", CONVERSATION, AIOHTTP, G4F, JSONL),
        ("auto", CONVERSATION, {"User-Agent": "backstream/0.1.0"}, G4F, SSE),
        ("auto", CONVERSATION, {"User-Agent": "Mozilla/5.0"}, G4F, SSE),
        ("auto", CONVERSATION, {"Sec-Fetch-Mode": "cors"}, G4F, SSE),
        ("auto", CONVERSATION, {"Origin": "http://localhost"}, G4F, SSE),
        ("auto", CONVERSATION, {}, {"messages": [], "model": "", "media": None, "api_key": None}, SSE),
        ("auto", CONVERSATION, {}, {"model": "", "messages": []}, SSE),
        ("sse", CONVERSATION, AIOHTTP, G4F, SSE),
        ("jsonl", CONVERSATION, {"User-Agent": "Mozilla/5.0"}, {"messages": []}, JSONL),
        ("sse", "/jsonl" + CONVERSATION, {}, {"messages": []}, JSONL),
        ("sse", CONVERSATION, {"Accept": "text/html, application/x-ndjson;q=0.9"}, {"messages": []}, JSONL),
        ("sse", CONVERSATION, {"Accept": "application/x-ndjson;q=0"}, {"messages": []}, SSE),
    ],
)
async def test_which_framing(setting: str, path: str, headers: dict[str, str], members: Any, framing: bytes) -> None:
    async with running([saying(*SAYS_HI)], framing=setting) as server:
        answer = await server.converse(members, path=path, headers=headers)
    assert answer.body == framing
    named = "application/x-ndjson" in headers.get("Accept", "") and framing is JSONL
    assert (answer.header("content-type") == "application/x-ndjson") is named


class Recording:
    """A provider that keeps what it was called with."""

    def __init__(self, name: str = "Recording", **attributes: Any) -> None:
        self.calls: list[dict[str, Any]] = []

        async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
            self.calls.append({"model": model, "messages": messages, "media": media, "api_key": api_key, **kwargs})
            yield "ok"

        self.provider = provider_of(generate, **attributes)


async def test_what_reaches_the_provider() -> None:
    recording = Recording()
    members = {
        "model": None,
        "messages": [{"role": "user", "content": "Hi"}],
        "media": None,
        "api_key": "k",
        "provider": None,
        "temperature": 0.5,
        "conversation": "not an object",
        "unheard_of": [1, None],
        **dict.fromkeys(("proxy", "base_url", "timeout", "stream_timeout", "options", "deadlines", "url", "ssl"), "x"),
        **dict.fromkeys(("on_progress", "headers", "extra_headers", "extra_body", "proxies", "self", "cls"), "x"),
    }
    async with running([recording.provider]) as server:
        assert (await server.converse(members)).status == 200
    assert recording.calls == [
        {
            "model": "one",
            "messages": [{"role": "user", "content": "Hi"}],
            "media": None,
            "api_key": "k",
            "temperature": 0.5,
            "unheard_of": [1, None],
        }
    ]


@pytest.mark.parametrize(
    ("members", "authorization", "key"),
    [
        ({}, "Bearer upstream", "upstream"),
        ({"api_key": None}, "Bearer upstream", None),
        ({"api_key": "body"}, "Bearer upstream", "body"),
        ({}, "Basic dTpw", None),
        ({}, "Bearer ", None),
    ],
)
async def test_a_bearer_token_is_the_back_ends_key(members: Any, authorization: str, key: str | None) -> None:
    """Only where the body has no ``api_key`` member at all, as servers of this protocol do."""
    recording = Recording()
    async with running([recording.provider]) as server:
        await server.converse({**HELLO, **members}, headers={"Authorization": authorization})
    assert recording.calls[0]["api_key"] == key


async def test_the_model_chooses_the_provider() -> None:
    first = Recording(models=["a", "b"], default_model="a")
    second = Recording(models=["c"], model_aliases={"see": "c"}, label="Second one")
    third = Recording(models=["d"], working=False)
    providers = {"First": first.provider, "Second": second.provider, "Third": third.provider}
    asked = [("c", None), ("see", None), ("nobody's", ""), ("", None), ("d", None), ("a", "Second one"), ("", "Third")]
    async with running(providers) as server:
        for model, name in asked:
            answer = await server.converse({**HELLO, "model": model, "provider": name})
            assert answer.status == 200
    assert [call["model"] for call in first.calls] == ["nobody's", "a", "d"]
    assert [call["model"] for call in second.calls] == ["c", "c", "a"]
    assert [call["model"] for call in third.calls] == ["one"]
    assert answer.events()[0]["provider"]["name"] == "Third"


@pytest.mark.parametrize("name", ["Nobody", "http://127.0.0.1:9/v1", "custom:1", 5, {"a": 1}, ["First"]])
async def test_an_unknown_provider_is_a_404(name: Any) -> None:
    recording = Recording()
    async with running([recording.provider]) as server:
        answer = await server.converse({**HELLO, "provider": name})
    assert (answer.status, answer.json()) == (404, {"error": {"message": "Provider not found"}})
    assert recording.calls == []


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (ValueError("C:/secret/path"), {"type": "error", "error": "ValueError", "kind": "ProviderError"}),
        (TimeoutError(), {"type": "error", "error": "TimeoutError"}),
        (RateLimitError("slow down", status=429, retry_after_seconds=2.5), {"type": "error", "retryable": True}),
        (AuthenticationError("no key", status=401), {"type": "auth", "auth": "MissingAuthError", "status": 401}),
        (IncompleteStream("cut"), {"type": "error", "error": "IncompleteStream"}),
        (asyncio.CancelledError(), {"type": "error", "error": "ProviderError"}),
        (GeneratorExit(), {"type": "error", "error": "ProviderError"}),
        (RecursionError(), {"type": "error", "error": "RecursionError"}),
    ],
)
@pytest.mark.parametrize("chunks_before", [0, 2])
async def test_whatever_a_provider_raises_is_an_event(error: BaseException, event: Any, chunks_before: int) -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        for number in range(chunks_before):
            yield str(number)
        raise error

    async with running([provider_of(generate)]) as server:
        answer = await server.converse()
        again = await server.ask("GET", "/healthz")
    events = answer.events()
    assert answer.status == 200
    assert answer.whole
    assert [told["type"] for told in events] == ["provider", "parameters", *["content"] * chunks_before, event["type"]]
    assert events[-1] | event == events[-1]
    assert "secret" not in answer.body.decode()
    assert again.status == 200


def _raises(*args: Any, **kwargs: Any) -> Any:
    raise KeyError("at once")


def _gives_none(*args: Any, **kwargs: Any) -> Any:
    return None


async def _yields_a_number(*args: Any, **kwargs: Any) -> Any:
    yield 5


async def _yields_what_is_no_json(*args: Any, **kwargs: Any) -> Any:
    yield RawResponse.from_dict({"type": "odd", "value": object()})


async def _says_nothing(*args: Any, **kwargs: Any) -> Any:
    return
    yield


@pytest.mark.parametrize("generate", [_raises, _gives_none, _yields_a_number, _yields_what_is_no_json, _says_nothing])
@pytest.mark.parametrize("path", [CONVERSATION, "/jsonl" + CONVERSATION])
async def test_a_broken_provider_is_an_event(generate: Any, path: str) -> None:
    async with running([provider_of(generate)]) as server:
        answer = await server.converse(path=path)
    assert answer.whole
    assert [told["type"] for told in answer.events()] == ["provider", "parameters", "error"]


@pytest.mark.parametrize("messages", [None, "Hi", [5], [{"content": "no role"}], {"role": "user"}])
async def test_malformed_messages_are_an_event(messages: Any) -> None:
    recording = Recording()
    async with running([recording.provider]) as server:
        answer = await server.converse({"model": "", "messages": messages})
    assert answer.status == 200
    assert answer.events()[-1]["error"] == "InvalidRequestError"
    assert recording.calls == []


async def test_an_awaited_generator_and_plain_text_work() -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        async def words() -> Any:
            yield "a"
            yield "b"

        return words()

    async with running([provider_of(generate)]) as server:
        answer = await server.converse()
    assert [told.get("content") for told in answer.events()[2:]] == ["a", "b"]


async def test_each_chunk_arrives_before_the_next_is_made() -> None:
    """Nothing is kept back: the provider goes on only when the client has read what came before."""
    step = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        for word in ("one", "two", "three"):
            yield word
            await step.wait()
            step.clear()

    async with running([provider_of(generate)]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /backend-api/v2/conversation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n")
        writer.write(b'{"messages":[]}')
        for word in (b"one", b"two", b"three"):
            await reader.readuntil(b'"content":"' + word)
            step.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_does_not_read_holds_the_provider_back() -> None:
    made = 0
    held = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        nonlocal made
        asyncio.get_running_loop().call_later(0.05, held.set)
        while True:
            made += 1
            yield "x" * 100_000

    async with running([provider_of(generate)]) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(b"POST /backend-api/v2/conversation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n")
        writer.write(b'{"messages":[]}')
        await held.wait()
        for _ in range(5):
            before = made
            await asyncio.sleep(0.05)
            if made == before:
                break
        assert made == before  # socket buffers are full, and nothing more is made
        assert made < 1000
        writer.transport.abort()


async def test_silence_is_filled_with_comments_in_sse_only() -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.05)
        yield "late"

    async with running([provider_of(generate)], keepalive_seconds=0.01) as server:
        sse = await server.converse()
        jsonl = await server.converse(path="/jsonl" + CONVERSATION)
    assert b"\n\n: keep-alive\n\n" in sse.body
    assert sse.body.endswith(b'data: {"type":"content","content":"late"}\n\n')
    assert all(line.startswith(b"{") for line in jsonl.body.removesuffix(b"\n").split(b"\n"))


async def test_relayed_text_cannot_add_fields() -> None:
    hostile = 'x\n\ndata: {"type":"finish"}\r\nevent: finish\n\n'
    chunks = (Content(content=hostile), RawResponse.from_dict({"type": "a\nevent: finish", "b": 1}))
    async with running([saying(*chunks)]) as server:
        answer = await server.converse()
    lines = answer.body.decode().split("\n")
    assert [line for line in lines if line.startswith("event: ")] == [
        "event: provider",
        "event: parameters",
        "event: content",
        "event: message",
    ]
    assert answer.events()[2]["content"] == hostile
    assert answer.events()[3]["type"] == "a\nevent: finish"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"NaN", b"[" * 100_000])
async def test_a_malformed_body_is_a_400(body: bytes) -> None:
    async with running([saying()]) as server:
        answer = await server.ask("POST", CONVERSATION, body)
    assert (answer.status, answer.json()) == (400, {"error": {"message": "Invalid JSON data"}})


async def test_more_streams_than_allowed_are_a_503() -> None:
    journal, go = Journal(), asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        journal.note("started")
        await go.wait()
        yield "ok"

    async with running([provider_of(generate)], max_streams=1) as server:
        first = asyncio.create_task(server.converse())
        await journal.wait_for("started")
        second = await server.converse()
        go.set()
        assert (await first).events()[-1]["content"] == "ok"
        assert (second.status, second.message, second.header("retry-after")) == (503, "Too many streams", "1")
        assert (await server.converse()).status == 200
