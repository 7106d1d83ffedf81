"""The parser of streams: whatever a back-end may send, in any order and of any type."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from backstream.chunks import Citation, Content, Media, PartEnd, Reasoning, Refusal, Start, ToolCallDelta
from backstream.errors import DecodeError, IncompleteStream, RateLimitError, RefusedError, TooLargeError
from backstream.options import CallOptions
from backstream.reply import End
from support_openai_responses import DIALECT, NAME, event, events, folded, joined, parse, problems, render

CREATED = event("response.created", response={"id": "r", "model": "m"})
COMPLETED = event("response.completed", response={"id": "r", "status": "completed", "output": []})


def delta(text: Any, output: Any = 0, content: Any = 0, **members: Any) -> bytes:
    return event("response.output_text.delta", output_index=output, content_index=content, delta=text, **members)


def done(index: Any, item: Any) -> bytes:
    return event("response.output_item.done", output_index=index, item=item)


def message(*content: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content), **members}


def end_of(block: list[Any]) -> End:
    assert isinstance(block[-1], End)
    assert sum(isinstance(item, End) for item in block) == 1
    return block[-1]


@pytest.mark.capability(NAME, "done-evidence", "provider")
def test_only_the_back_ends_word_is_done() -> None:
    assert end_of(parse([CREATED, delta("Hi"), COMPLETED])) == End("complete", ("response.completed", "framed"))
    assert end_of(parse([CREATED, delta("Hi"), COMPLETED], framed=False)).evidence == ("response.completed",)
    end = end_of(parse([CREATED, delta("Hi")]))
    assert (end.state, end.evidence) == ("incomplete", ("closed",))
    assert isinstance(end.error, IncompleteStream)


def test_nothing_arrives() -> None:
    end = end_of(parse([]))
    assert (end.state, end.evidence, str(end.error)) == ("failed", ("framed",), "the answer is empty")
    assert end_of(parse([b": only a comment\n\n"], framed=False)).evidence == ()
    assert "1 lines of other text" in str(end_of(parse([b"<html>\n"])).error)


def test_a_last_event_without_its_blank_line_counts_if_it_is_whole() -> None:
    assert end_of(parse([CREATED, COMPLETED.rstrip()])).state == "complete"
    cut = end_of(parse([CREATED, delta("Hi")[:-9]]))
    assert (cut.state, cut.evidence) == ("incomplete", ("cut event",))
    assert end_of(parse([CREATED, b"data: [DONE]"])).evidence == ("closed",)
    broken = end_of(parse([CREATED, event("error", code="server_error", message="no").rstrip()]))
    assert broken.state == "failed"


def test_whatever_else_may_be_in_a_stream_is_passed_over() -> None:
    noise = b": ping\n\nretry: 5\n\nid: 7\n\nevent: ping\ndata: {}\n\n" + event("keepalive", sequence_number=3)
    block = parse([CREATED, noise, delta("Hi"), b"data: [DONE]\n\n", event("response.new.thing"), COMPLETED])
    assert folded(block).text == "Hi"
    assert end_of(block).state == "complete"


def test_line_ends_of_every_kind() -> None:
    stream = CREATED + delta("Hi") + delta("!") + COMPLETED
    for line_end in (b"\r\n", b"\r"):
        assert folded(parse([stream.replace(b"\n", line_end)])).text == "Hi!"


def test_pieces_of_text_in_one_read_keep_to_their_parts() -> None:
    stream = b"".join(
        [delta("a"), delta("b"), delta("c", 0, 1), delta("d", 0, 1), delta("", 0, 1), delta("e", 2), delta("f", 0, 0)]
    )
    block = parse([CREATED + stream + COMPLETED])
    assert [(chunk.text, chunk.part) for chunk in block if isinstance(chunk, Content)] == [
        ("a", 0),
        ("b", 0),
        ("c", 1),
        ("d", 1),
        ("e", 2),
        ("f", 0),
    ]
    parser = DIALECT.stream_parser()
    parser.feed(delta("a") + delta("b"))
    assert [chunk.text for chunk in parser.feed(delta("c") + delta("d"))] == ["c", "d"]  # type: ignore[union-attr]


def test_pieces_of_every_kind_in_one_read() -> None:
    def piece(kind: str, index: int, text: str) -> bytes:
        return event(f"response.{kind}.delta", output_index=index, content_index=0, summary_index=0, delta=text)

    kinds = ("function_call_arguments", "reasoning_summary_text", "reasoning_text", "output_text", "refusal")
    texts = [(kind, index, text) for kind in kinds for index in (0, 1, 0) for text in ("a", "b", "", "c")]
    texts = [(kind, index + 2 * kinds.index(kind), text) for kind, index, text in texts]
    together = parse([b"".join(piece(*text) for text in texts)])
    apart = [
        msgspec.structs.replace(chunk, part=index)  # type: ignore[type-var]
        for kind, index, text in texts
        for chunk in parse([piece(kind, index, text)])[:-1]
    ]
    assert len(apart) == len(kinds) * 9
    assert together[:-1] == apart


def test_nothing_follows_the_word_for_done() -> None:
    for late in (delta("late"), COMPLETED, b"data: oops\n\n", b"data: " + b"x" * 900, event("error", message="late")):
        for pieces in ([delta("a") + COMPLETED + late], [delta("a"), COMPLETED, late]):
            block = parse(pieces, max_event_bytes=800)
            assert folded(block).text == "a"
            assert end_of(block).state == "complete"


@pytest.mark.parametrize(
    "members",
    [
        {"delta": None},
        {"delta": 5},
        {"delta": ["x"]},
        {"output_index": "0"},
        {"output_index": -1},
        {"output_index": 2**70},
        {"output_index": True},
        {"content_index": None},
        {"logprobs": 7},
        {"logprobs": [1, None, "x"]},
    ],
)
def test_members_of_other_types_break_nothing(members: dict[str, Any]) -> None:
    odd = {"output_index": 0, "content_index": 0, "delta": "odd", **members}
    block = parse([CREATED, delta("a"), event("response.output_text.delta", **odd), delta("b"), COMPLETED])
    assert folded(block).text in ("ab", "aoddb")
    assert end_of(block).state == "complete"


KINDS = [
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_text.annotation.added",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.image_generation_call.partial_image",
    "response.audio.delta",
    "response.audio.transcript.delta",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("junk", [None, 5, "x", [], {}, [None], {"type": 3}])
def test_an_event_without_its_members_says_nothing(kind: str, junk: object) -> None:
    names = ("response", "item", "output_index", "content_index", "annotation", "delta_", "text_", "partial_image_b64_")
    block = parse([delta("a"), event(kind, **dict.fromkeys(names, junk)), COMPLETED])
    assert folded(block).text == "a"
    assert end_of(block).state == "complete"


def test_what_came_in_no_piece_comes_with_the_whole() -> None:
    """Some servers send no deltas, or not all of them."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    block = parse(
        [
            CREATED,
            event("response.output_text.done", output_index=0, content_index=0, text="Hello", logprobs=[]),
            done(0, message({"type": "output_text", "text": "Hello"})),
            event("response.function_call_arguments.done", output_index=1, arguments="[1]"),
            done(2, call),
            event("response.refusal.done", output_index=3, content_index=0, refusal="No."),
            done(4, message({"type": "refusal", "refusal": "Never."})),
            done(5, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}),
            done(6, {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm!"}]}),
            COMPLETED,
        ]
    )
    reply = folded(block)
    assert (reply.text, reply.refusal, reply.reasoning) == ("Hello", "No.Never.", "Hm.Hm!")
    assert [call.arguments for call in reply.tool_calls] == ["[1]", "{}"]
    assert reply.finish_reason == "tool_calls"


def test_what_came_in_pieces_is_not_said_again() -> None:
    stream = [
        CREATED,
        event(
            "response.output_item.added", output_index=0, item={"type": "function_call", "name": "f", "call_id": "c"}
        ),
        event("response.function_call_arguments.delta", output_index=0, delta="{}"),
        event("response.function_call_arguments.done", output_index=0, arguments="{}"),
        done(0, {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}", "id": "fc"}),
        event("response.refusal.delta", output_index=1, content_index=0, delta="No."),
        event("response.refusal.done", output_index=1, content_index=0, refusal="No."),
        event("response.reasoning_text.delta", output_index=2, content_index=0, delta="Hm."),
        done(2, {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}),
    ]
    output = [{"type": "function_call", "id": "fc", "name": "f", "call_id": "c", "arguments": "{}"}]
    whole = event("response.completed", response={"id": "r", "output": output})
    reply = folded(parse([*stream, done(0, {"type": "message"}), whole]))
    assert [call.arguments for call in reply.tool_calls] == ["{}"]
    assert (reply.refusal, reply.reasoning) == ("No.", "Hm.")


def test_arguments_that_come_with_the_call() -> None:
    item = {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
    for begun in (item, {**item, "arguments": ""}):  # at its beginning, or only at its end
        block = parse([event("response.output_item.added", output_index=0, item=begun), done(0, item), COMPLETED])
        assert joined(block)[0] == ToolCallDelta(part=0, id="c", name="f", arguments="{}")


def test_a_server_that_only_tells_the_whole() -> None:
    output = [message({"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}, id="msg")]
    block = parse([event("response.completed", response={"id": "r", "model": "m", "output": output})])
    assert isinstance(block[0], Start)
    assert folded(block).text == "Hi"


def test_sources_told_only_with_the_whole() -> None:
    source = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 1}
    stream = [
        delta("Hi"),
        event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=source),
        done(
            0, message({"type": "output_text", "text": "Hi", "annotations": [source, {**source, "url": "https://b"}]})
        ),
        COMPLETED,
    ]
    assert [citation.url for citation in folded(parse(stream)).citations] == ["https://a", "https://b"]


def test_contents_and_items_that_nobody_knows_are_kept() -> None:
    block = parse([done(0, message({"type": "hologram", "x": 1}, id="msg")), done(1, {"type": "dance"}), COMPLETED])
    assert [item.opaque for item in block if isinstance(item, PartEnd)] == [
        {NAME: {"item": {"id": "msg"}, "type": "hologram", "x": 1}},
        {NAME: {"type": "dance"}},
    ]


def test_an_image_that_failed_is_kept_as_it_is() -> None:
    item = {"type": "image_generation_call", "id": "ig", "status": "failed", "result": None}
    block = parse([done(0, item), COMPLETED])
    assert block[0] == PartEnd(part=0, kind="opaque", opaque={NAME: item})


def test_sound_as_the_description_has_it() -> None:
    stream = [
        event("response.audio.delta", delta="QUI="),
        event("response.audio.transcript.delta", delta="Hel"),
        event("response.audio.delta", delta="QUI="),
        event("response.audio.transcript.delta", delta="lo"),
        event("response.audio.delta", delta="QUJDR"),
        COMPLETED,
    ]
    (part,) = folded(parse(stream)).parts
    assert (part.kind, part.data, part.transcript) == ("audio", "QUJBQg==", "Hello")  # type: ignore[union-attr]
    assert isinstance(parse(stream)[0], Media)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_an_error_in_every_form() -> None:
    for failing in (
        event("error", code="rate_limit_exceeded", message="slow", param=None),
        event("error", error={"code": "rate_limit_exceeded", "message": "slow"}),
        b'data: {"error":{"code":"rate_limit_exceeded","message":"slow"}}\n\n',
        event("response.failed", response={"error": {"code": "rate_limit_exceeded", "message": "slow"}}),
    ):
        block = parse([delta("a"), failing, delta("b"), COMPLETED])
        assert folded(block).text == "a"
        error = end_of(block).error
        assert isinstance(error, RateLimitError)
        assert (error.problem, error.kind, error.phase) == ("slow", "rate_limit_exceeded", "body")
    assert end_of(parse([event("response.failed", response=5)])).state == "failed"
    error = end_of(parse([b'data: {"error":"all broken"}\n\n'])).error
    assert isinstance(error, RefusedError)
    assert error.problem == "all broken"


def test_a_response_that_was_cancelled() -> None:
    for stream in (
        [event("response.cancelled", response={"id": "r"})],
        [event("response.completed", response={"status": "cancelled"})],
    ):
        end = end_of(parse([delta("a"), *stream]))
        assert (end.state, end.evidence) == ("incomplete", ("cancelled",))
        assert isinstance(end.error, IncompleteStream)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"data: {oops}\n\n", "event 1: the event is not JSON"),
        (b"data: [1]\n\n", "event 1: the event is a JSON list, not an object"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "event 1: the event is nested too deeply"),
    ],
)
def test_damage_ends_a_stream(frame: bytes, problem: str) -> None:
    block = parse([delta("a") + frame + delta("b"), COMPLETED])
    assert folded(block).text == "a"
    error = end_of(block).error
    assert isinstance(error, DecodeError)
    assert str(error) == problem


def test_caps_hold() -> None:
    for pieces in ([delta("a") + delta("b" * 500)], [delta("a"), b"data: " + b"x" * 500], [b"data: " + b"x" * 500]):
        block = parse(pieces, max_event_bytes=300)
        error = end_of(block).error
        assert isinstance(error, TooLargeError)
        assert error.setting == "max_event_bytes"
    parser = DIALECT.stream_parser(CallOptions(max_line_bytes=300))
    assert parser.feed(b"data: " + b"x" * 500)
    assert parser.feed(delta("a")) == []
    assert parser.finish(framed=True) == []


# --- whole answers ----------------------------------------------------------------------------------------------------


def test_whole_answers_of_another_shape() -> None:
    for body in (b"oops", b"[]", b"{}", b'{"output":5}'):
        with pytest.raises(DecodeError):
            DIALECT.parse_reply(body)
    block = DIALECT.parse_reply(b'{"error":{"code":"server_error","message":"down"}}')
    assert end_of(block).state == "failed"
    failed = DIALECT.parse_reply(b'{"output":[],"status":"failed","error":{"code":"server_error","message":"x"}}')
    assert end_of(failed).state == "failed"
    unsaid = end_of(DIALECT.parse_reply(b'{"output":[]}'))
    assert (unsaid.state, str(unsaid.error)) == ("incomplete", "the answer has no status")


def test_why_an_answer_is_incomplete() -> None:
    for reason, word in [
        ("max_output_tokens", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
    ]:
        body = {"output": [], "status": "incomplete", "incomplete_details": {"reason": reason}}
        reply = folded(DIALECT.parse_reply(json.dumps(body).encode()))
        assert reply.finish is not None
        assert (reply.finish_reason, reply.finish.raw) == (word, reason)
    reply = folded(DIALECT.parse_reply(b'{"output":[],"status":"incomplete","incomplete_details":null}'))
    assert reply.finish_reason == "length"


def test_what_the_next_turn_goes_on_from() -> None:
    whole = {"id": "r", "status": "completed", "output": [], "conversation": {"id": "conv_1"}}
    reply = folded(DIALECT.parse_reply(json.dumps(whole).encode()))
    assert reply.conversation == {NAME: {"conversation": "conv_1"}}
    stateless = b'{"id":"r","status":"completed","output":[],"store":false}'
    assert folded(DIALECT.parse_reply(stateless)).conversation is None
    assert folded(DIALECT.parse_reply(b'{"status":"completed","output":[]}')).conversation is None


def test_counts_that_are_not_reported_are_absent() -> None:
    body = b'{"status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":"x"}}'
    reply = folded(DIALECT.parse_reply(body))
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (3, None, None)
    assert folded(DIALECT.parse_reply(b'{"status":"completed","output":[],"usage":null}')).usage is None


def test_a_date_of_any_kind() -> None:
    for created, read in ((1.5, 1), ("x", None), (1e300, None), (7, 7)):
        body = json.dumps({"output": [], "created_at": created, "id": "r"}).encode()
        assert DIALECT.parse_reply(body)[0] == Start(id="r", created=read)


def test_two_contents_of_one_message_are_two_parts_with_one_item() -> None:
    item = message(
        {"type": "output_text", "text": "But: "}, {"type": "refusal", "refusal": "no."}, id="msg_1", status="completed"
    )
    block = parse([done(0, item), COMPLETED])
    reply = folded(block)
    assert [part.opaque[NAME]["item"]["id"] for part in reply.parts] == ["msg_1", "msg_1"]
    stream = render(block)
    assert [problem for said in events(stream) for problem in problems("ResponseStreamEvent", said)] == []
    items = events(stream)[-1]["response"]["output"]
    assert [item["id"] for item in items] == ["msg_7_0", "msg_7_1"]  # told too late: the items had begun
    assert [type(chunk) for chunk in block[:4]] == [Content, PartEnd, Refusal, PartEnd]


def test_a_citation_is_a_citation() -> None:
    block = parse(
        [event("response.output_text.annotation.added", output_index=0, content_index=0, annotation={"a": 1})]
    )
    assert block[0] == Citation(part=0, raw={NAME: {"a": 1}})


def test_summaries_are_kept_apart() -> None:
    begin = event("response.reasoning_summary_part.added", output_index=0, summary_index=0, part={})
    piece = event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="A")
    block = parse([begin, piece, begin, piece, COMPLETED])
    assert joined(block)[0] == Reasoning(token="A\n\nA", part=0)
