"""Streams that are odd, damaged, cut off or hostile."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.reply import End, fold
from backstream.testing.chop import chop
from support_openai_chat import PLAIN, chunk, joined, parse, sse

START = Start(id="i", model="m")
STOP = chunk({}, "stop")
NAME = "openai_chat"


def said(*events: object, quirks: Quirks = PLAIN) -> list[Any]:
    """The chunks of a stream that ends well, less its start and finish."""
    stream = sse(*events, STOP)
    block = parse([stream], quirks)
    for pieces in chop(stream, samples=50):
        assert joined(parse(pieces, quirks)) == joined(block)
    assert joined(block[-1:]) == [("complete", ("finish_reason", "[DONE]"), "NoneType")]
    return [item for item in joined(block[:-1]) if not isinstance(item, Start | Finish)]


# --- the ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize(
    ("stream", "end"),
    [
        (sse(chunk({"content": "a"}), STOP), ("complete", ("finish_reason", "[DONE]"), "NoneType")),
        (sse(chunk({"content": "a"}), STOP, done=False), ("complete", ("finish_reason",), "NoneType")),
        (sse(chunk({"content": "a"})), ("complete", ("[DONE]",), "NoneType")),
        (sse(), ("complete", ("[DONE]",), "NoneType")),
        (sse()[:-1], ("complete", ("[DONE]",), "NoneType")),
        (sse()[:-2], ("complete", ("[DONE]",), "NoneType")),
        (sse(STOP, done=False)[:-2], ("complete", ("finish_reason",), "NoneType")),
        (sse(STOP, done=False)[:-3], ("failed", (), "IncompleteStream")),
        (sse(chunk({"content": "a"}), done=False), ("incomplete", ("closed",), "IncompleteStream")),
        (sse(chunk({"content": "a"}), STOP, done=False)[:-9], ("incomplete", ("cut event",), "IncompleteStream")),
        (b"", ("failed", (), "IncompleteStream")),
        (b": ping\n\nretry: 5\n\nid: 1\n\nevent: ping\n\n", ("failed", (), "IncompleteStream")),
        (b"<html>\nno\n", ("failed", (), "IncompleteStream")),
        (sse(chunk({}, "length"), done=False), ("complete", ("finish_reason",), "NoneType")),
    ],
)
def test_ends(stream: bytes, end: tuple[Any, ...]) -> None:
    for framed in (False, True):
        for pieces in chop(stream):
            assert joined(parse(pieces, framed=framed))[-1] == end


def test_an_unclosed_error_event_still_counts() -> None:
    block = parse([sse(chunk({"content": "a"}), {"error": "broken"}, done=False)[:-2]])
    assert joined(block) == [START, Content(content="a"), ("failed", ("error",), "RefusedError")]


def test_nothing_follows_the_end() -> None:
    parser = OpenAIChat().stream_parser()
    assert parser.feed(sse(chunk({"content": "a"}), STOP) + sse(chunk({"content": "b"})))[1] == Content(content="a")
    assert parser.feed(sse(chunk({"content": "b"}))) == []
    assert len(parser.finish(framed=True)) == 1
    parser = OpenAIChat().stream_parser()
    assert isinstance(parser.feed(sse({"error": {"message": "no"}}, chunk({"content": "b"})))[-1], End)
    assert parser.feed(sse(chunk({"content": "b"}))) == []
    assert parser.finish(framed=True) == []


def test_stray_text_is_counted_in_the_error() -> None:
    (end,) = parse([b"<html>\nno\n"])
    assert isinstance(end, End)
    assert str(end.error) == "the back-end sent no event, but 2 lines of other text"


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ("{", "event 1: the event is not JSON"),
        ("[]", "event 1: the event is a JSON list, not an object"),
        ("null", "event 1: the event is a JSON NoneType, not an object"),
        ("[" * 100_000, "event 1: the event is nested too deeply"),
    ],
)
def test_damage_ends_the_stream_behind_what_came_before(event: str, problem: str) -> None:
    block = parse([sse(chunk({"content": "a"}), event, chunk({"content": "b"}))])
    assert joined(block) == [START, Content(content="a"), ("failed", ("error",), "DecodeError")]
    assert isinstance(block[-1], End)
    assert str(block[-1].error) == problem


def test_caps_end_the_stream_behind_what_came_before() -> None:
    stream = sse(chunk({"content": "a"})) + sse(chunk({"content": "b" * 300}))
    for pieces in chop(stream):
        block = parse(pieces, max_event_bytes=200)
        assert joined(block)[:2] == [START, Content(content="a")]
    stream = sse(chunk({"content": "a"}), done=False) + sse(chunk({"content": "b" * 300}))
    for pieces in chop(stream):
        expected = [START, Content(content="a"), ("failed", ("error",), "TooLargeError")]
        assert joined(parse(pieces, max_event_bytes=200)) == expected
        assert joined(parse(pieces, max_line_bytes=200)) == expected


def test_bad_characters_become_replacements() -> None:
    stream = sse(chunk({"role": "assistant"}), chunk({"content": "x"})).replace(b'"x"', b'"\xff"')
    assert Content(content="\ufffd") in parse([stream])
    half = sse(chunk({"role": "assistant"}), chunk({"content": "x"})).replace(b'"x"', b'"\\ud83d."')
    assert Content(content="\ufffd.") in parse([half])


@pytest.mark.capability(NAME, "stream-errors", "provider")
@pytest.mark.parametrize(
    ("event", "cls", "kind"),
    [
        ({"error": {"message": "no", "type": "server_error", "code": None}}, errors.UnavailableError, "server_error"),
        ({"error": {"message": "no", "code": 429}}, errors.RateLimitError, "429"),
        ({"error": {"message": "no", "code": 403}}, errors.AuthenticationError, "403"),
        ({"error": {"message": "no", "code": 502, "type": "x"}}, errors.UnavailableError, "502"),
        ({"error": {"message": "no", "code": 200}}, errors.RefusedError, "200"),
        ({"error": {"message": "no", "code": "content_filter"}}, errors.ContentRefusedError, "content_filter"),
        ({"error": {"message": "no", "type": "NotFoundError"}}, errors.ModelNotFoundError, "NotFoundError"),
        ({"error": "no"}, errors.RefusedError, None),
        ({"error": ["no"]}, errors.RefusedError, None),
        (
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            errors.BackendRequestError,
            "400",
        ),
        ({"message": "no", "code": "rate_limit_exceeded"}, errors.RateLimitError, "rate_limit_exceeded"),
        (chunk({"content": "c"}, "error", error={"message": "no", "code": 500}), errors.UnavailableError, "500"),
        (chunk({"content": "c"}, "error"), errors.UnavailableError, "error"),
        (
            chunk({"content": "c"}, "insufficient_system_resource"),
            errors.UnavailableError,
            "insufficient_system_resource",
        ),
    ],
)
def test_error_events(event: dict[str, Any], cls: type[errors.RefusedError], kind: str | None) -> None:
    stream = sse(chunk({"content": "a"}), event, chunk({"content": "b"}))
    for pieces in chop(stream):
        block = parse(pieces)
        end = block[-1]
        assert isinstance(end, End)
        assert (end.state, end.evidence, type(end.error)) == ("failed", ("error",), cls)
        assert isinstance(end.error, errors.RefusedError)
        assert (end.error.kind, end.error.phase) == (kind, "body")
        assert fold([item for item in block[:-1] if isinstance(item, RawResponse)]).text == (
            "ac" if "choices" in event else "a"
        )


# --- what servers do otherwise ----------------------------------------------------------------------------------------


def test_only_the_first_choice_is_told() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": None}]}
    both = {"choices": [second["choices"][0], {"index": 0, "delta": {"content": "a"}}]}
    assert said(chunk({"content": "a"}), second, both) == [Content(content="aa")]


def test_empty_deltas_say_nothing() -> None:
    empty = {"content": "", "refusal": "", "reasoning_content": "", "tool_calls": [], "images": [], "annotations": []}
    assert said(chunk({"role": "assistant", "content": ""}), chunk(empty), chunk({}), {"choices": []}) == []


def test_reasoning_by_either_name_is_told_once() -> None:
    both = chunk({"reasoning": "b", "reasoning_content": "b"})
    assert said(chunk({"reasoning": "a"}), both) == [Reasoning(token="ab")]


def test_reasoning_and_text_in_turns() -> None:
    events = [chunk({"content": "1"}), chunk({"reasoning": "2"}), chunk({"content": "3"}), chunk({"reasoning": "4"})]
    told = [Content(content="1"), Reasoning(token="2"), Content(content="3"), Reasoning(token="4")]
    assert said(*events) == told


def test_think_tags_only_where_the_quirk_says_so() -> None:
    events = [chunk({"content": "<think>a"}), chunk({"content": "</think>b"})]
    assert said(*events) == [Content(content="<think>a</think>b")]
    assert said(*events, quirks=Quirks(think_tags=True)) == [Reasoning(token="a"), Content(content="b")]
    assert said(chunk({"content": " <thi"}), quirks=Quirks(think_tags=True)) == [Content(content=" <thi")]


def call(**members: Any) -> dict[str, Any]:
    return chunk({"tool_calls": [members]})


def test_calls_without_an_index_go_by_id() -> None:
    assert said(
        call(id="a", function={"name": "f", "arguments": "1"}),
        call(id="b", function={"name": "g", "arguments": "3"}),
        call(id="a", function={"arguments": "2"}),
        call(function={"arguments": "4"}),
    ) == [
        ToolCallDelta(part=0, id="a", name="f", arguments="1"),
        ToolCallDelta(part=1, id="b", name="g", arguments="3"),
        ToolCallDelta(part=0, arguments="2"),
        ToolCallDelta(part=1, arguments="4"),
    ]


def test_calls_without_index_and_id_go_by_name_and_place() -> None:
    both = chunk({"tool_calls": [{"function": {"name": "f"}}, {"function": {"name": "g"}}, "odd"]})
    assert said(both, call(function={"arguments": "1"}), call(function={"name": "h"})) == [
        ToolCallDelta(part=0, name="f"),
        ToolCallDelta(part=1, name="g", arguments="1"),
        ToolCallDelta(part=2, name="h"),
    ]


def test_names_and_ids_that_come_again_are_told_once() -> None:
    assert said(
        call(index=0, id="a", function={"name": "f", "arguments": ""}),
        call(index=0, id="a", function={"name": "f", "arguments": "1"}),
        call(index=0, id="", function={"name": None, "arguments": "2"}),
        call(index=0, id="a", function={"name": "f", "arguments": ""}),
    ) == [ToolCallDelta(part=0, id="a", name="f", arguments="12")]


def test_interleaved_calls_and_one_that_comes_back_under_the_index_of_another() -> None:
    assert said(
        call(index=0, id="a", function={"name": "f", "arguments": "1"}),
        call(index=0, id="b", function={"name": "g", "arguments": "2"}),
        call(index=0, id="a", function={"arguments": "3"}),
        call(index=0, function={"arguments": "4"}),
        call(index=7, function={"name": "h", "arguments": {"x": 1}}),
    ) == [
        ToolCallDelta(part=0, id="a", name="f", arguments="1"),
        ToolCallDelta(part=1, id="b", name="g", arguments="2"),
        ToolCallDelta(part=0, arguments="34"),
        ToolCallDelta(part=2, name="h", arguments='{"x":1}'),
    ]


def test_a_call_in_the_older_form() -> None:
    events = [chunk({"function_call": {"name": "f", "arguments": "1"}}), chunk({"function_call": {"arguments": "2"}})]
    assert said(*events) == [ToolCallDelta(part=0, name="f", arguments="12")]
    finish = [item for item in parse([sse(chunk({}, "function_call"))]) if isinstance(item, Finish)]
    assert finish == [Finish(finish={"reason": "tool_calls", "raw": "function_call"})]


def test_log_probabilities_come_behind_their_text() -> None:
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}
    event = chunk({"content": "a"})
    event["choices"][0]["logprobs"] = {"content": [token, "odd"], "refusal": None}
    assert said(event) == [Content(content="a"), Logprobs(logprobs=[token])]
    event["choices"][0]["logprobs"] = {"content": ["odd"]}
    assert said(event) == [Content(content="a")]


def test_usage_wherever_it_stands_is_told_once_at_the_end() -> None:
    in_choice = chunk({"content": "b"})
    in_choice["choices"][0]["usage"] = {"prompt_tokens": 3, "completion_tokens": 1, "cached_tokens": 2}
    (text, usage) = said(chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 0}), in_choice)
    assert text == Content(content="ab")
    assert isinstance(usage, Usage)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens) == (3, 1, None, 2)
    (deepseek,) = said(chunk({}, usage={"prompt_cache_hit_tokens": 5, "prompt_tokens": "odd"}))
    assert (deepseek.cached_tokens, deepseek.input_tokens) == (5, None)
    details = {"prompt_tokens_details": {"cache_write_tokens": 1, "audio_tokens": 2}, "completion_tokens_details": 3}
    (detailed,) = said(chunk({}, usage=details))
    assert (detailed.cache_write_tokens, detailed.input_audio_tokens, detailed.output_tokens) == (1, 2, None)
    assert said(chunk({}, usage={})) == []


def test_finish_comes_once_and_last() -> None:
    block = parse([sse(chunk({"content": "a"}, "length"), chunk({"content": "b"}, "stop"))])
    assert joined(block)[1:3] == [Content(content="ab"), Finish(finish={"reason": "stop"})]


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", {"reason": "stop"}),
        ("model_length", {"reason": "length", "raw": "model_length"}),
        ("content_filter", {"reason": "content_filter"}),
        ("refusal", {"reason": "content_filter", "raw": "refusal"}),
        ("sensitive", {"reason": "sensitive"}),
    ],
)
def test_words_for_finished(word: str, finish: dict[str, str]) -> None:
    assert Finish(finish=finish) in parse([sse(chunk({}, word))])


def test_media_and_sources_in_odd_shapes() -> None:
    assert said(
        chunk(
            {"images": [{"image_url": {"url": "https://h/a.png"}}, {"type": "video_url", "video_url": "https://h/v"}]}
        ),
        chunk({"images": ["odd", {"type": "image_url"}, {"image_url": {"url": "data:image/png;base64"}}]}),
        chunk({"content": [{"type": "image_url", "image_url": "https://h/b.png"}, "odd", {"type": "text"}]}),
        chunk({"annotations": [{"type": "url_citation", "url_citation": 3}]}),
    ) == [
        Media(url="https://h/a.png"),
        PartEnd(kind="media", opaque={NAME: {"type": "image_url"}}),
        Media(url="https://h/v"),
        PartEnd(kind="media", opaque={NAME: {"type": "video_url"}}),
        Media(url="https://h/b.png"),
        PartEnd(kind="media", opaque={NAME: {"type": "image_url"}}),
        Citation(raw={NAME: {"type": "url_citation", "url_citation": 3}}),
    ]
    assert said(chunk({"content": [{"type": "thinking", "thinking": "a"}, {"type": "thinking"}]})) == [
        Reasoning(token="a")
    ]


def test_sources_without_urls_apart_are_the_results_of_the_search() -> None:
    results = [{"url": "https://h/1", "title": "One"}, {"title": "no URL"}, "odd"]
    expected = [Citation(url="https://h/1", title="One")]
    assert said(chunk({}, search_results=results), chunk({}, citations=["https://h/1", 3])) == expected
    assert said(chunk({}, citations=["https://h/1"]), quirks=Quirks(citations=None)) == []


def test_sounds_in_containers_are_known_by_their_first_bytes() -> None:
    wav = "UklGRiQAAABXQVZFZm10IA=="
    audio = {"id": "x", "data": wav, "expires_at": True, "transcript": ""}
    assert said(chunk({"audio": audio}), chunk({"audio": {"data": "!"}}), chunk({"audio": {}}))[:2] == [
        Media(id="x", media_type="audio/wav", data=wav),
        Media(data="!"),
    ]
    image = {"image_url": {"url": "https://h/a"}}
    assert said(chunk({"audio": {"data": "é"}}), chunk({"audio": {"id": "y"}, "images": [image]})) == [
        Media(media_type="audio/pcm", data="é"),
        Media(id="y"),
        PartEnd(kind="media", opaque={NAME: {"id": "y"}}),
        Media(url="https://h/a"),
        PartEnd(kind="media", opaque={NAME: {"type": "image_url"}}),
    ]
    assert said(chunk({"audio": {"data": "AAAA"}}))[1:] == [PartEnd(kind="media")]


def test_servers_that_know_completions_only() -> None:
    assert said({"id": "i", "choices": [{"index": 0, "text": "a"}]}, {"choices": [{"text": ""}]}) == [
        Content(content="a")
    ]


def test_details_of_reasoning_of_two_blocks_stay_apart() -> None:
    block = parse(
        [
            sse(
                chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "a", "index": 0, "id": None}]}),
                chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "b", "index": 0, "id": "r"}, 3]}),
                chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "c", "index": 1, "id": None}]}),
                chunk({"reasoning_details": [{"type": "reasoning.summary", "index": 1, "id": None}]}, "stop"),
            )
        ]
    )
    (end,) = [item for item in block if isinstance(item, PartEnd)]
    assert end.opaque == {
        NAME: {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "ab", "index": 0, "id": "r"},
                {"type": "reasoning.summary", "summary": "c", "index": 1, "id": None},
            ]
        }
    }


# --- whole answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"{}", b'{"choices": 3}'])
def test_whole_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(errors.DecodeError):
        OpenAIChat().parse_reply(body)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ({"choices": []}, ("incomplete", (), "IncompleteStream")),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": None}]}, ("incomplete", (), "IncompleteStream")),
        ({"choices": [{"message": 3, "finish_reason": "error"}]}, ("failed", ("error",), "UnavailableError")),
        ({"error": {"message": "no", "code": 429}}, ("failed", ("error",), "RateLimitError")),
    ],
)
def test_ends_of_whole_answers(answer: object, end: tuple[Any, ...]) -> None:
    assert joined(OpenAIChat().parse_reply(json.dumps(answer).encode()))[-1] == end


# --- any JSON anywhere ------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_MEMBERS = [
    *("role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "id", "type"),
    *(
        "function_call",
        "audio",
        "images",
        "annotations",
        "function",
        "index",
        "name",
        "arguments",
        "data",
        "url",
        "text",
    ),
    *("image_url", "url_citation", "transcript", "expires_at", "thinking", "title", "start_index"),
]
odd_objects = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_MEMBERS), inner, max_size=4),
    max_leaves=12,
)
odd_events = st.fixed_dictionaries(
    {},
    optional={
        "id": odd_objects,
        "model": odd_objects,
        "created": odd_objects,
        "choices": odd_objects
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": odd_objects | st.just(0),
                    "delta": odd_objects,
                    "message": odd_objects,
                    "finish_reason": odd_objects,
                    "logprobs": odd_objects | st.fixed_dictionaries({"content": odd_objects}),
                    "usage": odd_objects,
                },
            ),
            max_size=2,
        ),
        "usage": odd_objects
        | st.dictionaries(st.sampled_from(["prompt_tokens", "prompt_tokens_details"]), odd_objects),
        "citations": odd_objects,
        "search_results": odd_objects,
        "x_groq": odd_objects,
        "error": odd_objects,
        "object": odd_objects | st.just("error"),
    },
)


@given(st.lists(odd_events | json_values, max_size=4), st.booleans())
def test_any_json_anywhere_gives_documented_results(events: list[Any], think: bool) -> None:
    quirks = Quirks(think_tags=think)
    stream = sse(*(json.dumps(event) for event in events))
    block = parse([stream], quirks)
    assert isinstance(block[-1], End)
    assert all(isinstance(item, RawResponse) for item in block[:-1])
    assert parse([stream[at : at + 1] for at in range(len(stream))], quirks)[:-1] == block[:-1]
    for event in events:
        try:
            whole = OpenAIChat(quirks).parse_reply(json.dumps(event).encode())
        except errors.DecodeError:
            continue
        assert isinstance(whole[-1], End)
    for item in block[:-1]:  # whatever came out can be written again
        assert isinstance(item, RawResponse)
        RawResponse.from_dict(json.loads(json.dumps(item.get_dict())))


@given(st.binary(max_size=200))
def test_any_bytes_give_documented_results(data: bytes) -> None:
    assert isinstance(parse([data])[-1], End)
    assert isinstance(OpenAIChat().parse_error(400, {}, data), errors.RefusedError)
    for parse_one in (OpenAIChat().parse_reply, OpenAIChat().parse_models):
        with contextlib.suppress(errors.DecodeError):
            parse_one(data)
