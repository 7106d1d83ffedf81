"""Keywords by OpenAI's names to a typed request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import InvalidRequestError
from backstream.media import MediaItem
from backstream.request import (
    PARAMETERS,
    MediaPart,
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from backstream.request.call import (
    attach_media,
    parse_call,
    parse_reasoning,
    parse_response_format,
    parse_tool,
    parse_tool_choice,
)

ASKED = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object"}


def called(**members: Any) -> Request:
    return parse_call("m", ASKED, (), members)


def test_a_call_without_keywords() -> None:
    assert parse_call("m", ASKED) == Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"temperature": 0.5, "top_p": None}, {"temperature": 0.5}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_output_tokens": 5}, {"max_tokens": 5}),
        ({"repeat_penalty": 1.1}, {"repetition_penalty": 1.1}),
        ({"stop": "x"}, {"stop": ("x",)}),
        ({"stop_sequences": ["x", "y"]}, {"stop": ("x", "y")}),
        ({"stream": False}, {"stream": False}),
        ({"modalities": ["text", "audio"]}, {"modalities": ("text", "audio")}),
        ({"reasoning_effort": "low"}, {"reasoning": ReasoningSettings(effort="low")}),
        (
            {"reasoning_effort": "low", "reasoning": {"summary": "auto"}},
            {"reasoning": ReasoningSettings(effort="low", summary="auto")},
        ),
        (
            {"reasoning": {"summary": "auto"}, "reasoning_effort": "low"},
            {"reasoning": ReasoningSettings(effort="low", summary="auto")},
        ),
        (
            {"tools": [{"name": "f"}], "tool_choice": "any"},
            {"tools": (Tool(name="f"),), "tool_choice": ToolChoice(mode="required")},
        ),
        ({"tools": [], "weight": 1, "nothing": None}, {"extra": {"weight": 1}}),
    ],
)
def test_keywords(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert called(**members) == Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),), **expected)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"temperature": "hot"},
            r"a parameter of the call: Expected `float \| null`, got `str` - at `\$\.temperature`",
        ),
        ({"stop": 5}, "stop is neither text nor a list"),
        ({"stop": ["a", 5]}, "stop is neither text nor a list"),
        ({"tools": {"name": "f"}}, "tools is a dict"),
        ({"tools": [5]}, "a tool is a int"),
        ({"reasoning_effort": 5}, "reasoning_effort has another shape"),
    ],
)
def test_keywords_of_another_shape(members: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        called(**members)


def test_what_a_caller_set_are_its_parameters() -> None:
    request = called(temperature=0.5, stop="x", tools=[{"name": "f"}], reasoning_effort="low", stream=False)
    assert request.parameters() == {"temperature": 0.5, "stop": ("x",)}
    assert {"temperature", "stop", "safety_settings"} <= set(PARAMETERS)
    assert not {"model", "turns", "tools", "extra", "reasoning"} & set(PARAMETERS)


# --- the parts of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "parsed"),
    [
        (Tool(name="f"), Tool(name="f")),
        (
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
            Tool(name="f", description="d", parameters=SCHEMA, strict=True),
        ),
        ({"type": "function", "name": "f", "parameters": SCHEMA}, Tool(name="f", parameters=SCHEMA)),
        ({"name": "f", "input_schema": SCHEMA}, Tool(name="f", parameters=SCHEMA)),
        (
            {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}},
            Tool(name="f", cache_control={"type": "ephemeral"}),
        ),
        ({"name": "f", "cache_control": "odd"}, Tool(name="f")),
        ({"type": "web_search", "x": 1}, Tool(opaque={"": {"type": "web_search", "x": 1}})),
    ],
)
def test_tools(tool: object, parsed: Tool) -> None:
    assert parse_tool(tool) == parsed


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (5, "a tool is a int"),
        ({"type": "function"}, "has no name"),
        ({"type": "function", "function": 5}, "has no name"),
        ({"name": 5}, "has no name"),
        ({"name": "f", "description": 5}, "tool 'f' has another shape"),
        ({"name": "f", "parameters": []}, "tool 'f' has another shape"),
    ],
)
def test_tools_of_another_shape(tool: object, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        parse_tool(tool)


@pytest.mark.parametrize(
    ("choice", "parsed"),
    [
        (ToolChoice(mode="none"), ToolChoice(mode="none")),
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ("any", ToolChoice(mode="required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(mode="tool", names=("f",))),
        ({"type": "function", "name": "f"}, ToolChoice(mode="tool", names=("f",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"name": "f"}, {"name": "g"}]}},
            ToolChoice(mode="required", names=("f", "g")),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(names=("f",)),
        ),
    ],
)
def test_tool_choices(choice: object, parsed: ToolChoice) -> None:
    assert parse_tool_choice(choice) == parsed


@pytest.mark.parametrize(
    "choice",
    [
        5,
        [],
        "odd",
        {},
        {"function": {"name": 5}},
        {"function": 5},
        {"type": "allowed_tools", "allowed_tools": 5},
        {"type": "allowed_tools", "tools": 5},
        {"type": "allowed_tools", "tools": [5]},
    ],
)
def test_tool_choices_of_another_shape(choice: object) -> None:
    with pytest.raises(InvalidRequestError):
        parse_tool_choice(choice)


@pytest.mark.parametrize(
    ("form", "parsed"),
    [
        (ResponseFormat(kind="text"), ResponseFormat(kind="text")),
        ({"type": "text"}, ResponseFormat(kind="text")),
        ({"type": "json_object"}, ResponseFormat(kind="json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}},
            ResponseFormat(kind="json_schema", schema=SCHEMA, name="n", description="d", strict=True),
        ),
        ({"type": "json_schema", "schema": SCHEMA}, ResponseFormat(kind="json_schema", schema=SCHEMA)),
    ],
)
def test_response_formats(form: object, parsed: ResponseFormat) -> None:
    assert parse_response_format(form) == parsed


@pytest.mark.parametrize(
    "form",
    [
        5,
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": 5},
        {"type": "json_schema", "json_schema": {"schema": 5}},
        {"type": "json_schema", "json_schema": {"schema": SCHEMA, "name": 5}},
    ],
)
def test_response_formats_of_another_shape(form: object) -> None:
    with pytest.raises(InvalidRequestError, match="response_format has another shape"):
        parse_response_format(form)


@pytest.mark.parametrize(
    ("reasoning", "parsed"),
    [
        (ReasoningSettings(effort="low"), ReasoningSettings(effort="low")),
        ("low", ReasoningSettings(effort="low")),
        (False, ReasoningSettings(enabled=False)),
        (
            {"effort": "low", "summary": "auto", "enabled": True, "budget_tokens": 5},
            ReasoningSettings(effort="low", summary="auto", enabled=True, budget_tokens=5),
        ),
        ({"max_tokens": 5}, ReasoningSettings(budget_tokens=5)),
    ],
)
def test_reasoning(reasoning: object, parsed: ReasoningSettings) -> None:
    assert parse_reasoning(reasoning) == parsed


@pytest.mark.parametrize("reasoning", [5, [], {"effort": 5}, {"budget_tokens": "many"}])
def test_reasoning_of_another_shape(reasoning: object) -> None:
    with pytest.raises(InvalidRequestError, match="reasoning"):
        parse_reasoning(reasoning)


# --- media ------------------------------------------------------------------------------------------------------------

ITEM = MediaItem(media_type="image/png", filename="a.png", size=3, blocks=lambda: iter([b"abc"]))
AT_URL = MediaItem(media_type="", url="https://example.org/cat.jpg")
IMAGE = MediaPart(kind="image", media_type="image/png", item=ITEM, filename="a.png")


def test_media_join_the_last_turn_of_the_user() -> None:
    turns = (
        Turn(role="user"),
        Turn(role="assistant"),
        Turn(role="user", parts=(TextPart(text="x"),)),
        Turn(role="tool"),
    )
    attached = attach_media(turns, [ITEM, AT_URL])
    assert attached[2].parts == (
        TextPart(text="x"),
        IMAGE,
        MediaPart(kind="document", url="https://example.org/cat.jpg"),
    )
    assert attached[:2] + attached[3:] == turns[:2] + turns[3:]
    assert attach_media(turns, ()) is turns
    assert attach_media((), [ITEM]) == (Turn(role="user", parts=(IMAGE,)),)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["auto", "function", "allowed_tools", "json_schema"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "function", "tools", "allowed_tools", "mode", "schema", "json_schema"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*PARAMETERS, "tools", "tool_choice", "response_format", "reasoning", "x"]), json_values
    )
)
def test_any_call_is_read_or_refused(members: dict[str, Any]) -> None:
    try:
        request = parse_call("m", ASKED, (), members)
    except InvalidRequestError:
        return
    assert msgspec.convert(msgspec.to_builtins(request), Request) == request


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"max_tokens": 5}, {"max_completion_tokens": 6}),
        ({"max_tokens": 5}, {"max_output_tokens": 6}),
        ({"stop": ["a"]}, {"stop_sequences": ["b"]}),
        ({"repeat_penalty": 1.0}, {"repetition_penalty": 1.5}),
    ],
)
def test_two_names_of_one_parameter_must_agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    (name,), (second,) = one, other
    for members in ({**one, **other}, {**other, **one}):
        with pytest.raises(InvalidRequestError, match="are one, and do not agree") as caught:
            parse_call("m", ASKED, (), members)
        assert name in str(caught.value)
        assert second in str(caught.value)
    agreed = parse_call("m", ASKED, (), {**one, second: one[name]})
    assert agreed.parameters() == parse_call("m", ASKED, (), one).parameters()
    assert parse_call("m", ASKED, (), {**one, second: None}).parameters() == agreed.parameters()
