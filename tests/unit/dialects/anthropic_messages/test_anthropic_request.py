"""Requests to the Messages API: what is said, and what became of what cannot be said."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.dialects.anthropic_messages import DEFAULT_MAX_TOKENS, AnthropicMessages
from backstream.dialects.base import RenderedRequest
from backstream.errors import InvalidMediaError, InvalidRequestError, UnsupportedFeatureError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ReasoningSettings,
    Receipts,
    RefusalPart,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from backstream.testing import check_dialect
from backstream.wire.http import Segment

NAME = "anthropic_messages"
DIALECT = AnthropicMessages()
USER = Turn(role="user", parts=(TextPart(text="Hi"),))

API = "https://platform.claude.com/docs/en/api/messages"
NOT_OFFERED = {
    "names": f"messages have a role and content only: {API}",
    "seed": f"no such parameter: {API}",
    "logprobs": f"no such parameter: {API}",
    "audio-in": f"content blocks are text, images and documents: {API}",
    "video-in": f"content blocks are text, images and documents: {API}",
    "image-out": f"answers hold text, thinking and tool use: {API}",
    "audio-out": f"answers hold text, thinking and tool use: {API}",
}


def body_of(rendered: RenderedRequest) -> dict[str, Any]:
    pieces = (b"".join(piece.blocks()) if isinstance(piece, Segment) else piece for piece in rendered.body)
    return json.loads(b"".join(pieces))


def render(dialect: AnthropicMessages = DIALECT, /, **members: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body, and the receipts as texts by what they are about."""
    receipts = Receipts()
    members.setdefault("turns", (USER,))
    body = body_of(dialect.render_request(Request(model=members.pop("model", "claude-opus-5"), **members), receipts))
    return body, {receipt.what: str(receipt) for receipt in receipts}


def blocks(*parts: Part, role: Any = "user") -> list[dict[str, Any]]:
    body, _ = render(turns=(Turn(role=role, parts=parts),))
    return body["messages"][0]["content"]


def item(*pieces: bytes, media_type: str = "text/plain", closing: list[str] | None = None) -> MediaItem:
    def read() -> Iterator[bytes]:
        try:
            yield from pieces
        finally:
            if closing is not None:
                closing.append("closed")

    return MediaItem(media_type=media_type, size=sum(map(len, pieces)), blocks=read)


def test_the_contract_of_dialects_is_kept() -> None:
    assert DIALECT.name == NAME
    check_dialect(DIALECT)


@pytest.mark.capability(NAME, "text", "provider")
def test_a_question() -> None:
    receipts = Receipts()
    rendered = DIALECT.render_request(Request(model="claude-opus-5", turns=(USER,), max_tokens=10), receipts)
    assert rendered.path == "/messages"
    assert rendered.headers == {"anthropic-version": "2023-06-01"}
    assert body_of(rendered) == {
        "model": "claude-opus-5",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "max_tokens": 10,
        "stream": True,
    }
    assert "/messages" in repr(rendered)
    assert [str(receipt) for receipt in receipts] == ["max_tokens kept"]


def test_the_most_tokens_are_demanded_and_filled_in() -> None:
    body, told = render(stream=False)
    assert body["max_tokens"] == DEFAULT_MAX_TOKENS
    assert "stream" not in body
    assert told["max_tokens"] == "max_tokens approximated as max_tokens=8192 (the API demands it)"
    settings = ReasoningSettings(budget_tokens=2000)
    body, _ = render(AnthropicMessages(default_max_tokens=100), model="claude-sonnet-4-5", reasoning=settings)
    assert body["max_tokens"] == 2100


@pytest.mark.capability(NAME, "system", "provider")
def test_system_turns_become_system_blocks() -> None:
    turns = (
        Turn(role="system", parts=(TextPart(text="a", cache_control={"type": "ephemeral"}),)),
        Turn(role="developer", parts=(TextPart(text="b"), RefusalPart(text="c"))),
        USER,
    )
    body, told = render(turns=turns)
    assert body["system"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
        {"type": "text", "text": "c"},
    ]
    assert told["messages[1].role"] == "messages[1].role renamed as system"
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: a system turn holds text only"):
        render(turns=(Turn(role="system", parts=(MediaPart(kind="image", url="https://x/y"),)),))


ANSWER = Turn(role="assistant", parts=(TextPart(text="Hello"),))
LATER = Turn(role="system", parts=(TextPart(text="Be brief"),))


@pytest.mark.parametrize(
    ("turns", "roles"),
    [
        ((USER, LATER), ["user", "system"]),
        ((USER, LATER, ANSWER, USER), ["user", "system", "assistant", "user"]),
        ((USER, LATER, LATER, ANSWER), ["user", "system", "assistant"]),
    ],
)
def test_later_system_turns_stay_where_newer_models_take_them(turns: tuple[Turn, ...], roles: list[str]) -> None:
    body, told = render(turns=turns)
    assert [message["role"] for message in body["messages"]] == roles
    assert "system" not in body
    assert not any(" approximated " in receipt for what, receipt in told.items() if what != "max_tokens")


@pytest.mark.parametrize(
    ("model", "turns"),
    [
        ("claude-opus-4-6", (USER, LATER)),
        ("claude-3-haiku-20240307", (USER, LATER)),
        ("claude-sonnet-4-20250514", (USER, LATER)),
        ("another-model", (USER, LATER)),
        ("claude-opus-4-8", (USER, ANSWER, LATER, USER)),
        ("claude-opus-4-8", (USER, LATER, USER)),
    ],
)
def test_elsewhere_later_system_turns_join_the_first(model: str, turns: tuple[Turn, ...]) -> None:
    body, told = render(model=model, turns=turns)
    assert body["system"] == [{"type": "text", "text": "Be brief"}]
    where = f"messages[{turns.index(LATER)}]"
    assert told[where].startswith(f"{where} approximated as system")


def test_quirks_win_over_the_name_of_a_model() -> None:
    body, _ = render(AnthropicMessages(system_turns=True), model="another-model", turns=(USER, LATER))
    assert [message["role"] for message in body["messages"]] == ["user", "system"]
    body, _ = render(AnthropicMessages(system_turns=False), turns=(USER, LATER))
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.capability(NAME, "multi-turn", "provider")
def test_roles_speak_by_turns() -> None:
    result = Turn(role="tool", parts=(ToolResultPart(tool_call_id="a"),))
    call = Turn(role="assistant", parts=(ToolCallPart(id="a", name="f", arguments="{}"),))
    body, _ = render(turns=(USER, USER, ANSWER, call, result, USER))
    assert [(message["role"], len(message["content"])) for message in body["messages"]] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 2),
    ]


def test_what_says_nothing_is_left_out() -> None:
    silent = Turn(role="assistant", parts=(ReasoningPart(text="hm"), TextPart(text=""), RefusalPart(text="")))
    body, told = render(turns=(USER, silent))
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert told["message 1"].startswith("message 1 dropped")
    assert told["messages[1].reasoning"].startswith("messages[1].reasoning dropped")


def test_names_are_dropped_with_a_receipt() -> None:
    _, told = render(turns=(Turn(role="user", parts=USER.parts, name="Ann"),))
    assert told["messages[0].name"] == "messages[0].name dropped (speakers have no names)"


@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "stop", "provider")
def test_parameters() -> None:
    given: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop": ("a", "b"), "user": "u-1"}
    body, told = render(model="claude-sonnet-4", max_tokens=5, modalities=("text",), **given)
    body = {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}
    assert body == {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ["a", "b"],
        "metadata": {"user_id": "u-1"},
    }
    assert told["stop"] == "stop renamed as stop_sequences"
    assert told["user"] == "user renamed as metadata.user_id"
    assert {told[name] for name in ("temperature", "modalities")} == {"temperature kept", "modalities kept"}


def test_a_temperature_over_the_scale_is_told() -> None:
    body, told = render(model="claude-sonnet-4-5", temperature=1.5)
    assert body["temperature"] == 1.0
    assert told["temperature"] == "temperature approximated as temperature (the scale ends at 1)"


@pytest.mark.parametrize(
    ("model", "reasoning", "given", "sent"),
    [
        ("claude-opus-4-7", None, {"temperature": 0.2, "top_p": 0.9, "top_k": 3}, {}),
        ("claude-sonnet-5", None, {"temperature": 1.0}, {}),
        ("claude-sonnet-4-5", None, {"temperature": 0.2, "top_p": 0.9, "top_k": 3}, {"temperature": 0.2, "top_k": 3}),
        ("claude-sonnet-4-5", None, {"top_p": 0.9}, {"top_p": 0.9}),
        ("claude-sonnet-4-5", "high", {"temperature": 0.2, "top_p": 0.9, "top_k": 3}, {}),
        ("claude-opus-4-6", "high", {"temperature": 0.2, "top_p": 0.97}, {"top_p": 0.97}),
        ("claude-sonnet-4-5", "high", {"temperature": 1.0}, {"temperature": 1.0}),
        ("claude-sonnet-4-5", "none", {"temperature": 0.2}, {"temperature": 0.2}),
        ("glm-5", None, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": 0.9}),
    ],
)
def test_settings_of_sampling_that_would_be_refused_are_dropped(
    model: str, reasoning: str | None, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    settings = ReasoningSettings(effort=reasoning) if reasoning is not None else None
    body, told = render(model=model, reasoning=settings, **given)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sent
    assert {name for name in given if " dropped " in told[name]} == set(given) - set(sent)
    body, told = render(model=model, reasoning=settings, dialect=NAME, **given)
    assert body.items() >= given.items()


@pytest.mark.parametrize(
    ("given", "sent", "outcome"),
    [
        ("auto", "auto", "kept"),
        ("standard_only", "standard_only", "kept"),
        ("default", "standard_only", "renamed"),
        ("priority", "auto", "approximated"),
        ("flex", None, "dropped"),
    ],
)
def test_service_tiers(given: str, sent: str | None, outcome: str) -> None:
    body, told = render(service_tier=given)
    assert body.get("service_tier") == sent
    assert told["service_tier"].startswith(f"service_tier {outcome}")


def test_parameters_without_a_place_are_dropped_one_by_one() -> None:
    given: dict[str, Any] = {
        "min_p": 0.1,
        "seed": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
        "repetition_penalty": 1.1,
        "logit_bias": {"1": 1},
        "logprobs": True,
        "top_logprobs": 2,
        "modalities": ("text", "audio"),
        "audio": {"voice": "x"},
        "verbosity": "low",
        "metadata": {"a": "b"},
        "store": True,
        "previous_response_id": "r",
        "conversation": "c",
        "safety_settings": [{}],
    }
    body, told = render(max_tokens=1, **given)
    assert set(body) == {"model", "messages", "max_tokens", "stream"}
    assert {what for what, text in told.items() if " dropped " in text} == set(given)


def test_dropping_what_changes_nothing_is_harmless() -> None:
    receipts = Receipts()
    request = Request(turns=(USER,), max_tokens=1, logprobs=False, store=False, top_logprobs=0)
    DIALECT.render_request(request, receipts)
    assert len(receipts.settle("strict", "it")) == 4


WEATHER = Tool(name="weather", description="d", parameters={"type": "object"})


@pytest.mark.capability(NAME, "tools", "provider")
def test_tools() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}
    closed = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    tools = (
        Tool(name="f", description="d", parameters=schema, strict=True, cache_control={"type": "ephemeral"}),
        Tool(name="g", opaque={NAME: {"defer_loading": True}, "gemini": {"x": 1}}),
        Tool(opaque={"": {"type": "web_search_20250305", "name": "web_search"}}),
        Tool(opaque={"openai_responses": {"type": "file_search"}}),
    )
    body, told = render(tools=tools)
    assert body["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": closed,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}, "defer_loading": True},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert told["tools[0].parameters $.properties.a.minLength"].endswith("(the API refuses the keyword)")
    assert told["tools[0].strict"] == "tools[0].strict kept"
    assert told["tools[3]"] == "tools[3] dropped (a tool of another back-end)"
    assert told["tools[1].opaque"].startswith("tools[1].opaque dropped")


@pytest.mark.capability(NAME, "tool-choice", "provider")
@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(mode="auto"), {"type": "auto"}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(mode="tool", names=("weather",)), {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choices(choice: ToolChoice, sent: dict[str, Any]) -> None:
    body, told = render(tools=(WEATHER,), tool_choice=choice)
    assert body["tool_choice"] == sent
    assert "renamed" in told["tool_choice"]


@pytest.mark.parametrize("mode", ["auto", "required", "tool"])
def test_a_choice_limited_to_some_tools_sends_only_those(mode: Any) -> None:
    tools = (WEATHER, Tool(name="b"), Tool(name="c"))
    body, told = render(tools=tools, tool_choice=ToolChoice(mode=mode, names=("b", "weather")))
    assert [tool["name"] for tool in body["tools"]] == ["weather", "b"]
    assert body["tool_choice"] == {"type": "auto" if mode == "auto" else "any"}
    assert "approximated as tools" in told["tool_choice.names"]


@pytest.mark.capability(NAME, "parallel-tools", "provider")
def test_parallel_calls() -> None:
    body, _ = render(tools=(WEATHER,), parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    body, told = render(tools=(WEATHER,), tool_choice=ToolChoice(mode="required"), parallel_tool_calls=True)
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": False}
    assert told["parallel_tool_calls"].endswith("renamed as tool_choice.disable_parallel_tool_use")
    for members in ({}, {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="none")}):
        body, told = render(parallel_tool_calls=False, **members)
        assert body.get("tool_choice") in (None, {"type": "none"})
        assert "dropped" in told["parallel_tool_calls"]


@pytest.mark.capability(NAME, "structured-output", "provider")
def test_response_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
    closed = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    form = ResponseFormat(kind="json_schema", schema=schema, name="n", description="d", strict=True)
    body, told = render(response_format=form)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
    (lost,) = [text for what, text in told.items() if what.startswith("response_format.schema ")]
    assert "minimum" in lost
    body, _ = render(response_format=form, dialect=NAME)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    with pytest.raises(UnsupportedFeatureError):
        render(response_format=ResponseFormat(kind="json_schema", schema={"$ref": "#"}))
    assert told["response_format"] == "response_format renamed as output_config.format"
    assert told["response_format.strict"].endswith("kept")
    assert {"response_format.name", "response_format.description"} <= set(told)
    _, told = render(response_format=ResponseFormat(kind="json_schema", strict=False))
    assert "approximated" in told["response_format.strict"]
    body, told = render(response_format=ResponseFormat(kind="text"))
    assert "output_config" not in body
    assert told["response_format"] == "response_format kept"
    _, told = render(response_format=ResponseFormat(kind="json_object"))
    assert "dropped" in told["response_format"]


@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.parametrize(
    ("model", "settings", "thinking", "config"),
    [
        ("claude-opus-5", {"enabled": True}, {"type": "adaptive"}, None),
        ("claude-opus-5", {"effort": "high"}, {"type": "adaptive"}, {"effort": "high"}),
        ("claude-opus-4-6", {"effort": "minimal"}, {"type": "adaptive"}, {"effort": "low"}),
        ("claude-opus-5", {"effort": "none"}, {"type": "disabled"}, None),
        ("claude-opus-5", {"enabled": False, "summary": "auto"}, {"type": "disabled"}, None),
        ("claude-opus-4-6", {"budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}, None),
        ("claude-opus-5", {"budget_tokens": 2000}, {"type": "adaptive"}, {"effort": "low"}),
        ("claude-opus-5", {"budget_tokens": 99999}, {"type": "adaptive"}, {"effort": "max"}),
        ("claude-opus-5", {"budget_tokens": 2000, "effort": "high"}, {"type": "adaptive"}, {"effort": "high"}),
        ("claude-opus-4-6", {"budget_tokens": 10}, {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-opus-5", {"enabled": True, "summary": "auto"}, {"type": "adaptive", "display": "summarized"}, None),
        ("claude-opus-5", {"summary": "none"}, {"type": "adaptive", "display": "omitted"}, None),
        ("claude-opus-5", {"summary": "detailed"}, {"type": "adaptive", "display": "summarized"}, None),
        ("claude-opus-5", {"summary": "loud"}, {"type": "adaptive"}, None),
        ("claude-sonnet-4-5-20250929", {"effort": "high"}, {"type": "enabled", "budget_tokens": 16384}, None),
        ("claude-3-7-sonnet-20250219", {"enabled": True}, {"type": "enabled", "budget_tokens": 8192}, None),
        (
            "claude-haiku-4-5",
            {"effort": "low", "budget_tokens": 3000},
            {"type": "enabled", "budget_tokens": 3000},
            None,
        ),
        ("glm-5", {"effort": "low"}, {"type": "adaptive"}, {"effort": "low"}),
    ],
)
def test_reasoning(
    model: str, settings: dict[str, Any], thinking: dict[str, Any], config: dict[str, Any] | None
) -> None:
    body, told = render(model=model, reasoning=ReasoningSettings(**settings))
    assert body["thinking"] == thinking
    assert body.get("output_config") == config
    assert any(what.startswith("reasoning") for what in told)


@pytest.mark.parametrize(
    ("most", "settings", "budget"),
    [
        (20_000, {"effort": "high"}, 16384),
        (16384, {"effort": "high"}, 8192),
        (1500, {"budget_tokens": 4000}, 1024),
        (1024, {"effort": "low"}, None),
        (100, {"budget_tokens": 4000}, None),
    ],
)
def test_a_budget_is_less_than_the_most_tokens(most: int, settings: dict[str, Any], budget: int | None) -> None:
    reasoning = ReasoningSettings(**settings)
    body, told = render(model="claude-sonnet-4-5", max_tokens=most, reasoning=reasoning)
    assert body["max_tokens"] == most
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert ("reasoning" in told) is (budget is None)
    given = {"dialect": NAME, "max_tokens": most, "reasoning": ReasoningSettings(budget_tokens=most)}
    assert render(model="claude-sonnet-4-5", **given)[0]["thinking"]["budget_tokens"] == most


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-5"])
def test_a_model_that_must_call_a_tool_is_not_asked_to_think(model: str) -> None:
    asked: dict[str, Any] = {"tools": (WEATHER,), "reasoning": ReasoningSettings(effort="low")}
    body, told = render(model=model, tool_choice=ToolChoice(mode="required"), **asked)
    assert "thinking" not in body
    assert body["tool_choice"] == {"type": "any"}
    assert told["reasoning"].startswith("reasoning dropped")
    body, _ = render(model=model, tool_choice=ToolChoice(mode="auto"), **asked)
    assert "thinking" in body


def test_the_way_of_thinking_is_a_quirk() -> None:
    settings = ReasoningSettings(effort="low")
    body, _ = render(AnthropicMessages(thinking="budget"), reasoning=settings)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    body, _ = render(AnthropicMessages(thinking="adaptive"), model="claude-3-opus", reasoning=settings)
    assert body["thinking"] == {"type": "adaptive"}


def test_in_its_own_dialect_an_effort_alone_asks_for_no_thinking() -> None:
    body, _ = render(reasoning=ReasoningSettings(effort="low"), dialect=NAME)
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
def test_signed_thinking_goes_back() -> None:
    signed = ReasoningPart(text="hm", opaque={NAME: {"signature": "s"}, "gemini": {"thoughtSignature": "t"}})
    hidden = OpaquePart(opaque={NAME: {"type": "redacted_thinking", "data": "x"}})
    foreign = OpaquePart(opaque={"openai_responses": {"type": "reasoning"}})
    whole = ReasoningPart(opaque={NAME: {"type": "redacted_thinking", "data": "y"}})
    assert blocks(signed, hidden, foreign, whole, role="assistant") == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "redacted_thinking", "data": "y"},
    ]


@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "media-by-url", "provider")
@pytest.mark.capability(NAME, "document-in", "provider")
def test_media() -> None:
    assert blocks(
        MediaPart(kind="image", media_type="image/png", data="AAAA"),
        MediaPart(kind="image", url="https://example.com/a.png"),
        MediaPart(kind="document", media_type="application/pdf", data="AAAA", filename="a.pdf"),
        MediaPart(kind="document", url="https://example.com/a.pdf"),
        MediaPart(kind="document", media_type="text/plain", data=base64.b64encode("é\n".encode()).decode()),
    ) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é\n"}},
    ]


@pytest.mark.capability(NAME, "media-by-file-id", "provider")
def test_files_need_a_beta() -> None:
    turns = (Turn(role="user", parts=(MediaPart(kind="document", file_id="file_1"),)),)
    rendered = DIALECT.render_request(Request(turns=turns), Receipts())
    assert rendered.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert body_of(rendered)["messages"][0]["content"] == [
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    ]


@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
def test_media_are_read_while_they_are_sent() -> None:
    closing: list[str] = []
    text = "\ufeff" + 'é"\n' * 10_000
    raw = text.encode()
    document = item(*[raw[at : at + 4097] for at in range(0, len(raw), 4097)], closing=closing)
    image = item(b"abc", media_type="image/png")
    turn = Turn(
        role="user",
        parts=(
            MediaPart(kind="image", media_type="image/png", item=image),
            MediaPart(kind="document", media_type="text/markdown", item=document),
            OpaquePart(opaque={NAME: {"type": "document", "source": {"content": [{"source": {"data": image}}]}}}),
        ),
    )
    receipts = Receipts()
    rendered = DIALECT.render_request(Request(turns=(turn,)), receipts)
    segments = [piece for piece in rendered.body if isinstance(piece, Segment)]
    assert len(segments) == 3
    assert segments[1].size is None
    assert segments[1].replayable
    assert "TextSegment" in repr(segments[1])
    assert not closing
    assert max(map(len, segments[1].blocks())) <= 64 * 1024
    content = body_of(rendered)["messages"][0]["content"]
    assert content[0]["source"]["data"] == "YWJj"
    assert content[1]["source"] == {"type": "text", "media_type": "text/plain", "data": text[1:]}
    assert content[2]["source"]["content"][0]["source"]["data"] == "YWJj"
    assert closing == ["closed", "closed"]
    assert any("media_type approximated as text/plain" in str(receipt) for receipt in receipts)


def test_text_that_is_none_is_told_while_it_is_sent() -> None:
    plain = MediaItem(media_type="text/plain", blocks=lambda: iter([b"ok\xff"]))
    turn = Turn(role="user", parts=(MediaPart(kind="document", media_type="text/plain", item=plain),))
    rendered = DIALECT.render_request(Request(turns=(turn,)), Receipts())
    with pytest.raises(InvalidMediaError, match="no text in UTF-8"):
        body_of(rendered)
    cut = MediaItem(media_type="text/plain", blocks=lambda: iter([b"ok\xc3"]))
    turn = Turn(role="user", parts=(MediaPart(kind="document", media_type="text/plain", item=cut),))
    with pytest.raises(InvalidMediaError, match="no text in UTF-8"):
        body_of(DIALECT.render_request(Request(turns=(turn,)), Receipts()))
    by_url = MediaItem(media_type="text/plain", url="https://x/y")
    turn = Turn(role="user", parts=(MediaPart(kind="document", media_type="text/plain", item=by_url),))
    with pytest.raises(InvalidMediaError, match="no bytes"):
        DIALECT.render_request(Request(turns=(turn,)), Receipts())


@pytest.mark.parametrize(
    ("part", "error", "problem"),
    [
        (MediaPart(kind="audio", media_type="audio/wav", data="AAAA"), UnsupportedFeatureError, "takes no audio"),
        (MediaPart(kind="video", url="https://x/y"), UnsupportedFeatureError, "takes no video"),
        (MediaPart(kind="image", url="gs://bucket/a"), UnsupportedFeatureError, r"http\(s\) URLs only"),
        (MediaPart(kind="document", media_type="application/zip", data="AA=="), UnsupportedFeatureError, "zip"),
        (MediaPart(kind="image"), InvalidRequestError, "without bytes"),
        (MediaPart(kind="image", data="AAAA"), InvalidRequestError, "without a type"),
        (MediaPart(kind="document", media_type="text/plain", data="/w=="), InvalidRequestError, "UTF-8"),
        (MediaPart(kind="document", media_type="text/plain", data="é"), InvalidRequestError, "UTF-8"),
        (ToolResultPart(content=(TextPart(text="x"),)), InvalidRequestError, "names no call"),
        (OpaquePart(opaque={"gemini": {"x": 1}}), UnsupportedFeatureError, "only gemini reads"),
        (OpaquePart(), UnsupportedFeatureError, "nobody"),
    ],
)
def test_content_that_cannot_be_said_is_refused(part: Part, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=rf"messages\[1\].*{problem}"):
        render(turns=(USER, Turn(role="user", parts=(part,))))


def test_what_media_cannot_say_is_told() -> None:
    picture = MediaPart(kind="image", url="https://x/y", detail="low", filename="a.png")
    _, told = render(turns=(Turn(role="user", parts=(picture,)),))
    assert {"messages[0].detail", "messages[0].filename"} <= set(told)


@pytest.mark.capability(NAME, "tool-results", "provider")
@pytest.mark.capability(NAME, "tool-result-media", "provider")
def test_tool_results() -> None:
    call = ToolCallPart(id="toolu_1", name="f", arguments='{"a": 1}', opaque={NAME: {"caller": {"type": "direct"}}})
    result = ToolResultPart(
        tool_call_id="toolu_1",
        name="f",
        is_error=True,
        content=(TextPart(text="x"), TextPart(text=""), MediaPart(kind="image", url="https://x/y")),
        cache_control={"type": "ephemeral"},
    )
    body, _ = render(
        turns=(USER, Turn(role="assistant", parts=(call,)), Turn(role="tool", parts=(result, *USER.parts)))
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "f",
                    "input": {"a": 1},
                    "caller": {"type": "direct"},
                }
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "x"},
                        {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
                    ],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "Hi"},
            ],
        },
    ]
    with pytest.raises(UnsupportedFeatureError, match="takes no audio"):
        blocks(ToolResultPart(tool_call_id="a", content=(MediaPart(kind="audio", url="https://x/y"),)), role="tool")


@pytest.mark.capability(NAME, "ids", "provider")
def test_ids_the_api_does_not_take_are_made_anew_in_calls_and_results_alike() -> None:
    ids = ["functions.f:0", "functions_f_0", "", "", "fine-1"]
    calls = tuple(ToolCallPart(id=given, name="f", arguments="") for given in ids)
    results = tuple(ToolResultPart(tool_call_id=given, content=(TextPart(text="x"),)) for given in ids)
    body, told = render(turns=(USER, Turn(role="assistant", parts=calls), Turn(role="tool", parts=results)))
    sent = [block["id"] for block in body["messages"][1]["content"]]
    assert sent == ["functions_f_0", "functions_f_0_", "unnamed_call_0", "unnamed_call_1", "fine-1"]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == sent
    assert all(block["input"] == {} for block in body["messages"][1]["content"])
    assert told["messages[1].tool_call.id"].endswith("renamed as tool_use.id")


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "null"])
def test_arguments_that_are_no_object_are_wrapped_into_one(arguments: str) -> None:
    call = ToolCallPart(id="a", name="f", arguments=arguments)
    assert blocks(call, role="assistant")[0]["input"] == {"INVALID_JSON": arguments}


@pytest.mark.capability(NAME, "cache-control", "provider")
def test_cache_marks_and_members_of_its_own() -> None:
    marked = TextPart(text="x", cache_control={"type": "ephemeral", "ttl": "1h"})
    cited = TextPart(text="y", opaque={NAME: {"citations": [{"type": "char_location"}]}})
    found = TextPart(text="z", opaque={NAME: {"type": "search_result", "source": "s"}})
    assert blocks(marked, cited, found) == [
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "y", "citations": [{"type": "char_location"}]},
        {"type": "search_result", "source": "s"},
    ]


@pytest.mark.capability(NAME, "refusal", "provider")
def test_a_refusal_of_before_is_said_as_text() -> None:
    body, told = render(turns=(USER, Turn(role="assistant", parts=(RefusalPart(text="No."),)), USER))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "No."}]
    assert "approximated as text" in told["messages[1].refusal"]


def test_further_members() -> None:
    form = ResponseFormat(kind="json_schema", schema={})
    extra = {"output_config": {"task_budget": 1}, "container": "c", "max_tokens": 7}
    body, told = render(extra=extra, response_format=form)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {}}, "task_budget": 1}
    assert (body["container"], body["max_tokens"]) == ("c", 7)
    assert told["container"] == "container kept"
    body, told = render(extra={"store": True}, dialect="openai_chat")
    assert "store" not in body
    assert told["store"] == "store dropped (a member of openai_chat only)"


def test_members_of_a_turn() -> None:
    turn = Turn(role="user", parts=USER.parts, opaque={NAME: {"id": "m1"}, "gemini": {"x": 1}})
    body, told = render(turns=(turn, Turn(role="user", parts=USER.parts, opaque={NAME: {"x": 2}})))
    assert body["messages"][0]["id"] == "m1"
    assert body["messages"][0]["x"] == 2
    assert "messages[0].opaque" in told


@pytest.mark.capability(NAME, "token-count", "provider")
def test_the_question_for_the_number_of_tokens() -> None:
    rendered = DIALECT.render_token_count(
        Request(model="m", turns=(LATER, USER), tools=(WEATHER,), max_tokens=1, temperature=0.1, stop=("x",)),
        Receipts(),
    )
    assert rendered.path == "/messages/count_tokens"
    assert rendered.headers == {"anthropic-version": "2023-06-01"}
    assert set(body_of(rendered)) == {"model", "messages", "system", "tools"}
