"""Our providers against an upstream that nobody here wrote: every case of the mock, in each of its five dialects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from backstream import (
    AuthenticationError,
    BackendRequestError,
    Client,
    DecodeError,
    DialectProvider,
    DisconnectedError,
    IncompleteStream,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    fold,
)
from backstream.providers.table import row
from backstream.reply import Reply
from backstream.testing import check_provider
from conformance.aimock_cases import SILENT, TEXT, THOUGHT, WEATHER, cases, fixtures, question
from conformance.support_aimock import Aimock

ROWS = {  # dialect: the row of the table that speaks it, what its URL has behind the host, and a model
    "openai_chat": ("openai", "/v1", "gpt-5"),
    "openai_responses": ("openai-responses", "/v1", "gpt-5"),
    "anthropic_messages": ("anthropic", "/v1", "claude-sonnet-4-5"),
    "gemini": ("gemini", "/v1beta", "gemini-2.5-pro"),
    "ollama": ("ollama", "", "qwen3"),
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
ALL = [(name, case) for name in ROWS for case in cases(name)]

PARIS = ("get_weather", {"city": "Paris", "days": 3})
OSLO = ("get_weather", {"city": "Tromsø"})
NOW = ("get_weather", {})

WHOLE: Mapping[str, tuple[str, str, list[Any], str]] = {  # text, reasoning, calls, finish
    "text": (TEXT, "", [], "stop"),
    "text-split-emoji": ("ab🙂cd👩\u200d🚀e", "", [], "stop"),
    "text-usage": ("Counted.", "", [], "stop"),
    "text-length": ("Cut off in the mid", "", [], "length"),
    "text-filtered": ("I would", "", [], "content_filter"),
    "tool": ("", "", [PARIS], "tool_calls"),
    "tool-parallel": ("", "", [PARIS, OSLO, NOW], "tool_calls"),
    "tool-after-text": ("I look it up.", "", [PARIS], "tool_calls"),
    "tool-between-texts": ("First Paris. Then Tromsø.", "", [PARIS, OSLO], "tool_calls"),
    "reasoning": ("Hello!", THOUGHT, [], "stop"),
    "reasoning-tool": ("", THOUGHT, [PARIS], "tool_calls"),
    "reasoning-signed": ("Hi", THOUGHT, [], "stop"),
    "audio": ("Listen.", "", [], "stop"),
    "web-search": ("Sunny.", "", [], "stop"),
}
REFUSED: Mapping[str, type[ProviderError]] = {
    "error-400": BackendRequestError,
    "error-401": AuthenticationError,
    "error-403": AuthenticationError,
    "error-404": ModelNotFoundError,
    "error-429": RateLimitError,
    "error-500": UnavailableError,
    "error-503": UnavailableError,
}
KNOWN_ODDITIES = {  # where the mock does not do as its vendor does: (dialect, case) → what it does instead
    ("ollama", "text-length"): ("Cut off in the mid", "", [], "stop"),
    ("ollama", "text-filtered"): ("I would", "", [], "stop"),
}

FAILED = {("openai_responses", "text-filtered")}  # the mock calls the response "failed", without an error
SENT_WHOLE = {("gemini", "truncated-tool"), ("ollama", "truncated-tool")}  # a call is one event there, too few to cut


def provider(aimock: Aimock, name: str) -> DialectProvider:
    known, path, _ = ROWS[name]
    return DialectProvider(msgspec.structs.replace(row(known), url=aimock.url + path), "not-a-key-of-anybody")


async def ask(aimock: Aimock, name: str, case: str, **keywords: Any) -> Reply:
    """Ask one case, holding the parser to one end and the reply to what came."""
    asked = [{"role": "user", "content": question(case)}]
    answer = provider(aimock, name).create_async_generator(
        ROWS[name][2], asked, tools=TOOLS, max_tokens=500, **keywords
    )
    chunks = [chunk async for chunk in answer]
    assert answer.end is not None
    assert answer.end.state == "complete"
    assert answer.end.evidence
    assert [receipt for receipt in answer.receipts if receipt.outcome == "dropped"] == []
    return fold(chunks)


def summary(reply: Reply) -> tuple[str, str, list[Any], str | None]:
    calls = [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]
    return reply.text, reply.reasoning, calls, reply.finish_reason


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, case in ALL if case in WHOLE and (name, case) not in FAILED]
)
async def test_every_answer_is_understood(aimock: Aimock, name: str, case: str, stream: bool) -> None:
    aimock.load(*fixtures())
    reply = await ask(aimock, name, case, **({} if stream else {"stream": False}))
    text, reasoning, calls, finish = KNOWN_ODDITIES.get((name, case), WHOLE[case])
    got = summary(reply)
    assert got == (text, reasoning, calls, finish)
    if case == "text-usage" and name != "ollama":  # the mock counts nothing there
        assert reply.usage is not None
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 7)
    if case == "audio":
        assert [(part.media_type, part.data) for part in reply.media] == [("audio/wav", "UklGRg==")]
    if case == "reasoning-signed":
        opaque = [part.opaque.get(name) for part in reply.parts if part.opaque]
        assert "c2lnbmF0dXJl" in str(opaque)
        assert "b3BhcXVl" in str(opaque)


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, case in ALL if case in REFUSED])
async def test_every_refusal_is_an_error_of_its_class(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    with pytest.raises(REFUSED[case]) as caught:
        await ask(aimock, name, case)
    assert type(caught.value) is REFUSED[case]
    assert "not-a-key" not in str(caught.value)
    if case == "error-429":
        assert getattr(caught.value, "retry_after_seconds", None) == 7


CUT = [(name, case) for name, case in ALL if case.startswith("truncated") and (name, case) not in SENT_WHOLE]


@pytest.mark.parametrize(("name", "case"), sorted(FAILED))
async def test_an_answer_that_its_back_end_calls_failed_is_failed(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    with pytest.raises(RefusedError) as caught:
        await ask(aimock, name, case)
    assert fold(caught.value.received).text == "I would"


@pytest.mark.parametrize(("name", "case"), CUT)
async def test_no_cut_answer_passes_for_whole(aimock: Aimock, name: str, case: str) -> None:
    aimock.load(*fixtures())
    with pytest.raises((IncompleteStream, DisconnectedError)) as caught:
        await ask(aimock, name, case)
    assert isinstance(caught.value, DisconnectedError) == (case in SILENT)
    if case == "truncated":
        assert "This answer never comes to its end.".startswith(fold(caught.value.received).text)


@pytest.mark.parametrize("name", ROWS)
async def test_damage_is_an_error(aimock: Aimock, name: str) -> None:
    aimock.load(*fixtures())
    with pytest.raises((DecodeError, IncompleteStream)):
        await ask(aimock, name, "error-malformed")
    with pytest.raises(DisconnectedError):
        await ask(aimock, name, "error-disconnect")


@pytest.mark.parametrize("name", ROWS)
async def test_the_promises_of_a_stream_hold(aimock: Aimock, name: str) -> None:
    aimock.answer("Say a few words", {"content": "A few words, then."}, chunkSize=3)
    await check_provider(provider(aimock, name), model=ROWS[name][2])


@pytest.mark.parametrize("name", ROWS)
async def test_a_conversation_of_several_turns_is_understood_by_the_mock(aimock: Aimock, name: str) -> None:
    """A tool is called, its result and the whole first turn go back, and the mock reads them out of our request."""
    aimock.answer(
        "the weather", {"reasoning": "Hm.", "toolCalls": [{"name": "get_weather", "arguments": {"city": "Rome"}}]}
    )
    aimock.answer("thanks", {"content": "You are welcome."})

    def get_weather(city: str, days: int = 1) -> str:
        """Tell the weather."""
        return f"Sun in {city}"

    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tell me the weather"},
    ]
    async with Client() as client:
        there = provider(aimock, name)
        first = await client.chat(ROWS[name][2], messages, provider=there, tools=[get_weather], max_tokens=400)
        (call,) = first.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": "Sun in Rome"}
        messages += [first.message, result, {"role": "user", "content": "And thanks"}]
        second = await client.chat(ROWS[name][2], messages, provider=there, tools=[get_weather], max_tokens=400)
    assert second.text == "You are welcome."
    seen = aimock.journal()[-1]["body"]["messages"]
    said = json.dumps(seen, ensure_ascii=False)
    for text in ("Be brief.", "Tell me the weather", "get_weather", "Rome", "Sun in Rome", "And thanks"):
        assert text in said, text
    roles = [message["role"] for message in seen]
    assert roles.index("assistant") < roles.index("tool")
    assert roles.count("user") == 2


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "ollama"])
async def test_models_are_listed(aimock: Aimock, name: str) -> None:
    aimock.load(*fixtures())
    models = await provider(aimock, name).list_models()
    assert models
    assert all(model.id and model.provider == ROWS[name][0] for model in models)
