"""Answers to clients of Ollama: lines of a stream, whole answers, refusals, lists; each held to Ollama's schemas."""

from __future__ import annotations

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
from backstream.errors import IncompleteStream
from backstream.models import ModelInfo
from backstream.reply import End
from support_ollama import ENVELOPE, HEAD, OLLAMA, check, end_of, parse, streamed

NAME = "ollama"
STOP = {"role": "assistant", "content": ""}


def messages(*chunks: RawResponse | End) -> list[dict[str, Any]]:
    """What the lines of a stream but the last say."""
    return [
        {name: value for name, value in event["message"].items() if name != "role"} for event in streamed(*chunks)[:-1]
    ]


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "ids", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
def test_the_lines_of_an_answer() -> None:
    usage = Usage(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    events = streamed(Start(id="x", model="real", created=0), Content(content="Hi"), usage, Finish(finish="length"))
    head = {"model": "real", "created_at": "1970-01-01T00:00:00Z"}
    assert events == [
        {**head, "message": {"role": "assistant", "content": "Hi"}, "done": False},
        {**head, "message": STOP, "done": True, "done_reason": "length", "prompt_eval_count": 1, "eval_count": 2},
    ]
    assert streamed() == [{**HEAD, "message": STOP, "done": True, "done_reason": "stop"}]


@pytest.mark.parametrize("created", [10**18, -(10**18)])
def test_a_time_that_is_none_becomes_the_epoch(created: int) -> None:
    assert streamed(Start(created=created))[0]["created_at"] == "1970-01-01T00:00:00Z"


def test_the_counts_of_ollama_itself_go_through() -> None:
    raw = {NAME: {"eval_count": 2, "total_duration": 7}}
    (last,) = streamed(Usage(usage={"completion_tokens": 2}, raw=raw))
    assert (last["eval_count"], last["total_duration"]) == (2, 7)
    (last,) = streamed(Usage(usage={"total_tokens": 2}))
    assert "eval_count" not in last


@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
def test_reasoning_refusals_and_logprobs() -> None:
    entry = {"token": "Hi", "logprob": -0.5}
    chunks = [
        Reasoning(token="So"),
        Reasoning(status="Thinking"),
        Content(content="Hi"),
        Content(content=""),
        Refusal(refusal="No."),
        Refusal(),
        Logprobs(logprobs=[entry]),
        Logprobs(),
        Citation(url="http://h"),
        OpenResponse({"type": "odd"}),
    ]
    assert messages(*chunks) == [
        {"content": "", "thinking": "So"},
        {"content": "Hi"},
        {"content": "No."},
        {"content": ""},
    ]
    assert streamed(*chunks)[3]["logprobs"] == [entry]


@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
def test_interleaved_calls_are_said_whole() -> None:
    calls = [
        ToolCallDelta(part=0, id="c0", name="f", arguments='{"a'),
        ToolCallDelta(part=1, id="c1", name="g"),
        ToolCallDelta(part=0, arguments='":1}'),
        Content(content="x"),
        PartEnd(part=1, kind="tool_call", opaque={NAME: {"mark": 1}}),
        ToolCalls(tool_calls=[{"id": "c2", "function": {"name": "h", "arguments": "not {JSON"}}]),
        ToolCallDelta(id="", name="i", arguments='{"b":\n2}'),
        Finish(finish={"reason": "tool_calls"}),
    ]
    assert messages(*calls) == [
        {"content": "x"},
        {"content": "", "tool_calls": [{"id": "c1", "function": _function(0, "g", {}), "mark": 1}]},
        {"content": "", "tool_calls": [{"id": "c2", "function": _function(1, "h", {"arguments": "not {JSON"})}]},
        {"content": "", "tool_calls": [{"id": "c0", "function": _function(2, "f", {"a": 1})}]},
        {"content": "", "tool_calls": [{"function": _function(3, "i", {"b": 2})}]},
    ]
    assert streamed(*calls)[-1]["done_reason"] == "stop"


def _function(index: int, name: str, arguments: object) -> dict[str, Any]:
    return {"index": index, "name": name, "arguments": arguments}


@pytest.mark.capability(NAME, "image-out", "server")
def test_media_are_images_or_links() -> None:
    chunks = [
        Media(media_type="image/png", data="QUJD", part=0),
        Media(data="REVG", part=0),
        PartEnd(part=0, kind="media"),
        Media(media_type="image/png", url="http://h/a.png"),
        Content(content="x"),
        Media(media_type="audio/wav", data="QUJD", transcript="He"),
        Media(transcript="llo"),
        PartEnd(kind="media"),
        Media(media_type="audio/wav", data="QUJD"),
        PartEnd(kind="media"),
        Media(media_type="video/mp4", file_id="f1"),
    ]
    assert messages(*chunks) == [
        {"content": "", "images": ["QUJDREVG"]},
        {"content": "![image](http://h/a.png)"},
        {"content": "x"},
        {"content": "Hello"},
        {"content": "[audio](data:audio/wav;base64,QUJD)"},
        {"content": "[video](f1)"},
    ]


@pytest.mark.capability(NAME, "stream-errors", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
def test_an_answer_that_broke_never_looks_whole() -> None:
    call = ToolCallDelta(part=0, id="c", name="f", arguments="{}")
    busy = errors.UnavailableError("busy", status=503)
    events = streamed(Content(content="Hi"), call, End("failed", ("error",), busy))
    assert events[1:] == [{"error": "busy", "status": 503}]
    assert streamed(End("incomplete"))[0]["error"] == "the answer was cut off"
    cut = IncompleteStream("cut off")
    data = OLLAMA.stream_renderer(ENVELOPE).render([Content(content="Hi"), End("incomplete", (), cut)])
    assert end_of(parse([data])).state == "failed"


def test_nothing_follows_the_end_and_there_are_no_keep_alives() -> None:
    renderer = OLLAMA.stream_renderer(ENVELOPE)
    assert renderer.content_type == "application/x-ndjson"
    assert renderer.keep_alive == b""
    assert renderer.render([End("complete"), Content(content="x")]).count(b"\n") == 1
    assert renderer.render([Content(content="x")]) == b""


def test_a_whole_answer() -> None:
    entry = {"token": "Hi", "logprob": -0.5}
    body = OLLAMA.render_reply(
        [
            Start(model="real"),
            Reasoning(token="So"),
            Content(content="H"),
            Content(content="i"),
            Logprobs(logprobs=[entry]),
            ToolCallDelta(part=0, id="c", name="f", arguments="{}"),
            ToolCallDelta(part=1, name="g", arguments="{}"),
            Usage(usage={"prompt_tokens": 1}),
            Finish(finish={"reason": "tool_calls"}),
            End("complete"),
        ],
        ENVELOPE,
    )
    answer = json.loads(body)
    check("ChatResponse", answer)
    assert answer == {
        "model": "real",
        "created_at": HEAD["created_at"],
        "message": {
            "role": "assistant",
            "content": "Hi",
            "thinking": "So",
            "tool_calls": [{"id": "c", "function": _function(0, "f", {})}, {"function": _function(1, "g", {})}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 1,
        "logprobs": [entry],
    }


@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BackendRequestError("x", status=422), 422),
        (errors.AuthenticationError("x", status=403), 403),
        (errors.MissingKeyError("p", "P_KEY"), 401),
        (errors.PaymentError("x", status=429), 402),
        (errors.RateLimitError("x"), 429),
        (errors.ModelNotFoundError("x", status=400), 404),
        (errors.UnknownModelError("x"), 404),
        (errors.ContentRefusedError("x", status=400), 400),
        (errors.UnavailableError("x", status=529), 529),
        (errors.RefusedError("x", status=418), 418),
        (errors.InvalidRequestError("x"), 400),
        (errors.UnsupportedFeatureError("x"), 400),
        (errors.DisconnectedError("x"), 502),
    ],
)
def test_refusals(error: errors.BackstreamError, status: int) -> None:
    told, body = OLLAMA.render_error(error)
    check("ErrorResponse", json.loads(body))
    assert told == status
    if isinstance(error, errors.RefusedError) and type(error) is not errors.RefusedError:
        again = OLLAMA.parse_error(told, {}, body)
        assert type(again) is type(error)
        assert again.problem == "x"


@pytest.mark.capability(NAME, "models", "server")
def test_a_list_of_models() -> None:
    body = OLLAMA.render_models([ModelInfo(id="m1", provider="p", created=0.5), ModelInfo(id="m2")])
    check("ListResponse", json.loads(body))
    assert [model.id for model in OLLAMA.parse_models(body).models] == ["p/m1", "m2"]
