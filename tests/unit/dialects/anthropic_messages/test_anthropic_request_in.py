"""A client's requests to the Messages API, read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.errors import InvalidRequestError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ReasoningSettings,
    Receipts,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from backstream.wire.http import Segment

NAME = "anthropic_messages"
DIALECT = AnthropicMessages()
HI = [{"role": "user", "content": "Hi"}]


def parse(**members: Any) -> Request:
    return DIALECT.parse_request({"messages": HI, **members}, "/v1/messages")


def parts(*blocks: Any, role: str = "user") -> tuple[Part, ...]:
    (turn,) = parse(messages=[{"role": role, "content": list(blocks)}]).turns
    return turn.parts


def again(request: Request) -> dict[str, Any]:
    """Render a request as this dialect's provider would send it."""
    rendered = DIALECT.render_request(request, Receipts())
    pieces = (b"".join(piece.blocks()) if isinstance(piece, Segment) else piece for piece in rendered.body)
    return json.loads(b"".join(pieces))


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
def test_a_conversation() -> None:
    request = parse(
        model="m",
        max_tokens=5,
        system="Be brief",
        messages=[*HI, {"role": "assistant", "content": [{"type": "text", "text": "Yo", "citations": None}]}, *HI],
    )
    assert request == Request(
        model="m",
        max_tokens=5,
        stream=False,
        dialect=NAME,
        turns=(
            Turn(role="system", parts=(TextPart(text="Be brief"),)),
            Turn(role="user", parts=(TextPart(text="Hi"),)),
            Turn(role="assistant", parts=(TextPart(text="Yo"),)),
            Turn(role="user", parts=(TextPart(text="Hi"),)),
        ),
    )
    blocks = parse(system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]).turns[0]
    assert blocks.parts == (TextPart(text="a"), TextPart(text="b"))


@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "stop", "server")
def test_parameters() -> None:
    request = parse(
        temperature=1,
        top_p=0.5,
        top_k=4,
        stop_sequences=["a"],
        stream=True,
        metadata={"user_id": "u", "x": 1},
        service_tier="standard_only",
        container="c",
        thinking=None,
    )
    assert request.parameters() == {
        "temperature": 1.0,
        "top_p": 0.5,
        "top_k": 4,
        "stop": ("a",),
        "user": "u",
        "service_tier": "default",
    }
    assert request.stream
    assert request.extra == {"metadata": {"x": 1}, "container": "c"}
    assert again(request)["metadata"] == {"user_id": "u", "x": 1}


@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.parametrize(
    ("members", "settings", "extra"),
    [
        ({"thinking": {"type": "adaptive"}}, {"enabled": True}, {}),
        ({"thinking": {"type": "disabled"}}, {"enabled": False}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"budget_tokens": 1024}, {}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            {"enabled": True, "summary": "none", "effort": "max"},
            {},
        ),
        (
            {"output_config": {"effort": "low", "task_budget": 1}},
            {"effort": "low"},
            {"output_config": {"task_budget": 1}},
        ),
        (
            {"thinking": {"type": "adaptive", "display": "new", "x": 1}},
            {"enabled": True},
            {"thinking": {"display": "new", "x": 1}},
        ),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            {"enabled": False},
            {"output_config": {"effort": "low"}},
        ),
    ],
)
def test_reasoning(members: dict[str, Any], settings: dict[str, Any], extra: dict[str, Any]) -> None:
    request = parse(model="claude-opus-5", **members)
    assert request.reasoning == ReasoningSettings(**settings)
    assert request.extra == extra
    body = again(request)
    assert {name: body[name] for name in members} == members


@pytest.mark.parametrize("thinking", [{"type": "new"}, {"type": "enabled"}, {"type": "enabled", "budget_tokens": True}])
def test_thinking_of_another_shape_goes_along(thinking: dict[str, Any]) -> None:
    request = parse(thinking=thinking)
    assert request.reasoning is None
    assert again(request)["thinking"] == thinking


@pytest.mark.capability(NAME, "structured-output", "server")
def test_response_formats() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = parse(output_config={"format": form})
    assert request.response_format == ResponseFormat(kind="json_schema", schema={"type": "object"})
    assert not request.extra
    for other in ({**form, "x": 1}, {"type": "new", "schema": {}}, {"type": "json_schema", "schema": 1}, "text"):
        request = parse(output_config={"format": other})
        assert request.response_format is None
        assert again(request)["output_config"] == {"format": other}


@pytest.mark.capability(NAME, "tools", "server")
def test_tools() -> None:
    tools: list[dict[str, Any]] = [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True},
        {
            "name": "g",
            "input_schema": {},
            "type": "custom",
            "cache_control": {"type": "ephemeral"},
            "description": None,
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]
    request = parse(tools=tools)
    assert request.tools == (
        Tool(name="f", description="d", parameters={"type": "object"}, strict=True),
        Tool(name="g", parameters={}, cache_control={"type": "ephemeral"}, opaque={NAME: {"type": "custom"}}),
        Tool(opaque={NAME: tools[2]}),
    )
    del tools[1]["description"]
    assert again(request)["tools"] == tools


@pytest.mark.capability(NAME, "tool-choice", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.parametrize(
    ("choice", "parsed", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice(mode="auto"), True),
        ({"type": "tool", "name": "f", "x": 1}, ToolChoice(mode="tool", names=("f",)), None),
        ({"type": "none"}, ToolChoice(mode="none"), None),
    ],
)
def test_tool_choices(choice: dict[str, Any], parsed: ToolChoice, parallel: bool | None) -> None:
    request = parse(tools=[{"name": "f", "input_schema": {}}], tool_choice=choice)
    assert request.tool_choice == parsed
    assert request.parallel_tool_calls is parallel
    assert again(request)["tool_choice"] == choice


@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "document-in", "server")
@pytest.mark.capability(NAME, "media-by-url", "server")
@pytest.mark.capability(NAME, "media-by-file-id", "server")
def test_media() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "t"},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "content", "content": "x"}, "title": "t"},
        {"type": "document", "source": {"type": "url", "url": "https://x/y", "new": 1}},
    ]
    parsed = parts(*blocks)
    assert parsed == (
        MediaPart(kind="image", media_type="image/png", data="AAAA"),
        MediaPart(kind="image", url="https://x/y"),
        MediaPart(kind="document", file_id="f", filename="t"),
        MediaPart(
            kind="document", media_type="text/plain", data="w6k=", opaque={NAME: {"citations": {"enabled": True}}}
        ),
        OpaquePart(opaque={NAME: blocks[4]}),
        OpaquePart(opaque={NAME: blocks[5]}),
    )
    assert again(Request(turns=(Turn(role="user", parts=parsed),)))["messages"][0]["content"] == blocks


@pytest.mark.capability(NAME, "streamed-media-upload", "server")
def test_media_kept_out_of_memory() -> None:
    item = MediaItem(media_type="image/png", size=3, blocks=lambda: iter([b"abc"]))
    source = {"type": "base64", "media_type": "image/png", "data": item}
    (part,) = parts({"type": "image", "source": source})
    assert isinstance(part, MediaPart)
    assert part.item is item
    request = parse(messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert again(request)["messages"][0]["content"][0]["source"]["data"] == "YWJj"


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "cache-control", "server")
@pytest.mark.capability(NAME, "ids", "server")
def test_blocks_of_an_assistant() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": [1, 2.5]}, "caller": {"type": "direct"}},
    ]
    parsed = parts(*blocks, role="assistant")
    assert parsed == (
        ReasoningPart(text="hm", opaque={NAME: {"signature": "s"}}),
        OpaquePart(opaque={NAME: blocks[1]}),
        OpaquePart(opaque={NAME: blocks[2]}),
        TextPart(text="a", cache_control={"type": "ephemeral"}),
        ToolCallPart(id="toolu_1", name="f", arguments='{"b":[1,2.5]}', opaque={NAME: {"caller": {"type": "direct"}}}),
    )
    assert again(Request(turns=(Turn(role="assistant", parts=parsed),)))["messages"][0]["content"] == blocks
    assert parts({"type": "tool_use", "id": "a", "name": "f"}, role="assistant") == (
        ToolCallPart(id="a", name="f", arguments="{}"),
    )


@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "tool-result-media", "server")
def test_tool_results_are_turns_of_their_own() -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "body"}, 5]}
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "before"},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}, found]},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y"}}],
            "is_error": True,
        },
        {"type": "text", "text": "after"},
    ]
    message = {"role": "user", "content": content, "id": "m1"}
    request = parse(messages=[message])
    assert request.turns == (
        Turn(role="user", parts=(TextPart(text="before"),), opaque={NAME: {"id": "m1"}}),
        Turn(
            role="tool",
            parts=(
                ToolResultPart(
                    tool_call_id="a", content=(TextPart(text="x"), TextPart(text="body", opaque={NAME: found}))
                ),
                ToolResultPart(tool_call_id="b", content=(MediaPart(kind="image", url="https://x/y"),), is_error=True),
            ),
        ),
        Turn(role="user", parts=(TextPart(text="after"),)),
    )
    assert again(request)["messages"] == [message]
    (turn,) = parse(messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]).turns
    assert turn == Turn(role="tool", parts=(ToolResultPart(tool_call_id="a"),))
    (part,) = parts({"type": "tool_result", "tool_use_id": "a", "content": "plain"})
    assert part == ToolResultPart(tool_call_id="a", content=(TextPart(text="plain"),))
    reference = {"type": "tool_reference", "tool_name": "f"}
    (part,) = parts({"type": "tool_result", "tool_use_id": "a", "content": [reference]})
    assert isinstance(part, ToolResultPart)
    assert part.content == (TextPart(text="[tool_reference]", opaque={NAME: reference}),)


def test_a_system_turn_in_mid_conversation() -> None:
    later = {"role": "system", "content": [{"type": "text", "text": "Be brief"}]}
    request = parse(model="claude-opus-5", messages=[*HI, later])
    assert request.turns[1] == Turn(role="system", parts=(TextPart(text="Be brief"),))
    assert again(request)["messages"][1] == later


def test_a_message_without_content_is_an_empty_turn() -> None:
    assert parse(messages=[{"role": "user"}, {"role": "assistant", "content": ""}]).turns == (
        Turn(role="user"),
        Turn(role="assistant"),
    )


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"messages": None}, "messages is missing"),
        ({"messages": ["x"]}, r"messages\[0\] is a str"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role is none of user"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\].content is a int"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, r"messages\[0\].content\[0\] is no object with a type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "lacks its members"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "lacks its members"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "lacks its members"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [1]}]}]},
            r"content\[0\].content\[0\] is no object",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "a",
                                "content": [{"type": "thinking", "thinking": "x"}],
                            }
                        ],
                    }
                ]
            },
            "lacks its members",
        ),
        ({"system": 5}, "system is a int"),
        ({"max_tokens": "many"}, "a parameter: "),
        ({"tools": [{"input_schema": {}}]}, r"tools\[0\] has no name"),
        ({"tools": [{"name": "f", "input_schema": "x"}]}, r"tools\[0\].input_schema is no object"),
        ({"tool_choice": {"type": "new"}}, "tool_choice is none of"),
    ],
)
def test_other_shapes_are_refused(members: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        parse(**members)
