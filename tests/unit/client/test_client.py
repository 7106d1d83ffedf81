"""The client over providers of this machine: names, streams, replies, tools, types, and the same without ``async``."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import pickle
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream import (
    ChatStream,
    Client,
    Content,
    DecodeError,
    End,
    Finish,
    IncompleteStream,
    InvalidRequestError,
    MissingKeyError,
    MisuseError,
    SyncClient,
    SyncStream,
    ToolCallDelta,
    ToolCalls,
    ToolLimits,
    UnavailableError,
    UnknownProviderError,
    Usage,
)
from backstream.chunks import Media, PartEnd, Reasoning, Start


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path)}


class Scripted:
    """A provider that answers each call with the next list of chunks, and keeps what it was asked."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        self.asked.append({"model": model, "messages": list(messages), **keywords})
        for chunk in self.answers.pop(0):
            yield chunk


def call(part: int, name: str, arguments: str, call_id: str = "") -> list[ToolCallDelta]:
    """A tool call in three pieces."""
    half = len(arguments) // 2
    return [
        ToolCallDelta(part=part, id=call_id or f"c{part}", name=name),
        ToolCallDelta(part=part, arguments=arguments[:half]),
        ToolCallDelta(part=part, arguments=arguments[half:]),
    ]


DONE = Finish(finish={"reason": "stop"})


async def test_chunks_and_then_a_reply(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        stream = client.stream("echo/echo-reasoning", "Hi")
        chunks = [chunk async for chunk in stream]
    reply = stream.reply
    assert reply.text == "".join(map(str, chunks))
    assert reply.reasoning
    assert reply.end == End("complete", ("returned",))
    assert (reply.finish_reason, reply.usage is not None, reply.cost) == ("stop", True, None)
    assert reply.message["reasoning_content"] == reply.reasoning
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert stream.history == [reply.message]


async def test_a_whole_reply_in_one_call_and_a_provider_by_name_or_object(environ: Mapping[str, str]) -> None:
    provider = Scripted([Content(content="one"), DONE], [Content(content="two"), DONE])
    async with Client(environ=environ) as client:
        assert "Echo" in (await client.chat("echo", "Hi", provider="echo")).text
        assert (await client.chat("m", "Hi", provider=provider, api_key="k", temperature=0.5)).text == "one"
        assert (await client.chat("m", [{"role": "user", "content": "x"}], provider=provider)).text == "two"
    assert provider.asked[0]["messages"] == [{"role": "user", "content": "Hi"}]
    assert (provider.asked[0]["api_key"], provider.asked[0]["temperature"]) == ("k", 0.5)


async def test_names_that_mean_nothing_are_told_before_anything_is_sent(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(UnknownProviderError, match="openai"):
            await client.chat("opnai/gpt-5", "Hi")
        with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
            await client.chat("openai/gpt-5", "Hi")
        with pytest.raises(InvalidRequestError, match="url and provider"):
            client.stream("m", "Hi", url="http://127.0.0.1:1/v1", provider="echo")
        with pytest.raises(InvalidRequestError, match="messages"):
            client.stream("echo/echo", 5)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="tools is a dict"):
            client.stream("echo/echo", "Hi", tools={})  # type: ignore[arg-type]


async def test_a_stream_can_be_stopped_from_elsewhere(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        stream = client.stream("echo/echo", "Hi", pace_seconds=0.01)
        seen = 0
        async for _ in stream:
            seen += 1
            if seen == 3:
                asyncio.get_running_loop().call_soon(stream.cancel)
        assert stream.end is not None
        assert stream.end.state == "cancelled"
        assert stream.reply.text.startswith("I am")


async def test_a_closed_client_closes_its_streams_and_takes_no_more(environ: Mapping[str, str]) -> None:
    client = Client(environ=environ)
    stream = client.stream("echo/echo", "Hi", pace_seconds=0.01)
    await anext(stream)
    await client.aclose()
    assert stream.end is not None
    assert stream.end.state == "cancelled"
    with pytest.raises(MisuseError, match="closed"):
        client.stream("echo/echo", "Hi")
    with pytest.raises(MisuseError, match="closed"):
        await client.count_tokens("echo/echo", "Hi")


async def test_the_reply_of_a_running_answer_is_no_reply(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client, client.stream("echo/echo", "Hi") as stream:
        await anext(stream)
        with pytest.raises(MisuseError, match="not over"):
            _ = stream.reply


async def test_a_failing_provider_raises_with_what_came_before(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        stream = client.stream("echo/echo-fail-middle", "Hi")
        with pytest.raises(UnavailableError) as caught:
            await stream.wait()
        assert len(caught.value.received) == 5
        assert stream.reply.text.startswith("I am")
        assert stream.reply.end is not None
        assert stream.reply.end.state == "failed"
        with pytest.raises(IncompleteStream, match="empty"):
            await client.chat("echo/echo-empty", "Hi")


# --- tools ------------------------------------------------------------------------------------------------------------


def weather(city: str, unit: str = "C") -> str:
    """Look the weather up.

    Args:
        city: Where.
        unit: C or F.
    """
    return f"21 {unit} in {city}"


async def failing() -> str:
    """Fail."""
    raise ValueError("no such place")


async def test_functions_are_described_and_not_run_unless_asked(environ: Mapping[str, str]) -> None:
    provider = Scripted([*call(0, "weather", '{"city":"Oslo"}'), Finish(finish={"reason": "tool_calls"})])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[weather])
    assert [(c.name, c.arguments) for c in reply.tool_calls] == [("weather", '{"city":"Oslo"}')]
    described = provider.asked[0]["tools"][0]["function"]
    assert described["name"] == "weather"
    assert described["parameters"]["required"] == ["city"]
    assert described["description"] == "Look the weather up."


async def test_rounds_of_tools_end_in_one_answer(environ: Mapping[str, str]) -> None:
    first = [
        Start(id="a"),
        Content(content="Let me look. "),
        *call(0, "weather", '{"city":"Oslo"}'),
        *call(1, "failing", "{}"),
        PartEnd(part=0, kind="tool_call", opaque={"gemini": {"thoughtSignature": "s"}}),
        Finish(finish={"reason": "tool_calls"}),
        Usage(usage={"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}),
    ]
    second = [
        Content(content="21 degrees."),
        DONE,
        Usage(usage={"prompt_tokens": 30, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}),
    ]
    provider = Scripted(first, second)
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[weather, failing], run_tools=True)
        chunks = [chunk async for chunk in stream]
    reply = stream.reply
    assert reply.text == "21 degrees."
    assert [chunk.type for chunk in chunks].count("finish") == 1
    assert chunks[-2] == DONE
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (40, 8, 10)
    assert reply.usage.source("input_tokens") == "computed"
    called, *results = provider.asked[1]["messages"][1:]
    assert called["content"] == "Let me look. "
    assert called["parts"][1]["opaque"] == {"gemini": {"thoughtSignature": "s"}}
    assert [(r["tool_call_id"], r["content"]) for r in results] == [
        ("c0", "21 C in Oslo"),
        ("c1", "ValueError: no such place"),
    ]
    assert results[1]["is_error"] is True
    assert stream.history == [called, *results, reply.message]


async def test_the_model_cannot_call_for_ever(environ: Mapping[str, str]) -> None:
    again = [*call(0, "weather", '{"city":"Oslo"}'), Finish(finish={"reason": "tool_calls"})]
    provider = Scripted(again, again, again)
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[weather], run_tools=ToolLimits(max_rounds=2))
        with pytest.raises(IncompleteStream, match="round 2"):
            await stream.wait()
    assert len(provider.asked) == 2
    assert [c.name for c in stream.reply.tool_calls] == ["weather"]


async def test_calls_of_tools_that_are_not_functions_are_the_callers(environ: Mapping[str, str]) -> None:
    provider = Scripted([*call(0, "elsewhere", "{}"), Finish(finish={"reason": "tool_calls"})])
    elsewhere = {"type": "function", "function": {"name": "elsewhere", "parameters": {}}}
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[elsewhere, weather], run_tools=True)
    assert [c.name for c in reply.tool_calls] == ["elsewhere"]
    assert len(provider.asked) == 1


async def test_leaving_while_a_tool_runs_stops_the_tool(environ: Mapping[str, str]) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        """Wait."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    provider = Scripted([ToolCalls(tool_calls=[{"id": "1", "function": {"name": "slow", "arguments": "{}"}}]), DONE])
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[slow], run_tools=True)
        reading = asyncio.ensure_future(stream.wait())
        await started.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await stopped.wait()

        provider.answers.append([ToolCalls(tool_calls=[{"id": "1", "function": {"name": "slow"}}]), DONE])
        started.clear()
        stopped.clear()
        stream = client.stream("m", "Hi", provider=provider, tools=[slow], run_tools=True)
        reading = asyncio.ensure_future(stream.wait())
        await started.wait()
        stream.cancel()
        await stopped.wait()
        await reading
        assert stream.end is not None
        assert stream.end.state == "cancelled"


# --- types ------------------------------------------------------------------------------------------------------------


class Place(msgspec.Struct):
    city: str
    degrees: int


@dataclasses.dataclass
class PlaceToo:
    city: str
    degrees: int


@pytest.mark.parametrize("kind", [Place, PlaceToo])
async def test_an_answer_of_a_type(environ: Mapping[str, str], kind: type[Any]) -> None:
    provider = Scripted([Content(content='{"city":"Oslo",'), Content(content='"degrees":21}'), DONE])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, response_format=kind)
    assert reply.parsed == kind(city="Oslo", degrees=21)
    asked = provider.asked[0]["response_format"]
    assert (asked["type"], asked["json_schema"]["name"]) == ("json_schema", kind.__name__)


async def test_an_answer_that_is_not_of_the_type(environ: Mapping[str, str]) -> None:
    wrong = [Content(content='{"city":"secret","degrees":"x"}'), DONE]
    cut = [Content(content='{"city":'), Finish(finish={"reason": "length"})]
    calls = [*call(0, "weather", "{}"), Finish(finish={"reason": "tool_calls"})]
    provider = Scripted(wrong, cut, calls)
    async with Client(environ=environ) as client:
        with pytest.raises(DecodeError) as caught:
            await client.chat("m", "Hi", provider=provider, response_format=Place)
        assert "secret" not in str(caught.value)
        with pytest.raises(DecodeError, match="token limit"):
            await client.chat("m", "Hi", provider=provider, response_format=Place)
        assert (await client.chat("m", "Hi", provider=provider, response_format=Place)).parsed is None


async def test_media_of_an_answer_are_parts(environ: Mapping[str, str]) -> None:
    pieces = [
        Media(part=0, media_type="audio/wav", data="AAE=", id="a1"),
        Media(part=0, data="Ag==", transcript="Hel"),
        Media(part=0, transcript="lo"),
        Reasoning(token="hm"),
        DONE,
    ]
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=Scripted(pieces))
    (sound,) = reply.media
    assert (sound.kind, sound.data, sound.transcript) == ("audio", "AAEC", "Hello")


# --- cost -------------------------------------------------------------------------------------------------------------


async def test_cost_by_configured_price_and_absent_where_unknown(environ: Mapping[str, str], tmp_path: Path) -> None:
    config = tmp_path / "backstream.toml"
    config.write_text('[prices."echo/echo"]\ninput = 1000.0\noutput = 2000.0\ncurrency = "EUR"\n')
    async with Client(config, environ=environ) as client:
        reply = await client.chat("echo/echo", "one two three")
        assert reply.usage is not None
        assert reply.cost is not None
        assert reply.usage.input_tokens == 3
        assert reply.cost.currency == "EUR"
        assert reply.cost.source == "configuration"
        assert reply.cost.amount == pytest.approx((3 * 1000 + (reply.usage.output_tokens or 0) * 2000) / 1e6)
        assert (await client.chat("echo/echo-media", "Hi")).cost is None


# --- without async ----------------------------------------------------------------------------------------------------


def test_the_same_without_async(environ: Mapping[str, str]) -> None:
    with SyncClient(environ=environ) as client:
        with client.stream("echo/echo", "Hi") as stream:
            assert str(next(stream)) == "I "
            assert stream.end is None
        assert stream.end is not None
        assert stream.end.state == "cancelled"
        whole = client.stream("echo/echo", "Hi")
        reply = whole.wait()
        assert reply == client.chat("echo/echo", "Hi")
        assert (whole.history, whole.receipts, whole.service) == ([reply.message], (), None)
        stopped = client.stream("echo/echo", "Hi", pace_seconds=0.01)
        next(stopped)
        stopped.cancel()
        list(stopped)
        assert stopped.end is not None
        assert client.models("echo")[0].id == "echo"
        assert client.registry().providers()[-1] == "echo"
        with pytest.raises(UnknownProviderError):
            client.count_tokens("nobody/x", "Hi")
        assert repr(client) == "<SyncClient>"
        assert repr(whole) == "<SyncStream complete>"
    with pytest.raises(MisuseError):
        client.chat("echo/echo", "Hi")


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")} | {
        name for base in cls.__mro__[1:-1] for name in vars(base) if not name.startswith("_")
    }


def test_both_clients_have_the_same_names() -> None:
    assert public(SyncClient) - {"close"} == public(Client) - {"aclose"}
    for name in public(SyncClient) - {"close", "stream", "chat", "registry"}:
        ours = inspect.signature(getattr(SyncClient, name))
        theirs = inspect.signature(getattr(Client, name))
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
    assert inspect.signature(SyncClient.__init__).parameters == inspect.signature(Client.__init__).parameters
    only_async = {"aclose", "abort", "blocks", "open_source", "send", "throw"}
    assert public(SyncStream) - {"close"} >= public(ChatStream) - only_async
