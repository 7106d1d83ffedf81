"""Streams of the Messages API to chunks: recorded ones at every cut, and whatever else a stream may hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Citation, Content, Finish, PartEnd, RawResponse, Reasoning, Start, ToolCallDelta, Usage
from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.errors import DecodeError, IncompleteStream, TooLargeError, UnavailableError
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.testing.chop import chop

NAME = "anthropic_messages"
DIALECT = AnthropicMessages()
OPTIONS = CallOptions()
DATA = Path(__file__).parents[3] / "data" / "recorded"
DONE = End("complete", ("message_stop", "stop_reason"))


def parse(pieces: Iterable[bytes], options: CallOptions = OPTIONS, *, framed: bool = True) -> Block:
    parser = DIALECT.stream_parser(options)
    block = [chunk for piece in pieces for chunk in parser.feed(piece)]
    block += parser.finish(framed=framed)
    assert parser.finish(framed=framed) == []
    assert parser.feed(b"data: {}\n\n") == []
    return block


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def start(**members: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "m", **members}}


def begin(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(kind: str, index: int = 0, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def stop(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str = "end_turn", **members: Any) -> list[dict[str, Any]]:
    return [{"type": "message_delta", "delta": {"stop_reason": reason, **members}}, {"type": "message_stop"}]


def texts(part: int, *pieces: str) -> list[RawResponse]:
    return [Content(content=piece, part=part) for piece in pieces]


def inputs(part: int, *pieces: str) -> list[RawResponse]:
    return [ToolCallDelta(arguments=piece, part=part) for piece in pieces]


def usage(raw: dict[str, Any], model: str | None, **counts: Any) -> Usage:
    computed = counts.pop("computed", None)
    return Usage(usage=counts, model=model, computed=computed, raw={NAME: raw})


STOPPED = Finish(finish={"reason": "stop", "raw": "end_turn"})
CALLED = Finish(finish={"reason": "tool_calls", "raw": "tool_use"})
SONNET = "claude-sonnet-4-5-20250929"
MOCK = "claude-sonnet-4-5"

RECORDED: dict[str, Block] = {
    "anthropic_messages/basic.sse": [
        Start(id="msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY", model="claude-opus-4-6"),
        *texts(0, "Hello", "!"),
        PartEnd(part=0, kind="text"),
        STOPPED,
        usage({"input_tokens": 25, "output_tokens": 15}, "claude-opus-4-6", prompt_tokens=25, completion_tokens=15),
        DONE,
    ],
    "anthropic_messages/tool-use.sse": [
        Start(id="msg_014p7gG3wDgGV9EUtLvnow3U", model=SONNET),
        *texts(
            0, "Okay", ",", " let", "'s", " check", " the", " weather", " for", " San", " Francisco", ",", " CA", ":"
        ),
        PartEnd(part=0, kind="text"),
        ToolCallDelta(part=1, id="toolu_01T1x1fJ34qAmk2tNTrN7Up6", name="get_weather"),
        *inputs(1, '{"location":', ' "San', " Francisc", "o,", ' CA"', ", ", '"unit": "fah', 'renheit"}'),
        PartEnd(part=1, kind="tool_call"),
        CALLED,
        usage({"input_tokens": 472, "output_tokens": 89}, SONNET, prompt_tokens=472, completion_tokens=89),
        DONE,
    ],
    "anthropic_messages/thinking.sse": [
        Start(id="msg_01...", model=SONNET),
        Reasoning(token="Let me solve this step by step:\n\n1. First break down 27 * 453", part=0),
        Reasoning(token="\n2. 453 = 400 + 50 + 3", part=0),
        Reasoning(token="\n3. 27 * 400 = 10,800", part=0),
        Reasoning(token="\n4. 27 * 50 = 1,350", part=0),
        Reasoning(token="\n5. 27 * 3 = 81", part=0),
        Reasoning(token="\n6. 10,800 + 1,350 + 81 = 12,231", part=0),
        PartEnd(
            part=0,
            kind="reasoning",
            opaque={NAME: {"signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds..."}},
        ),
        *texts(1, "27 * 453 = 12,231"),
        PartEnd(part=1, kind="text"),
        STOPPED,
        DONE,
    ],
    "anthropic_messages/web-search.sse": [
        Start(id="msg_01G...", model=SONNET),
        *texts(0, "I'll check", " the current weather in New York City for you", "."),
        PartEnd(part=0, kind="text"),
        PartEnd(
            part=1,
            kind="opaque",
            opaque={
                NAME: {
                    "type": "server_tool_use",
                    "id": "srvtoolu_014hJH82Qum7Td6UV8gDXThB",
                    "name": "web_search",
                    "input": {"query": "weather NYC today"},
                }
            },
        ),
        PartEnd(
            part=2,
            kind="opaque",
            opaque={
                NAME: {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_014hJH82Qum7Td6UV8gDXThB",
                    "content": [
                        {
                            "type": "web_search_result",
                            "title": "Weather in New York City in May 2025 (New York) - detailed Weather Forecast "
                            "for a month",
                            "url": "https://world-weather.info/forecast/usa/new_york/may-2025/",
                            "encrypted_content": "Ev0DCioIAxgCIiQ3NmU4ZmI4OC1k...",
                            "page_age": None,
                        }
                    ],
                }
            },
        ),
        *texts(
            3, "Here's the current weather information for New York", " City:\n\n# Weather", " in New York City", "\n\n"
        ),
        PartEnd(part=3, kind="text"),
        STOPPED,
        usage(
            {
                "input_tokens": 10682,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 510,
                "server_tool_use": {"web_search_requests": 1},
            },
            SONNET,
            prompt_tokens=10682,
            completion_tokens=510,
            prompt_tokens_details={"cached_tokens": 0, "cache_write_tokens": 0},
            computed=["prompt_tokens"],
        ),
        DONE,
    ],
    "aimock/anthropic_messages/reasoning-signed.body": [
        Start(id="aimock-1", model=MOCK),
        PartEnd(part=0, kind="opaque", opaque={NAME: {"type": "redacted_thinking", "data": "b3BhcXVl"}}),
        Reasoning(token="The user greets me. ", part=1),
        Reasoning(token="I greet back.", part=1),
        PartEnd(part=1, kind="reasoning", opaque={NAME: {"signature": "c2lnbmF0dXJl"}}),
        *texts(2, "Hi"),
        PartEnd(part=2, kind="text"),
        STOPPED,
        usage({"input_tokens": 0, "output_tokens": 0}, MOCK, prompt_tokens=0, completion_tokens=0),
        DONE,
    ],
    "aimock/anthropic_messages/tool-parallel.body": [
        Start(id="aimock-1", model=MOCK),
        ToolCallDelta(part=0, id="call_1", name="get_weather"),
        *inputs(0, '{"city":', '"Paris",', '"days":3', "}"),
        PartEnd(part=0, kind="tool_call"),
        ToolCallDelta(part=1, id="call_2", name="get_weather"),
        *inputs(1, '{"city":', '"Tromsø"', "}"),
        PartEnd(part=1, kind="tool_call"),
        ToolCallDelta(part=2, id="call_3", name="get_weather"),
        *inputs(2, "{}"),
        PartEnd(part=2, kind="tool_call"),
        CALLED,
        usage({"input_tokens": 0, "output_tokens": 0}, MOCK, prompt_tokens=0, completion_tokens=0),
        DONE,
    ],
    "aimock/anthropic_messages/text-filtered.body": [
        Start(id="aimock-1", model=MOCK),
        *texts(0, "I would"),
        PartEnd(part=0, kind="text"),
        Finish(finish={"reason": "content_filter"}),
        usage({"input_tokens": 0, "output_tokens": 0}, MOCK, prompt_tokens=0, completion_tokens=0),
        DONE,
    ],
}


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_streams_at_every_cut(name: str) -> None:
    for pieces in chop((DATA / name).read_bytes()):
        assert parse(pieces) == RECORDED[name]


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "text-usage",
        "text-split-emoji",
        "text-length",
        "tool-after-text",
        "tool-between-texts",
        "reasoning-tool",
    ],
)
def test_a_stream_adds_up_to_the_whole_answer_of_the_mock(name: str) -> None:
    """The same answers, streamed and whole; the mock cuts some characters in two."""
    from backstream.reply import fold

    folder = DATA / "aimock" / NAME
    streamed, whole = (folder / f"{name}.body").read_bytes(), (folder / f"{name}.whole.body").read_bytes()
    reply = fold(chunk for chunk in parse([streamed]) if isinstance(chunk, RawResponse))
    other = fold(chunk for chunk in DIALECT.parse_reply(whole) if isinstance(chunk, RawResponse))
    assert reply.finish == other.finish
    assert reply.usage == other.usage
    assert reply.text == other.text
    assert [json.loads(call.arguments) for call in reply.tool_calls] == [
        json.loads(call.arguments) for call in other.tool_calls
    ]


@pytest.mark.capability(NAME, "stream-errors", "provider")
def test_an_error_in_mid_stream_comes_behind_what_was_said() -> None:
    recorded = (DATA / "anthropic_messages" / "error.sse").read_bytes()
    stream = sse(start(), begin({"type": "text", "text": "a"}), delta("text_delta", text="b")) + recorded
    for pieces in chop(stream + sse(delta("text_delta", text="c"), *end())):
        *chunks, last = parse(pieces)
        assert chunks == [Start(id="msg_1", model="m"), *texts(0, "a", "b")]
        assert isinstance(last, End)
        assert (last.state, last.evidence) == ("failed", ("error",))
        assert isinstance(last.error, UnavailableError)
        assert (last.error.problem, last.error.kind, last.error.phase) == ("Overloaded", "overloaded_error", "body")


def test_an_error_without_a_type_of_event_is_one_too() -> None:
    (last,) = parse([b'data: {"error": {"type": "overloaded_error", "message": "x"}}\n\n'])
    assert isinstance(last, End)
    assert isinstance(last.error, UnavailableError)


@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize(
    ("stream", "state", "evidence", "problem"),
    [
        (b"", "failed", (), "the answer is empty"),
        (b"<html>\nno</html>\n\n", "failed", (), "no event, but 2 lines"),
        (b'event: ping\ndata: {"type": "ping"}\n\n', "incomplete", ("closed",), "before the back-end said"),
        (sse(start()), "incomplete", ("closed",), "before the back-end said"),
        (
            sse(start(), begin({"type": "text", "text": ""}), end()[0]),
            "incomplete",
            ("stop_reason", "closed"),
            "before the back-end said",
        ),
        (sse(start(), end()[0]) + b'data: {"type": "message_s', "incomplete", ("stop_reason", "cut event"), "inside"),
        (sse(start(), *end())[:-1], "incomplete", ("stop_reason", "cut event"), "inside an event"),
    ],
)
def test_an_answer_without_a_reason_or_with_a_cut_is_not_whole(
    stream: bytes, state: str, evidence: tuple[str, ...], problem: str
) -> None:
    for framed in (True, False):
        last = parse([stream], framed=framed)[-1]
        assert isinstance(last, End)
        assert (last.state, last.evidence) == (state, evidence)
        assert isinstance(last.error, IncompleteStream)
        assert problem in str(last.error)


@pytest.mark.capability(NAME, "done-evidence", "provider")
def test_the_reason_and_a_clean_end_are_enough() -> None:
    said = [start(), begin({"type": "text", "text": ""}), delta("text_delta", text="Hi"), stop(), end()[0]]
    for framed in (True, False):
        block = parse([sse(*said)], framed=framed)
        assert block[-2:] == [STOPPED, End("complete", ("stop_reason",))]
        assert Content(content="Hi", part=0) in block


def test_the_word_for_done_is_enough() -> None:
    stream = sse(start(), {"type": "message_stop"}, delta("text_delta", text="x"))
    assert parse([stream], framed=False) == [Start(id="msg_1", model="m"), End("complete", ("message_stop",))]


def test_what_is_known_of_a_broken_answer_is_told() -> None:
    """The count of output at a stream's beginning is none of the answer that was cut off."""
    stream = sse(start(usage={"input_tokens": 5, "output_tokens": 1, "service_tier": "standard"}))
    begun, counts, last = parse([stream])
    assert begun == Start(id="msg_1", model="m", service_tier="standard")
    assert isinstance(counts, Usage)
    assert (counts.input_tokens, counts.output_tokens) == (5, None)
    assert isinstance(last, End)


@pytest.mark.capability(NAME, "cached-usage", "provider")
def test_counts_are_merged() -> None:
    stream = sse(
        start(usage={"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 1, "cache_creation": None}),
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 7}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {
                "output_tokens": 20,
                "cache_creation_input_tokens": 30,
                "output_tokens_details": {"thinking_tokens": 8},
            },
        },
        {"type": "message_stop"},
    )
    (counts,) = [chunk for chunk in parse([stream]) if isinstance(chunk, Usage)]
    assert (counts.input_tokens, counts.output_tokens, counts.total_tokens) == (135, 20, None)
    assert (counts.cached_tokens, counts.cache_write_tokens, counts.reasoning_tokens) == (100, 30, 8)
    assert (counts.source("input_tokens"), counts.source("output_tokens")) == ("computed", "provider")
    assert counts.raw is not None
    assert counts.raw[NAME]["cache_read_input_tokens"] == 100


@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.parametrize(
    ("reason", "further", "finish"),
    [
        ("end_turn", {"stop_sequence": None}, {"reason": "stop", "raw": "end_turn"}),
        ("stop_sequence", {"stop_sequence": "x"}, {"stop_sequence": "x", "reason": "stop", "raw": "stop_sequence"}),
        ("max_tokens", {}, {"reason": "length", "raw": "max_tokens"}),
        ("model_context_window_exceeded", {}, {"reason": "length", "raw": "model_context_window_exceeded"}),
        ("pause_turn", {}, {"reason": "pause_turn"}),
        ("something_new", {}, {"reason": "something_new"}),
    ],
)
def test_reasons(reason: str, further: dict[str, Any], finish: dict[str, Any]) -> None:
    assert Finish(finish=finish) in parse([sse(start(), *end(reason, **further))])


@pytest.mark.capability(NAME, "refusal", "provider")
def test_a_refusal_tells_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    (finish,) = [
        chunk for chunk in parse([sse(start(), *end("refusal", stop_details=details))]) if isinstance(chunk, Finish)
    ]
    assert finish.finish == {"reason": "content_filter", "raw": "refusal", "stop_details": details}


@pytest.mark.capability(NAME, "citations", "provider")
def test_citations() -> None:
    first = {"type": "char_location", "cited_text": "c", "document_index": 0, "document_title": "t", "file_id": None}
    second = {"type": "web_search_result_location", "url": "https://x/y", "title": "u", "encrypted_index": "e"}
    stream = sse(
        start(),
        begin({"type": "text", "text": "", "citations": [first, 5]}),
        delta("text_delta", text="a"),
        delta("citations_delta", citation=second),
        delta("citations_delta", citation="bad"),
        stop(),
        delta("citations_delta", index=7, citation=second),
        *end(),
    )
    chunks = parse([stream])
    web = Citation(url="https://x/y", title="u", part=0, raw={NAME: second})
    assert chunks[1:6] == [
        Citation(title="t", cited_text="c", part=0, raw={NAME: first}),
        *texts(0, "a"),
        web,
        PartEnd(part=0, kind="text", opaque={NAME: {"citations": [first, second]}}),
        Citation(url="https://x/y", title="u", part=7, raw={NAME: second}),
    ]


def test_what_a_block_holds_at_its_beginning() -> None:
    stream = sse(
        start(),
        begin({"type": "thinking", "thinking": "hm", "signature": "s"}),
        delta("signature_delta", signature="t"),
        delta("new_delta", x=1),
        stop(),
        begin({"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1}, "caller": {"type": "direct"}}, 1),
        stop(1),
        begin({"type": "tool_use", "id": "b", "name": "f", "input": None}, 2),
        delta("input_json_delta", 2, partial_json=""),
        stop(2),
        *end(),
    )
    assert parse([stream])[1:-2] == [
        Reasoning(token="hm", part=0),
        PartEnd(part=0, kind="reasoning", opaque={NAME: {"signature": "st"}}),
        ToolCallDelta(part=1, id="a", name="f"),
        ToolCallDelta(part=1, arguments='{"b":1}'),
        PartEnd(part=1, kind="tool_call", opaque={NAME: {"caller": {"type": "direct"}}}),
        ToolCallDelta(part=2, id="b", name="f"),
        ToolCallDelta(part=2, arguments="{}"),
        PartEnd(part=2, kind="tool_call"),
    ]


def test_blocks_and_deltas_not_known_yet_are_kept() -> None:
    stream = sse(
        start(),
        begin({"type": "compaction", "content": None, "n": 1}),
        delta("compaction_delta", content="a", n=2, x=None),
        delta("compaction_delta", content="b"),
        stop(),
        begin({"type": "server_tool_use", "input": {}}, 1),
        delta("input_json_delta", 1, partial_json='{"a'),
        stop(1),
        {"type": "new_event", "x": 1},
        *end(),
    )
    assert parse([stream])[1:3] == [
        PartEnd(part=0, kind="opaque", opaque={NAME: {"type": "compaction", "n": 2, "content": "ab"}}),
        PartEnd(part=1, kind="opaque", opaque={NAME: {"type": "server_tool_use", "input": {"INVALID_JSON": '{"a'}}}),
    ]


def test_fields_and_events_to_be_passed_over() -> None:
    recorded = (DATA / "anthropic_messages" / "basic.sse").read_bytes()
    noise = b': comment\n\nretry: 100\nid: 7\n\ndata:\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: x\n\n'
    stream = noise + recorded.replace(b"\n\n", b"\n\n" + noise).replace(b"\n", b"\r\n")
    for pieces in chop(stream, every_cut_up_to=0, samples=300):
        assert parse(pieces) == RECORDED["anthropic_messages/basic.sse"]


def test_empty_pieces_of_text_are_no_chunks_in_any_company() -> None:
    one = delta("text_delta", text="")
    assert DIALECT.stream_parser().feed(sse(one)) == []
    assert DIALECT.stream_parser().feed(sse(one, {"type": "ping"}, delta("thinking_delta", thinking=""))) == []
    block = DIALECT.stream_parser().feed(
        sse(delta("thinking_delta", thinking="x"), delta("input_json_delta", partial_json="y"))
    )
    assert block == [Reasoning(token="x", part=0)]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (b"data: nonsense\n\n", "event 2: the event is not JSON"),
        (b"data: [1]\n\n", "event 2: the event is a JSON list, not an object"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "event 2: "),
    ],
)
def test_damage(damage: bytes, problem: str) -> None:
    stream = sse(start(), delta("text_delta", text="a")) + damage + sse(delta("text_delta", text="b"))
    *chunks, last = parse([stream])
    assert chunks == [Start(id="msg_1", model="m"), *texts(0, "a")]
    assert isinstance(last, End)
    assert isinstance(last.error, DecodeError)
    assert last.error.index == 2
    assert str(last.error).startswith(problem)


def test_damage_behind_text_alone_keeps_its_place() -> None:
    parser = DIALECT.stream_parser()
    assert len(parser.feed(sse(delta("text_delta", text="a"), delta("text_delta", text="b")))) == 2
    (last,) = parser.feed(b"data: x\n\n")
    assert isinstance(last, End)
    assert isinstance(last.error, DecodeError)
    assert last.error.index == 2


def test_caps() -> None:
    stream = sse(start(), delta("text_delta", text="a" * 5000))
    for pieces in ([stream], [stream[:300], stream[300:]], [stream[at : at + 1] for at in range(len(stream))]):
        begun, last = parse(pieces, CallOptions(max_line_bytes=4096))
        assert begun == Start(id="msg_1", model="m")
        assert isinstance(last, End)
        assert last.state == "failed"
        assert isinstance(last.error, TooLargeError)


def test_bad_text_becomes_replacement_characters() -> None:
    half = "\ud83da"
    stream = sse(
        begin({"type": "tool_use", "id": "a", "name": "f"}),
        delta("text_delta", text=half),
        delta("thinking_delta", thinking=half),
        delta("input_json_delta", partial_json=half),
    )
    last = json.dumps(delta("text_delta", text="X")).encode().replace(b"X", b"\xff")
    assert DIALECT.stream_parser().feed(stream + b"data: " + last + b"\n\n")[1:] == [
        *texts(0, "\ufffda"),
        Reasoning(token="\ufffda", part=0),
        *inputs(0, "\ufffda"),
        *texts(0, "\ufffd"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": 5},
        {"type": "message_start", "message": None},
        {"type": "message_delta", "delta": "x", "usage": 5},
        {"type": "message_delta", "delta": {"stop_reason": 5}},
        {"type": "content_block_start", "index": "0", "content_block": {}},
        {"type": "content_block_start", "index": True, "content_block": {"type": "text"}},
        {"type": "content_block_start", "index": 0, "content_block": []},
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "content_block_delta", "index": None, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": False, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": ["x"]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": None}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": "0"},
        {"type": "content_block_stop", "index": 9},
    ],
)
def test_members_of_another_type_are_passed_over(event: dict[str, Any]) -> None:
    stream = (
        sse(start()) + b"data: " + json.dumps(event).encode() + b"\n\n" + sse(delta("text_delta", text="a"), *end())
    )
    assert parse([stream]) == [Start(id="msg_1", model="m"), *texts(0, "a"), STOPPED, DONE]
