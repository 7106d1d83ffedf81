"""Clients' requests in Ollama's form: read as typed requests, or refused with the place that is wrong."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from backstream.errors import InvalidRequestError
from backstream.media import MediaItem
from backstream.request import (
    MediaPart,
    ReasoningPart,
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from support_ollama import OLLAMA, sent

NAME = "ollama"
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(20)).decode()


def turn_of(**message: Any) -> Turn:
    (turn,) = OLLAMA.parse_request({"model": "m", "messages": [message]}).turns
    return turn


@pytest.mark.capability(NAME, "text", "server")
def test_the_smallest_request_is_streamed() -> None:
    members = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),), dialect=NAME)
    assert OLLAMA.parse_request(members, "/api/chat") == request
    assert OLLAMA.parse_request({**members, "stream": False}).stream is False
    assert OLLAMA.parse_request({"model": "m", "stream": None}).turns == ()


@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
def test_turns() -> None:
    roles = ["system", "user", "assistant", "user"]
    request = OLLAMA.parse_request({"messages": [{"role": role, "content": role} for role in roles]})
    assert [(turn.role, turn.text) for turn in request.turns] == [(role, role) for role in roles]


@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "stop", "server")
@pytest.mark.capability(NAME, "seed", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
def test_options_are_parameters() -> None:
    options = {
        "num_predict": 5,
        "temperature": 1,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0.1,
        "stop": "x",
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repeat_penalty": 1.1,
        "num_ctx": 99,
    }
    request = OLLAMA.parse_request({"options": options, "logprobs": True, "top_logprobs": 2, "keep_alive": 0})
    assert request.parameters() == {
        "max_tokens": 5,
        "temperature": 1.0,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0.1,
        "stop": ("x",),
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.1,
        "logprobs": True,
        "top_logprobs": 2,
    }
    assert request.extra == {"keep_alive": 0, "options": {"num_ctx": 99}}
    unlimited = OLLAMA.parse_request({"options": {"num_predict": -1, "seed": None}})
    assert (unlimited.max_tokens, unlimited.extra) == (None, {"options": {"num_predict": -1}})


@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "streamed-media-upload", "server")
def test_images_in_base64_and_ones_the_server_keeps() -> None:
    item = MediaItem(media_type="image/webp", size=3, blocks=lambda: iter([b"abc"]))
    uri = f"data:image/gif;base64,{JPEG}"
    parts = turn_of(role="user", content="Look", images=[JPEG, item, uri, "A", "AAAA"]).parts
    assert parts == (
        TextPart(text="Look"),
        MediaPart(kind="image", media_type="image/jpeg", data=JPEG),
        MediaPart(kind="image", media_type="image/webp", item=item),
        MediaPart(kind="image", media_type="image/gif", data=JPEG),
        MediaPart(kind="image", media_type="image/png", data="A"),
        MediaPart(kind="image", media_type="image/png", data="AAAA"),
    )


@pytest.mark.capability(NAME, "tools", "server")
def test_tools_and_what_they_hold_further() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    plain = Tool(name="f", description="d", parameters={"type": "object"})
    given = [
        {"type": "function", "function": function},
        {"type": "function", "function": {**function, "strict": True}, "items": 1},
        function,
    ]
    request = OLLAMA.parse_request({"tools": given})
    marked = {"items": 1, "function": {**function, "strict": True}}
    assert request.tools[:2] == (
        plain,
        Tool(name="f", description="d", parameters=plain.parameters, opaque={NAME: marked}),
    )
    assert request.tools[2].name == "f"
    assert sent(request)["tools"][:2] == given[:2]


@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.capability(NAME, "reasoning", "server")
def test_calls_thinking_and_results() -> None:
    turn = turn_of(
        role="assistant",
        thinking="So",
        tool_calls=[
            {"id": "c1", "type": "function", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
            {"function": {"name": "g"}, "mark": 2},
            {"function": {"name": "h", "arguments": "{}"}},
        ],
    )
    assert turn == Turn(
        role="assistant",
        parts=(
            ReasoningPart(text="So"),
            ToolCallPart(id="c1", name="f", arguments='{"a":1}'),
            ToolCallPart(name="g", arguments="{}", opaque={NAME: {"mark": 2}}),
            ToolCallPart(name="h", arguments="{}"),
        ),
    )
    result = turn_of(role="tool", content="21", tool_name="f", tool_call_id="c1", weight=3)
    part = ToolResultPart(tool_call_id="c1", name="f", content=(TextPart(text="21"),))
    assert result == Turn(role="tool", parts=(part,), opaque={NAME: {"weight": 3}})
    assert sent(Request(turns=(result,)))["messages"][0]["weight"] == 3


@pytest.mark.capability(NAME, "tool-result-media", "server")
def test_a_result_with_an_image() -> None:
    (part,) = turn_of(role="tool", content="", images=[JPEG]).parts
    assert part == ToolResultPart(content=(MediaPart(kind="image", media_type="image/jpeg", data=JPEG),))


@pytest.mark.capability(NAME, "structured-output", "server")
@pytest.mark.parametrize(
    ("form", "meant"),
    [
        (None, None),
        ("", None),
        ("json", ResponseFormat(kind="json_object")),
        ({"type": "object"}, ResponseFormat(kind="json_schema", schema={"type": "object"})),
    ],
)
def test_the_form_of_the_answer(form: object, meant: ResponseFormat | None) -> None:
    assert OLLAMA.parse_request({"format": form}).response_format == meant


@pytest.mark.parametrize(
    ("think", "meant"),
    [
        (True, ReasoningSettings(enabled=True)),
        ("high", ReasoningSettings(effort="high")),
        ("", None),
        (None, None),
    ],
)
def test_think(think: object, meant: ReasoningSettings | None) -> None:
    assert OLLAMA.parse_request({"think": think}).reasoning == meant


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"model": 7}, "model is a int"),
        ({"stream": "no"}, "stream is a str"),
        ({"messages": "Hi"}, "messages is a str"),
        ({"messages": ["Hi"]}, r"messages\[0\] is a str"),
        ({"messages": [{"content": "Hi"}]}, r"messages\[0\] has no role"),
        ({"messages": [{"role": ["user"]}]}, r"messages\[0\] has no role"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages\[0\].content is a list"),
        ({"messages": [{"role": "user", "images": [7]}]}, r"messages\[0\].images\[0\] is a int"),
        ({"messages": [{"role": "user", "images": {}}]}, r"messages\[0\].images is a dict"),
        ({"messages": [{"role": "assistant", "thinking": 1}]}, r"messages\[0\].thinking is a int"),
        ({"messages": [{"role": "assistant", "tool_calls": [7]}]}, r"tool_calls\[0\] names no function"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "names no function"),
        ({"messages": [{"role": "tool", "tool_name": 7}]}, r"messages\[0\].tool_name is a int"),
        ({"options": []}, "options is a list"),
        ({"options": {"temperature": "hot"}}, "temperature"),
        ({"options": {"stop": 7}}, "stop"),
        ({"tools": {}}, "tools is a dict"),
        ({"tools": [7]}, "a tool is a int"),
        ({"format": "xml"}, "format is neither"),
        ({"think": 3}, "think is a int"),
    ],
)
def test_another_shape_is_refused_by_its_place(members: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequestError, match=where):
        OLLAMA.parse_request(members)
