"""What a call of the client means where it could mean several things: keys, names, clocks, policies."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream import (
    CallOptions,
    Client,
    ConfigurationError,
    Content,
    Deadlines,
    Finish,
    InvalidRequestError,
    Secret,
    TotalTimeout,
    UnknownProviderError,
    UnsupportedFeatureError,
)
from backstream.client.explain import explain
from backstream.registry.config import Config, Defaults, ProviderConfig
from backstream.registry.registry import Registry
from backstream.registry.rows import row_at
from backstream.testing.chaos import FAULTS, ChaosServer
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send, Stall
from backstream.transport.pool import aclose_pools
from support_transport import no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

ANSWER = ok(
    b'{"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}',
    "Content-Type: application/json",
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path), "OPENAI_API_KEY": "sk-of-the-environment"}


class Asked:
    """A provider that notes how it was called."""

    def __init__(self) -> None:
        self.keywords: dict[str, Any] = {}

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        self.keywords = keywords
        yield Content(content="a")
        yield Finish(finish={"reason": "stop"})


CLIENTS, OPTIONS, CALLS, CONFIGURED = (Deadlines(total=float(n)) for n in (100, 200, 300, 400))


def whole(deadlines: Deadlines) -> Deadlines:
    """The clocks of a call, given those of an attempt: what is left of its time."""
    assert deadlines.total is not None
    return msgspec.structs.replace(deadlines, total=float(math.ceil(deadlines.total)))


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, CLIENTS),
        ({"options": CallOptions(extra_headers={"x": "y"})}, CLIENTS),
        ({"options": CallOptions(deadlines=OPTIONS)}, OPTIONS),
        ({"options": CallOptions(deadlines=OPTIONS), "deadlines": CALLS}, CALLS),
    ],
)
async def test_the_clocks_nearest_to_the_call_hold(
    environ: Mapping[str, str], keywords: dict[str, Any], expected: Deadlines
) -> None:
    provider = Asked()
    config = Config(defaults=Defaults(deadlines=CONFIGURED, receipts="drop"))
    async with Client(config, environ=environ, deadlines=CLIENTS) as client:
        await client.chat("m", "Hi", provider=provider, **keywords)
    assert whole(provider.keywords["deadlines"]) == expected
    async with Client(config, environ=environ) as client:
        await client.chat("m", "Hi", provider=provider)
    assert whole(provider.keywords["deadlines"]) == CONFIGURED
    assert provider.keywords["receipts"] == "drop"


async def test_the_clients_clocks_hold_for_services_too(environ: Mapping[str, str]) -> None:
    async with ScriptedUpstream([ReadRequest(), Stall()]) as upstream:
        config = Config(providers={"here": ProviderConfig(url=f"{upstream.url}/v1")})
        async with Client(config, environ=environ, deadlines=Deadlines(total=0.05)) as client:
            with pytest.raises(TotalTimeout):
                await client.embed("here/e", "text")


async def test_finding_the_provider_takes_from_the_time_of_the_call(environ: Mapping[str, str]) -> None:
    stopped = asyncio.Event()

    async def never(rows: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    registry = Registry(Config(), {"HOME": environ["HOME"]}, probe=never)
    async with Client(registry=registry, deadlines=Deadlines(total=0.05)) as client:
        with pytest.raises(TotalTimeout) as raised:
            await client.chat("some-model", "Hi")
    assert raised.value.request_sent is False
    assert stopped.is_set()


async def test_a_key_for_each_provider(environ: Mapping[str, str]) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ANSWER), Close()], [ReadRequest(), Send(ANSWER), Close()]) as up:
        config = Config(providers={"openai": ProviderConfig(url=f"{up.url}/v1", key=Secret("sk-configured"))})
        async with Client(config, environ=environ) as client:
            keys = {"anthropic": "sk-of-another", "openai": "sk-of-the-call"}
            await client.chat("openai/m", "Hi", api_key=keys)
            await client.chat("openai/m", "Hi", api_key={"anthropic": "sk-of-another"})
        assert [r.headers["authorization"] for r in up.requests] == ["Bearer sk-of-the-call", "Bearer sk-configured"]


@pytest.mark.parametrize("keywords", [{"api_key": 5}, {"api_key": b"sk"}, {"url": "http://[::1]", "api_key": {}}])
async def test_a_key_that_cannot_be_one_is_not_left_out_in_silence(
    environ: Mapping[str, str], keywords: dict[str, Any]
) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(InvalidRequestError, match="api_key is a"):
            client.stream("openai/m", "Hi", **keywords)


@pytest.mark.parametrize("name", ["meta-llama", "", "https://api.openai.com/v1"])
async def test_no_other_provider_answers_for_an_unknown_one(environ: Mapping[str, str], name: str) -> None:
    config = Config(providers={"openrouter": ProviderConfig(models=("meta-llama/llama-3",), key=Secret("sk-x"))})
    async with Client(config, environ=environ) as client:
        with pytest.raises(UnknownProviderError):
            await client.chat("llama-3", "Hi", provider=name)


async def test_no_tools_is_none_too(environ: Mapping[str, str]) -> None:
    provider = Asked()
    async with Client(environ=environ) as client:
        await client.chat("m", "Hi", provider=provider, tools=None)
        assert "tools" not in provider.keywords
        with pytest.raises(UnsupportedFeatureError, match="count_tokens"):
            await client.count_tokens("m", "Hi", provider=provider, tools=None)


@pytest.mark.parametrize("provider", [5, object(), b"openai", {"name": "openai"}])
async def test_what_is_no_provider_is_told(environ: Mapping[str, str], provider: Any) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(InvalidRequestError, match="provider is a"):
            client.stream("m", "Hi", provider=provider)


async def test_a_found_file_takes_no_key_of_the_caller_elsewhere(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ANSWER), Close()]) as upstream:
        file = tmp_path / "backstream.toml"
        file.write_text(f'[providers.openai]\nurl = "{upstream.url}/v1"\n')
        monkeypatch.chdir(tmp_path)
        async with Client(environ=environ) as client:
            with pytest.raises(ConfigurationError, match=r"would take your key elsewhere"):
                await client.chat("openai/m", "Hi", api_key="sk-mine")
        assert upstream.requests == []
        async with Client(file, environ=environ) as client:
            assert (await client.chat("openai/m", "Hi", api_key="sk-mine")).text == "Hi"


def test_explaining_shows_no_configured_key() -> None:
    fields = {"x-api-key": "sk-canary", "Cookie": "id=sk-canary", "X-Team": "blue"}
    row = msgspec.structs.replace(row_at("http://127.0.0.1:1/v1", name="mine"), headers=fields)
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    explained = explain(asked, to="mine", rows={"mine": row})
    assert "sk-canary" not in repr(explained)
    assert explained.headers["X-Team"] == "blue"


@pytest.mark.parametrize("state", [{}, {"conversation": {"a": 1}}, {"media": [("x.txt", b"x")]}])
async def test_no_messages_are_sent_only_where_something_else_says_it(state: Mapping[str, Any]) -> None:
    provider = Asked()
    async with Client(Config()) as client:
        if state:
            assert (await client.chat("m", [], provider=provider, **state)).text == "a"
        else:
            with pytest.raises(InvalidRequestError, match="messages is empty; send at least one"):
                await client.chat("m", [], provider=provider)
    assert bool(provider.keywords) is bool(state)


async def test_a_form_of_answer_is_no_text() -> None:
    async with Client(Config()) as client:
        with pytest.raises(InvalidRequestError, match=r"response_format is text; pass .*json_object"):
            client.stream("m", "Hi", provider=Asked(), response_format="json")


@pytest.mark.parametrize(
    ("dialect", "base"),
    [(None, "/v1"), ("anthropic_messages", "/v1"), ("gemini", "/v1beta"), ("ollama", ""), ("backend_api", "")],
)
async def test_a_server_by_url_is_spoken_to_in_the_dialect_of_the_call(
    environ: Mapping[str, str], dialect: str | None, base: str
) -> None:
    async with ChaosServer() as chaos, Client(environ=environ) as client:
        reply = await client.chat("chaos/ok", "Hi", url=chaos.url + base, dialect=dialect)
        assert [played.dialect for played in chaos.played] == [dialect or "openai_chat"]
        await aclose_pools()
        await chaos.closed()
    assert reply.text == "".join(FAULTS["ok"].said())


async def test_a_dialect_without_a_url_is_an_error_that_says_what_to_do(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        for keywords in ({}, {"provider": "openai"}):
            with pytest.raises(ConfigurationError, match="pass url= too"):
                client.stream("openai/m", "Hi", dialect="gemini", **keywords)
        with pytest.raises(ConfigurationError, match="pass url= too"):
            await client.embed("openai/m", "text", dialect="gemini")
        with pytest.raises(ConfigurationError, match="dialect is a int"):
            client.stream("m", "Hi", url="http://127.0.0.1:1", dialect=5)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="there is no dialect 'klingon'"):
            await client.chat("m", "Hi", url="http://127.0.0.1:1", dialect="klingon")
