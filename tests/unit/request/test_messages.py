"""The seed's messages to typed turns and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import InvalidMediaError, InvalidRequestError
from backstream.media import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.messages import kind_of, media_from_url, parse_messages, render_messages

ITEM = MediaItem(media_type="image/png", size=3, blocks=lambda: iter([b"abc"]))
PNG = MediaPart(kind="image", media_type="image/png", data="AAEC")


def user(content: Any, **members: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **members}


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        (user("Hi"), Turn(role="user", parts=(TextPart(text="Hi"),))),
        (user(""), Turn(role="user")),
        (user(None), Turn(role="user")),
        (user(["a", {"type": "text", "text": "b"}]), Turn(role="user", parts=(TextPart(text="a"), TextPart(text="b")))),
        (user("Hi", name="Ann"), Turn(role="user", parts=(TextPart(text="Hi"),), name="Ann")),
        (
            user("Hi", weight=0, nothing=None),
            Turn(role="user", parts=(TextPart(text="Hi"),), opaque={"openai_chat": {"weight": 0}}),
        ),
        (
            {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "refusal": "no"},
            Turn(role="assistant", parts=(ReasoningPart(text="hm"), TextPart(text="Hi"), RefusalPart(text="no"))),
        ),
        (
            {"role": "assistant", "reasoning": "hm"},
            Turn(role="assistant", parts=(ReasoningPart(text="hm"),)),
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}, "index": 0, "x": 1},
                    {"function": {"name": "g", "arguments": {"a": 1}}},
                    {"function": {"name": "h"}},
                ],
            },
            Turn(
                role="assistant",
                parts=(
                    ToolCallPart(id="1", name="f", arguments="{", opaque={"openai_chat": {"x": 1}}),
                    ToolCallPart(name="g", arguments='{"a":1}'),
                    ToolCallPart(name="h", arguments="{}"),
                ),
            ),
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            Turn(role="assistant", parts=(ToolCallPart(name="f", arguments="{}"),)),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "name": "f", "content": "21", "is_error": True},
            Turn(
                role="tool",
                parts=(ToolResultPart(tool_call_id="1", name="f", content=(TextPart(text="21"),), is_error=True),),
            ),
        ),
        (
            {"role": "function", "name": "f", "content": "21"},
            Turn(role="tool", parts=(ToolResultPart(name="f", content=(TextPart(text="21"),)),)),
        ),
    ],
)
def test_messages_to_turns(message: dict[str, Any], turn: Turn) -> None:
    assert parse_messages([message]) == (turn,)


@pytest.mark.parametrize(
    ("part", "parsed"),
    [
        ({"type": "input_text", "text": "a"}, TextPart(text="a")),
        ({"type": "output_text", "text": "a"}, TextPart(text="a")),
        ({"type": "refusal", "refusal": "no"}, RefusalPart(text="no")),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            TextPart(text="a", cache_control={"type": "ephemeral"}),
        ),
        ({"type": "image_url", "image_url": "https://a/b"}, MediaPart(kind="image", url="https://a/b")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC", "detail": "low"}},
            MediaPart(kind="image", media_type="image/png", data="AAEC", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:IMAGE/PNG;x=1;base64,AAEC"}},
            PNG,
        ),
        ({"type": "image_url", "image_url": {"url": "data:image/png,%00%01%02"}}, PNG),
        ({"type": "video_url", "video_url": {"url": "https://a/b"}}, MediaPart(kind="video", url="https://a/b")),
        ({"type": "audio_url", "audio_url": {"url": "https://a/b"}}, MediaPart(kind="audio", url="https://a/b")),
        (
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": "AAEC"}},
            MediaPart(kind="audio", media_type="audio/mpeg", data="AAEC"),
        ),
        (
            {"type": "input_audio", "input_audio": {"format": "pcm16", "data": "AAEC"}},
            MediaPart(kind="audio", media_type="audio/pcm16", data="AAEC"),
        ),
        (
            {"type": "input_audio", "input_audio": {"format": "wav", "data": "data:audio/ogg;base64,AAEC"}},
            MediaPart(kind="audio", media_type="audio/ogg", data="AAEC"),
        ),
        ({"type": "input_audio", "input_audio": {"format": "wav", "data": ITEM}}, None),
        ({"type": "file", "file": {"file_id": "f1"}}, MediaPart(kind="document", file_id="f1")),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAEC", "filename": "a.pdf"}},
            MediaPart(kind="document", media_type="application/pdf", data="AAEC", filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "AAEC", "filename": "a.pdf"}},
            MediaPart(kind="document", media_type="application/pdf", data="AAEC", filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "AAEC"}},
            MediaPart(kind="document", media_type="application/octet-stream", data="AAEC"),
        ),
        (
            {"type": "file", "file": {"file_data": "https://a/b"}},
            MediaPart(kind="document", url="https://a/b"),
        ),
        ({"type": "file", "file": {"file_data": ITEM}}, MediaPart(kind="image", media_type="image/png", item=ITEM)),
        ({"type": "new", "x": 1}, OpaquePart(opaque={"openai_chat": {"type": "new", "x": 1}})),
        ({"x": 1}, OpaquePart(opaque={"openai_chat": {"x": 1}})),
    ],
)
def test_parts_of_a_message(part: dict[str, Any], parsed: Part | None) -> None:
    expected = parsed or MediaPart(kind="audio", media_type="image/png", item=ITEM)
    assert parse_messages([user([part])])[0].parts == (expected,)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([user("a"), {"role": "robot"}], r"messages\[1\] has role 'robot'; use system, developer, user"),
        ([user("a", name=5)], r"messages\[0\] has a name that is a int"),
        ([user([5])], r"messages\[0\]\.content\[0\] is a int"),
        ([user([{"type": "text"}])], r"content\[0\] of type 'text' lacks"),
        ([user([{"type": "text", "text": 5}])], r"content\[0\] of type 'text' lacks"),
        ([user([{"type": "refusal", "refusal": None}])], r"of type 'refusal' lacks"),
        ([user([{"type": "image_url", "image_url": 5}])], r"of type 'image_url' lacks"),
        ([user([{"type": "image_url", "image_url": {"url": 5}}])], r"of type 'image_url' lacks"),
        ([user([{"type": "image_url", "image_url": {"url": "https://a", "detail": 5}}])], r"of type 'image_url' lacks"),
        ([user([{"type": "file", "file": {}}])], r"of type 'file' lacks"),
        ([user([{"type": "file", "file": {"file_id": 5}}])], r"of type 'file' lacks"),
        (
            [user([{"type": "input_audio", "input_audio": {"format": "wav", "data": 5}}])],
            r"of type 'input_audio' lacks",
        ),
        ([{"role": "assistant", "tool_calls": {"a": 1}}], r"messages\[0\]\.tool_calls is a dict"),
        ([{"role": "assistant", "tool_calls": [5]}], r"tool_calls\[0\] names no function"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": 5}}]}], r"tool_calls\[0\] names no function"),
        ([{"role": "tool", "content": [{"type": "odd"}]}], r"messages\[0\] answers a tool call with something other"),
        ([user("a", parts=[{"type": "none"}])], r"messages\[0\]\.parts: Invalid value 'none'"),
        ([user("a", parts=5)], r"messages\[0\]\.parts: Expected `array`"),
        ([user("a", parts=[], opaque=5)], r"messages\[0\]\.parts: Expected `object`"),
    ],
)
def test_another_shape_is_told_with_its_place(messages: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told) as caught:
        parse_messages(messages)
    assert "\n" not in str(caught.value)


def test_a_broken_data_uri_is_told() -> None:
    with pytest.raises(InvalidMediaError):
        parse_messages([user([{"type": "image_url", "image_url": {"url": "data:image/png"}}])])


def test_media_of_a_url_or_an_item() -> None:
    assert media_from_url(ITEM) == MediaPart(kind="image", media_type="image/png", item=ITEM)
    assert media_from_url("https://a/b", media_type="audio/wav").kind == "audio"
    assert media_from_url("data:audio/wav;base64,AAEC", media_type="x/y").media_type == "audio/wav"
    assert [kind_of(t) for t in ("image/png", "audio/wav", "video/mp4", "text/plain", "")] == [
        "image",
        "audio",
        "video",
        "document",
        "document",
    ]


# --- writing ----------------------------------------------------------------------------------------------------------


def test_what_the_plain_shape_can_say_needs_no_parts() -> None:
    call = ToolCallPart(id="1", name="f", arguments="{}", opaque={"openai_chat": {"x": 1}})
    result = ToolResultPart(tool_call_id="1", name="f", content=(TextPart(text="21"),))
    turns = (
        Turn(role="system", parts=(TextPart(text="Be brief."),)),
        Turn(role="user", parts=(TextPart(text="Hi"),), name="Ann", opaque={"openai_chat": {"weight": 0}}),
        Turn(role="assistant", parts=(ReasoningPart(text="hm"), TextPart(text="I look."), call)),
        Turn(role="tool", parts=(result,)),
        Turn(role="tool", parts=(ToolResultPart(tool_call_id="2", is_error=True),)),
        Turn(role="assistant", parts=(RefusalPart(text="no"),)),
    )
    function = {"name": "f", "arguments": "{}"}
    messages = render_messages(turns)
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "Ann", "weight": 0},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "1", "type": "function", "function": function, "x": 1}],
        },
        {"role": "tool", "content": "21", "tool_call_id": "1", "name": "f"},
        {"role": "tool", "content": "", "tool_call_id": "2", "is_error": True},
        {"role": "assistant", "content": None, "refusal": "no"},
    ]
    assert parse_messages(messages) == turns


def test_the_rest_travels_beside_it() -> None:
    signed = ReasoningPart(text="hm", opaque={"anthropic_messages": {"signature": "s"}})
    turn = Turn(role="assistant", parts=(signed, TextPart(text="a"), TextPart(text="b")))
    (message,) = render_messages([turn])
    assert (message["content"], message["reasoning_content"]) == ("ab", "hm")
    assert [part["type"] for part in message["parts"]] == ["reasoning", "text", "text"]
    assert parse_messages([message]) == (turn,)
    assert parse_messages([{**message, "content": "changed"}]) == (turn,)
    failed = Turn(role="tool", parts=(ToolResultPart(name="f", is_error=True, opaque={"gemini": {"id": "1"}}),))
    assert parse_messages(render_messages([failed])) == (failed,)


def test_opaque_members_that_would_change_the_plain_shape_do_not_get_lost() -> None:
    call = ToolCallPart(id="1", name="f", arguments="{}", opaque={"openai_chat": {"function": None}})
    turn = Turn(role="assistant", parts=(call,), opaque={"openai_chat": {"content": "x"}, "gemini": {"a": 1}})
    (message,) = render_messages([turn])
    assert message["content"] is None
    assert parse_messages([message]) == (turn,)


def test_media_are_shown_without_their_bytes() -> None:
    assert repr(PNG) == "<MediaPart image image/png by data>"
    assert repr(MediaPart(kind="audio")) == "<MediaPart audio untyped by empty>"


def test_several_results_of_tools_are_a_message_each() -> None:
    results = tuple(ToolResultPart(tool_call_id=str(n), content=(TextPart(text="x"),)) for n in (1, 2))
    messages = render_messages([Turn(role="tool", parts=results)])
    assert [message["tool_call_id"] for message in messages] == ["1", "2"]


@pytest.mark.parametrize(
    "part",
    [
        MediaPart(kind="image", media_type="image/png", item=ITEM),
        ToolResultPart(content=(MediaPart(kind="image", media_type="image/png", item=ITEM),)),
    ],
)
def test_media_still_to_be_read_are_no_message(part: Part) -> None:
    with pytest.raises(InvalidRequestError, match="still to be read"):
        render_messages([Turn(role="user", parts=(part,))])


# --- both -------------------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
members = st.dictionaries(
    st.one_of(words, st.sampled_from(["role", "content", "parts", "id", "opaque"])), words, max_size=2
)
opaque = st.dictionaries(st.sampled_from(["openai_chat", "anthropic_messages", "gemini", ""]), members, max_size=2)
marks = st.none() | st.just({"type": "ephemeral"})
text_parts = st.builds(TextPart, text=words, opaque=opaque, cache_control=marks)
sources = st.sampled_from(["data", "url", "file_id"]).map(lambda name: {name: "AAEC"})
media_parts = st.builds(
    lambda source, **rest: MediaPart(**source, **rest),
    sources,
    kind=st.sampled_from(["image", "audio", "video", "document"]),
    media_type=st.sampled_from(["", "image/png", "x/y"]),
    filename=st.none() | words,
    detail=st.none() | words,
    transcript=st.none() | words,
    opaque=opaque,
)
parts = st.one_of(
    text_parts,
    media_parts,
    st.builds(ReasoningPart, text=words, opaque=opaque),
    st.builds(RefusalPart, text=words, opaque=opaque),
    st.builds(ToolCallPart, id=words, name=words, arguments=words, opaque=opaque),
    st.builds(
        ToolResultPart,
        tool_call_id=words,
        name=words,
        content=st.lists(text_parts | media_parts, max_size=2).map(tuple),
        is_error=st.booleans(),
        opaque=opaque,
    ),
    st.builds(OpaquePart, opaque=opaque),
)
turns = st.builds(
    Turn,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    parts=st.lists(parts, max_size=4).map(tuple),
    name=st.none() | words,
    opaque=opaque,
)


def one_result_a_turn(turn: Turn) -> bool:
    return turn.role != "tool" or len(turn.parts) < 2 or not all(isinstance(p, ToolResultPart) for p in turn.parts)


@settings(max_examples=300)
@given(st.lists(turns.filter(one_result_a_turn), max_size=3).map(tuple))
def test_turns_survive_being_messages(said: tuple[Turn, ...]) -> None:
    messages = render_messages(said)
    assert parse_messages(messages) == said
    assert parse_messages(json.loads(json.dumps(messages))) == said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from(["type", "url"]), inner, max_size=3)
    ),
    max_leaves=6,
)
names = ["role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning", "parts", "function_call"]
kinds = ["text", "refusal", "image_url", "video_url", "audio_url", "input_audio", "file"]
any_part = st.builds(lambda kind, value: {"type": kind, kind: value}, st.sampled_from(kinds), json_values)
any_message = st.builds(
    lambda role, rest: {**rest, "role": role},
    st.sampled_from(["user", "assistant", "tool", "function", "x"]),
    st.dictionaries(st.sampled_from(names), json_values | st.lists(any_part, max_size=2), max_size=4),
)


@given(any_message)
def test_any_message_is_read_or_refused(message: dict[str, Any]) -> None:
    try:
        (turn,) = parse_messages([message])
    except (InvalidRequestError, InvalidMediaError):
        return
    (again,) = parse_messages(render_messages([turn]))
    assert again == turn
