"""Answers to clients: the vendor's exact sequence of events, by its own description, whoever the chunks come from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Conversation,
    Finish,
    Logprobs,
    Media,
    Notice,
    PartEnd,
    PartStart,
    ProviderInfo,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.errors import DeadlineError, IncompleteStream, RefusedError, TotalTimeout, UnavailableError
from backstream.reply import End
from backstream.request import (
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from support_openai_responses import DIALECT, ENVELOPE, NAME, events, folded, parse, problems, read, render

DONE = End("complete", ("test",))
STOP = Finish(finish={"reason": "stop"})


def written(*chunks: RawResponse | End, envelope: Envelope = ENVELOPE) -> list[dict[str, Any]]:
    """The events of an answer, each held to the description."""
    block = list(chunks) if chunks and isinstance(chunks[-1], End) else [*chunks, DONE]
    stream = render(block, envelope)
    assert DIALECT.stream_renderer(envelope).render(block) == stream  # one block or many
    found = events(stream)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [problem for event in found for problem in problems("ResponseStreamEvent", event)] == []
    check_ids(found)
    return found


def check_ids(found: list[dict[str, Any]]) -> None:
    """An item keeps its id from its first event to the whole response; OpenAI's package breaks off otherwise."""
    ids: dict[int, set[str]] = {}
    for event in found:
        if "output_index" in event:
            ids.setdefault(event["output_index"], set()).add(event.get("item_id") or event["item"]["id"])
    assert all(len(of_item) == 1 for of_item in ids.values()), ids
    whole = {item["id"] for item in found[-1]["response"]["output"]}
    assert whole <= set().union(*ids.values())


def kinds(*chunks: RawResponse | End) -> list[str]:
    """What kinds of events an answer has, less those at its beginning."""
    found = [event["type"].removeprefix("response.") for event in written(*chunks)]
    assert found[:2] == ["created", "in_progress"]
    return found[2:]


def output(*chunks: RawResponse | End) -> list[dict[str, Any]]:
    """The items of an answer, the same streamed and whole."""
    items: list[dict[str, Any]] = written(*chunks)[-1]["response"]["output"]
    whole = json.loads(DIALECT.render_reply([*chunks, DONE], ENVELOPE))
    assert problems("Response", whole) == []
    assert whole["output"] == items
    return items


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
def test_the_whole_sequence_of_a_text() -> None:
    usage = Usage(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    found = written(
        Start(id="resp_1", model="m", created=5), Content(content="Hel"), Content(content="lo"), STOP, usage
    )
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    content = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_7_0", "status": "completed", "role": "assistant", "content": [content]}
    assert found[2]["item"] == {**item, "status": "in_progress", "content": []}
    assert found[3]["part"] == {**content, "text": ""}
    assert found[4] == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": "msg_7_0",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hel",
        "logprobs": [],
    }
    assert (found[6]["text"], found[7]["part"], found[8]["item"]) == ("Hello", content, item)
    response = found[9]["response"]
    assert (response["id"], response["model"], response["created_at"]) == ("resp_1", "m", 5)
    assert (response["status"], response["output"]) == ("completed", [item])
    assert response["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    renderer = DIALECT.stream_renderer(ENVELOPE)
    assert renderer.content_type == "text/event-stream"
    assert renderer.keep_alive.startswith(b":")


def test_an_empty_answer_is_an_answer() -> None:
    assert kinds() == ["completed"]
    assert kinds(STOP, Notice(message="x"), ProviderInfo(provider={}), Content(urls="https://a")) == ["completed"]
    empty: list[RawResponse] = [
        Reasoning(status="x"),
        Refusal(),
        Logprobs(),
        Citation(url="https://a"),
        Start(id="late"),
    ]
    assert [item["type"] for item in output(*empty)] == ["message"]


def test_what_was_asked_is_said_back() -> None:
    request = Request(
        turns=(Turn(role="system", parts=(TextPart(text="Be brief."),)),),
        tools=(Tool(name="f", parameters={"type": "object"}), Tool(opaque={"gemini": {}})),
        tool_choice=ToolChoice(mode="tool", names=("f",)),
        parallel_tool_calls=False,
        response_format=ResponseFormat(kind="json_object"),
        verbosity="low",
        reasoning=ReasoningSettings(effort="low", summary="auto"),
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        metadata={"a": "b"},
        service_tier="flex",
        previous_response_id="resp_0",
        store=True,
        extra={"truncation": "auto"},
    )
    response = written(envelope=Envelope(id="7", model="m", created=3, request=request))[0]["response"]
    assert response == {
        "id": "resp_7",
        "object": "response",
        "created_at": 3,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "model": "m",
        "output": [],
        "parallel_tool_calls": False,
        "previous_response_id": "resp_0",
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}],
        "top_p": 0.9,
        "truncation": "auto",
        "metadata": {"a": "b"},
        "service_tier": "flex",
    }
    own = read({"tool_choice": {"type": "file_search"}, "reasoning": {"summary": "auto"}})
    echoed = written(Start(service_tier="default"), envelope=Envelope(id="7", model="m", created=3, request=own))
    assert echoed[0]["response"]["tool_choice"] == {"type": "file_search"}
    assert echoed[0]["response"]["service_tier"] == "default"
    user = Request(turns=(Turn(role="user"),), reasoning=ReasoningSettings(summary="none"))
    plain = written(envelope=Envelope(id="7", model="m", created=3, request=user))[0]["response"]
    assert (plain["instructions"], plain["reasoning"]) == (None, {"effort": None, "summary": None})
    assert "usage" not in plain


@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
def test_calls_may_come_interleaved() -> None:
    chunks = [
        Content(content="Wait."),
        ToolCallDelta(part=0, id="c1", name="f", arguments='{"a"'),
        ToolCallDelta(part=1, id="c2", name="g"),
        ToolCallDelta(part=0, arguments=":1}"),
        ToolCallDelta(part=1, arguments="{}"),
        PartEnd(part=0, kind="tool_call"),
        Finish(finish={"reason": "tool_calls"}),
    ]
    assert kinds(*chunks)[5:] == [
        "output_item.done",  # the text is over
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert output(*chunks)[1:] == [
        {
            "type": "function_call",
            "id": f"fc_7_{index}",
            "call_id": call_id,
            "name": name,
            "arguments": arguments,
            "status": "completed",
        }
        for index, (call_id, name, arguments) in enumerate([("c1", "f", '{"a":1}'), ("c2", "g", "{}")], 1)
    ]


def test_calls_without_numbers() -> None:
    chunks = [
        ToolCallDelta(id="c1", name="f"),
        ToolCallDelta(arguments="{}"),
        ToolCallDelta(id="c1", arguments=" "),
        ToolCallDelta(id="c2", name="g", arguments="[]"),
        ToolCalls(tool_calls=[{"id": "c4", "function": {"name": "i", "arguments": "[1]"}}]),
        ToolCalls(
            tool_calls=[{"id": "c3", "function": {"name": "h", "arguments": {"a": 1}}}, {"id": 5, "function": 5}]
        ),
    ]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output(*chunks)] == [
        ("c1", "f", "{} "),
        ("c2", "g", "[]"),
        ("c4", "i", "[1]"),
        ("c3", "h", '{"a":1}'),
        ("fc_7_4", "", "{}"),
    ]


def test_a_call_begins_once_its_name_is_known() -> None:
    chunks = [
        ToolCallDelta(part=0, arguments="{"),
        ToolCallDelta(part=0, id="c"),
        ToolCallDelta(part=0, name="f"),
        ToolCallDelta(part=0, name="again", arguments="}"),
    ]
    assert kinds(*chunks)[:3] == ["output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"]
    assert output(*chunks)[0]["arguments"] == "{}"
    assert output(*chunks)[0]["name"] == "f"


@pytest.mark.capability(NAME, "reasoning", "server")
def test_reasoning() -> None:
    chunks = [Reasoning(token="Hm"), Reasoning(token="."), Reasoning(status="busy"), Content(content="Hi")]
    assert kinds(*chunks)[:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
    ]
    assert output(*chunks)[0] == {
        "type": "reasoning",
        "id": "rs_7_0",
        "summary": [{"type": "summary_text", "text": "Hm."}],
    }


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "ids", "server")
def test_what_the_back_end_wants_back_is_said() -> None:
    own = {NAME: {"id": "rs_1", "encrypted_content": "x"}, "gemini": {"y": 1}}
    hidden = PartEnd(part=0, kind="reasoning", opaque=own)
    assert output(hidden) == [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}]
    assert kinds(hidden) == ["output_item.added", "output_item.done", "completed"]
    nameless = PartEnd(part=0, kind="reasoning", opaque={NAME: {"encrypted_content": "x"}})
    assert output(nameless)[0]["id"] == "rs_7_0"
    own = {NAME: {"item": {"id": "msg_1"}}}
    text = [Content(content="Hi", part=0), PartEnd(part=0, kind="text", opaque=own)]
    assert output(PartStart(part=0, kind="text", opaque=own), *text)[0]["id"] == "msg_1"
    call = ToolCallDelta(part=0, id="c", name="f", arguments="{}")
    ended = PartEnd(part=0, opaque={NAME: {"id": "fc_1"}})  # of no kind: whatever has that number
    assert output(PartStart(part=0, opaque=ended.opaque), call, ended)[0]["id"] == "fc_1"


def test_an_id_that_is_told_at_the_end_is_too_late_for_a_stream() -> None:
    own = {NAME: {"item": {"id": "msg_1", "phase": "final_answer"}}}
    chunks = [Content(content="Hi", part=0), PartEnd(part=0, kind="text", opaque=own)]
    streamed = written(*chunks)[-1]["response"]["output"][0]
    assert (streamed["id"], streamed["phase"]) == ("msg_7_0", "final_answer")
    whole = json.loads(DIALECT.render_reply([*chunks, DONE], ENVELOPE))["output"][0]
    assert (whole["id"], whole["phase"]) == ("msg_1", "final_answer")
    odd = [PartStart(part=0, opaque=opaque) for opaque in ({NAME: {"id": 5}}, {NAME: 5}, {"gemini": {"id": "x"}}, None)]
    assert output(*odd, Content(content="Hi", part=0))[0]["id"] == "msg_7_0"
    again = [PartStart(part=part, kind="text", opaque=own) for part in (0, 1)]  # two texts of one message
    texts = output(*again, Content(content="a", part=0), Content(content="b", part=1))
    assert [item["id"] for item in texts] == ["msg_1", "msg_7_1"]


def test_ends_of_parts_that_say_nothing() -> None:
    ends = [
        PartEnd(part=5, kind="text"),
        PartEnd(part=5, kind="media", opaque={NAME: {"type": "image_generation_call"}}),
        PartEnd(kind="opaque", opaque={"gemini": {"x": 1}}),
        PartEnd(kind="opaque"),
        PartEnd(kind="dance", opaque={NAME: {"x": 1}}),
        PartEnd(kind="text", opaque={NAME: 5}),
    ]
    assert kinds(*ends) == ["completed"]
    assert len(output(Content(content="a"), PartEnd(kind="text"), Content(content="b"))) == 2


def test_parts_that_only_this_dialect_knows() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}}
    ends = [
        PartEnd(part=0, kind="opaque", opaque={NAME: search}),
        PartEnd(part=1, kind="opaque", opaque={NAME: {"item": {"id": "msg_1"}, "type": "refusal", "refusal": "x"}}),
    ]
    items = output(Content(content="a"), *ends)
    assert items[1] == search
    assert items[2]["content"] == [{"type": "refusal", "refusal": "x"}]
    assert items[2]["id"] == "msg_1"


@pytest.mark.capability(NAME, "refusal", "server")
def test_a_refusal() -> None:
    chunks = [Refusal(refusal="I"), Refusal(refusal=" won't."), STOP]
    assert kinds(*chunks)[1:5] == ["content_part.added", "refusal.delta", "refusal.delta", "refusal.done"]
    assert output(*chunks)[0]["content"] == [{"type": "refusal", "refusal": "I won't."}]


@pytest.mark.capability(NAME, "citations", "server")
def test_sources() -> None:
    raw = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 2}
    chunks = [
        Content(content="Sunny.", part=0),
        Citation(url="https://a", title="A", start=0, end=5, part=0),
        Citation(url="https://b"),
        Citation(title="paper.pdf", cited_text="x"),
        Citation(raw={NAME: raw}),
    ]
    assert output(*chunks)[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://a", "start_index": 0, "end_index": 5, "title": "A"},
        {"type": "url_citation", "url": "https://b", "start_index": 6, "end_index": 6, "title": ""},
        {"type": "file_citation", "file_id": "", "filename": "paper.pdf", "index": 6},
        raw,
    ]
    assert [event["annotation_index"] for event in written(*chunks) if "annotation_index" in event] == [0, 1, 2, 3]


@pytest.mark.capability(NAME, "logprobs", "server")
def test_log_probabilities() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    chunks = [Content(content="Hi"), Logprobs(logprobs=[entry])]
    assert output(*chunks)[0]["content"][0]["logprobs"] == [entry]
    assert folded(parse([render([*chunks, DONE])])).logprobs == (entry,)


@pytest.mark.capability(NAME, "image-out", "server")
def test_images() -> None:
    chunks = [
        Media(part=0, media_type="image/webp", data="QUI="),
        Media(part=0, data="QUI="),
        PartEnd(part=0, kind="media", opaque={NAME: {"id": "ig_1"}}),
        Media(media_type="image/png", data="QUJD"),
    ]
    assert [(item["id"], item["output_format"], item["result"]) for item in output(*chunks)] == [
        ("ig_1", "webp", "QUJBQg=="),
        ("ig_7_1", "png", "QUJD"),
    ]
    assert kinds(*chunks)[:3] == ["output_item.added", "image_generation_call.completed", "output_item.done"]


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        (Media(media_type="image/png", url="https://a/b.png"), "![image](https://a/b.png)"),
        (Media(media_type="audio/wav", data="QUJD", transcript="Hello"), "[Hello](data:audio/wav;base64,QUJD)"),
        (Media(media_type="audio/wav", data="QUJD"), "[audio](data:audio/wav;base64,QUJD)"),
        (Media(media_type="video/mp4", file_id="file-1"), "[video](file-1)"),
        (Media(media_type="audio/wav", transcript="Hello"), "Hello"),
    ],
)
def test_media_that_no_item_can_hold_are_linked(chunk: Media, text: str) -> None:
    assert output(chunk)[0]["content"][0]["text"] == text


@pytest.mark.capability(NAME, "cached-usage", "server")
def test_counts() -> None:
    usage = Usage(
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
    )
    assert written(usage)[-1]["response"]["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 2},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 14,
    }


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_an_answer_ended(reason: str, status: str, details: Any) -> None:
    chunks = [Content(content="Once"), Finish(finish={"reason": reason})]
    last = written(*chunks)[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)
    assert last["response"]["output"][0]["status"] == status
    assert json.loads(DIALECT.render_reply([*chunks, DONE], ENVELOPE))["status"] == status
    assert json.loads(DIALECT.render_reply([*chunks], ENVELOPE))["status"] == status


@pytest.mark.capability(NAME, "stream-errors", "server")
@pytest.mark.parametrize(
    ("error", "code", "inner"),
    [
        (errors.RateLimitError("slow"), "rate_limit_exceeded", "rate_limit_exceeded"),
        (errors.ContentRefusedError("no"), "content_policy_violation", "server_error"),
        (UnavailableError("down"), "server_error", "server_error"),
        (TotalTimeout(3.0), "server_error", "server_error"),
        (None, "server_error", "server_error"),
    ],
)
def test_a_failure_never_looks_like_a_whole_answer(error: Any, code: str, inner: str) -> None:
    end = End("failed" if isinstance(error, RefusedError) else "incomplete", ("error",), error)
    found = written(Content(content="Half an"), end)
    assert [event["type"] for event in found[-2:]] == ["error", "response.failed"]
    assert found[-2]["code"] == code
    assert found[-1]["response"]["error"]["code"] == inner
    assert not {"response.completed", "response.incomplete"} & {event["type"] for event in found}
    block = parse([render([Content(content="Half an"), end])])
    assert folded(block).text == "Half an"
    told = block[-1]
    assert isinstance(told, End)
    assert told.state == "failed"
    if isinstance(error, RefusedError):
        assert type(told.error) is type(error)
    assert not isinstance(told.error, DeadlineError | IncompleteStream)


def test_nothing_follows_the_end() -> None:
    renderer = DIALECT.stream_renderer(ENVELOPE)
    assert renderer.render([DONE, Content(content="late")])
    assert renderer.render([Content(content="later")]) == b""


def test_state_is_for_the_server_to_keep() -> None:
    assert kinds(Conversation(conversation={NAME: {"previous_response_id": "x"}})) == ["completed"]
