"""A typed request as a caller of the library would have passed it: messages, media, keywords; and back again."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import InvalidMediaError
from backstream.media import MediaItem
from backstream.request import (
    MediaPart,
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from backstream.request.call import parse_call, render_call


def item(name: str) -> MediaItem:
    return MediaItem("image/png", name, size=1, blocks=lambda: iter((b"x",)))


def user(*parts: Any) -> Turn:
    return Turn(role="user", parts=parts)


def keywords_of(**members: Any) -> dict[str, Any]:
    _, _, keywords = render_call(Request(turns=(user(TextPart(text="Hi")),), **members))
    return keywords


def test_nothing_but_words() -> None:
    request = Request(model="m", turns=(user(TextPart(text="Hi")),))
    assert render_call(request) == ([{"role": "user", "content": "Hi"}], [], {})
    assert render_call(Request()) == ([], [], {})


def test_parameters_go_by_their_names_and_win_over_extra() -> None:
    found = keywords_of(temperature=0.5, stop=("a", "b"), modalities=("text",), extra={"own": 1, "temperature": 9})
    assert found == {"temperature": 0.5, "stop": ["a", "b"], "modalities": ["text"], "own": 1}


def test_tools() -> None:
    tools = (
        Tool(name="look", description="Look.", parameters={"type": "object"}, strict=True),
        Tool(name="bare"),
        Tool(opaque={"": {"type": "web_search"}}),
        Tool(),
    )
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}, "strict": True}
    assert keywords_of(tools=tools)["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "bare"}},
        {"type": "web_search"},
        {},
    ]


@pytest.mark.parametrize(
    ("choice", "rendered"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="tool"), "required"),
        (ToolChoice(mode="tool", names=("look",)), {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_tool_choices(choice: ToolChoice, rendered: Any) -> None:
    assert keywords_of(tool_choice=choice) == {"tool_choice": rendered}


@pytest.mark.parametrize(
    ("form", "rendered"),
    [
        (ResponseFormat(kind="text"), {"type": "text"}),
        (ResponseFormat(kind="json_object"), {"type": "json_object"}),
        (
            ResponseFormat(kind="json_schema", schema={"type": "object"}),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        ),
        (
            ResponseFormat(kind="json_schema", schema={}, name="n", description="d", strict=False),
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": False}},
        ),
    ],
)
def test_response_formats(form: ResponseFormat, rendered: Any) -> None:
    assert keywords_of(response_format=form) == {"response_format": rendered}


def test_reasoning_is_an_effort() -> None:
    assert keywords_of(reasoning=ReasoningSettings(effort="low")) == {"reasoning_effort": "low"}
    assert keywords_of(reasoning=ReasoningSettings(enabled=True)) == {}


def test_media_of_the_last_turn_of_the_user_and_unread_ones_go_beside() -> None:
    early, late = item("early"), item("late")
    request = Request(
        turns=(
            user(
                TextPart(text="one"),
                MediaPart(kind="image", media_type="image/png", item=early),
                MediaPart(kind="image", media_type="image/png", data="AAEC"),
            ),
            Turn(role="assistant", parts=(TextPart(text="I see."),)),
            user(
                TextPart(text="two"),
                MediaPart(kind="image", media_type="image/png", data="AAEC", filename="a.png"),
                MediaPart(kind="image", media_type="image/png", url="https://example.org/a.png"),
                MediaPart(kind="image", media_type="image/png", item=late),
                MediaPart(kind="document", file_id="f-1"),
            ),
            Turn(role="assistant", parts=(TextPart(text="Well"),)),
        )
    )
    messages, media, _ = render_call(request)
    first, data, url, last = media
    assert first is early
    assert last is late
    assert url == "https://example.org/a.png"
    assert isinstance(data, MediaItem)
    assert (data.media_type, data.filename, data.size) == ("image/png", "a.png", 3)
    assert data.blocks is not None
    assert b"".join(data.blocks()) == b"".join(data.blocks()) == b"\x00\x01\x02"  # it can be read again
    assert "AAEC" in str(messages[0])  # what was said earlier stays where it was said
    assert "f-1" in str(messages[2])
    assert "example.org" not in str(messages[2])


def test_base64_that_is_none() -> None:
    part = MediaPart(kind="image", media_type="image/png", data="AAE")
    with pytest.raises(InvalidMediaError, match="no base64"):
        render_call(Request(turns=(user(part),)))


def test_what_is_rendered_reads_the_same() -> None:
    request = Request(
        model="m",
        turns=(Turn(role="system", parts=(TextPart(text="Be brief."),)), user(TextPart(text="Hi"))),
        temperature=0.5,
        stop=("a",),
        tools=(Tool(name="look", parameters={"type": "object"}),),
        tool_choice=ToolChoice(mode="tool", names=("look",)),
        response_format=ResponseFormat(kind="json_schema", schema={"type": "object"}, name="n"),
        reasoning=ReasoningSettings(effort="high"),
        extra={"own": {"a": 1}},
    )
    messages, _, keywords = render_call(request)
    assert parse_call("m", messages, (), keywords) == request
