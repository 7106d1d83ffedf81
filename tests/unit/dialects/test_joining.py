"""Pieces of tool calls and media joined to whole ones, whatever order they come in."""

from __future__ import annotations

from backstream.chunks import Content, Finish, Media, PartEnd, RawResponse, ToolCallDelta, ToolCalls
from backstream.dialects.joining import PartJoiner
from backstream.request import MediaPart, ToolCallPart


def joined(*chunks: RawResponse) -> list[list[object]]:
    """What each chunk makes whole, and then the end."""
    joiner = PartJoiner()
    return [[*joiner.add(chunk)] for chunk in chunks] + [[*joiner.flush()]]


def call(name: str, arguments: str = "", id_: str = "") -> ToolCallPart:
    return ToolCallPart(id=id_, name=name, arguments=arguments)


def test_an_unnumbered_call_ends_where_another_begins() -> None:
    assert joined(
        ToolCallDelta(id="a", name="f", arguments="{"),
        ToolCallDelta(id="a", arguments="}"),
        ToolCallDelta(arguments=" "),
        ToolCallDelta(id="b", name="g"),
        Content(content="x"),
        ToolCallDelta(name="h"),
        Media(data="QUJD", media_type="image/png"),
    ) == [
        [],
        [],
        [],
        [call("f", "{} ", "a")],
        [call("g", "", "b")],
        [],
        [call("h")],
        [MediaPart(kind="image", media_type="image/png", data="QUJD")],
    ]


def test_numbered_parts_wait_for_their_own_end() -> None:
    assert joined(
        ToolCallDelta(part=0, name="f"),
        Media(part=0, url="http://h/a", media_type="image/png"),
        Content(content="x"),
        PartEnd(part=0, kind="media"),
        PartEnd(part=7, kind="tool_call"),
        PartEnd(part=0, kind="text"),
        ToolCallDelta(part=1, name="g"),
        PartEnd(part=0),
        Finish(finish="stop"),
    ) == [
        [],
        [],
        [],
        [MediaPart(kind="image", media_type="image/png", url="http://h/a")],
        [],
        [],
        [],
        [call("f")],
        [],
        [call("g")],
    ]


def test_an_end_without_a_number_ends_the_last_of_its_kind() -> None:
    assert joined(ToolCallDelta(name="f"), PartEnd(kind="tool_call", opaque={"d": {"a": 1}}), PartEnd()) == [
        [],
        [ToolCallPart(name="f", opaque={"d": {"a": 1}})],
        [],
        [],
    ]


def test_whole_calls_come_behind_what_was_under_way() -> None:
    whole = [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]
    assert joined(ToolCallDelta(id="a", name="f"), ToolCalls(tool_calls=whole)) == [
        [],
        [call("f", "", "a"), call("g", "{}", "b")],
        [],
    ]
