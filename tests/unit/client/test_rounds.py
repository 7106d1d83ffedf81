"""Rounds of tools where something is odd: long answers, cut calls, usage said twice or never, deadlines, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream import (
    Client,
    Content,
    Deadlines,
    DecodeError,
    Finish,
    MisuseError,
    ToolCallDelta,
    ToolCalls,
    ToolLimits,
    TotalTimeout,
    UnavailableError,
    Usage,
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path)}


class Scripted:
    """A provider that answers each call with the next list: chunks, errors to raise, and ``None`` to wait for ever."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.waiting = asyncio.Event()
        self.stopped = asyncio.Event()

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        self.asked.append({"model": model, "messages": list(messages), **keywords})
        for chunk in self.answers.pop(0):
            if isinstance(chunk, Exception):
                raise chunk
            if chunk is None:
                try:
                    self.waiting.set()
                    await asyncio.Event().wait()
                finally:
                    self.stopped.set()
            yield chunk


def calling(name: str = "look", reason: str = "tool_calls") -> list[Any]:
    function = {"name": name, "arguments": "{}"}
    return [ToolCalls(tool_calls=[{"id": "1", "function": function}]), Finish(finish={"reason": reason})]


def used(prompt: int, completion: int, **further: Any) -> Usage:
    return Usage(usage={"prompt_tokens": prompt, "completion_tokens": completion, **further})


def look() -> str:
    """Look."""
    return "seen"


DONE = Finish(finish={"reason": "stop"})


async def test_a_long_round_hides_nothing_of_the_last(environ: Mapping[str, str]) -> None:
    provider = Scripted([*[Content(content="x")] * 12_000, *calling()], [Content(content="The answer."), DONE])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.text == "The answer."


async def test_a_long_last_round_is_whole(environ: Mapping[str, str]) -> None:
    provider = Scripted(calling(), [*[Content(content="ab")] * 25_000, DONE])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.text == "ab" * 25_000
    assert reply.finish_reason == "stop"


async def test_usage_told_again_and_again_in_a_round_counts_once(environ: Mapping[str, str]) -> None:
    provider = Scripted([used(10, 1), used(10, 5), *calling()], [used(20, 1), used(20, 3), Content(content="a"), DONE])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (30, 8)


async def test_usage_is_unknown_where_one_round_told_none(environ: Mapping[str, str]) -> None:
    provider = Scripted(calling(), [Content(content="a"), DONE, used(20, 3)])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.usage is None


async def test_costs_are_added_up_and_flags_are_not(environ: Mapping[str, str]) -> None:
    provider = Scripted(
        [used(1, 1, cost=0.25, is_byok=True), *calling()],
        [Content(content="a"), DONE, used(1, 1, cost=0.5, is_byok=True)],
    )
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.usage is not None
    assert reply.usage.usage == {"prompt_tokens": 2, "completion_tokens": 2, "cost": 0.75}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_the_calls_of_a_cut_answer_are_not_run(environ: Mapping[str, str], reason: str) -> None:
    seen: list[str] = []

    def remove(path: str = "/") -> str:
        """Remove."""
        seen.append(path)
        return ""

    cut = [ToolCallDelta(part=0, id="1", name="remove"), Finish(finish={"reason": reason})]
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=Scripted(cut), tools=[remove], run_tools=True)
    assert seen == []
    assert reply.finish_reason == reason


async def test_an_answer_that_calls_the_callers_own_tool_too_is_handed_back(environ: Mapping[str, str]) -> None:
    calls = [{"id": str(i), "function": {"name": name, "arguments": "{}"}} for i, name in enumerate(("look", "mine"))]
    provider = Scripted([ToolCalls(tool_calls=calls), DONE])
    mine = {"type": "function", "function": {"name": "mine", "parameters": {}}}
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[mine, look], run_tools=True)
    assert [call.name for call in reply.tool_calls] == ["look", "mine"]
    assert len(provider.asked) == 1


async def test_an_error_in_the_second_round_keeps_what_was_said_before(environ: Mapping[str, str]) -> None:
    provider = Scripted([Content(content="Wait. "), *calling()], [UnavailableError("down", status=503)])
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[look], run_tools=True, retries=0)
        with pytest.raises(UnavailableError, match="down") as raised:
            await stream.wait()
    assert str(raised.value.received[0]) == "Wait. "
    assert [message["role"] for message in stream.history] == ["assistant", "tool"]  # and no empty message after them


@pytest.mark.parametrize("limits", [True, ToolLimits(total_seconds=0.05)])
async def test_a_deadline_of_the_whole_holds_over_all_rounds(
    environ: Mapping[str, str], limits: bool | ToolLimits
) -> None:
    provider = Scripted(calling(), [Content(content="a"), None])
    clocks = {"deadlines": Deadlines(total=0.05)} if limits is True else {}
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[look], run_tools=limits, **clocks)
        with pytest.raises(TotalTimeout) as raised:
            await stream.wait()
    assert raised.value.seconds == 0.05
    assert stream.end is not None
    assert stream.end.state == "incomplete"
    await provider.stopped.wait()


class Slow(Scripted):
    """One whose answers do not begin after the first."""

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        if self.asked:
            try:
                self.waiting.set()
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
        return super().create_async_generator(model, messages, **keywords)


@pytest.mark.parametrize("how", ["cancel", "aclose", "task", "client"])
async def test_leaving_while_the_next_round_begins_stops_its_request(environ: Mapping[str, str], how: str) -> None:
    provider = Slow(calling())
    client = Client(environ=environ)
    stream = client.stream("m", "Hi", provider=provider, tools=[look], run_tools=True)
    reading = asyncio.ensure_future(stream.wait())
    await provider.waiting.wait()
    if how == "cancel":
        stream.cancel()
    elif how == "task":
        reading.cancel()
    else:
        await (stream if how == "aclose" else client).aclose()
    await provider.stopped.wait()
    if how == "task":
        with pytest.raises(asyncio.CancelledError):
            await reading
    else:
        await reading
    assert stream.end is not None
    assert stream.end.state == "cancelled"
    await client.aclose()


async def test_a_second_reader_is_refused_and_the_first_goes_on(environ: Mapping[str, str]) -> None:
    provider = Scripted(calling(), [Content(content="a"), None])
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, tools=[look], run_tools=True)
        first = asyncio.ensure_future(stream.wait())
        await provider.waiting.wait()
        with pytest.raises(MisuseError, match="already"):
            await stream.wait()
        assert not first.done()
        await stream.aclose()
        assert (await first).text == "a"


@pytest.mark.parametrize("given", ["", "same"])
async def test_calls_without_ids_of_their_own_get_some(environ: Mapping[str, str], given: str) -> None:
    calls = [{"id": given, "function": {"name": "look", "arguments": "{}"}} for _ in range(2)]
    provider = Scripted([ToolCalls(tool_calls=calls), DONE], [Content(content="a"), DONE])
    async with Client(environ=environ) as client:
        await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    called, *results = provider.asked[1]["messages"][1:]
    ids = [call["id"] for call in called["tool_calls"]]
    assert len({*ids, ""}) == 3
    assert [result["tool_call_id"] for result in results] == ids


@pytest.mark.parametrize(
    ("text", "reason", "problem"),
    [('{"b": 1}', "stop", "missing"), ('{"a": 1}', "length", "token limit"), ('{"a"', "content_filter", "filter")],
)
async def test_an_answer_of_another_type_is_not_lost(
    environ: Mapping[str, str], text: str, reason: str, problem: str
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    provider = Scripted([Content(content=text), Finish(finish={"reason": reason})])
    async with Client(environ=environ) as client:
        stream = client.stream("m", "Hi", provider=provider, response_format=form)
        with pytest.raises(MisuseError, match="not over"):
            _ = stream.history
        with pytest.raises(DecodeError, match=problem) as raised:
            await stream.wait()
    assert "".join(map(str, raised.value.received)) == text
    assert stream.history == [{"role": "assistant", "content": text}]
