"""What a client key may use: counted over two servers that share a file, told in the dialect of whoever asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Content, Finish, Media, Reasoning, Refusal, ToolCallDelta, ToolCalls, Usage
from backstream.registry.server_config import KeyLimits
from backstream.server import Settings, create_app
from backstream.server import ledger as ledger_module
from backstream.server.addresses import MAX_ADDRESSES, MAX_FAILURES, FailedKeys
from backstream.server.app import Gateway
from backstream.server.asgi import Refusal as Refused
from backstream.server.keys import add_key, digest_of, limit_key
from backstream.server.limits import names_of
from backstream.server.tally import Tally
from support_server import CONVERSATION, Answer, Running, close, head_and_body, provider_of, running, saying

CHAT = "/v1/chat/completions"
TURN = {"messages": [{"role": "user", "content": "Hi"}]}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "backend_api": (CONVERSATION, {"model": "one", **TURN}),
    "openai_chat": (CHAT, {"model": "one", **TURN}),
    "openai_responses": ("/v1/responses", {"model": "one", "input": "Hi"}),
    "anthropic_messages": ("/v1/messages", {"model": "one", "max_tokens": 9, **TURN}),
    "gemini": ("/v1beta/models/one:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
    "ollama": ("/api/chat", {"model": "one", "stream": False, **TURN}),
}
each_dialect = pytest.mark.parametrize("name", BODIES)


def using(tokens: int | None, *texts: str) -> Any:
    usage = [] if tokens is None else [Usage(usage={"prompt_tokens": tokens - 1, "completion_tokens": 1})]
    said = [Content(content=text) for text in texts or ("Hi",)]
    return saying(*said, *usage, Finish(finish={"reason": "stop"}))


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


async def ask(server: Running, key: str, name: str = "openai_chat", **members: Any) -> Answer:
    path, body = BODIES[name]
    return await server.ask("POST", path, {**body, **members}, headers={"x-api-key": key})


def app_of(provider: Any, keys_file: Path, **settings: Any) -> Gateway:
    return create_app([provider], Settings(keys_file=keys_file, **settings))


async def used(app: Gateway, name: str = "laptop") -> int:
    return await app.ledger.tokens_today(name)


# --- the limits


@each_dialect
async def test_requests_of_a_minute_are_refused_in_the_dialect(keys_file: Path, name: str) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(requests_per_minute=2))
    async with running(app=app_of(using(2), keys_file)) as server:
        assert [(await ask(server, key, name)).status for _ in range(2)] == [200, 200]
        answer = await ask(server, key, name)
    assert answer.status == 429
    wait = int(answer.header("retry-after") or "0")
    assert 1 <= wait <= 60
    assert [field for field, _ in answer.headers].count("retry-after") == 1
    told = answer.json()
    text = "Too many requests in a minute for this key"
    shapes = {
        "backend_api": {"error": {"message": text}},
        "openai_chat": {
            "error": {"message": text, "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
        },
        "anthropic_messages": {"type": "error", "error": {"type": "rate_limit_error", "message": text}},
    }
    if name in shapes:
        assert {member: told[member] for member in shapes[name]} == shapes[name]
    elif name == "openai_responses":
        assert (told["error"]["message"], told["error"]["code"]) == (text, "rate_limit_exceeded")
    elif name == "gemini":
        error = told["error"]
        assert (error["code"], error["status"], error["message"]) == (429, "RESOURCE_EXHAUSTED", text)
        assert error["details"][0]["retryDelay"] == f"{wait}s"
    else:
        assert told["error"] == text


@each_dialect
async def test_another_model_is_forbidden_in_the_dialect(keys_file: Path, name: str) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(models=("ollama/*",)))
    asked: list[str] = []

    async def generate(model: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(model)
        yield "no"

    async with running(app=app_of(provider_of(generate), keys_file)) as server:
        answer = await ask(server, key, name)
    assert (answer.status, asked) == (403, [])
    told = answer.json()
    assert "may not use that model" in str(told)
    words = {"openai_chat": "permission_denied", "openai_responses": "permission_denied"}
    words |= {"anthropic_messages": "permission_error", "gemini": "PERMISSION_DENIED"}
    assert words.get(name, "") in json.dumps(told)
    if name == "gemini":
        assert told["error"]["code"] == 403


async def test_two_servers_count_together(keys_file: Path, tmp_path: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(requests_per_minute=3))
    other = add_key(keys_file, "phone", KeyLimits(requests_per_minute=1))
    state = tmp_path / "state.sqlite"
    one, two = (app_of(using(2), keys_file, state_file=state) for _ in range(2))
    async with running(app=one) as first, running(app=two) as second:
        answers = [await ask(server, key) for server in (first, second, first, second, first)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert (await ask(second, other)).status == 200


async def test_who_asks_another_worker_at_once_finds_the_place_free(keys_file: Path, tmp_path: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(concurrent_streams=1))
    one, two = (app_of(using(2), keys_file, state_file=tmp_path / "state.sqlite") for _ in range(2))
    two.ledger._worker = (os.getpid(), "other")
    async with running(app=one) as first, running(app=two) as second:
        answers = [await ask((first, second)[turn % 2], key, stream=turn % 3 == 0) for turn in range(60)]
    assert [answer.status for answer in answers] == [200] * 60


async def test_who_is_counted_while_the_server_begins_to_stop_is_refused(keys_file: Path, tmp_path: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(concurrent_streams=5))
    app = app_of(using(2), keys_file, state_file=tmp_path / "state.sqlite")
    async with running(app=app) as server:
        assert (await ask(server, key)).status == 200
        with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # another process holds the file
            waiting = asyncio.create_task(ask(server, key))
            while not app.admission.running:
                await asyncio.sleep(0)
            app.admission.draining = True
            other.execute("ROLLBACK")
        answer = await waiting
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert answer.message == "This server is stopping"


async def test_streams_of_two_servers_count_together(keys_file: Path, tmp_path: Path) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield Content(content="Hi")
        started.set()
        await go.wait()
        yield Finish(finish={"reason": "stop"})

    key = add_key(keys_file, "laptop", KeyLimits(concurrent_streams=1))
    settings: dict[str, Any] = {"state_file": tmp_path / "state.sqlite"}
    one, two = (app_of(provider_of(generate), keys_file, **settings) for _ in range(2))
    two.ledger._worker = (os.getpid(), "other")
    async with running(app=one) as first, running(app=two) as second:
        long = asyncio.create_task(ask(first, key, stream=True))
        await started.wait()
        refused = await ask(second, key)
        go.set()
        assert (await long).status == 200
        assert (await ask(second, key)).status == 200
    assert (refused.status, refused.header("retry-after")) == (429, "1")
    assert refused.json()["error"]["message"] == "Too many streams for this key"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("counted", [True, False], ids=["by the ledger", "in the process"])
async def test_who_asks_again_at_once_finds_the_place_free(keys_file: Path, counted: bool, stream: bool) -> None:
    """The place is given back before the last byte, not after it."""
    key = add_key(keys_file, "laptop", KeyLimits(concurrent_streams=1) if counted else None)
    app = app_of(using(2), keys_file, max_streams_per_key=1, max_streams=1)
    async with running(app=app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = {**BODIES["openai_chat"][1], "stream": stream}
        raw = head_and_body("POST", CHAT, body, headers={"x-api-key": key}, keep=True)
        for _ in range(50):
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            if stream:
                await reader.readuntil(b"0\r\n\r\n")
            else:
                size = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(size.split(b":")[1]))
        await close(writer)
    assert app.admission.running == 0


async def test_a_budget_lasts_till_midnight(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=100))
    app = app_of(using(60), keys_file)
    async with running(app=app) as server:
        assert [(await ask(server, key)).status for _ in range(2)] == [200, 200]
        assert await used(app) == 120
        answer = await ask(server, key, "anthropic_messages")
    assert answer.status == 429
    assert 1 <= int(answer.header("retry-after") or "0") <= 86400
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert "tokens of today" in answer.json()["error"]["message"]
    assert "100" not in answer.body.decode()


async def test_where_limits_stand(keys_file: Path) -> None:
    """The key's record counts before the configuration's table, and that before the default."""
    own = add_key(keys_file, "own", KeyLimits(requests_per_minute=1))
    named = add_key(keys_file, "named")
    plain = add_key(keys_file, "plain")
    configured = {
        "own": KeyLimits(requests_per_minute=9, models=("none/*",)),
        "named": KeyLimits(requests_per_minute=2),
    }
    app = app_of(using(2), keys_file, key_limits=configured, default_key_limits=KeyLimits(requests_per_minute=3))
    async with running(app=app) as server:
        for key, most, fine in ((own, 1, 403), (named, 2, 200), (plain, 3, 200)):
            assert [(await ask(server, key)).status for _ in range(most + 1)] == [fine] * most + [429]


async def test_limits_change_while_the_server_runs(keys_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.server.auth._CHECK_SECONDS", 0.0)
    key = add_key(keys_file, "laptop")
    async with running(app=app_of(using(2), keys_file)) as server:
        assert (await ask(server, key)).status == 200
        limit_key(keys_file, "laptop", KeyLimits(requests_per_minute=1))
        assert [(await ask(server, key)).status for _ in range(2)] == [200, 429]
        limit_key(keys_file, "laptop", KeyLimits(), lift=["requests_per_minute"])
        assert (await ask(server, key)).status == 200


async def test_who_has_no_limits_costs_no_thread(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(models=("*",)))
    app = app_of(using(2), keys_file)
    async with running(app=app) as server:
        assert (await ask(server, key)).status == 200
    assert app.ledger._thread is None
    open_app = create_app([using(2)], Settings(keys_file=None, default_key_limits=KeyLimits(requests_per_minute=1)))
    async with running(app=open_app) as server:
        assert [(await ask(server, "any")).status for _ in range(3)] == [200] * 3
    assert open_app.ledger._thread is None


async def test_a_failing_state_file_refuses_nobody(
    keys_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(requests_per_minute=2))
    state = tmp_path / "state.sqlite"
    app = app_of(using(2), keys_file, state_file=state)
    state.write_text("spoiled" * 1000)
    async with running(app=app) as server:
        assert [(await ask(server, key)).status for _ in range(3)] == [200, 200, 429]
    assert caplog.text.count("limits are held in memory") == 1


# --- what is charged


@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_provider_says_is_charged(keys_file: Path, stream: bool) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=10_000))
    app = app_of(using(60, "x" * 4000), keys_file)
    async with running(app=app) as server:
        for name in BODIES:
            await ask(server, key, name, **({"stream": stream} if name != "gemini" else {}))
            app.registry = None
        assert await used(app) == 60 * len(BODIES)


@pytest.mark.parametrize("name", ["backend_api", "openai_chat"])
async def test_what_is_not_said_is_estimated(keys_file: Path, name: str) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=10_000))
    app = app_of(using(None, "word " * 400), keys_file)
    async with running(app=app) as server:
        asked = {"messages": [{"role": "user", "content": "word " * 800}]}
        await ask(server, key, name, **asked)
        assert 1500 <= await used(app) <= 1560


async def test_going_away_saves_nothing(keys_file: Path) -> None:
    closed = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            for _ in range(100):
                yield Content(content="word " * 8)
            await asyncio.Event().wait()
        finally:
            closed.set()

    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=500))
    app = app_of(provider_of(generate), keys_file)
    async with running(app=app) as server:
        for name in ("openai_chat", "backend_api"):
            closed.clear()
            path, body = BODIES[name]
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head_and_body("POST", path, {**body, "stream": True}, headers={"x-api-key": key}))
            seen = b""
            while seen.count(b"word " * 8) < 100:
                seen += await reader.read(65536)
            await close(writer)
            await closed.wait()
            async with asyncio.timeout(20):  # a guard against hanging, not a measure
                while app.admission.running:
                    await asyncio.sleep(0.001)
            assert await used(app) >= 1000
            app.ledger._submit(lambda file, now: file._database.execute("DELETE FROM spent"), None)


async def test_going_away_before_the_first_word_is_charged_for_the_question(keys_file: Path) -> None:
    asked = asyncio.Event()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()
        yield "never"

    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=10_000))
    app = app_of(provider_of(generate), keys_file)
    async with running(app=app) as server:
        body = {"model": "one", "messages": [{"role": "user", "content": "word " * 800}]}
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", CHAT, body, headers={"x-api-key": key}))
        await asked.wait()
        await close(writer)
        async with asyncio.timeout(20):  # a guard against hanging, not a measure
            while app.admission.running:
                await asyncio.sleep(0.001)
        assert 1000 <= await used(app) <= 1100


async def test_what_never_reached_a_provider_is_free(keys_file: Path) -> None:
    async def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no")
        yield

    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=10_000, models=("Scripted/one",)))
    app = app_of(provider_of(fail), keys_file)
    async with running(app=app) as server:
        for body in (b"{", {"model": "one"}, {"model": "two", **TURN}, {"model": "one", **TURN}):
            assert (await server.ask("POST", CHAT, body, headers={"x-api-key": key})).status >= 400
        assert await used(app) == 0


async def test_an_answer_that_breaks_is_charged_for_what_came(keys_file: Path) -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield Content(content="word " * 400)
        raise RuntimeError("no")

    key = add_key(keys_file, "laptop", KeyLimits(tokens_per_day=10_000))
    app = app_of(provider_of(generate), keys_file)
    async with running(app=app) as server:
        await ask(server, key, stream=True)
        assert 500 <= await used(app) <= 530
        assert (await ask(server, key)).status >= 400
        assert 1000 <= await used(app) <= 1060


# --- models


async def test_lists_show_what_the_key_may_use(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop", KeyLimits(models=("scripted/o*",)))
    provider = type("Scripted", (using(2),), {"models": ["one", "two", "other"]})
    async with running(app=app_of(provider, keys_file)) as server:

        async def get(path: str) -> Any:
            return await server.ask("GET", path, headers={"x-api-key": key})

        assert [each["id"] for each in (await get("/v1/models")).json()["data"]] == ["one", "other"]
        names = [each["name"] for each in (await get("/v1beta/models")).json()["models"]]
        assert names == ["models/one", "models/other"]
        assert [each["name"] for each in (await get("/api/tags")).json()["models"]] == ["one", "other"]
        assert (await get("/backend-api/v2/models")).json() == {"Scripted": ["one", "other"]}
        assert [each["id"] for each in (await get("/backend-api/v2/models/Scripted")).json()] == ["one", "other"]
        assert [(await get(f"/v1/models/{name}")).status for name in ("one", "two")] == [200, 404]
        assert (await get("/v1/models/two")).body == (await get("/v1/models/two")).body
        assert [(await ask(server, key, model=name)).status for name in ("one", "two", "other")] == [200, 403, 200]
        assert [(await ask(server, key, model=f"Scripted/{name}")).status for name in ("one", "two")] == [200, 403]


@pytest.mark.parametrize(
    ("patterns", "provider", "model", "asked", "allowed"),
    [
        (("openai/*",), "openai", "gpt-5", "", True),
        (("openai/*",), "OpenAI", "gpt-5", "", True),
        (("openai/*",), "openrouter", "openai/gpt-5", "openai/gpt-5", False),
        (("openrouter/openai/*",), "openrouter", "openai/gpt-5", "", True),
        (("echo",), "Echo", "echo", "", True),
        (("fast",), "openai", "gpt-5", "fast", True),
        (("fast",), "openai", "gpt-5", "", False),
        (("gpt-?",), "openai", "gpt-5", "", True),
        (("*",), "openai", "", "", True),
        (("openai/*",), "openai", "", "", True),
        (("gpt-*",), "openai", "", "", False),
        ((), "openai", "gpt-5", "", False),
    ],
)
def test_patterns(patterns: tuple[str, ...], provider: str, model: str, asked: str, allowed: bool) -> None:
    assert KeyLimits(models=patterns).allows(names_of(provider, model, asked)) is allowed


# --- estimates


def test_what_is_counted_of_an_answer() -> None:
    tally = Tally()
    tally.note_block([Content(content="ä" * 4), Reasoning(token="abcd"), Refusal(refusal="abcd"), Content()])
    tally.note_block([ToolCallDelta(arguments='{"a"'), ToolCalls(tool_calls=[{"id": "x"}]), ToolCalls(), "other"])
    tally.note_block([Media(data="A" * 640), Media()])
    assert tally.has_spoken
    assert tally.tokens(None, whole=True) == -(-(8 + 4 + 4 + 4 + len("{'id': 'x'}") + 10) // 4)


def test_media_of_a_request_count_little() -> None:
    text, form = Tally(), Tally(is_form=True)
    text.note_body(b"word " * 800)
    text.note_body(b'"data:image/png;base64,' + b"A" * 64_000 + b'"')
    assert 1250 <= text.tokens(None, whole=True) <= 1270
    form.note_body(bytes(64_000))
    assert form.tokens(None, whole=True) == 250


@pytest.mark.parametrize(
    ("counts", "whole", "tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7}, True, 12),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 20}, True, 20),
        ({"prompt_tokens": 5, "completion_tokens": 7}, False, 5 + 100),
        ({"prompt_tokens": 5, "completion_tokens": 700}, False, 705),
        ({"prompt_tokens": 5}, True, 105),
        ({"completion_tokens": 7}, True, 57),
        ({"total_tokens": 20}, True, 20),
        ({"total_tokens": 20}, False, 150),
        ({}, True, 150),
    ],
)
def test_what_is_said_counts_before_what_is_estimated(counts: dict[str, int], whole: bool, tokens: int) -> None:
    tally = Tally()
    tally.note_body(b"w " * 100)
    tally.note_block([Content(content="w " * 200)])
    assert tally.tokens(Usage(usage=counts), whole=whole) == tokens


# --- wrong keys


@contextlib.asynccontextmanager
async def guarded(keys_file: Path) -> AsyncIterator[tuple[Running, Gateway, list[str]]]:
    calls: list[str] = []

    async def generate(model: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(model)
        yield "ok"

    app = app_of(provider_of(generate), keys_file)
    async with running(app=app) as server:
        yield server, app, calls


async def test_ten_thousand_wrong_keys(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop")
    async with guarded(keys_file) as (server, app, calls):
        raw = [
            head_and_body("POST", CHAT, BODIES["openai_chat"][1], headers={"x-api-key": f"guess-{number}"}, keep=True)
            for number in range(100)
        ]
        statuses: list[bytes] = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for one in raw:
                writer.write(one)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                statuses.append(head[9:12])
            await close(writer)
        assert len(statuses) == 10_000
        assert statuses[:MAX_FAILURES] == [b"401"] * MAX_FAILURES
        assert set(statuses[MAX_FAILURES:]) == {b"429"}
        assert calls == []
        assert len(app.keys.failed) == 1
        refused = await ask(server, key)  # a right key from there is not looked at either
        assert (refused.status, calls) == (429, [])
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.header("retry-after") or "0") <= 60
        assert (await server.ask("GET", "/healthz")).status == 200


async def test_another_address_is_not_refused(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop")
    async with guarded(keys_file) as (server, app, calls):
        app.keys.failed.note("192.0.2.1", 1000)
        assert (await ask(server, key)).status == 200
        assert calls == ["one"]


async def test_requests_without_a_key_lock_nobody_out(keys_file: Path) -> None:
    key = add_key(keys_file, "laptop")
    async with guarded(keys_file) as (server, app, _):
        for _ in range(2 * MAX_FAILURES):
            assert (await server.ask("POST", CHAT, {})).status == 401
            assert (await server.ask("POST", CHAT, {}, headers={"Authorization": "Bearer "})).status == 401
        assert len(app.keys.failed) == 0
        assert (await ask(server, key)).status == 200


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("backstream.server.addresses.time.monotonic", lambda: now[0])
    failed = FailedKeys()
    failed.note("2001:db8::1", MAX_FAILURES - 1)
    failed.check("2001:db8::1")
    failed.note("2001:db8::ffff%eth0", 1)  # the same network
    failed.note(None, MAX_FAILURES)
    failed.note("::ffff:192.0.2.1", MAX_FAILURES)
    failed.note("a:b", MAX_FAILURES)
    failed.note("192.0.2.9", 0)
    now[0] += 59.5
    for host in ("2001:db8::2", None, "192.0.2.1", "a:b"):
        with pytest.raises(Refused) as caught:
            failed.check(host)
        assert (caught.value.status, caught.value.fields) == (429, ((b"retry-after", b"1"),))
    for host in ("2001:db8:0:1::1", "192.0.2.2", "192.0.2.9", "b:a"):
        failed.check(host)
    now[0] += 0.5
    failed.check("2001:db8::2")


def test_the_table_of_addresses_is_bounded() -> None:
    failed = FailedKeys()
    failed.note("first", MAX_FAILURES)
    for number in range(2 * MAX_ADDRESSES):
        failed.note(f"n{number}", 1)
        failed.note("busy", 1)
    assert len(failed) == MAX_ADDRESSES
    failed.check("first")
    with pytest.raises(Refused):
        failed.check("busy")


# --- keys that no file holds, and keys in the address


async def test_keys_of_the_configuration(keys_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.server.auth._CHECK_SECONDS", 0.0)
    app = app_of(
        using(2),
        keys_file,
        key_digests={"ci": digest_of(b"its-key")},
        key_limits={"ci": KeyLimits(requests_per_minute=1)},
    )
    async with running(app=app) as server:
        assert [(await ask(server, key)).status for key in ("its-key", "its-key", "other")] == [200, 429, 401]
        laptop = add_key(keys_file, "laptop")
        assert (await ask(server, laptop)).status == 200
        app.keys.configure({})
        assert (await ask(server, "its-key")).status == 401
        assert (await ask(server, laptop)).status == 200


async def test_googles_clients_put_the_key_into_the_address(keys_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = add_key(keys_file, "laptop")
    body = BODIES["gemini"][1]
    async with running(app=app_of(using(2), keys_file)) as server:
        path = "/v1beta/models/one:generateContent"
        assert (await server.ask("POST", f"{path}?key={key}", body)).status == 200
        assert (await server.ask("POST", f"{path}?alt=json&key={key}", body)).status == 200
        assert (await server.ask("GET", f"/v1beta/models?key={key}")).status == 200
        for query in (f"key={key}&key={key}", "key=", f"key={key}x", "a&" * 1001 + f"key={key}", "key=%ff"):
            assert (await server.ask("POST", f"{path}?{query}", body)).status == 401, query
        assert (await server.ask("POST", f"{CHAT}?key={key}", BODIES["openai_chat"][1])).status == 401
    assert key not in caplog.text
    assert "its-key" not in caplog.text


def test_the_ledger_is_told_of_no_limit_that_it_does_not_count() -> None:
    """A limit that is added must be counted: this list and the ledger's have to grow together."""
    assert set(KeyLimits.__struct_fields__) == {
        "models",
        "requests_per_minute",
        "concurrent_streams",
        "tokens_per_day",
    }
    assert ledger_module.RESPONSE_SECONDS == 86400
