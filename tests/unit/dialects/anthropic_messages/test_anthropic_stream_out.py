"""Chunks of any dialect as a stream of the Messages API."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.dialects.base import Envelope
from backstream.errors import IncompleteStream, RateLimitError
from backstream.reply import Block, End, fold
from backstream.testing.dialects import parse_stream
from backstream.wire.sse import SSEDecoder

NAME = "anthropic_messages"
DIALECT = AnthropicMessages()
ENVELOPE = Envelope(id="1", model="asked", created=0)
WHOLE = End("complete", ("x",))


def events(*chunks: RawResponse | End, envelope: Envelope = ENVELOPE) -> list[dict[str, Any]]:
    """Render chunks, each in a block of its own; check names and that nothing follows an end."""
    renderer = DIALECT.stream_renderer(envelope)
    out = b"".join(renderer.render([chunk]) for chunk in chunks)
    ended = any(isinstance(chunk, End) for chunk in chunks)
    assert not ended or renderer.render([Content(content="late"), WHOLE]) == b""
    decoder = SSEDecoder()
    dispatched = decoder.feed(out)
    assert not decoder.pending
    found: list[dict[str, Any]] = [json.loads(event.data) for event in dispatched]
    assert [event.type for event in dispatched] == [event["type"] for event in found]
    return found


def shown(*chunks: RawResponse) -> list[tuple[Any, ...]]:
    """Return the blocks of a whole answer: each as its type, and what its deltas hold."""
    found: list[Any] = []
    for event in events(*chunks, WHOLE):
        if event["type"] == "content_block_start":
            assert event["index"] == len(found)
            block = event["content_block"]
            found.append([block["type"], *([block["id"], block["name"]] if block["type"] == "tool_use" else [])])
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(found) - 1
            found[-1].append(next(value for name, value in event["delta"].items() if name != "type"))
        elif event["type"] == "content_block_stop":
            assert event["index"] == len(found) - 1
            found[-1] = tuple(found[-1])
    assert all(isinstance(block, tuple) for block in found)
    return found


def ending(*chunks: RawResponse) -> dict[str, Any]:
    *_, last, stop = events(*chunks, WHOLE)
    assert stop == {"type": "message_stop"}
    assert last["type"] == "message_delta"
    return last


def call(part: int | None = None, **members: Any) -> ToolCallDelta:
    return ToolCallDelta(part=part, **members)


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "ids", "server")
def test_an_answer() -> None:
    chunks = (
        Start(id="chatcmpl-1", model="m", service_tier="priority"),
        Content(content="Hi"),
        Content(content=" you"),
        Finish(finish={"reason": "stop"}),
        Usage(usage={"prompt_tokens": 5, "completion_tokens": 2}),
    )
    assert events(*chunks, WHOLE) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": None, "output_tokens": None, "service_tier": "priority"},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " you"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        {"type": "message_stop"},
    ]


def test_an_empty_answer_is_whole_too() -> None:
    start, last, stop = events(WHOLE)
    assert (start["message"]["model"], start["message"]["id"]) == ("asked", "msg_1")
    assert last["delta"]["stop_reason"] == "end_turn"
    assert last["usage"] == {"input_tokens": None, "output_tokens": None}
    assert stop["type"] == "message_stop"


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        ({}, (None, None)),
        ({"completion_tokens": 4}, (None, 4)),
        ({"prompt_tokens": 3}, (3, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 2}}, (None, None)),
    ],
)
def test_counts_that_nobody_made_are_null_and_read_as_unknown(usage: dict[str, Any], known: tuple[Any, Any]) -> None:
    last = events(Content(content="Hi"), Usage(usage=usage), WHOLE)[-2]
    assert (last["usage"]["input_tokens"], last["usage"]["output_tokens"]) == known
    renderer = DIALECT.stream_renderer(ENVELOPE)
    chunks = [Start(id="a", service_tier="standard"), Content(content="Hi"), Usage(usage=usage), WHOLE]
    reply, _ = parse_stream(DIALECT, [renderer.render(chunks)])
    whole = fold(DIALECT.parse_reply(DIALECT.render_reply(chunks, ENVELOPE))[:-1])
    for answer in (reply, whole):
        found = (answer.usage.input_tokens, answer.usage.output_tokens) if answer.usage else (None, None)
        assert found == known
        assert (answer.usage is None) == (known == (None, None) and "prompt_tokens_details" not in usage)


def test_a_count_told_early_is_not_lost_to_one_told_late() -> None:
    early, late = Usage(usage={"prompt_tokens": 3}), Usage(usage={"completion_tokens": 4})
    chunks = [early, Content(content="Hi"), late, WHOLE]
    message = json.loads(DIALECT.render_reply(chunks, ENVELOPE))
    assert message["usage"] == {"input_tokens": 3, "output_tokens": 4}


def test_ids_keep_their_prefix() -> None:
    assert events(Start(id="msg_theirs"))[0]["message"]["id"] == "msg_theirs"
    (start,) = events(Start(), Start(id="again"), envelope=Envelope(id="msg_2", model="m", created=0))
    assert start["message"]["id"] == "msg_2"


def test_what_the_stream_is_called_and_how_it_is_kept_alive() -> None:
    renderer = DIALECT.stream_renderer(ENVELOPE)
    assert renderer.content_type.startswith("text/event-stream")
    assert renderer.keep_alive.startswith(b"event: ping\n")
    parser = DIALECT.stream_parser()
    assert parser.feed(renderer.keep_alive) == []


@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.capability(NAME, "reasoning-opaque", "server")
def test_reasoning_and_its_signature() -> None:
    signed = PartEnd(kind="reasoning", opaque={NAME: {"signature": "s"}})
    hidden = PartEnd(kind="opaque", opaque={NAME: {"type": "redacted_thinking", "data": "x"}})
    assert shown(
        Reasoning(token="a"), Reasoning(token="b"), Reasoning(status="…"), signed, hidden, Content(content="c")
    ) == [
        ("thinking", "a", "b", "s"),
        ("redacted_thinking",),
        ("text", "c"),
    ]
    assert shown(signed, PartEnd(kind="opaque", opaque={"gemini": {}}), PartEnd(kind="opaque")) == [("thinking", "s")]
    assert shown(Reasoning(token="a"), PartEnd(kind="reasoning"), Reasoning(token="b")) == [
        ("thinking", "a"),
        ("thinking", "b"),
    ]
    (start, *_) = [event for event in events(hidden) if event["type"] == "content_block_start"]
    assert start["content_block"] == {"type": "redacted_thinking", "data": "x"}


def test_the_input_of_a_tool_of_its_own_comes_behind_its_beginning() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = events(PartEnd(kind="opaque", part=3, opaque={NAME: block}))[1:]
    assert [event["type"] for event in found] == ["content_block_start", "content_block_delta", "content_block_stop"]
    assert found[0]["content_block"] == {**block, "input": {}}
    assert found[1]["delta"] == {"type": "input_json_delta", "partial_json": '{"query":"q"}'}


def test_parts_of_several_numbers_are_blocks_of_their_own() -> None:
    assert shown(
        Content(content="a", part=0),
        Content(content="b"),
        Content(content="c", part=1),
        PartEnd(part=0, kind="text"),
        Content(content="d", part=1),
        PartEnd(part=1, kind="text"),
        PartEnd(part=1),
        Content(content="e", part=1),
        PartEnd(),
        Content(content="", part=1),
        Content(),
    ) == [("text", "a", "b"), ("text", "c", "d"), ("text", "e")]


def test_an_end_of_another_kind_ends_nothing() -> None:
    assert shown(Reasoning(token="a"), PartEnd(kind="text"), Reasoning(token="b")) == [("thinking", "a", "b")]
    assert shown(Content(content="a"), PartEnd(kind="reasoning"), Content(content="b")) == [("text", "a", "b")]


@pytest.mark.capability(NAME, "tools", "server")
def test_a_tool_call() -> None:
    found = shown(
        Content(content="I look."),
        call(0, id="a", name="f"),
        call(0, arguments='{"b"'),
        call(0, arguments=":1}"),
        PartEnd(part=0, kind="tool_call"),
        PartEnd(part=0, kind="tool_call"),
        Content(content="Then."),
        call(0, arguments=" "),
    )
    assert found == [("text", "I look."), ("tool_use", "a", "f", '{"b"', ":1}"), ("text", "Then.")]


@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.parametrize("ends", [True, False])
def test_interleaved_calls_come_one_after_another(ends: bool) -> None:
    over = [PartEnd(part=0, kind="tool_call"), PartEnd(part=1, kind="tool_call")] if ends else []
    found = shown(
        call(0, id="a", name="f"),
        call(1, id="b", name="g", arguments='{"x'),
        call(0, arguments="{"),
        call(1, arguments='":1}'),
        call(2, id="c", name="h"),
        call(0, arguments="}"),
        *over,
        Content(content="done"),
        Finish(finish={"reason": "tool_calls"}),
    )
    assert sorted(found, key=str) == sorted(
        [
            ("tool_use", "a", "f", "{", "}"),
            ("tool_use", "b", "g", '{"x', '":1}'),
            ("tool_use", "c", "h"),
            ("text", "done"),
        ],
        key=str,
    )
    assert [block[1] for block in found if block[0] == "tool_use"] == ["a", "b", "c"]


def test_calls_that_come_one_after_another_are_not_held_back() -> None:
    """A call is over where its arguments are a whole object: the next one need not wait for a word of that."""
    renderer = DIALECT.stream_renderer(ENVELOPE)
    renderer.render([call(0, id="a", name="f", arguments='{"x": {}}')])
    assert b'"id":"b"' in renderer.render([call(1, id="b", name="g", arguments='{"y": {}')])
    assert renderer.render([call(2, id="c", name="h")]) == b""
    out = renderer.render([call(1, arguments="}")])
    assert out.index(b'"partial_json":"}"') < out.index(b'"id":"c"')


def test_calls_without_numbers() -> None:
    assert shown(
        call(id="a", name="f", arguments="{}"),
        call(id="b", name="f"),
        call(arguments="{}"),
        call(name="g", arguments="{}"),
        call(name="g", arguments="{}"),
    ) == [
        ("tool_use", "a", "f", "{}"),
        ("tool_use", "b", "f", "{}"),
        ("tool_use", "toolu_1_2", "g", "{}"),
        ("tool_use", "toolu_1_3", "g", "{}"),
    ]
    assert shown(call(arguments="{}"), call(0, arguments="1")) == [("tool_use", "toolu_1_0", "", "1")]


def test_an_end_without_a_number_ends_the_call_that_is_open() -> None:
    for kind in ("tool_call", None):
        assert shown(call(0, id="a", name="f"), PartEnd(kind=kind), call(1, id="b", name="f")) == [
            ("tool_use", "a", "f"),
            ("tool_use", "b", "f"),
        ]


def test_whole_calls() -> None:
    calls: list[dict[str, Any]] = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": 5, "function": {"name": "g", "arguments": {"x": 1}}},
        {"function": None},
    ]
    found = [
        ("tool_use", "a", "f", "{}"),
        ("tool_use", "toolu_1_1", "g", '{"x":1}'),
    ]
    assert shown(ToolCalls(tool_calls=calls), ToolCalls()) == found
    assert shown(call(0, id="b", name="h"), ToolCalls(tool_calls=calls[:1])) == [("tool_use", "b", "h"), found[0]]


@pytest.mark.capability(NAME, "citations", "server")
def test_citations() -> None:
    own = {"type": "char_location", "cited_text": "x"}
    foreign = Citation(url="https://x/y", title="t", part=0)
    found = shown(
        Content(content="a", part=0), Citation(raw={NAME: own}), foreign, Citation(raw={"gemini": {}}, part=1)
    )
    assert found == [
        (
            "text",
            "a",
            own,
            {
                "type": "web_search_result_location",
                "url": "https://x/y",
                "title": "t",
                "cited_text": "",
                "encrypted_index": "",
            },
        ),
        ("text", found[1][1]),
    ]


@pytest.mark.capability(NAME, "refusal", "server")
def test_a_refusal_is_text_with_its_own_reason() -> None:
    chunks = (Refusal(refusal="No"), Refusal(), PartEnd(kind="refusal"))
    assert shown(*chunks) == [("text", "No")]
    assert ending(*chunks)["delta"]["stop_reason"] == "refusal"
    assert ending(*chunks, Finish(finish={"reason": "stop"}))["delta"]["stop_reason"] == "refusal"
    assert ending(*chunks, Finish(finish={"reason": "length"}))["delta"]["stop_reason"] == "max_tokens"


def test_media_are_shown_as_markup() -> None:
    assert shown(
        Media(media_type="image/png", url="https://x/y"),
        Content(content="a"),
        Media(media_type="audio/wav", data="YQ==", transcript="hi"),
        Media(data="Yg=="),
        Media(media_type="image/png", data="YQ==", part=1),
        Media(data="!", part=1),
        Media(data="!", part=2),
        Media(data="x", part=2),
        PartEnd(kind="media"),
        Media(data="YQ=="),
    ) == [
        (
            "text",
            "\n![image](https://x/y)\n",
            "a",
            "hi\n[audio](data:audio/wav;base64,YWI=)\n\n![image](data:image/png;base64,YQ==)\n",
            "\n![media](data:application/octet-stream;base64,YQ==)\n",
        ),
    ]


@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.parametrize(
    ("finish", "reason", "sequence"),
    [
        ("stop", "end_turn", None),
        ({"reason": "stop", "raw": "end_turn"}, "end_turn", None),
        ({"reason": "stop", "stop_sequence": "x"}, "stop_sequence", "x"),
        ({"reason": "stop", "stop_sequence": 5}, "end_turn", None),
        ({"reason": "length"}, "max_tokens", None),
        ({"reason": "length", "raw": "model_context_window_exceeded"}, "model_context_window_exceeded", None),
        ({"reason": "tool_calls"}, "tool_use", None),
        ({"reason": "content_filter"}, "refusal", None),
        ({"reason": "pause_turn"}, "pause_turn", None),
        ({"reason": "something_new", "raw": "NEW"}, "something_new", None),
        ({}, "end_turn", None),
    ],
)
def test_reasons(finish: Any, reason: str, sequence: str | None) -> None:
    delta = ending(Content(content="a"), Finish(finish=finish))["delta"]
    assert delta == {"stop_reason": reason, "stop_sequence": sequence}


def test_calls_make_their_own_reason() -> None:
    one = call(id="a", name="f")
    assert ending(one)["delta"]["stop_reason"] == "tool_use"
    assert ending(one, Finish(finish={"reason": "stop", "raw": "STOP"}))["delta"]["stop_reason"] == "tool_use"
    assert ending(one, Finish(finish={"reason": "length"}))["delta"]["stop_reason"] == "max_tokens"


def test_details_of_a_refusal_go_along() -> None:
    details = {"type": "refusal", "category": None}
    finish = Finish(finish={"reason": "content_filter", "raw": "refusal", "stop_details": details})
    assert ending(finish)["delta"]["stop_details"] == details


@pytest.mark.capability(NAME, "cached-usage", "server")
def test_counts() -> None:
    usage = Usage(
        usage={
            "prompt_tokens": 135,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 8},
        }
    )
    assert ending(usage)["usage"] == {
        "input_tokens": 5,
        "output_tokens": 20,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 8},
    }
    own = Usage(usage={}, raw={NAME: {"input_tokens": 1, "output_tokens": 2, "x": 3}})
    assert ending(own)["usage"] == {"input_tokens": 1, "output_tokens": 2, "x": 3}


def test_what_has_no_words_is_passed_over() -> None:
    logprobs = Logprobs(logprobs=[{"token": "a", "logprob": -1.0}])
    assert events(logprobs, OpenResponse({"type": "preview"}), Usage(usage={}), Finish(finish="stop")) == []


@pytest.mark.capability(NAME, "stream-errors", "server")
@pytest.mark.parametrize(
    ("end", "error"),
    [
        (
            End("failed", ("error",), RateLimitError("slow", status=429)),
            {"type": "rate_limit_error", "message": "slow"},
        ),
        (End("incomplete", (), IncompleteStream("cut")), {"type": "api_error", "message": "cut"}),
        (End("cancelled"), {"type": "api_error", "message": "the answer was broken off"}),
    ],
)
def test_an_answer_that_is_not_whole_ends_in_an_error(end: End, error: dict[str, Any]) -> None:
    found = events(Content(content="a"), end)
    assert found[-1] == {"type": "error", "error": error}
    assert "message_stop" not in [event["type"] for event in found]
    parser = DIALECT.stream_parser()
    renderer = DIALECT.stream_renderer(ENVELOPE)
    block = parser.feed(renderer.render([Content(content="a"), end])) + parser.finish(framed=True)
    assert Content(content="a", part=0) in block
    assert isinstance(block[-1], End)
    assert block[-1].state == "failed"


@pytest.mark.capability(NAME, "text", "server")
def test_a_whole_answer() -> None:
    chunks: Block = [
        Start(id="msg_x", model="m"),
        Reasoning(token="h"),
        Reasoning(token="m"),
        PartEnd(kind="reasoning", opaque={NAME: {"signature": "s"}}),
        Content(content="a"),
        Citation(raw={NAME: {"type": "char_location"}}),
        Content(content="b"),
        call(0, id="c", name="f", arguments='{"x":'),
        call(0, arguments="1}"),
        call(1, id="d", name="f", arguments="[1]"),
        call(2, id="e", name="f", arguments='{"'),
        call(3, id="g", name="f"),
        PartEnd(kind="opaque", opaque={NAME: {"type": "redacted_thinking", "data": "x"}}),
        Finish(finish={"reason": "tool_calls"}),
        Usage(usage={"prompt_tokens": 1, "completion_tokens": 2}),
        WHOLE,
    ]
    message = json.loads(DIALECT.render_reply(chunks, ENVELOPE))
    assert message == {
        "id": "msg_x",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "ab", "citations": [{"type": "char_location"}]},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "d", "name": "f", "input": {"INVALID_JSON": "[1]"}},
            {"type": "tool_use", "id": "e", "name": "f", "input": {"INVALID_JSON": '{"'}},
            {"type": "tool_use", "id": "g", "name": "f", "input": {}},
            {"type": "redacted_thinking", "data": "x"},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    block = DIALECT.parse_reply(json.dumps(message).encode())
    reply = fold(chunk for chunk in block if isinstance(chunk, RawResponse))
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("ab", "hm", "tool_calls")
    assert block[-1] == End("complete", ("stop_reason",))
