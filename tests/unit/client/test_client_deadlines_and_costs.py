"""The client's clocks while a provider is looked for, prices by the list, and usage with counts that are missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream import (
    Client,
    Content,
    Deadlines,
    Finish,
    Row,
    ToolCalls,
    TotalTimeout,
    Usage,
)
from backstream.chunks import Conversation
from backstream.registry.config import Config
from backstream.registry.registry import Registry
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from support_transport import no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

DONE = Finish(finish={"reason": "stop"})
CALLING = [
    ToolCalls(tool_calls=[{"id": "1", "function": {"name": "look", "arguments": "{}"}}]),
    Finish(finish={"reason": "tool_calls"}),
]


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


def look() -> str:
    """Look."""
    return "seen"


class Scripted:
    """A provider that answers each call with the next list of chunks, from where a URL says."""

    def __init__(self, *answers: list[Any], url: str | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        if url is not None:
            self.url = url

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        self.asked.append({"messages": list(messages), **keywords})
        for chunk in self.answers.pop(0):
            yield chunk


def used(**counts: Any) -> Usage:
    return Usage(usage=counts)


async def stuck(rows: Sequence[Row]) -> Sequence[Any]:
    """Look for servers of this machine for ever."""
    await asyncio.Event().wait()
    return ()


# --- clocks -----------------------------------------------------------------------------------------------------------


async def test_looking_for_a_provider_is_within_the_deadline_of_the_call(environ: Mapping[str, str]) -> None:
    registry = Registry(Config(), environ, probe=stuck)
    async with Client(registry=registry) as client:
        with pytest.raises(TotalTimeout) as caught:
            await client.chat("a-name-nobody-lists", "Hi", deadlines=Deadlines(total=0.02))
    assert (caught.value.seconds, caught.value.phase, caught.value.request_sent) == (0.02, "connect", False)


async def test_a_timeout_of_ones_own_is_not_the_calls(environ: Mapping[str, str]) -> None:
    registry = Registry(Config(), environ, probe=stuck)
    async with Client(registry=registry) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.02):
                await client.chat("a-name-nobody-lists", "Hi")
    assert not isinstance(caught.value, TotalTimeout)


async def test_an_error_of_the_probe_that_is_a_timeout_stays_what_it_is(environ: Mapping[str, str]) -> None:
    async def late(rows: Sequence[Row]) -> Sequence[Any]:
        raise TimeoutError("the probe's own")

    async with Client(registry=Registry(Config(), environ, probe=late)) as client:
        with pytest.raises(TimeoutError, match="the probe's own"):
            await client.chat("a-name-nobody-lists", "Hi", deadlines=Deadlines(total=30))


# --- what it cost -----------------------------------------------------------------------------------------------------


async def test_cost_by_the_price_list(environ: Mapping[str, str]) -> None:
    counts = used(prompt_tokens=1_000_000, completion_tokens=0)
    provider = Scripted([Content(content="a"), DONE, counts], url="https://api.openai.com/v1")
    async with Client(environ=environ) as client:
        reply = await client.chat("gpt-4o", "Hi", provider=provider)
    assert reply.cost is not None
    assert (reply.cost.source, reply.cost.currency) == ("genai-prices", "USD")
    assert reply.cost.amount > 0


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/v1"])
async def test_what_the_list_does_not_know_has_no_cost(environ: Mapping[str, str], url: str | None) -> None:
    counts = used(prompt_tokens=1_000_000, completion_tokens=0)
    async with Client(environ=environ) as client:
        reply = await client.chat("gpt-4o", "Hi", provider=Scripted([Content(content="a"), DONE, counts], url=url))
    assert reply.usage is not None
    assert reply.cost is None


async def test_a_price_for_the_model_that_answered_counts(environ: Mapping[str, str], tmp_path: Path) -> None:
    config = tmp_path / "backstream.toml"
    config.write_text('[prices."here/real-model"]\ninput = 1.0\noutput = 2.0\n')
    events = ok(
        b'data: {"model":"real-model","choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":1000000,"completion_tokens":500000}}\n\ndata: [DONE]\n\n',
        "Content-Type: text/event-stream",
    )
    async with ScriptedUpstream([ReadRequest(), Send(events)]) as upstream:
        provider = f'[providers.here]\nurl = "{upstream.url}"\ndialect = "openai_chat"\nkey = "k-1"\n'
        config.write_text(config.read_text() + provider)
        async with Client(config, environ=environ) as client:
            reply = await client.chat("here/usual", "Hi")
    assert reply.model == "real-model"
    assert reply.cost is not None
    assert (reply.cost.amount, reply.cost.source) == (pytest.approx(2.0), "configuration")


# --- usage of rounds --------------------------------------------------------------------------------------------------


async def test_a_count_that_a_round_did_not_tell_is_not_known_for_all(environ: Mapping[str, str]) -> None:
    first = used(prompt_tokens=1, completion_tokens=2, prompt_tokens_details={"cached_tokens": 1, "audio_tokens": 3})
    second = used(prompt_tokens=10, total_tokens=15, prompt_tokens_details={"cached_tokens": 5})
    provider = Scripted([*CALLING, first], [Content(content="a"), DONE, second])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True)
    assert reply.usage is not None
    assert reply.usage.usage == {"prompt_tokens": 11, "prompt_tokens_details": {"cached_tokens": 6}}
    assert (reply.usage.input_tokens, reply.usage.cached_tokens, reply.usage.output_tokens) == (11, 6, None)


async def test_a_conversations_state_comes_with_the_reply(environ: Mapping[str, str]) -> None:
    state = {"Scripted": {"id": "c-1"}}
    provider = Scripted([Conversation(conversation=state), Content(content="a"), DONE], [Content(content="b"), DONE])
    async with Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", provider=provider)
        assert reply.conversation == state
        await client.chat("m", "And?", provider=provider, conversation=reply.conversation)
    assert ["conversation" in each for each in provider.asked] == [False, True]
    assert provider.asked[1]["conversation"] == state


async def test_a_conversations_state_goes_with_every_round(environ: Mapping[str, str]) -> None:
    provider = Scripted(CALLING, [Content(content="a"), DONE])
    state = {"id": "c-1"}
    async with Client(environ=environ) as client:
        await client.chat("m", "Hi", provider=provider, tools=[look], run_tools=True, conversation=state)
    assert [each["conversation"] for each in provider.asked] == [state, state]
