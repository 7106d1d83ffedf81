"""A server that also answers with what the registry finds: its names, its lists, its back-ends over real sockets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.registry.config import Config, ProviderConfig
from backstream.registry.registry import Registry
from backstream.server import Settings, create_app
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from backstream.transport.pool import aclose_pools
from support_server import Running, running
from support_transport import ok

JSON = "Content-Type: application/json"
MODELS = ok(b'{"data": [{"id": "first"}, {"id": "second"}]}', JSON)
EVENTS = (
    b'data: {"model": "first", "choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
HELLO = ok(EVENTS, "Content-Type: text/event-stream")
COUNT = ok(b'{"input_tokens": 12}', JSON)
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


async def nobody(rows: Sequence[Row]) -> Sequence[Any]:
    """Find no server on this machine."""
    return ()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return {"HOME": str(tmp_path), "WORK_KEY": "sk-work"}


def application(home: dict[str, str], url: str, dialect: str = "openai_chat", **changes: Any) -> Any:
    """A server over Echo, and over one provider that the registry knows."""
    row = {"name": "work", "label": "Work", "url": url, "dialect": dialect, "documentation": "here"}
    work = Row(**{**row, "key_variables": ("WORK_KEY",), **changes})
    registry = Registry(Config(), home, table={"work": work}, probe=nobody)
    return create_app(None, Settings(keys_file=None), registry=registry)


@contextlib.asynccontextmanager
async def serving(
    home: dict[str, str], *answers: bytes, dialect: str = "openai_chat", **changes: Any
) -> AsyncIterator[tuple[Running, ScriptedUpstream]]:
    """Run the server before a back-end that gives these answers."""
    steps = [step for answer in answers for step in (ReadRequest(), Send(answer))]
    async with (
        ScriptedUpstream(steps) as upstream,
        running(app=application(home, upstream.url, dialect, **changes)) as server,
    ):
        yield server, upstream
        await aclose_pools()
        if upstream.connections:
            await upstream.closed()


@pytest.mark.parametrize("model", ["work/first", "second"])
async def test_a_name_that_only_the_registry_knows(home: dict[str, str], model: str) -> None:
    answers = [HELLO] if "/" in model else [MODELS, HELLO]
    async with serving(home, *answers) as (server, upstream):
        answer = await server.ask("POST", "/v1/chat/completions", {"model": model, **CHAT})
        sent = upstream.requests[-1]
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert json.loads(sent.body)["model"] == model.removeprefix("work/")
    assert sent.headers["authorization"] == "Bearer sk-work"


async def test_the_clients_own_path_reaches_the_registry_too(home: dict[str, str]) -> None:
    async with serving(home, HELLO) as (server, _):
        answer = await server.ask("POST", "/v1/messages", {"model": "work/first", **CHAT, "stream": True})
    assert b"Hello" in answer.body
    assert b"message_stop" in answer.body


async def test_models_of_the_registry_are_listed_after_ours(home: dict[str, str]) -> None:
    async with serving(home, MODELS) as (server, upstream):
        listed = [entry["id"] for entry in (await server.ask("GET", "/v1/models")).json()["data"]]
        one = await server.ask("GET", "/v1/models/work/second")
        none = await server.ask("GET", "/v1/models/work/third")
        assert len(upstream.requests) == 1  # the list is kept
    assert listed[-2:] == ["work/first", "work/second"]
    assert "echo" in " ".join(listed).lower()
    assert (one.status, one.json()["id"]) == (200, "work/second")
    assert none.status == 404


async def test_a_registry_that_cannot_ask_lists_the_rest(home: dict[str, str]) -> None:
    refused = ok(b"{}", JSON, status="500 No")
    async with serving(home, refused) as (server, _):
        answer = await server.ask("GET", "/v1/models")
    assert answer.status == 200
    assert not [entry for entry in answer.json()["data"] if entry["id"].startswith("work/")]


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/v1/messages/count_tokens", {"model": "work/first", **CHAT}),
        (
            "/v1beta/models/work/first:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        ),
    ],
)
async def test_tokens_are_counted_by_the_back_end(home: dict[str, str], path: str, members: Any) -> None:
    async with serving(home, COUNT, dialect="anthropic_messages", auth="x-api-key") as (server, upstream):
        answer = await server.ask("POST", path, members)
        (request,) = upstream.requests
    assert 12 in answer.json().values()
    assert (request.target, json.loads(request.body)["model"]) == ("/messages/count_tokens", "first")


@pytest.mark.parametrize("verb", ["count_tokens", ""])
async def test_a_provider_alone_answers_with_its_default_model(home: dict[str, str], verb: str) -> None:
    answers, dialect = ((COUNT,), "anthropic_messages") if verb else ((HELLO,), "openai_chat")
    async with serving(home, *answers, dialect=dialect, default_model="first") as (server, upstream):
        path = "/v1/messages/count_tokens" if verb else "/v1/chat/completions"
        answer = await server.ask("POST", path, {"model": "work/", **CHAT})
        assert answer.status == 200, answer.body
        assert json.loads(upstream.requests[-1].body)["model"] == "first"


@pytest.mark.parametrize("model", ["nobody/first", "no-such-model"])
async def test_names_that_nobody_knows(home: dict[str, str], model: str) -> None:
    async with serving(home, MODELS) as (server, _):
        answer = await server.ask("POST", "/v1/chat/completions", {"model": model, **CHAT})
    assert answer.status == 404
    assert model.partition("/")[0] in answer.message


async def test_a_provider_whose_key_is_missing_is_not_asked(home: dict[str, str]) -> None:
    del home["WORK_KEY"]
    async with serving(home) as (server, upstream):
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "work/first", **CHAT})
        assert upstream.connections == 0
    assert answer.status >= 400
    assert "sk-" not in answer.body.decode()


async def test_backend_api_stays_with_the_providers_given(home: dict[str, str]) -> None:
    async with serving(home) as (server, upstream):
        assert b"Echo" in (await server.converse()).body
        assert upstream.connections == 0


@pytest.mark.parametrize(
    ("path", "members", "dialect"),
    [
        ("/v1/chat/completions", {}, "openai_chat"),
        ("/v1/chat/completions", {"stream": True}, "openai_chat"),
        ("/v1/messages", {}, "anthropic_messages"),
        ("/v1/messages/count_tokens", {}, "anthropic_messages"),
    ],
)
async def test_a_key_that_the_server_lacks_is_no_fault_of_the_client(
    home: dict[str, str], path: str, members: Any, dialect: str
) -> None:
    async with serving(home, dialect=dialect, key_variables=("UNSET_KEY",)) as (server, _):
        answer = await server.ask("POST", path, {"model": "work/first", **CHAT, **members})
    assert answer.status == (529 if dialect == "anthropic_messages" else 503)
    assert "this server has no key for work" in answer.message
    assert "its operator must set UNSET_KEY" in answer.message
    assert answer.header("x-should-retry") == "false"
    assert "api_key" not in answer.message


async def test_a_key_file_that_is_gone_is_told_to_the_log_alone(
    home: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(providers={"openai": ProviderConfig(key_file=tmp_path / "gone.key")})
    registry = Registry(config, home, probe=nobody)
    assert "openai" not in registry.keyed()
    async with running(app=create_app(None, Settings(keys_file=None), registry=registry)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "openai/gpt-5", **CHAT})
    assert (answer.status, "this server has no key for openai" in answer.message) == (503, True)
    assert "gone.key" not in answer.message
    assert any("gone.key cannot be read" in record.getMessage() for record in caplog.records)


async def test_a_provider_given_without_its_key_is_told_in_the_same_way() -> None:
    row = {"name": "work", "label": "Work", "url": "http://127.0.0.1:1", "dialect": "openai_chat"}
    work = Row(**row, key_variables=("K",), documentation="here")  # type: ignore[arg-type]
    async with running(app=create_app([DialectProvider(work, None)], Settings(keys_file=None))) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "first", **CHAT})
    assert (answer.status, "this server has no key for " in answer.message) == (503, True)


PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(("provider", "model"), [("work", "first"), (None, "work/first"), ("", "work/first")])
async def test_a_client_of_the_backend_api_reaches_it_too(
    home: dict[str, str], provider: str | None, model: str
) -> None:
    members = {**CHAT, "conversation": {"id": 1}, "stream": True, "api_key": "the client's", "temperature": 0.5}
    async with serving(home, HELLO) as (server, upstream):
        answer = await server.converse({**members, "provider": provider, "model": model, "media": [[PNG, "a.png"]]})
        (sent,) = upstream.requests
    events = answer.events()
    assert "".join(event["content"] for event in events if event["type"] == "content") == "Hello"
    assert events[0]["provider"] == {"name": "work", "url": None, "label": "Work", "model": "first"}
    body = json.loads(sent.body)
    assert (body["model"], body["temperature"], body["stream"]) == ("first", 0.5, True)
    assert body["messages"][-1]["content"][-1]["image_url"]["url"] == PNG
    assert "conversation" not in body
    assert sent.headers["authorization"] == "Bearer sk-work"  # never the client's


async def test_a_provider_of_the_backend_api_answers_with_its_default_model(home: dict[str, str]) -> None:
    async with serving(home, HELLO, default_model="first") as (server, upstream):
        await server.converse({**CHAT, "provider": "work"})
        assert json.loads(upstream.requests[0].body)["model"] == "first"


@pytest.mark.parametrize("members", [{"model": "echo"}, {"model": "Echo/echo"}, {"provider": "Echo"}, {}])
async def test_ours_come_before_those_of_the_registry(home: dict[str, str], members: Any) -> None:
    async with serving(home) as (server, _):
        answer = await server.converse({**CHAT, **members})
    assert answer.events()[0]["provider"]["name"] == "Echo"
    assert answer.events()[-1]["type"] == "usage"


async def test_a_provider_that_nobody_knows_is_refused(home: dict[str, str]) -> None:
    async with serving(home, MODELS) as (server, _):
        answer = await server.converse({**CHAT, "provider": "nobody", "model": "first"})
        odd = await server.converse({**CHAT, "provider": 7})
    assert (answer.status, answer.message) == (404, "Provider not found")
    assert odd.status == 404


@pytest.mark.parametrize("model", ["nobody/first", "no-such-model"])
async def test_a_model_that_nobody_knows_is_an_event(home: dict[str, str], model: str) -> None:
    async with serving(home, MODELS) as (server, _):
        answer = await server.converse({**CHAT, "model": model})
    assert answer.status == 200
    (event,) = answer.events()
    assert (event["type"], event["status"]) == ("error", 404)


async def test_a_key_that_this_server_lacks_is_an_event(home: dict[str, str]) -> None:
    del home["WORK_KEY"]
    async with serving(home) as (server, _):
        answer = await server.converse({**CHAT, "model": "work/first"})
    (event,) = answer.events()
    assert "no key for work" in event["message"]
    assert "its operator must set WORK_KEY" in event["message"]


async def test_an_unknown_provider_has_a_remedy(home: dict[str, str]) -> None:
    async with serving(home, MODELS) as (server, _):
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "nobody-at-all/x", **CHAT})
    assert answer.status == 404
    assert answer.message.endswith("see GET /v1/models")
