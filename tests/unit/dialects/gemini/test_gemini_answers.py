"""Answers of Gemini, both ways: odd streams, what other dialects' chunks become, refusals, lists of models."""

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
    PartEnd,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.gemini import Gemini, Quirks
from backstream.dialects.gemini.call_pieces import CallPieces
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.testing.chop import chop

NAME = "gemini"
ENVELOPE = Envelope(id="answer-1", model="gemini-3-pro", created=1)
NAMES = {"modelVersion": "gemini-3-pro", "responseId": "answer-1"}
DONE = End("complete")


def event(*parts: Any, **candidate: Any) -> bytes:
    candidates = [{"content": {"role": "model", "parts": list(parts)}, **candidate}]
    return b"data: %b\n\n" % json.dumps({"candidates": candidates}).encode()


def parse(data: bytes, *, framed: bool = True, **options: Any) -> Block:
    whole: Block | None = None
    for pieces in chop(data):
        parser = Gemini().stream_parser(CallOptions(**options))
        block = [item for piece in pieces for item in parser.feed(piece)] + parser.finish(framed=framed)
        assert parser.feed(b"data: {}\n\n") == parser.finish(framed=True) == []
        assert whole is None or repr(block) == repr(whole)
        whole = block
    assert whole is not None
    return whole


def end_of(data: bytes, **options: Any) -> End:
    end = parse(data, **options)[-1]
    assert isinstance(end, End)
    return end


def events(*chunks: Any, quirks: Quirks = Quirks()) -> list[Any]:  # noqa: B008 - frozen
    """The events that one block becomes."""
    data = Gemini(quirks).stream_renderer(ENVELOPE).render(list(chunks))
    return [json.loads(line.removeprefix(b"data: ")) for line in data.split(b"\r\n\r\n") if line]


def parts_of(*chunks: Any) -> Any:
    """The parts of the first event."""
    return events(*chunks)[0]["candidates"][0]["content"]["parts"]


# --- parsing ----------------------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize(
    ("data", "state", "evidence"),
    [
        (event({"text": "a"}, finishReason="STOP"), "complete", ("STOP",)),
        (event({"text": "a"}, finishReason="STOP") + b"data: [DONE]\n\n", "complete", ("STOP",)),
        (event({"text": "a"}, finishReason="STOP").rstrip(), "complete", ("STOP",)),
        (event({"text": "a"}, finishReason="STOP") + b"data: {", "complete", ("STOP",)),
        (event({"text": "a"}, finishReason="STOP")[6:].strip(), "complete", ("STOP",)),
        (event({"text": "a"})[6:].strip(), "complete", ("whole reply",)),
        (event({"text": "a"}), "incomplete", ("closed",)),
        (event({"text": "a"}, finishReason="FINISH_REASON_UNSPECIFIED"), "incomplete", ("closed",)),
        (event({"text": "a"}) + b'data: {"candidates": [{"fin', "incomplete", ("cut event",)),
        (event({"text": "a"}) + b"data: 1", "incomplete", ("cut event",)),
        (b"[" + event({"text": "a"})[6:] + b",{", "incomplete", ("cut event",)),
        (b"", "failed", ()),
        (b" \r\n\xef\xbb", "failed", ()),
        (b": ping\n\nretry: 5\n\ndata: {}\n\n", "failed", ()),
        (b"<html>Bad gateway</html>\n", "failed", ()),
        (b'{"candidates": [', "failed", ()),
    ],
)
def test_only_the_back_end_s_word_ends_an_answer(data: bytes, state: str, evidence: tuple[str, ...]) -> None:
    end = end_of(data)
    assert (end.state, end.evidence) == (state, evidence)
    if state != "complete":
        assert isinstance(end.error, errors.IncompleteStream)


@pytest.mark.capability(NAME, "stream-errors", "provider")
def test_an_error_inside_a_stream_comes_behind_the_chunks_before_it() -> None:
    failure = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    block = parse(event({"text": "a"}) + b"data: %b\n\n" % json.dumps(failure).encode() + event({"text": "b"}))
    assert block[0] == Content(content="a", part=0)
    assert isinstance(block[1], End)
    assert (block[1].state, block[1].evidence) == ("failed", ("error",))
    assert isinstance(block[1].error, errors.UnavailableError)
    assert len(block) == 2


@pytest.mark.parametrize("data", [b"data: {nope\n\n", b"data: [1]\n\n", b"data: 7\n\n", b"[{},x]", b"[{} {}"])
def test_damage_is_told_with_its_place(data: bytes) -> None:
    end = end_of(event({"text": "a"}) + data if data.startswith(b"data") else data)
    assert end.state == "failed"
    assert isinstance(end.error, errors.DecodeError)
    assert end.error.index == 1


@pytest.mark.parametrize("data", [b"data: " + b"a" * 99 + b"\n\n", b"[" + b"1" * 99 + b"]"])
def test_an_event_over_its_cap_ends_the_answer(data: bytes) -> None:
    end = end_of(data, max_event_bytes=64)
    assert end.state == "failed"
    assert isinstance(end.error, errors.TooLargeError)


def test_what_is_not_known_is_passed_over() -> None:
    candidates = [{"index": 1, "content": {"parts": [{"text": "other"}]}}]
    other = b"data: %b\n\n" % json.dumps({"candidates": candidates}).encode()
    block = parse(
        b"event: new\n" + event({"text": ""}, {"new": 1}, {}, 5) + other + event({"text": "a"}, finishReason="STOP")
    )
    assert block == [
        PartEnd(part=0, kind="opaque", opaque={NAME: {"new": 1}}),
        Content(content="a", part=1),
        Finish(finish={"reason": "stop", "raw": "STOP"}),
        End("complete", ("STOP",)),
    ]


@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_why_an_answer_ended(word: str, reason: str) -> None:
    data = event({"text": "a"}, finishReason=word, finishMessage="so", safetyRatings=[{"a": 1}])
    finish = parse(data)[-2]
    said = {"reason": reason} | ({"raw": word} if word != reason else {})
    assert finish == Finish(finish=said | {"message": "so", "safety_ratings": [{"a": 1}]})
    assert events(finish, DONE)[-1]["candidates"][0] == {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": word,
        "finishMessage": "so",
        "safetyRatings": [{"a": 1}],
        "index": 0,
    }


@pytest.mark.capability(NAME, "image-out", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
def test_media_calls_and_signatures() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aA=="}}
    sound = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "aA=="}}
    block = parse(
        event(
            {"text": "a"},
            {"text": "b", "thoughtSignature": "1"},
            picture,
            {**picture, "thoughtSignature": "2"},
            {**picture, "thought": True},
            sound,
            sound,
            {"fileData": {"fileUri": "gs://a"}},
            {"functionCall": {"id": "c", "name": "f", "args": {"x": 1.5}}},
        )
    )
    assert block[:-1] == [
        Content(content="a", part=0),
        Content(content="b", part=1),
        PartEnd(part=1, kind="text", opaque={NAME: {"thoughtSignature": "1"}}),
        Media(media_type="image/png", data="aA==", part=2),
        PartEnd(part=2, kind="media"),
        Media(media_type="image/png", data="aA==", part=3),
        PartEnd(part=3, kind="media", opaque={NAME: {"thoughtSignature": "2"}}),
        PartEnd(part=4, kind="opaque", opaque={NAME: {**picture, "thought": True}}),
        Media(media_type="audio/L16;rate=24000", data="aA==", part=5),
        Media(media_type="audio/L16;rate=24000", data="aA==", part=5),
        Media(url="gs://a", part=6),
        PartEnd(part=6, kind="media"),
        ToolCallDelta(part=7, id="c", name="f", arguments='{"x":1.5}'),
        PartEnd(part=7, kind="tool_call"),
    ]


@pytest.mark.capability(NAME, "logprobs", "provider")
def test_log_probabilities() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "tokenId": 1, "logProbability": -0.5}, {"token": "b"}, 3],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5}]}],
    }
    chunk = parse(event({"text": "ab"}, logprobsResult=result, finishReason="STOP"))[1]
    assert chunk == Logprobs(
        logprobs=[
            {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -0.5}]},
            {"token": "b", "logprob": None, "bytes": None, "top_logprobs": []},
        ]
    )


@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "cached-usage", "provider")
def test_what_an_answer_used_is_said_once_and_whole() -> None:
    def counted(**counts: Any) -> bytes:
        return b"data: %b\n\n" % json.dumps({"candidates": [], "usageMetadata": counts}).encode()

    details = [{"modality": "TEXT", "tokenCount": 1}, {"modality": "AUDIO", "tokenCount": 4}]
    block = parse(
        counted(promptTokenCount=10, cachedContentTokenCount=8)
        + counted(promptTokenCount=10, candidatesTokenCount=5, promptTokensDetails=details, candidatesTokensDetails=1)
    )
    (usage,) = [chunk for chunk in block if isinstance(chunk, Usage)]
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (10, 5, None)
    assert (usage.cached_tokens, usage.input_audio_tokens, usage.output_audio_tokens) == (8, 4, None)
    assert usage.computed is None


def test_arguments_that_come_in_pieces_are_put_where_they_belong() -> None:
    call = CallPieces("", "f", {})
    call.add(
        [
            {"jsonPath": "$.a.b[0].c", "stringValue": "x"},
            {"jsonPath": "$.a.b[0].c", "stringValue": "y"},
            {"jsonPath": "$.a.b[1]", "numberValue": 2},
            {"jsonPath": "$.a.b[900000]", "boolValue": False},
            {"jsonPath": "$.a.b[1]", "numberValue": 3},
            {"jsonPath": "$['odd name']", "nullValue": "NULL_VALUE"},
            {"jsonPath": "$.a.b.d", "numberValue": 1},
            {"jsonPath": "$.e"},
            {"jsonPath": "a", "numberValue": 1},
            {"jsonPath": "$..", "numberValue": 1},
            {"jsonPath": "$" + "[0]" * 65, "numberValue": 1},
            {"numberValue": 1},
            5,
        ]
    )
    call.add(None)
    assert call.arguments == {"a": {"b": [{"c": "xy"}, 3, False, 1]}, "odd name": None}


@pytest.mark.parametrize(
    ("metadata", "members"),
    [
        (
            {"citationMetadata": {"citationSources": [{"uri": "u", "startIndex": 3, "endIndex": 4}]}},
            {"start": 2, "end": 3},
        ),
        ({"citationMetadata": {"citations": [{"uri": "u", "endIndex": 99}]}}, {}),
        ({"citationMetadata": {"citations": [{"uri": "u", "endIndex": 1, "partIndex": 1}]}}, {}),
    ],
)
def test_places_are_counted_in_characters(metadata: dict[str, Any], members: dict[str, Any]) -> None:
    citation = parse(event({"text": "aöb"}, finishReason="STOP", **metadata))[1]
    assert citation == Citation(url="u", raw={NAME: metadata}, **members)


def test_sources_that_are_not_there_are_passed_over() -> None:
    metadata = {
        "groundingChunks": [{"web": {"uri": "u"}}, {"web": {"uri": "v"}}],
        "groundingSupports": [{"segment": 1, "groundingChunkIndices": [0, 7, "x"]}, 5],
    }
    block = parse(event({"text": "a"}, groundingMetadata=metadata, citationMetadata=1, logprobsResult={}))
    assert [item.url for item in block if isinstance(item, Citation)] == ["u", "v"]


def test_empty_text_between_others_makes_no_chunk() -> None:
    block = parse(event({"text": "a"}) + event({"text": ""}, {"text": "b"}, {"text": "c", "thought": True}))
    assert block[:-1] == [Content(content="a", part=0), Content(content="b", part=0), Reasoning(token="c", part=1)]


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
def test_a_signature_in_the_same_block_stands_on_its_part() -> None:
    signed = PartEnd(part=0, kind="text", opaque={NAME: {"thoughtSignature": "1"}})
    assert parts_of(Content(content="a", part=0), signed, Content(content="b", part=1)) == [
        {"text": "a", "thoughtSignature": "1"},
        {"text": "b"},
    ]


def test_a_part_only_its_own_dialect_can_read_goes_as_it_is() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    opaque = PartEnd(part=1, kind="opaque", opaque={NAME: code})
    assert parts_of(Content(content="a", part=0), opaque) == [{"text": "a"}, code]


def test_metadata_without_a_source_is_kept_for_clients_of_the_dialect() -> None:
    metadata = {"webSearchQueries": ["a"]}
    block = parse(event({"text": "a"}, groundingMetadata=metadata) + event({"text": "b"}, groundingMetadata=metadata))
    assert [item for item in block if isinstance(item, Citation)] == [
        Citation(raw={NAME: {"groundingMetadata": metadata}})
    ]


def test_whole_replies() -> None:
    body = json.dumps({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}).encode()
    assert Gemini().parse_reply(body) == [Content(content="a", part=0), End("complete", ("whole reply",))]
    for body in (b"[]", b"{}"):
        end = Gemini().parse_reply(body)[-1]
        assert isinstance(end, End)
        assert end.state == "failed"
    for body in (b"nope", b"[1]", b"7"):
        with pytest.raises(errors.DecodeError):
            Gemini().parse_reply(body)
    assert isinstance(Gemini().parse_reply(b'{"error": {"code": 429}}')[-1], End)


# --- rendering --------------------------------------------------------------------------------------------------------


def test_an_event_stream_as_google_sends_it() -> None:
    renderer = Gemini().stream_renderer(ENVELOPE)
    assert renderer.content_type == "text/event-stream"
    assert renderer.keep_alive == b"data: {}\r\n\r\n"
    first = b'{"content":{"parts":[{"text":"ab"}],"role":"model"},"index":0}'
    names = b'"modelVersion":"gemini-3-pro","responseId":"answer-1"'
    assert renderer.render([Content(content="a"), Content(content="b")]) == (
        b'data: {"candidates":[' + first + b"]," + names + b"}\r\n\r\n"
    )
    assert renderer.render([Conversation(conversation={})]) == b""
    last = b'{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}'
    assert renderer.render([DONE]) == b'data: {"candidates":[' + last + b"]," + names + b"}\r\n\r\n"


def test_an_array_as_google_sends_it() -> None:
    renderer = Gemini(Quirks(framing="array")).stream_renderer(ENVELOPE)
    assert (renderer.content_type, renderer.keep_alive) == ("application/json", b"\n")
    data = renderer.render([Content(content="a")]) + renderer.render([]) + renderer.render([DONE])
    found = json.loads(data)
    assert [one["candidates"][0]["content"]["parts"][0]["text"] for one in found] == ["a", ""]


@pytest.mark.capability(NAME, "stream-errors", "server")
def test_an_answer_that_failed_never_looks_whole() -> None:
    broken = End("incomplete", (), errors.IncompleteStream("cut off"))
    assert events(Content(content="a"), broken)[1:] == [
        {"error": {"code": 503, "message": "cut off", "status": "UNAVAILABLE"}}
    ]
    assert events(End("cancelled"))[0]["error"]["status"] == "CANCELLED"
    refused = End("failed", (), errors.ContentRefusedError("no", kind="SAFETY"))
    usage = Usage(usage={"prompt_tokens": 1})
    assert events(usage, refused) == [
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 1}, **NAMES}
    ]
    assert events(End("failed", (), errors.ContentRefusedError("no", kind="policy")))[0]["promptFeedback"] == {
        "blockReason": "OTHER"
    }
    assert events(Content(content="a"), refused)[1]["error"]["details"][0]["reason"] == "PROHIBITED_CONTENT"


def test_text_reasoning_and_refusals() -> None:
    assert parts_of(
        Reasoning(token="Hm"),
        Reasoning(token="."),
        Reasoning(status="thinking"),
        Content(content="a", part=1),
        Content(content="b", part=2),
        PartEnd(part=2, kind="text"),
        Content(content="c", part=2),
        Refusal(refusal="No."),
    ) == [
        {"text": "Hm.", "thought": True},
        {"text": "a"},
        {"text": "b"},
        {"text": "c"},
        {"text": "No."},
    ]


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
def test_a_signature_behind_text_that_is_gone_travels_alone() -> None:
    renderer = Gemini().stream_renderer(ENVELOPE)
    renderer.render([Content(content="a", part=0)])
    signed = {NAME: {"thoughtSignature": "1"}}
    data = renderer.render(
        [
            PartEnd(part=0, kind="text", opaque=signed),
            PartEnd(part=1, kind="reasoning", opaque=signed),
            PartEnd(part=2, kind="text", opaque={"anthropic_messages": {"signature": "2"}}),
            PartEnd(part=3),
        ]
    )
    assert json.loads(data[6:])["candidates"][0]["content"]["parts"] == [
        {"text": "", "thoughtSignature": "1"},
        {"text": "", "thought": True, "thoughtSignature": "1"},
    ]


@pytest.mark.capability(NAME, "ids", "server")
def test_pieces_of_calls_are_held_until_they_are_whole() -> None:
    renderer = Gemini().stream_renderer(ENVELOPE)
    pieces: Block = [
        ToolCallDelta(part=0, id="1", name="f", arguments='{"a":'),
        ToolCallDelta(part=1, id="2", name="g", arguments="{"),
        Content(content="text"),
    ]
    assert json.loads(renderer.render(pieces)[6:])["candidates"][0]["content"]["parts"] == [{"text": "text"}]
    rest: Block = [ToolCallDelta(part=1, arguments="}"), ToolCallDelta(part=0, arguments="1}"), Content(content="!")]
    assert json.loads(renderer.render(rest)[6:])["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "2", "name": "g", "args": {}}},
        {"text": "!"},
    ]


def test_calls_without_numbers_and_whole_ones() -> None:
    whole = {"id": "4", "function": {"name": "j", "arguments": '{"b":2}'}}
    assert parts_of(
        ToolCallDelta(id="1", name="f", arguments="{"),
        ToolCallDelta(arguments='"a":1}'),
        ToolCallDelta(id="2", name="g"),
        ToolCallDelta(part=0, id="3", name="h", arguments="cut"),
        ToolCallDelta(id="5", name="i"),
        PartEnd(kind="tool_call"),
        PartEnd(kind="tool_call"),
        ToolCalls(tool_calls=[whole, {"function": {"name": "k", "arguments": {"c": 3}}}, {"function": 1}]),
        ToolCalls(),
        DONE,
    ) == [
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "2", "name": "g", "args": {}}},
        {"functionCall": {"id": "3", "name": "h", "args": {"arguments": "cut"}}},
        {"functionCall": {"id": "5", "name": "i", "args": {}}},
        {"functionCall": {"id": "4", "name": "j", "args": {"b": 2}}},
        {"functionCall": {"name": "k", "args": {"c": 3}}},
        {"functionCall": {"name": "", "args": {}}},
    ]


@pytest.mark.capability(NAME, "image-out", "server")
@pytest.mark.capability(NAME, "audio-out", "server")
def test_media_whole_in_pieces_and_elsewhere() -> None:
    def inline(kind: str, data: str) -> dict[str, Any]:
        return {"inlineData": {"mimeType": kind, "data": data}}

    signed = {NAME: {"thoughtSignature": "1"}}
    assert parts_of(
        Media(media_type="image/png", data="YQ=="),
        Media(data="Yg=="),
        PartEnd(kind="media", opaque=signed),
        Media(data="?", part=1),
        Media(data="YQ", part=1),
        Media(media_type="image/png", url="https://a.b/c.png", part=2),
        Media(file_id="files/1", part=3),
        PartEnd(part=9, kind="text"),
        Media(media_type="audio/wav", data="YQ==", part=4),
        Media(data="Yg==", transcript="Hi", part=4),
        Content(content="![a](b)", urls=["https://a.b/d.png", "data:image/gif;base64,YQ=="]),
        Content(data="data:image/png,%"),
        Content(urls="data:nonsense"),
        Media(media_type="audio/wav", data="YQ==", part=5),
        PartEnd(part=5, kind="media", opaque=signed),
    ) == [
        {**inline("image/png", "YWI="), "thoughtSignature": "1"},
        inline("application/octet-stream", "?"),
        inline("application/octet-stream", "YQ"),
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a.b/c.png"}},
        {"fileData": {"fileUri": "files/1"}},
        inline("audio/wav", "YQ=="),
        inline("audio/wav", "Yg=="),
        {"text": "Hi"},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a.b/d.png"}},
        inline("image/gif", "YQ=="),
        inline("image/png", "JQ=="),
        {"fileData": {"fileUri": "data:nonsense"}},
        {**inline("audio/wav", "YQ=="), "thoughtSignature": "1"},
    ]
    renderer = Gemini().stream_renderer(ENVELOPE)
    renderer.render([Media(media_type="audio/wav", data="YQ==", part=0)])
    late = renderer.render([PartEnd(part=0, kind="media", opaque=signed)])
    assert json.loads(late[6:])["candidates"][0]["content"]["parts"] == [{"text": "", "thoughtSignature": "1"}]
    assert events(Media(part=0), PartEnd(part=0, kind="media")) == []


@pytest.mark.capability(NAME, "citations", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
def test_sources_and_log_probabilities_of_other_back_ends() -> None:
    token = {"token": "ö", "logprob": -0.5, "top_logprobs": [{"token": "o", "logprob": -1.0}]}
    (found,) = events(
        Content(content="aöb"),
        Citation(url="u", title="t", cited_text="ö", start=1, end=2),
        Citation(url="v", start=5, end=9),
        Logprobs(logprobs=[token]),
        Logprobs(),
    )
    candidate = found["candidates"][0]
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}, {"web": {"uri": "v"}}],
        "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 3, "text": "ö"}, "groundingChunkIndices": [0]}],
    }
    assert candidate["logprobsResult"] == {
        "chosenCandidates": [{"token": "ö", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "o", "logProbability": -1.0}]}],
    }


@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "cached-usage", "server")
def test_counts_of_other_back_ends() -> None:
    usage = Usage(
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 3},
        }
    )
    (last,) = events(Start(id="r", model="m"), usage, DONE)
    assert last["usageMetadata"] == {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 8,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 15,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
    }
    assert (last["responseId"], last["modelVersion"]) == ("r", "m")


@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("length", "MAX_TOKENS"),
        ({"reason": "tool_calls", "raw": "tool_use"}, "STOP"),
        ({"reason": "content_filter"}, "SAFETY"),
        ({"reason": "LANGUAGE"}, "LANGUAGE"),
        ({"reason": "pause_turn"}, "OTHER"),
        ({}, "STOP"),
    ],
)
def test_why_answers_of_other_back_ends_ended(finish: Any, word: str) -> None:
    assert events(Finish(finish=finish), DONE)[0]["candidates"][0]["finishReason"] == word


def test_a_whole_reply_is_one_event() -> None:
    chunks: Block = [Content(content="a"), Media(media_type="image/png", data="YQ=="), DONE]
    found = json.loads(Gemini().render_reply(chunks, ENVELOPE))
    assert [part.keys() for part in found["candidates"][0]["content"]["parts"]] == [{"text"}, {"inlineData"}]
    empty = json.loads(Gemini().render_reply([], ENVELOPE))
    assert empty["candidates"][0]["content"]["parts"] == [{"text": ""}]


# --- refusals, models -------------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("status", "error", "cls", "wait"),
    [
        (400, {"status": "INVALID_ARGUMENT"}, errors.BackendRequestError, None),
        (400, {"status": "FAILED_PRECONDITION"}, errors.BackendRequestError, None),
        (403, {"status": "PERMISSION_DENIED"}, errors.AuthenticationError, None),
        (404, {"status": "NOT_FOUND"}, errors.ModelNotFoundError, None),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34.5s"}]}, errors.RateLimitError, 34.5),
        (429, {"details": [{"retryDelay": "99999999s"}, {"retryDelay": 5}, "x"]}, errors.RateLimitError, 86400.0),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "999999s"}]}, errors.RateLimitError, 86400.0),
        (503, {"status": "UNAVAILABLE"}, errors.UnavailableError, None),
        (504, {"status": "DEADLINE_EXCEEDED"}, errors.UnavailableError, None),
        (None, {"code": 429}, errors.RateLimitError, None),
        (None, {"status": "NEW"}, errors.RefusedError, None),
    ],
)
def test_refusals(status: int | None, error: dict[str, Any], cls: type, wait: float | None) -> None:
    said = {"message": "So it is.", **error}
    for body in (json.dumps({"error": said}), json.dumps([{"error": said}])):
        found = Gemini().parse_error(status, {}, body.encode())
        assert type(found) is cls
        assert found.problem == "So it is."
        assert isinstance(found, errors.RefusedError)
        assert found.retry_after_seconds == wait


def test_a_body_that_says_nothing_goes_by_its_status() -> None:
    for body in (b"", b"[]", b"7", b'{"error": 1}', b"<html>x</html>"):
        assert type(Gemini().parse_error(401, {}, body)) is errors.AuthenticationError


@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (errors.InvalidRequestError("bad", "do so"), 400, "INVALID_ARGUMENT"),
        (errors.UnsupportedFeatureError("no"), 400, "INVALID_ARGUMENT"),
        (errors.BackendRequestError("no", status=405), 405, "INVALID_ARGUMENT"),
        (errors.UnknownModelError("m"), 404, "NOT_FOUND"),
        (errors.MissingKeyError("gemini", "GEMINI_API_KEY"), 401, "UNAUTHENTICATED"),
        (errors.AuthenticationError("not yours", status=403), 403, "PERMISSION_DENIED"),
        (errors.RateLimitError("slow", retry_after_seconds=1.5, body=b"secret"), 429, "RESOURCE_EXHAUSTED"),
        (errors.TotalTimeout(5), 504, "DEADLINE_EXCEEDED"),
        (errors.MisuseError("odd"), 500, "INTERNAL"),
    ],
)
def test_refusals_of_ours(error: errors.BackstreamError, status: int, word: str) -> None:
    found, body = Gemini().render_error(error)
    assert found == status
    assert b"secret" not in body
    said = json.loads(body)["error"]
    assert (said["code"], said["status"]) == (status, word)
    assert said["message"] in str(error)
    if status == 429:
        assert said["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]


@pytest.mark.capability(NAME, "models", "provider")
def test_lists_of_models() -> None:
    pro = {
        "name": "models/gemini-3-pro",
        "displayName": "Gemini 3 Pro",
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
    }
    embedding = {"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]}
    body = json.dumps({"models": [pro, embedding, {"name": 1}, 2, {"name": "odd"}], "nextPageToken": "n"}).encode()
    page = Gemini().parse_models(body)
    assert page.next_query == {"pageToken": "n"}
    assert page.models == (
        ModelInfo(
            id="gemini-3-pro",
            label="Gemini 3 Pro",
            context_tokens=1048576,
            max_output_tokens=65536,
            reasoning=True,
            counts_tokens=True,
            raw=pro,
        ),
        ModelInfo(id="gemini-embedding-001", output_modalities=("embedding",), counts_tokens=False, raw=embedding),
        ModelInfo(id="odd", raw={"name": "odd"}),
    )
    assert Gemini().parse_models(b"{}") == Gemini().parse_models(b'{"models": []}')
    for bad in (b"[]", b'{"models": 1}', b"nope"):
        with pytest.raises(errors.DecodeError):
            Gemini().parse_models(bad)
    assert Gemini().parse_token_count(b"{}") == 0
    with pytest.raises(errors.DecodeError):
        Gemini().parse_token_count(b'{"totalTokens": "7"}')


@pytest.mark.capability(NAME, "models", "server")
def test_lists_of_models_of_ours() -> None:
    models = [
        ModelInfo(
            id="a",
            provider="p",
            label="A",
            context_tokens=5,
            max_output_tokens=3,
            reasoning=False,
            counts_tokens=True,
        ),
        ModelInfo(id="e", output_modalities=("embedding",)),
        ModelInfo(id="o"),
    ]
    assert json.loads(Gemini().render_models(models)) == {
        "models": [
            {
                "name": "models/p/a",
                "baseModelId": "p/a",
                "version": "001",
                "displayName": "A",
                "inputTokenLimit": 5,
                "outputTokenLimit": 3,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
                "thinking": False,
            },
            {
                "name": "models/e",
                "baseModelId": "e",
                "version": "001",
                "displayName": "e",
                "supportedGenerationMethods": ["embedContent"],
            },
            {
                "name": "models/o",
                "baseModelId": "o",
                "version": "001",
                "displayName": "o",
                "supportedGenerationMethods": ["generateContent"],
            },
        ]
    }
