"""As a server: clients' requests read, answers, refusals and lists written for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    Notice,
    PartEnd,
    Preview,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.media.item import MediaItem
from backstream.models import ModelInfo
from backstream.reply import End
from backstream.request import (
    MediaPart,
    OpaquePart,
    ReasoningPart,
    ReasoningSettings,
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
from support_openai_chat import ENVELOPE, check_schema, events_of, parse, render

NAME = "openai_chat"
COMPLETE = End("complete", ("x",))
TOKEN = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}

# --- requests ---------------------------------------------------------------------------------------------------------


def read(*messages: object, **members: Any) -> Request:
    return OpenAIChat().parse_request({"model": "m", "messages": list(messages), **members})


@pytest.mark.capability(NAME, "text", "server")
def test_a_plain_request() -> None:
    turns = (Turn(role="user", parts=(TextPart(text="Hi"),)),)
    assert read({"role": "user", "content": "Hi"}) == Request(model="m", turns=turns, stream=False, dialect=NAME)
    assert read({"role": "user", "content": "Hi"}, stream=True, n=1).stream
    assert OpenAIChat().parse_request({}) == Request(stream=False, dialect=NAME)


@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
@pytest.mark.capability(NAME, "names", "server")
@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "stop", "server")
@pytest.mark.capability(NAME, "seed", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "tool-choice", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "structured-output", "server")
@pytest.mark.capability(NAME, "reasoning", "server")
def test_a_full_request() -> None:
    request = read(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        max_completion_tokens=5,
        temperature=1,
        top_p=0.5,
        stop="END",
        seed=7,
        logprobs=True,
        top_logprobs=2,
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
        tool_choice="required",
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        reasoning_effort="low",
        user=None,
        prediction={"type": "content"},
    )
    assert request == Request(
        model="m",
        turns=(
            Turn(role="system", parts=(TextPart(text="Be brief."),)),
            Turn(role="user", parts=(TextPart(text="What?"),), name="ann"),
            Turn(role="assistant", parts=(ToolCallPart(id="c", name="f", arguments="{}"),)),
            Turn(role="tool", parts=(ToolResultPart(tool_call_id="c", content=(TextPart(text="1"),)),)),
        ),
        max_tokens=5,
        temperature=1.0,
        top_p=0.5,
        stop=("END",),
        seed=7,
        logprobs=True,
        top_logprobs=2,
        tools=(Tool(name="f", parameters={}, strict=True),),
        tool_choice=ToolChoice(mode="required"),
        parallel_tool_calls=False,
        response_format=ResponseFormat(kind="json_schema", schema={"type": "object"}, name="a"),
        reasoning=ReasoningSettings(effort="low"),
        stream=False,
        dialect=NAME,
        extra={"prediction": {"type": "content"}},
    )


def item() -> MediaItem:
    def blocks() -> Iterator[bytes]:
        yield b"abc"

    return MediaItem(media_type="image/png", size=3, blocks=blocks)


ITEM = item()


@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "audio-in", "server")
@pytest.mark.capability(NAME, "video-in", "server")
@pytest.mark.capability(NAME, "document-in", "server")
@pytest.mark.capability(NAME, "media-by-url", "server")
@pytest.mark.capability(NAME, "media-by-file-id", "server")
@pytest.mark.capability(NAME, "streamed-media-upload", "server")
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
            MediaPart(kind="image", url="https://h/a.png", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
            MediaPart(kind="image", media_type="image/png", data="YWJj"),
        ),
        (
            {"type": "image_url", "image_url": {"url": ITEM, "detail": "low"}},
            MediaPart(kind="image", media_type="image/png", item=ITEM, detail="low"),
        ),
        (
            {"type": "image_url", "image_url": ITEM},
            MediaPart(kind="image", media_type="image/png", item=ITEM),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
            MediaPart(kind="audio", media_type="audio/mpeg", data="SUQz"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": MediaItem(media_type=""), "format": "mp3"}},
            MediaPart(kind="audio", media_type="audio/mpeg", item=MediaItem(media_type="")),
        ),
        ({"type": "video_url", "video_url": {"url": "https://h/v"}}, MediaPart(kind="video", url="https://h/v")),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
            MediaPart(kind="document", media_type="application/pdf", data="JVBERg==", filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": ITEM}},
            MediaPart(kind="image", media_type="image/png", item=ITEM),
        ),
        ({"type": "file", "file": {"file_id": "f"}}, MediaPart(kind="document", file_id="f")),
        ({"type": "odd", "x": 1}, OpaquePart(opaque={NAME: {"type": "odd", "x": 1}})),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            TextPart(text="a", cache_control={"type": "ephemeral"}),
        ),
    ],
)
def test_parts(content: dict[str, Any], part: Any) -> None:
    assert read({"role": "user", "content": [content]}).turns == (Turn(role="user", parts=(part,)),)


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "cache-control", "server")
def test_what_a_message_holds_beside_its_content() -> None:
    details = [{"type": "reasoning.text", "text": "a"}]
    answer = {"role": "assistant", "content": "b", "refusal": None, "x": 1}
    image = {"type": "image_url", "image_url": {"url": "https://h/a.png"}}
    mark = {NAME: {"reasoning_details": details}}
    turns = read(
        {**answer, "reasoning": "a", "reasoning_details": details, "audio": {"id": "s"}, "images": [image, "text"]},
        {**answer, "reasoning_details": details},
        {**answer, "audio": {"data": "odd"}, "refusal": "no"},
        {"role": "user", "content": "c", "audio": {"id": "s"}},
    ).turns
    text = TextPart(text="b")
    assert turns == (
        Turn(
            role="assistant",
            parts=(
                ReasoningPart(text="a", opaque=mark),
                text,
                MediaPart(kind="audio", file_id="s"),
                MediaPart(kind="image", url="https://h/a.png", opaque={NAME: {"type": "image_url"}}),
            ),
            opaque={NAME: {"x": 1}},
        ),
        Turn(role="assistant", parts=(ReasoningPart(opaque=mark), text), opaque={NAME: {"x": 1}}),
        Turn(
            role="assistant",
            parts=(text, RefusalPart(text="no")),
            opaque={NAME: {"x": 1, "audio": {"data": "odd"}}},
        ),
        Turn(role="user", parts=(TextPart(text="c"),), opaque={NAME: {"audio": {"id": "s"}}}),
    )


def test_tools_keep_what_is_not_known_here() -> None:
    tools = [
        {"type": "web_search"},
        {"type": "function", "function": {"name": "f", "x": 1}, "y": 2, "cache_control": {"type": "ephemeral"}},
        {"type": "function", "name": "flat"},
        {"type": "function", "function": {"name": "g"}},
    ]
    assert read(tools=tools).tools == (
        Tool(opaque={NAME: {"type": "web_search"}}),
        Tool(
            name="f",
            cache_control={"type": "ephemeral"},
            opaque={NAME: {"y": 2, "function": {"name": "f", "x": 1}}},
        ),
        Tool(name="flat"),
        Tool(name="g"),
    )


def test_the_name_of_the_seed_is_a_quirk() -> None:
    request = OpenAIChat(Quirks(seed="random_seed")).parse_request({"random_seed": 3, "messages": []})
    assert request.seed == 3


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"model": 3}, "model is a int"),
        ({"stream": "yes"}, "stream is a str"),
        ({"n": 2}, "n is not 1"),
        ({"messages": "Hi"}, "messages is a str"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0] has content of another type"),
        ({"messages": [{"role": "boss", "content": "a"}]}, "messages[0] has role 'boss'"),
        ({"temperature": "hot"}, "a parameter of the call: Expected `float | null`, got `str`"),
        ({"tools": {}}, "tools is a dict"),
        ({"tools": [{"type": "function"}]}, "a tool of type 'function' has no name"),
        ({"tool_choice": 3}, "tool_choice has another shape"),
        ({"response_format": {"type": "json_schema"}}, "response_format has another shape"),
        ({"messages": [{"role": "assistant", "content": "a", "images": [3]}]}, "images.content[0] is a int"),
        ({"messages": [{"role": "assistant", "content": "a", "images": 3}]}, "images is a int"),
    ],
)
def test_requests_of_another_shape(members: dict[str, Any], problem: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        OpenAIChat().parse_request({"model": "m", "messages": [], **members})
    assert str(caught.value).startswith(problem)


# --- streams ----------------------------------------------------------------------------------------------------------

ANSWER: list[RawResponse] = [
    Start(id="chatcmpl-9", model="real", created=1763800009, service_tier="flex", fingerprint="fp"),
    Reasoning(token="hm"),
    Reasoning(status="thinking"),
    Content(content="Hello"),
    Content(content=" you"),
    Logprobs(logprobs=[TOKEN]),
    Citation(url="https://h", title="H", cited_text="said", start=0, end=5),
    ToolCallDelta(part=4, id="a", name="f", arguments='{"x"'),
    ToolCallDelta(part=6, id="b", name="g"),
    ToolCallDelta(part=4, arguments=":1}"),
    ToolCallDelta(part=6, arguments="{}"),
    PartEnd(part=4, kind="tool_call", opaque={NAME: {"extra_content": {"google": {}}}}),
    PartEnd(kind="reasoning", opaque={NAME: {"reasoning_details": [{"type": "reasoning.text"}]}}),
    Finish(finish={"reason": "tool_calls"}),
    Usage(usage={"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}),
]


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "citations", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "cached-usage", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "ids", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
def test_a_stream_event_by_event() -> None:
    events = events_of(render([*ANSWER, COMPLETE]))
    for event in events:
        check_schema(event, "CreateChatCompletionStreamResponse")
        assert event["id"] == "chatcmpl-9"
        assert event["model"] == "real"
        assert event["created"] == 1763800009
        assert event["service_tier"] == "flex"
        assert event["system_fingerprint"] == "fp"
    assert [event["choices"][0]["delta"] for event in events[:-1]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "Hello"},
        {"content": " you"},
        {},
        {
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "start_index": 0,
                        "end_index": 5,
                        "url": "https://h",
                        "title": "H",
                        "content": "said",
                    },
                }
            ]
        },
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "extra_content": {"google": {}}}]},
        {"reasoning_details": [{"type": "reasoning.text"}]},
        {},
    ]
    assert events[4]["choices"][0]["logprobs"] == {"content": [TOKEN], "refusal": None}
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [*[None] * 12, "tool_calls"]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


def test_blocks_do_not_matter() -> None:
    renderer = OpenAIChat().stream_renderer(ENVELOPE)
    assert b"".join(renderer.render([item]) for item in [*ANSWER, COMPLETE]) == render([*ANSWER, COMPLETE])
    assert renderer.render([Content(content="late"), COMPLETE]) == b""
    assert renderer.content_type == "text/event-stream"


def test_keep_alives_are_no_events() -> None:
    keep_alive = OpenAIChat().stream_renderer(ENVELOPE).keep_alive
    stream = render([*ANSWER, COMPLETE])
    assert parse([keep_alive, stream.replace(b"\n\n", b"\n\n" + keep_alive)]) == parse([stream])


@pytest.mark.capability(NAME, "ids", "server")
def test_what_the_envelope_says_where_no_chunk_does() -> None:
    events = events_of(render([Content(content="Hi"), Notice(message="x"), Preview(preview="x"), COMPLETE]))
    assert len(events) == 3
    for event in events:
        assert (event["id"], event["model"], event["created"]) == ("chatcmpl-7", "asked", 1763800000)
    assert events_of(render([COMPLETE])) == [
        {
            "id": "chatcmpl-7",
            "object": "chat.completion.chunk",
            "created": 1763800000,
            "model": "asked",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        for delta, reason in (({"role": "assistant", "content": ""}, None), ({}, "stop"))
    ]
    late = events_of(render([Content(content="Hi"), Start(id="late"), COMPLETE]))
    assert {event["id"] for event in late} == {"chatcmpl-7"}


@pytest.mark.capability(NAME, "usage", "server")
def test_usage_goes_only_to_clients_that_asked() -> None:
    raw = {"prompt_tokens": 1, "cost": 2}
    usage = Usage(usage={"prompt_tokens": 1}, raw={NAME: raw, "gemini": {}})

    def told(request: Request) -> list[Any]:
        envelope = Envelope(id="7", model="m", created=1, request=request)
        return [event["usage"] for event in events_of(render([usage, COMPLETE], envelope)) if "usage" in event]

    assert told(Request()) == [raw]
    usage = Usage(usage={"total_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 1}})
    assert told(Request()) == [{"total_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 1}}]
    usage = Usage(usage={"prompt_tokens": 1}, raw={NAME: raw})
    assert told(read(stream=True)) == []
    assert told(read(stream=True, stream_options={"include_usage": False})) == []
    assert told(read(stream=True, stream_options=3)) == []
    assert told(read(stream=True, stream_options={"include_usage": True})) == [raw]


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        (None, {"finish_reason": "stop"}),
        (Finish(finish="length"), {"finish_reason": "length"}),
        (
            Finish(finish={"reason": "stop", "raw": "end_turn"}),
            {"finish_reason": "stop", "native_finish_reason": "end_turn"},
        ),
        (Finish(finish={"reason": "pause_turn"}), {"finish_reason": "stop", "native_finish_reason": "pause_turn"}),
        (
            Finish(finish={"reason": "stop", "stop_sequence": "END"}),
            {"finish_reason": "stop", "stop_reason": "END"},
        ),
        (Finish(), {"finish_reason": "stop"}),
    ],
)
def test_words_for_finished(finish: Finish | None, expected: dict[str, str]) -> None:
    block: list[RawResponse | End] = [Content(content="a"), *([finish] if finish else []), COMPLETE]
    last = events_of(render(block))[-1]
    assert {name: last["choices"][0].get(name) for name in expected} == expected
    check_schema(last, "CreateChatCompletionStreamResponse")


def test_the_ordinary_word_behind_a_call_is_tool_calls() -> None:
    call = ToolCalls(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{}"}}])
    assert events_of(render([call, COMPLETE]))[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.capability(NAME, "stream-errors", "server")
@pytest.mark.parametrize(
    ("end", "error"),
    [
        (
            End("failed", ("error",), errors.RateLimitError("slow down", kind="tokens_exceeded", body=b"secret")),
            {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "tokens_exceeded"},
        ),
        (End("incomplete"), {"message": "the answer was cut off", "type": "server_error", "param": None, "code": None}),
        (End("cancelled"), {"message": "the answer was cut off", "type": "server_error", "param": None, "code": None}),
        (
            End("failed", (), errors.MissingKeyError("x", "X_KEY")),
            {
                "message": "x needs an API key; set X_KEY or pass api_key=",
                "type": "authentication_error",
                "param": None,
                "code": "invalid_api_key",
            },
        ),
    ],
)
def test_a_stream_that_fails_has_no_mark_of_success(end: End, error: dict[str, Any]) -> None:
    stream = render([Content(content="a"), Finish(finish={"reason": "stop"}), end])
    events = events_of(stream)
    assert events[-1] == {"error": error}
    assert all(event["choices"][0]["finish_reason"] is None for event in events[:-1])
    assert events_of(render([end])) == [{"error": error}]
    last = parse([stream])[-1]
    assert isinstance(last, End)
    assert last.state == "failed"


@pytest.mark.capability(NAME, "refusal", "server")
@pytest.mark.capability(NAME, "audio-out", "server")
@pytest.mark.capability(NAME, "image-out", "server")
@pytest.mark.parametrize(
    ("chunks", "deltas"),
    [
        ([Refusal(refusal="no"), Refusal()], [{"refusal": "no"}]),
        ([Content(), Content(content=""), Reasoning()], []),
        (
            [
                Media(id="s", media_type="audio/wav", data="AAAA"),
                Media(data="BBBB"),
                Media(transcript="Hi", expires_at=5),
                Media(media_type="audio/mpeg", file_id="x"),
                PartEnd(kind="media"),
            ],
            [
                {"audio": {"id": "s", "data": "AAAA"}},
                {"audio": {"data": "BBBB"}},
                {"audio": {"transcript": "Hi", "expires_at": 5}},
            ],
        ),
        ([Media(media_type="audio/wav", url="https://h/s")], [{"content": "https://h/s"}]),
        (
            [Media(media_type="image/png", data="AAAA"), Media(data="BBBB"), Media(), Content(content="x")],
            [
                {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAABBBB"}}]},
                {"content": "x"},
            ],
        ),
        (
            [Media(media_type="image/png", data="AA=="), Media(media_type="image/gif", data="BBBB")],
            [
                {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
                {"images": [{"type": "image_url", "image_url": {"url": "data:image/gif;base64,BBBB"}}]},
            ],
        ),
        ([Media(url="https://h/i")], [{"images": [{"type": "image_url", "image_url": {"url": "https://h/i"}}]}]),
        ([Media(file_id="f"), Media()], []),
        (
            [
                ToolCallDelta(id="a", name="f"),
                ToolCallDelta(arguments="1"),
                ToolCallDelta(id="a", arguments="2"),
                ToolCallDelta(id="b", name="g"),
                PartEnd(kind="tool_call", opaque={NAME: {"x": 1}}),
            ],
            [
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": "1"}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": "2"}}]},
                {
                    "tool_calls": [
                        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 1, "x": 1}]},
            ],
        ),
        (
            [ToolCallDelta(arguments="1"), ToolCallDelta(name="f"), ToolCallDelta(name="g")],
            [
                {"tool_calls": [{"index": 0, "id": "call_7_0", "type": "function", "function": {"arguments": "1"}}]},
                {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
                {
                    "tool_calls": [
                        {"index": 1, "id": "call_7_1", "type": "function", "function": {"name": "g", "arguments": ""}}
                    ]
                },
            ],
        ),
        (
            [ToolCalls(tool_calls=[{"function": {"name": "f", "arguments": {"x": 1}}}, {"id": "b"}]), ToolCalls()],
            [
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_7_0",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"x":1}'},
                        }
                    ]
                },
                {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"arguments": "{}"}}]},
            ],
        ),
        (
            [
                PartEnd(kind="tool_call", opaque={NAME: {"x": 1}}),
                PartEnd(part=3, kind="tool_call", opaque={NAME: {"x": 1}}),
                PartEnd(kind="reasoning", opaque={"gemini": {"x": 1}}),
                PartEnd(kind="text"),
                PartEnd(kind="text", opaque={NAME: {}}),
            ],
            [],
        ),
        (
            [Citation(raw={NAME: {"type": "file", "file": {}}}), Citation(url="u", raw={NAME: {"reference_ids": [1]}})],
            [
                {"annotations": [{"type": "file", "file": {}}]},
                {"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]},
            ],
        ),
        ([Logprobs()], [{}]),
    ],
)
def test_chunks_of_any_dialect(chunks: list[RawResponse], deltas: list[dict[str, Any]]) -> None:
    events = events_of(render([Start(), *chunks, COMPLETE]))
    assert [event["choices"][0]["delta"] for event in events[1:-1]] == deltas


# --- whole answers ----------------------------------------------------------------------------------------------------


def whole(*chunks: RawResponse, quirks: Quirks | None = None) -> dict[str, Any]:
    answer = json.loads(OpenAIChat(quirks or Quirks()).render_reply([*chunks, COMPLETE], ENVELOPE))
    assert isinstance(answer, dict)
    return answer


def test_a_whole_answer() -> None:
    answer = whole(*ANSWER)
    check_schema(answer, "CreateChatCompletionResponse")
    assert answer == {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 1763800009,
        "model": "real",
        "service_tier": "flex",
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello you",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {
                                "start_index": 0,
                                "end_index": 5,
                                "url": "https://h",
                                "title": "H",
                                "content": "said",
                            },
                        }
                    ],
                    "reasoning_details": [{"type": "reasoning.text"}],
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"x":1}'},
                            "extra_content": {"google": {}},
                        },
                        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                    ],
                },
                "logprobs": {"content": [TOKEN], "refusal": None},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    }


def test_whole_answers_of_other_kinds() -> None:
    empty = whole()
    check_schema(empty, "CreateChatCompletionResponse")
    assert empty["choices"][0]["message"] == {"role": "assistant", "content": "", "refusal": None}
    refusal = whole(Refusal(refusal="n"), Refusal(refusal="o"))["choices"][0]["message"]
    assert refusal == {"role": "assistant", "content": None, "refusal": "no"}
    sound = whole(
        Media(id="s", media_type="audio/wav", data="AA=="),
        Media(data="AAAA", transcript="a"),
        Media(transcript="b", expires_at=9),
    )
    check_schema(sound, "CreateChatCompletionResponse")
    assert sound["choices"][0]["message"]["audio"] == {
        "id": "s",
        "data": "AAAAAA==",
        "transcript": "ab",
        "expires_at": 9,
    }
    images = whole(Media(media_type="image/png", data="AAAA"), Media(url="https://h"))["choices"][0]["message"][
        "images"
    ]
    assert [image["image_url"]["url"] for image in images] == ["data:image/png;base64,AAAA", "https://h"]
    late_name = whole(ToolCallDelta(id="a", arguments="{"), ToolCallDelta(name="f", arguments="}"))
    assert late_name["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    named = whole(Reasoning(token="a"), quirks=Quirks(reasoning_field="reasoning"))["choices"][0]["message"]
    assert named["reasoning"] == "a"
    odd = whole(PartEnd(kind="opaque", opaque={NAME: {"x": 1}}))["choices"][0]["message"]
    assert odd["x"] == 1


# --- refusals, lists, counts ------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (errors.AuthenticationError("no", status=401), 401, "authentication_error", "invalid_api_key"),
        (errors.RateLimitError("no"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (errors.PaymentError("no", status=429), 429, "insufficient_quota", "insufficient_quota"),
        (errors.ContentRefusedError("no"), 400, "invalid_request_error", "content_policy_violation"),
        (errors.UnknownModelError("gpt"), 404, "invalid_request_error", "model_not_found"),
        (errors.InvalidRequestError("no"), 400, "invalid_request_error", None),
        (errors.UnsupportedFeatureError("no"), 400, "invalid_request_error", "unsupported"),
        (
            errors.BackendRequestError("no", kind="context_length_exceeded"),
            400,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (errors.RateLimitError("no", kind="server_error"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (errors.IdleTimeout(5), 504, "server_error", "timeout"),
        (errors.ConnectError("no"), 502, "server_error", None),
    ],
)
def test_refusals(error: errors.BackstreamError, status: int, kind: str, code: str | None) -> None:
    found, body = OpenAIChat().render_error(error)
    answer = json.loads(body)
    check_schema(answer, "ErrorResponse")
    assert (found, answer["error"]["type"], answer["error"]["code"]) == (status, kind, code)
    assert answer["error"]["message"] == (error.problem if isinstance(error, errors.ProviderError) else str(error))


@pytest.mark.capability(NAME, "models", "server")
def test_lists_of_models() -> None:
    models = [
        ModelInfo(id="gpt-5.4", provider="openai", created=1763800000.0, owned_by="system"),
        ModelInfo(id="llama", provider="ollama"),
        ModelInfo(id="bare"),
    ]
    answer = json.loads(OpenAIChat().render_models(models))
    check_schema(answer, "ListModelsResponse")
    assert [(m["id"], m["created"], m["owned_by"]) for m in answer["data"]] == [
        ("openai/gpt-5.4", 1763800000, "system"),
        ("ollama/llama", 0, "ollama"),
        ("bare", 0, "backstream"),
    ]


def test_there_are_no_counts() -> None:
    with pytest.raises(errors.UnsupportedFeatureError):
        OpenAIChat().render_count(3)
    with pytest.raises(errors.DecodeError):
        OpenAIChat().parse_token_count(b"3")
