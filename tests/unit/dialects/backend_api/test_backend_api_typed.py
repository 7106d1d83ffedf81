"""The backend-api by the contract of dialects: typed requests, plain and whole event types, refusals, lists."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    OpenResponse,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.backend_api.dialect import BackendApiDialect
from backstream.dialects.base import Envelope
from backstream.errors import IncompleteStream, InvalidMediaError, InvalidRequestError, UnsupportedFeatureError
from backstream.media import MediaItem
from backstream.models import ModelInfo
from backstream.reply import End, fold
from backstream.request import (
    MediaPart,
    OpaquePart,
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
from backstream.testing.dialects import check_dialect

NAME = "backend_api"
NOT_OFFERED = {"token-count": "the protocol has no such route: docs/protocol.md, section Endpoints"}
PLAIN = BackendApiDialect()
WHOLE = BackendApiDialect(own_types=True)
ENVELOPE = Envelope(id="1", model="m", created=0)
USER = Turn(role="user", parts=(TextPart(text="Hi"),))
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
IMAGE = MediaPart(kind="image", media_type="image/png", data=PNG, filename="a.png")


def rendered(request: Request) -> tuple[dict[str, Any], list[str]]:
    """The body of a request, and its receipts."""
    receipts = Receipts()
    result = PLAIN.render_request(request, receipts)
    assert result.path == "/backend-api/v2/conversation"
    assert result.headers == {"X-Backstream-Events": "all"}
    data = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in result.body)
    return json.loads(data), [str(receipt) for receipt in receipts]


def survives(request: Request) -> dict[str, Any]:
    """Check that a request is read as it was written; the body."""
    body, _ = rendered(request)
    assert PLAIN.parse_request(body) == request
    return body


def user(*parts: Any) -> Request:
    return Request(model="m", turns=(Turn(role="user", parts=parts),))


@pytest.mark.parametrize("dialect", [PLAIN, WHOLE, BackendApiDialect(framing="jsonl")])
def test_the_contract_of_dialects(dialect: BackendApiDialect) -> None:
    check_dialect(dialect)
    assert dialect.name == NAME


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "text", "server")
def test_the_smallest_request() -> None:
    assert survives(Request(model="m", turns=(USER,))) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert survives(Request(model="m", turns=(USER,), stream=False))["stream"] is False


@pytest.mark.capability(NAME, "system", "provider")
@pytest.mark.capability(NAME, "multi-turn", "provider")
@pytest.mark.capability(NAME, "names", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "cache-control", "provider")
@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
@pytest.mark.capability(NAME, "names", "server")
@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "cache-control", "server")
def test_turns_survive_with_all_they_hold() -> None:
    turns = (
        Turn(role="developer", parts=(TextPart(text="Be brief.", cache_control={"type": "ephemeral"}),)),
        Turn(role="user", parts=USER.parts, name="Ann"),
        Turn(role="assistant", parts=(ReasoningPart(text="So", opaque={"gemini": {"sig": "x"}}), TextPart(text="Hi"))),
        USER,
    )
    messages = survives(Request(model="m", turns=turns))["messages"]
    assert [message["content"] for message in messages] == ["Be brief.", "Hi", "Hi", "Hi"]


@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "stop", "provider")
@pytest.mark.capability(NAME, "seed", "provider")
@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "stop", "server")
@pytest.mark.capability(NAME, "seed", "server")
def test_every_parameter_is_kept_by_its_name() -> None:
    request = Request(
        model="m",
        turns=(USER,),
        max_tokens=5,
        temperature=0.5,
        stop=("x",),
        seed=7,
        logprobs=True,
        modalities=("text", "audio"),
        parallel_tool_calls=False,
        conversation={"P": {"id": 1}},
        extra={"web_search": True},
    )
    body = survives(request)
    assert (body["max_tokens"], body["web_search"], body["conversation"]) == (5, True, {"P": {"id": 1}})
    names = [*request.parameters(), "web_search"]
    assert sorted(rendered(request)[1]) == sorted(f"{name} kept" for name in names)
    foreign = Request(model="m", turns=(USER,), dialect="gemini", extra={"labels": {}})
    assert rendered(foreign)[1] == ["labels dropped (a member of gemini only)"]


@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "structured-output", "provider")
@pytest.mark.capability(NAME, "structured-output", "server")
def test_tools_and_the_form_of_the_answer() -> None:
    mark = {"type": "ephemeral"}
    tool = Tool(name="f", description="d", parameters={"type": "object"}, strict=True, cache_control=mark)
    form = ResponseFormat(kind="json_schema", schema={"type": "object"}, name="n")
    request = Request(model="m", turns=(USER,), tools=(tool, Tool(opaque={"": {"type": "web"}})), response_format=form)
    body = survives(request)
    assert body["tools"][1] == {"type": "web"}
    survives(Request(model="m", response_format=ResponseFormat(kind="json_object")))


@pytest.mark.capability(NAME, "tool-choice", "provider")
@pytest.mark.capability(NAME, "tool-choice", "server")
@pytest.mark.parametrize(
    "choice",
    [
        ToolChoice(),
        ToolChoice(mode="none"),
        ToolChoice(mode="required"),
        ToolChoice(mode="tool", names=("f",)),
        ToolChoice(mode="auto", names=("f", "g")),
        ToolChoice(mode="required", names=("f", "g")),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice) -> None:
    survives(Request(model="m", tool_choice=choice))


def test_a_choice_of_tools_without_a_name_is_any_of_them() -> None:
    assert rendered(Request(model="m", tool_choice=ToolChoice(mode="tool")))[0]["tool_choice"] == "required"


@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.capability(NAME, "reasoning", "server")
def test_settings_of_reasoning() -> None:
    assert survives(Request(model="m", reasoning=ReasoningSettings(effort="low")))["reasoning_effort"] == "low"
    settings = ReasoningSettings(enabled=True, budget_tokens=5)
    assert survives(Request(model="m", reasoning=settings))["reasoning"] == {"enabled": True, "budget_tokens": 5}


@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "media-by-url", "provider")
@pytest.mark.capability(NAME, "media-by-url", "server")
@pytest.mark.capability(NAME, "audio-in", "provider")
@pytest.mark.capability(NAME, "audio-in", "server")
@pytest.mark.capability(NAME, "video-in", "provider")
@pytest.mark.capability(NAME, "video-in", "server")
@pytest.mark.capability(NAME, "document-in", "provider")
@pytest.mark.capability(NAME, "document-in", "server")
def test_media_at_the_end_of_the_last_question_have_their_own_member() -> None:
    parts = (
        IMAGE,
        MediaPart(kind="image", url="https://h/a?b.mp4"),
        MediaPart(kind="video", url="https://h/a.mp4?x=1"),
        MediaPart(kind="audio", media_type="audio/wav", data="QUJD", filename="a.wav"),
        MediaPart(kind="document", media_type="application/pdf", data="QUJD"),
    )
    body = survives(user(TextPart(text="Look"), *parts))
    assert body["messages"] == [{"role": "user", "content": "Look"}]
    assert body["media"] == [
        [f"data:image/png;base64,{PNG}", "a.png"],
        ["https://h/a?b.mp4", None],
        ["https://h/a.mp4?x=1", None],
        ["data:audio/wav;base64,QUJD", "a.wav"],
        ["data:application/pdf;base64,QUJD", None],
    ]
    survives(user(*parts[:1]))


@pytest.mark.capability(NAME, "media-by-file-id", "provider")
@pytest.mark.capability(NAME, "media-by-file-id", "server")
def test_media_anywhere_else_are_parts_of_the_content() -> None:
    parts = (
        MediaPart(kind="image", media_type="image/png", data=PNG, detail="low"),
        MediaPart(kind="audio", media_type="audio/wav", data="QUJD"),
        MediaPart(kind="audio", url="https://h/a"),
        MediaPart(kind="video", url="https://h/v"),
        MediaPart(kind="document", media_type="application/pdf", data="QUJD", filename="a.pdf"),
        MediaPart(kind="document", file_id="f1"),
        TextPart(text="Look"),
    )
    body = survives(user(*parts))
    assert "media" not in body
    assert [part["type"] for part in body["messages"][0]["content"]] == [
        "image_url",
        "input_audio",
        "audio_url",
        "video_url",
        "file",
        "file",
        "text",
    ]
    earlier = Turn(role="user", parts=(TextPart(text="a"), MediaPart(kind="image", url="https://h/i")))
    assert "media" not in survives(Request(model="m", turns=(earlier, USER)))
    answer = Turn(
        role="assistant", parts=(TextPart(text="a"), MediaPart(kind="image", media_type="image/png", data=PNG))
    )
    assert "media" not in survives(Request(model="m", turns=(answer,)))
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\] holds media .image. by file id"):
        rendered(user(MediaPart(kind="image", file_id="f1")))


@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
@pytest.mark.capability(NAME, "streamed-media-upload", "server")
def test_media_are_read_while_they_are_sent() -> None:
    def item(media_type: str) -> MediaItem:
        return MediaItem(media_type=media_type, size=3, blocks=lambda: iter([b"ABC"]))

    image = MediaPart(kind="image", media_type="image/png", item=item("image/png"))
    sound = MediaPart(kind="audio", media_type="audio/wav", item=item("audio/wav"), detail="x")
    by_url = MediaPart(kind="image", item=MediaItem(media_type="", url="https://h/i.png"))
    body, _ = rendered(user(TextPart(text="Look"), sound, image, by_url))
    assert body["media"] == [["data:image/png;base64,QUJD", None], ["https://h/i.png", None]]
    assert body["messages"][0]["content"][1] == {
        "type": "input_audio",
        "input_audio": {"data": "QUJD", "format": "wav"},
    }
    kept = MediaItem(media_type="image/png", size=3, filename="a.png", blocks=lambda: iter([b"ABC"]))
    parsed = PLAIN.parse_request({"messages": [], "media": [kept, [kept, "b.png"], "data:,x"]})
    assert [part.filename for turn in parsed.turns for part in turn.parts if isinstance(part, MediaPart)] == [
        "a.png",
        "b.png",
        None,
    ]
    (turn,) = parsed.turns
    assert turn.role == "user"
    talk = [{"role": "user", "content": "Look"}, {"role": "assistant", "content": "At what?"}]
    looked, asked = PLAIN.parse_request({"messages": talk, "media": [kept]}).turns
    assert (len(looked.parts), len(asked.parts)) == (2, 1)


@pytest.mark.capability(NAME, "tool-results", "provider")
@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "tool-result-media", "provider")
@pytest.mark.capability(NAME, "tool-result-media", "server")
def test_results_with_media() -> None:
    call = ToolCallPart(id="c1", name="look", arguments="{}")
    content = (TextPart(text="see"), MediaPart(kind="image", media_type="image/png", data=PNG))
    result = ToolResultPart(tool_call_id="c1", content=content)
    turns = (Turn(role="assistant", parts=(call,)), Turn(role="tool", parts=(result,)))
    body = survives(Request(model="m", turns=turns))
    assert [part["type"] for part in body["messages"][1]["content"]] == ["text", "image_url"]
    for rest, roles in (((TextPart(text="Go on."),), ["tool", "tool", "user"]), ((), ["tool", "tool"])):
        mixed = Turn(role="user", parts=(result, ToolResultPart(tool_call_id="c2"), *rest))
        messages = rendered(Request(model="m", turns=(mixed,)))[0]["messages"]
        assert [message["role"] for message in messages] == roles


def test_what_a_message_with_media_cannot_hold_is_said() -> None:
    parts = (MediaPart(kind="image", url="https://h/i", detail="low"), TextPart(text="x", opaque={"gemini": {"a": 1}}))
    body, receipts = rendered(user(*parts))
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url", "text"]
    assert receipts == ["messages[0].parts dropped (a message with media has no place for them)"]
    for role, opaque, harmless in [("user", {"gemini": {"a": 1}}, False), ("assistant", {"gemini": {"a": 1}}, True)]:
        said = TextPart(text="x", opaque=opaque)
        turn = Turn(role=role, parts=(parts[0], said), opaque={"gemini": {"b": 2}})
        found = Receipts()
        (data,) = PLAIN.render_request(Request(turns=(turn,)), found).body
        (message,) = json.loads(data)["messages"]
        assert set(message) == {"role", "content"}
        assert [receipt.harmless for receipt in found] == [harmless]
    marked = TextPart(text="x", cache_control={"type": "ephemeral"})
    found = Receipts()
    PLAIN.render_request(user(parts[0], marked), found)
    assert [receipt.harmless for receipt in found] == [True]


def test_a_part_beside_media_that_the_server_cannot_read_is_refused() -> None:
    image = MediaPart(kind="image", url="https://h/i", detail="low")
    known = OpaquePart(opaque={"openai_chat": {"type": "hologram", "x": 1}})
    body, receipts = rendered(user(image, known))
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url", "hologram"]
    assert receipts == []
    foreign = OpaquePart(opaque={"gemini": {"b": 2}})
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: a part that only gemini reads"):
        rendered(user(image, foreign))
    with pytest.raises(UnsupportedFeatureError, match="only nobody reads"):
        rendered(user(image, OpaquePart()))
    turn = Turn(role="assistant", parts=(ReasoningPart(text="Hm."), image, foreign))
    body, receipts = rendered(Request(turns=(turn,)))
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url"]
    assert receipts == ["messages[0].parts dropped (a message with media has no place for them)"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"model": 7}, "model is a int"),
        ({"media": {"a": 1}}, "media is a dict"),
        ({"media": [7]}, r"media\[0\] is no pair"),
        ({"media": [["data:,x"]]}, r"media\[0\] is no pair"),
        ({"media": [["/etc/passwd", None]]}, r"media\[0\] is neither"),
        ({"media": [[7, None]]}, r"media\[0\] is neither"),
        ({"messages": "Hi"}, "messages"),
    ],
)
def test_another_shape_of_a_request_is_refused(members: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidRequestError, InvalidMediaError), match=words):
        PLAIN.parse_request({"messages": [], **members})


def test_what_is_for_the_server_is_not_in_the_request() -> None:
    members = {"messages": [], "media": None, "provider": "P", "api_key": "sk-canary", "stream": True}
    assert PLAIN.parse_request(members, "/backend-api/v2/conversation") == Request()


# --- answers ----------------------------------------------------------------------------------------------------------

CHUNKS: list[RawResponse] = [
    Start(id="a1", model="m"),
    Reasoning(token="So", part=0),
    PartEnd(part=0, kind="reasoning", opaque={"gemini": {"sig": "x"}}),
    Content(content="Hi", part=1),
    Content(content="!"),
    Citation(url="http://h"),
    Logprobs(logprobs=[{"token": "Hi"}]),
    Refusal(refusal="No.", part=2),
    OpenResponse({"type": "odd", "a": 1}),
    ToolCallDelta(part=3, id="c1", name="f", arguments="{"),
    ToolCallDelta(part=4, id="c2", name="g", arguments="{}"),
    ToolCallDelta(part=3, arguments="}"),
    Usage(usage={"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}, computed=["x"], raw={"d": {}}),
    Finish(finish={"reason": "tool_calls", "raw": "tool_use"}),
]


def events(dialect: BackendApiDialect, *chunks: RawResponse | End) -> list[dict[str, Any]]:
    data = dialect.stream_renderer(ENVELOPE).render([*chunks])
    return [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: ")]


def call(call_id: str, name: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "cached-usage", "server")
def test_a_g4f_client_gets_what_it_knows() -> None:
    usage = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}
    assert events(PLAIN, *CHUNKS, End("complete")) == [
        {"type": "reasoning", "token": "So"},
        {"type": "content", "content": "Hi"},
        {"type": "content", "content": "!"},
        {"type": "content", "content": "No."},
        {"type": "odd", "a": 1},
        {"type": "usage", "usage": usage},
        {"type": "tool_calls", "tool_calls": [call("c1", "f")]},
        {"type": "tool_calls", "tool_calls": [call("c2", "g")]},
        {"type": "finish", "finish": {"reason": "tool_calls"}},
    ]


@pytest.mark.capability(NAME, "ids", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
@pytest.mark.capability(NAME, "citations", "server")
@pytest.mark.capability(NAME, "refusal", "server")
@pytest.mark.capability(NAME, "ids", "provider")
@pytest.mark.capability(NAME, "logprobs", "provider")
@pytest.mark.capability(NAME, "citations", "provider")
@pytest.mark.capability(NAME, "refusal", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "cached-usage", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize("framing", ["sse", "jsonl"])
def test_a_client_that_asks_gets_every_chunk_as_it_is(framing: Any) -> None:
    dialect = BackendApiDialect(framing=framing, own_types=True)
    data = dialect.render_reply([*CHUNKS, End("complete")], ENVELOPE)
    block = dialect.parse_reply(data)
    assert block[:-1] == CHUNKS
    assert block[-1] == End("complete", ("finish", "framed"))


def test_calls_without_an_id_get_one_of_the_answers() -> None:
    calls = [ToolCallDelta(part=number, name=name, arguments="{}") for number, name in enumerate("fg")]
    assert events(PLAIN, *calls, End("complete")) == [
        {"type": "tool_calls", "tool_calls": [call("call_1_1", "f")]},
        {"type": "tool_calls", "tool_calls": [call("call_1_2", "g")]},
    ]


def test_a_whole_call_is_said_once_and_behind_what_was_under_way() -> None:
    whole = ToolCalls(tool_calls=[{**call("c2", "g"), "mark": 1}, call("c3", "h")])
    begun = ToolCallDelta(id="c1", name="f", arguments="{}")
    assert events(PLAIN, begun, whole) == [
        {"type": "tool_calls", "tool_calls": [call("c1", "f")]},
        whole.get_dict(),
    ]


@pytest.mark.capability(NAME, "image-out", "server")
@pytest.mark.capability(NAME, "audio-out", "server")
@pytest.mark.capability(NAME, "image-out", "provider")
@pytest.mark.capability(NAME, "audio-out", "provider")
def test_media_become_content_as_g4f_writes_them() -> None:
    chunks = [
        Media(media_type="image/png", data="QUJD", part=0),
        Media(data="REVG", part=0),
        PartEnd(part=0, kind="media"),
        Media(media_type="audio/wav", data="QUJD", transcript="Hel"),
        Media(transcript="lo"),
        PartEnd(kind="media"),
        Media(media_type="audio/wav", url='http://h/"a"'),
        PartEnd(kind="media"),
        Media(media_type="video/mp4", url="http://h/v"),
        PartEnd(kind="media"),
        Media(media_type="application/pdf", url="http://h/d"),
        PartEnd(kind="media"),
        Media(media_type="image/png", file_id="f1"),
        PartEnd(kind="media"),
        Media(media_type="audio/wav", file_id="f1", transcript="Hi"),
    ]
    image, sound = "data:image/png;base64,QUJDREVG", "data:audio/wav;base64,QUJD"
    assert events(PLAIN, *chunks, End("complete")) == [
        {"type": "content", "content": f"[![]({image})]({image})", "urls": image},
        {"type": "content", "content": f'<audio controls src="{sound}"></audio>\n\nHello', "data": sound},
        {
            "type": "content",
            "content": '<audio controls src="http://h/&quot;a&quot;"></audio>',
            "data": 'http://h/"a"',
        },
        {"type": "content", "content": '<video src="http://h/v"></video>', "urls": "http://h/v"},
        {"type": "content", "content": "[application/pdf](http://h/d)", "urls": "http://h/d"},
        {"type": "content", "content": "[image](f1)"},
        {"type": "content", "content": "Hi"},
    ]
    block = WHOLE.parse_reply(WHOLE.render_reply([*chunks, End("complete")], ENVELOPE))
    reply = fold(item for item in block if isinstance(item, RawResponse))
    assert reply.media == fold(chunks).media
    assert [part.media_type for part in reply.media[:2]] == ["image/png", "audio/wav"]


def test_a_finish_without_further_words_goes_through() -> None:
    assert events(PLAIN, Finish(finish="stop"), Finish(finish={"reason": "stop"}), Finish()) == [
        {"type": "finish", "finish": "stop"},
        {"type": "finish", "finish": {"reason": "stop"}},
        {"type": "finish"},
    ]


@pytest.mark.capability(NAME, "stream-errors", "server")
@pytest.mark.capability(NAME, "stream-errors", "provider")
@pytest.mark.capability(NAME, "done-evidence", "server")
@pytest.mark.parametrize("dialect", [PLAIN, WHOLE])
def test_an_answer_that_broke_never_looks_whole(dialect: BackendApiDialect) -> None:
    begun = [Content(content="Hi"), ToolCallDelta(id="c1", name="f", arguments="{")]
    data = dialect.stream_renderer(ENVELOPE).render([*begun, End("failed", (), errors.RateLimitError("slow down"))])
    assert b"tool_calls" not in data
    end = dialect.parse_reply(data)[-1]
    assert isinstance(end, End)
    assert isinstance(end.error, errors.RateLimitError)
    renderer = dialect.stream_renderer(ENVELOPE)
    end = dialect.parse_reply(renderer.render([Content(content="Hi"), End("incomplete")]))[-1]
    assert isinstance(end, End)
    assert isinstance(end.error, IncompleteStream)
    assert renderer.render([Content(content="x")]) == b""


def test_keep_alives_are_comments_where_there_are_any() -> None:
    assert PLAIN.stream_renderer(ENVELOPE).keep_alive == b": keep-alive\n\n"
    assert BackendApiDialect(framing="jsonl").stream_renderer(ENVELOPE).keep_alive == b""


# --- refusals and lists -----------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize(
    "error",
    [
        errors.BackendRequestError("x", status=422),
        errors.AuthenticationError("x", status=403),
        errors.PaymentError("x"),
        errors.RateLimitError("x", status=400),
        errors.ModelNotFoundError("x", status=400),
        errors.ContentRefusedError("x"),
        errors.UnavailableError("x", status=529),
    ],
)
def test_refusals_keep_their_class(error: errors.RefusedError) -> None:
    status, body = PLAIN.render_error(error)
    again = PLAIN.parse_error(status, {}, body)
    assert (type(again), again.problem) == (type(error), "x")


def test_other_errors_are_refusals_too() -> None:
    status, body = PLAIN.render_error(errors.UnknownModelError("gpt-9"))
    assert status == 404
    assert isinstance(PLAIN.parse_error(status, {}, body), errors.ModelNotFoundError)
    status, body = PLAIN.render_error(errors.MissingKeyError("p", "P_KEY"))
    assert (status, json.loads(body)["error"]["code"]) == (401, "MissingAuthError")


@pytest.mark.parametrize("body", [b"", b"<p>no</p>", b"[]", b'{"a": 1}', b'{"error": {"message": "no"}}'])
def test_a_refusal_goes_by_its_status_where_it_names_no_code(body: bytes) -> None:
    assert type(PLAIN.parse_error(429, {}, body)) is errors.RateLimitError
    assert type(PLAIN.parse_error(None, {}, body)) is errors.RefusedError


def test_an_event_that_ends_an_answer_is_read_as_one() -> None:
    event = b'{"type": "error", "error": "RateLimitError", "message": "RateLimitError: slow", "retry_after_seconds": 3}'
    error = PLAIN.parse_error(None, {}, event)
    assert isinstance(error, errors.RateLimitError)
    assert error.retry_after_seconds == 3


@pytest.mark.capability(NAME, "models", "provider")
@pytest.mark.capability(NAME, "models", "server")
def test_lists_of_models() -> None:
    listed = PLAIN.parse_models(b'{"P": ["a", "b", 7, ""], "Q": ["b", "c"], "R": null}')
    assert [(model.id, model.owned_by) for model in listed.models] == [("a", "P"), ("b", "P"), ("c", "Q")]
    entry = {"id": "a", "label": "A", "vision": True, "image": True, "video": False}
    group = {"group": "g", "models": [{"model": "b", "label": None}]}
    detailed = PLAIN.parse_models(json.dumps([entry, group, 7, {}]).encode()).models
    assert [model.id for model in detailed] == ["a", "b"]
    assert (detailed[0].label, detailed[0].input_modalities) == ("A", ("text", "image"))
    assert (detailed[0].output_modalities, detailed[1].output_modalities) == (("image",), None)
    body = PLAIN.render_models([ModelInfo(id="m1", provider="p"), ModelInfo(id="m2"), ModelInfo(id="m3", provider="p")])
    assert json.loads(body) == {"p": ["m1", "m3"], "backstream": ["m2"]}
    for wrong in (b"7", b"x", b'"a"'):
        with pytest.raises(errors.DecodeError):
            PLAIN.parse_models(wrong)


def test_tokens_are_not_counted() -> None:
    assert PLAIN.render_token_count(None, None) is None  # type: ignore[arg-type,func-returns-value]
    with pytest.raises(errors.DecodeError):
        PLAIN.parse_token_count(b"7")
    with pytest.raises(UnsupportedFeatureError):
        PLAIN.render_count(7)
