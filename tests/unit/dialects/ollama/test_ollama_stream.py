"""Streams of Ollama: chunks, ends and damage, the same at every cut."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import Content, Finish, Logprobs, Media, PartEnd, Reasoning, Start, ToolCallDelta, Usage
from backstream.dialects.ollama import Ollama
from backstream.errors import DecodeError, IncompleteStream, TooLargeError
from backstream.reply import Block, End
from backstream.request import MediaPart, ReasoningPart, TextPart, ToolCallPart
from backstream.testing.chop import chop
from backstream.testing.dialects import check_dialect
from support_ollama import AIMOCK, DONE, OLLAMA, RECORDED, chunks_of, end_of, lines, parse, said, whole

NAME = "ollama"
START = Start(model="m", created=1763800000)
COMPLETE = End("complete", ("done",))
PNG = "iVBORw0KGgo="


def everywhere(data: bytes, **caps: Any) -> Block:
    """What a stream gives, the same at every cut."""
    block = parse([data], **caps)
    for pieces in chop(data, samples=100):
        again = parse(pieces, **caps)
        assert again[:-1] == block[:-1]
        assert (end_of(again).state, str(end_of(again).error)) == (end_of(block).state, str(end_of(block).error))
    return block


def test_the_contract_of_dialects() -> None:
    check_dialect(OLLAMA)
    assert OLLAMA.name == NAME


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
def test_the_stream_of_the_documentation() -> None:
    raw = json.loads((RECORDED / "chat.ndjson").read_text().splitlines()[1])
    metrics = {name: raw[name] for name in raw if name.endswith(("count", "duration"))}
    assert everywhere((RECORDED / "chat.ndjson").read_bytes()) == [
        Start(model="llama3.2", created=1691164339),
        Content(content="The"),
        Finish(finish={"reason": "stop"}),
        Usage(usage={"prompt_tokens": 26, "completion_tokens": 282}, model="llama3.2", raw={NAME: metrics}),
        COMPLETE,
    ]


@pytest.mark.capability(NAME, "stream-errors", "provider")
def test_the_error_of_the_documentation() -> None:
    block = everywhere((RECORDED / "error.ndjson").read_bytes())
    assert chunks_of(block) == [Start(model="llama3.2", created=1691164339), Content(content="The")]
    end = end_of(block)
    assert (end.state, end.evidence) == ("failed", ("error",))
    assert str(end.error) == "an error was encountered while running the model"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("whole", "Hello! How are you today?", "stop"),
        ("tools", "", "tool_calls"),
        ("structured", '{"age": 22, "available": false}', "stop"),
        ("load", "", "load"),
        ("unload", "", "unload"),
    ],
)
def test_the_whole_answers_of_the_documentation(name: str, text: str, reason: str) -> None:
    block = OLLAMA.parse_reply((RECORDED / f"{name}.json").read_bytes())
    assert block[-1] == COMPLETE
    reply = whole(block)
    assert (reply.text, reply.finish_reason) == (text, reason)
    if name == "tools":
        arguments = '{"format":"celsius","location":"Paris, FR"}'
        assert reply.parts == (ToolCallPart(name="get_current_weather", arguments=arguments),)
        assert reply.finish is not None
        assert reply.finish.raw == "stop"


SO = ReasoningPart(text="The user greets me. I greet back.")
CALL = ToolCallPart(name="get_weather", arguments='{"city":"Paris","days":3}')
SECOND = ToolCallPart(name="get_weather", arguments='{"city":"Tromsø"}')
CAPTURED: dict[str, tuple[Any, ...]] = {
    "text": (TextPart(text='Hello, wörld!\nA "quoted" line, a tab\t, a line separator\u2028 and the end.'),),
    "text-split-emoji": (TextPart(text="ab🙂cd👩\u200d🚀e"),),
    "text-usage": (TextPart(text="Counted."),),
    "text-length": (TextPart(text="Cut off in the mid"),),
    "text-filtered": (TextPart(text="I would"),),
    "tool": (CALL,),
    "tool-parallel": (CALL, SECOND, ToolCallPart(name="get_weather", arguments="{}")),
    "tool-after-text": (TextPart(text="I look it up."), CALL),
    "tool-between-texts": (TextPart(text="First Paris. "), CALL, TextPart(text="Then Tromsø."), SECOND),
    "reasoning": (SO, TextPart(text="Hello!")),
    "reasoning-tool": (SO, CALL),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_streams_of_a_mock(name: str) -> None:
    block = everywhere((AIMOCK / f"{name}.body").read_bytes())
    reply = whole(block)
    assert reply.parts == CAPTURED[name]
    assert end_of(block) == COMPLETE
    assert reply.finish_reason == ("tool_calls" if reply.tool_calls else "stop")
    assert reply.usage is None or (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 0)
    same = whole(OLLAMA.parse_reply((AIMOCK / f"{name}.whole.body").read_bytes()))
    assert (same.tool_calls, same.reasoning) == (reply.tool_calls, reply.reasoning)


def test_a_stream_that_a_mock_cut_off() -> None:
    block = everywhere((AIMOCK / "truncated.body").read_bytes(), framed=False)
    assert whole(block).text == "This answer nev"
    assert (end_of(block).state, end_of(block).evidence) == ("incomplete", ("closed",))


@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
def test_tool_calls_are_whole() -> None:
    call = {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": [1]}}}
    data = lines(
        said(tool_calls=[call, {"function": {"name": "g", "arguments": "{"}, "mark": 1}]),
        said(tool_calls=[{"function": {"name": "h"}}, {"function": 7}, 7]),
        {**DONE, "done_reason": "length"},
    )
    assert everywhere(data)[1:] == [
        ToolCallDelta(part=0, id="c1", name="f", arguments='{"a":[1]}'),
        PartEnd(part=0, kind="tool_call"),
        ToolCallDelta(part=1, name="g", arguments="{"),
        PartEnd(part=1, kind="tool_call", opaque={NAME: {"mark": 1}}),
        ToolCallDelta(part=2, name="h", arguments="{}"),
        PartEnd(part=2, kind="tool_call"),
        Finish(finish={"reason": "length"}),
        COMPLETE,
    ]


@pytest.mark.capability(NAME, "reasoning", "provider")
def test_thinking_is_reasoning_and_then_tags_are_text() -> None:
    data = lines(said(thinking="So", content=""), said("<think>"), said("Hi", thinking="and"), said(), said("!"), DONE)
    assert everywhere(data) == [
        START,
        Reasoning(token="So"),
        Content(content="<think>"),
        Reasoning(token="and"),
        Content(content="Hi"),
        Content(content="!"),
        Finish(finish={"reason": "stop"}),
        COMPLETE,
    ]


@pytest.mark.capability(NAME, "reasoning", "provider")
def test_thinking_between_tags_is_reasoning() -> None:
    pieces = ["\n<thi", "nk>", "So", " so</t", "hink>\n\n", "Hi", " <think>"]
    data = lines(*map(said, pieces), DONE)
    assert whole(everywhere(data)).parts == (ReasoningPart(text="So so"), TextPart(text="Hi <think>"))
    untouched = parse([data], dialect=Ollama(think_tags=False))
    assert whole(untouched).parts == (TextPart(text="".join(pieces)),)


@pytest.mark.parametrize(
    "last",
    [
        said(tool_calls=[{"function": {"name": "f"}}]),
        said(images=[PNG]),
        said(thinking="so"),
        {"error": "broken"},
        DONE,
        None,
    ],
)
def test_text_held_for_a_tag_is_given_before_what_follows(last: Any) -> None:
    block = everywhere(lines(said("<thi"), *([last] if last else [])), framed=False)
    assert block[1] == Content(content="<thi")


@pytest.mark.capability(NAME, "image-out", "provider")
def test_images_are_parts_of_their_own() -> None:
    reply = whole(everywhere(lines(said("Here", images=[PNG, "/9j/4AAQ", 7, ""]), DONE)))
    assert reply.parts == (
        TextPart(text="Here"),
        MediaPart(kind="image", media_type="image/png", data=PNG),
        MediaPart(kind="image", media_type="image/jpeg", data="/9j/4AAQ"),
    )


@pytest.mark.capability(NAME, "logprobs", "provider")
def test_logprobs() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}
    block = everywhere(lines({**said("Hi"), "logprobs": [entry, 7]}, {**said("!"), "logprobs": []}, DONE))
    assert block[1:4] == [Content(content="Hi"), Logprobs(logprobs=[entry]), Content(content="!")]


def test_what_follows_the_word_for_done_is_not_read() -> None:
    parser = OLLAMA.stream_parser()
    assert parser.feed(lines(DONE, said("more"))) == [
        Start(model="m"),
        Finish(finish={"reason": "stop"}),
    ]
    assert parser.feed(b"{") == []
    assert parser.finish(framed=False) == [COMPLETE]
    assert parser.feed(lines(said("more"))) == parser.finish(framed=True) == []


@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize(
    ("data", "state", "problem"),
    [
        (b"", "failed", "the answer is empty"),
        (b"\n \n", "failed", "the answer is empty"),
        (lines(said("Hi")), "incomplete", "without a line that says it is done"),
        (lines(said("Hi")) + b'{"model"', "incomplete", "inside a line"),
        (lines(said("Hi")) + b"[1]", "incomplete", "inside a line"),
    ],
)
def test_an_answer_that_does_not_say_it_is_done(data: bytes, state: str, problem: str) -> None:
    for framed in (True, False):
        end = end_of(everywhere(data, framed=framed))
        assert end.state == state
        assert isinstance(end.error, IncompleteStream)
        assert problem in str(end.error)


def test_a_last_line_needs_no_line_end() -> None:
    assert end_of(everywhere(lines(said("Hi"), DONE)[:-1])) == COMPLETE
    assert end_of(parse([lines(said("Hi"), {"error": "x"})[:-1]])).evidence == ("error",)


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b"<html>\n", "not JSON"), (b"[1]\n", "a JSON list"), (b"null\n", "a JSON NoneType"), (b'"x"\n', "a JSON str")],
)
def test_a_line_that_is_no_object_is_damage(line: bytes, problem: str) -> None:
    block = everywhere(lines(said("Hi")) + line + lines(DONE))
    assert chunks_of(block) == [START, Content(content="Hi")]
    error = end_of(block).error
    assert isinstance(error, DecodeError)
    assert problem in str(error)
    assert error.index == 1


def test_a_line_over_its_cap() -> None:
    data = lines(said("Hi")) + b"x" * 300
    for pieces in chop(data, samples=50):
        block = parse(pieces, max_line_bytes=200)
        assert chunks_of(block) == [START, Content(content="Hi")]
        assert isinstance(end_of(block).error, TooLargeError)
    assert end_of(parse([b"x" * 300], max_event_bytes=200)).state == "failed"
    assert end_of(parse([lines(DONE) + b"x" * 300], max_line_bytes=200)) == COMPLETE


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, errors.BackendRequestError),
        (401, errors.AuthenticationError),
        (402, errors.PaymentError),
        (404, errors.ModelNotFoundError),
        (429, errors.RateLimitError),
        (500, errors.UnavailableError),
        (502, errors.UnavailableError),
    ],
)
def test_refusals_go_by_their_status(status: int, cls: type[errors.RefusedError]) -> None:
    body = b'{"error": "model \'x\' not found"}'
    error = OLLAMA.parse_error(status, {"retry-after": "3"}, body)
    assert type(error) is cls
    assert isinstance(error, errors.RefusedError)
    assert (error.problem, error.status, error.retry_after_seconds) == ("model 'x' not found", status, 3.0)
    inside = end_of(parse([lines({"error": "busy", "status": status})])).error
    assert type(inside) is cls


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"error": 7}', b'{"error": {"message": 7}}', b"<p>gone</p>"])
def test_a_refusal_in_another_form_still_has_its_class(body: bytes) -> None:
    assert type(OLLAMA.parse_error(404, {}, body)) is errors.ModelNotFoundError
    assert type(OLLAMA.parse_error(None, {}, body)) is errors.RefusedError


@pytest.mark.capability(NAME, "models", "provider")
def test_lists_of_models() -> None:
    entry = {"name": "qwen3:8b", "model": "qwen3:8b", "size": 1, "details": {"family": "qwen3"}}
    able = {"name": "gemma", "capabilities": ["completion", "vision", "tools", 7]}
    thinks = {"model": "r1", "capabilities": ["thinking"]}
    page = OLLAMA.parse_models(json.dumps({"models": [entry, able, thinks, {}, 7, {"name": ""}]}).encode())
    first, second, third = page.models
    assert (first.id, first.input_modalities, first.tools, first.reasoning) == ("qwen3:8b", None, None, None)
    assert first.raw == entry
    assert (second.id, second.input_modalities, second.tools, second.reasoning) == (
        "gemma",
        ("text", "image"),
        True,
        False,
    )
    assert (third.input_modalities, third.reasoning) == (("text",), True)
    assert page.next_query is None
    assert OLLAMA.parse_models(b'{"models": null}').models == ()
    for body in (b"[]", b"{}", b'{"models": 7}', b"x"):
        with pytest.raises(DecodeError):
            OLLAMA.parse_models(body)


def test_tokens_are_not_counted() -> None:
    assert OLLAMA.render_token_count(None, None) is None  # type: ignore[arg-type,func-returns-value]
    with pytest.raises(DecodeError):
        OLLAMA.parse_token_count(b"7")
    with pytest.raises(errors.UnsupportedFeatureError):
        OLLAMA.render_count(7)


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"[]", "a JSON list"), (b"x", "not JSON"), (b"{}", "no member 'message'"), (b'{"done": false}', "'message'")],
)
def test_a_whole_answer_of_another_shape(body: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        OLLAMA.parse_reply(body)


def test_a_whole_answer_that_failed_or_is_not_done() -> None:
    assert end_of(OLLAMA.parse_reply(b'{"error": "x"}')).evidence == ("error",)
    block = OLLAMA.parse_reply(json.dumps(said("<thi")).encode())
    assert (whole(block).text, end_of(block).state) == ("<thi", "incomplete")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
MESSAGE = ("role", "content", "thinking", "images", "tool_calls")
EVENT = ("model", "created_at", "message", "done", "done_reason", "logprobs", "error", "status", "eval_count")


@given(st.lists(st.tuples(st.sampled_from(EVENT), json_values), max_size=3), st.sampled_from(MESSAGE), json_values)
def test_any_value_anywhere_gives_a_documented_result(members: Any, name: str, value: Any) -> None:
    event = {**said("Hi"), "message": {"content": "Hi", name: value}, **dict(members)}
    data = json.dumps(event).encode() + b"\n" + lines(said("!"), DONE)
    block = parse([data])
    end = end_of(block)
    assert end.error is None or isinstance(end.error, errors.BackstreamError)
    with contextlib.suppress(DecodeError):
        end_of(OLLAMA.parse_reply(json.dumps(event).encode()))


@given(st.binary(max_size=60))
def test_any_bytes_give_a_documented_result(data: bytes) -> None:
    end_of(parse([lines(said("Hi")), data]))
    end_of(parse([data]))


def test_media_pieces_have_their_type() -> None:
    (media,) = [chunk for chunk in parse([lines(said(images=["QUJD"]), DONE)]) if isinstance(chunk, Media)]
    assert media.media_type == "image/png"
