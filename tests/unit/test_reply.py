"""What chunks add up to, and what counts as content."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.chunks import (
    Citation,
    Content,
    Conversation,
    Finish,
    Log,
    Logprobs,
    Media,
    PartEnd,
    ProviderInfo,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    Switched,
    Title,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.reply import Reply, fold, has_content, join_deltas
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Turn,
)
from backstream.request.messages import parse_messages


def test_chunks_add_up_to_a_reply() -> None:
    usage = Usage(usage={"total_tokens": 3})
    reply = fold(
        [
            ProviderInfo(provider={"name": "P"}),
            Reasoning(token="so "),
            Reasoning(status="thinking"),
            Content(content="Hel"),
            Content(content="lo", urls=["/a", "/b"]),
            Content(data="data:audio/wav;base64,", urls="/c"),
            ToolCalls(tool_calls=[{"id": "1"}]),
            ToolCalls(),
            Conversation(conversation={"P": {"id": 1}}),
            Finish(finish={"reason": "stop"}),
            usage,
            RawResponse.from_dict({"type": "other"}),
        ]
    )
    assert reply == Reply(
        parts=(ReasoningPart(text="so "), TextPart(text="Hello"), ToolCallPart(id="1", arguments="{}")),
        media_urls=("/a", "/b", "data:audio/wav;base64,", "/c"),
        usage=usage,
        finish=Finish(finish={"reason": "stop"}),
        provider={"name": "P"},
        conversation={"P": {"id": 1}},
    )
    assert pickle.loads(pickle.dumps(reply)) == reply


def test_nothing_adds_up_to_nothing_and_unknown_is_none() -> None:
    assert fold([]) == Reply()
    assert Reply().usage is None


def test_what_the_content_clocks_wait_for() -> None:
    assert has_content([Log(log="x"), Content(content="x")])
    assert has_content([Reasoning(token="x")])
    assert not has_content([Log(log="x"), Title(title="t"), ProviderInfo()])
    assert not has_content([])


def test_joined_deltas_fold_to_the_same_reply() -> None:
    chunks = [
        Content(content="a"),
        Content(content="b"),
        Content(content="c", part=1),
        Content(content="d", part=1, urls=["/x"]),
        Content(content="e", part=1),
        Reasoning(token="f"),
        Reasoning(status="s"),
        Reasoning(token="g"),
        ToolCallDelta(part=0, id="1", name="n", arguments="{"),
        ToolCallDelta(part=0, arguments="}"),
        ToolCallDelta(part=0, id="2", arguments=""),
        Log(log="x"),
        Log(log="y"),
        RawResponse.from_dict({"type": "content", "content": "h", "odd": 1}),
        Content(content="i"),
        Finish(finish={"reason": "stop"}),
    ]
    joined = join_deltas(chunks)
    assert fold(joined) == fold(chunks)
    assert [str(chunk) for chunk in joined if isinstance(chunk, Content)] == ["ab", "c", "d", "e", "h", "i"]
    assert join_deltas([]) == []


SIGNED = {"anthropic_messages": {"signature": "s"}}


@pytest.mark.parametrize(
    ("chunks", "parts"),
    [
        ([Content(content="a"), Reasoning(token="hm"), Content(content="b")], "a hm b"),
        ([Content(content="a", part=0), Reasoning(token="hm", part=1), Content(content="b", part=0)], "ab hm"),
        ([Content(content=""), Reasoning(token=""), Refusal(refusal=""), Refusal()], ""),
    ],
)
def test_pieces_find_their_part(chunks: list[RawResponse], parts: str) -> None:
    assert " ".join(getattr(part, "text", "") for part in fold(chunks).parts) == parts


@pytest.mark.parametrize(
    ("chunks", "parts"),
    [
        (  # numbered, interleaved
            [
                ToolCallDelta(part=1, id="b", name="g"),
                ToolCallDelta(part=0, id="a", name="f"),
                ToolCallDelta(part=1, arguments="{"),
                ToolCallDelta(part=0, arguments="[]"),
                ToolCallDelta(part=1, arguments="}", name="again"),
            ],
            [ToolCallPart(id="b", name="g", arguments="{}"), ToolCallPart(id="a", name="f", arguments="[]")],
        ),
        (  # unnumbered: an id begins a call, unless it is the id of the running one
            [
                ToolCallDelta(id="a", name="f"),
                ToolCallDelta(arguments="{"),
                ToolCallDelta(id="a", arguments="}"),
                ToolCallDelta(id="b", name="g", arguments="1"),
                Content(content="x"),
                ToolCallDelta(id="c", name="h"),
            ],
            [
                ToolCallPart(id="a", name="f", arguments="{}"),
                ToolCallPart(id="b", name="g", arguments="1"),
                TextPart(text="x"),
                ToolCallPart(id="c", name="h"),
            ],
        ),
        ([ToolCallDelta(name="f")], [ToolCallPart(name="f")]),
        (  # whole ones
            [
                ToolCalls(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}, {"function": 5}]),
                ToolCallDelta(arguments="1"),
            ],
            [
                ToolCallPart(id="a", name="f", arguments='{"x":1}'),
                ToolCallPart(arguments="{}"),
                ToolCallPart(arguments="1"),
            ],
        ),
        (  # an end with what its back-end wants back
            [Reasoning(token="hm"), PartEnd(kind="reasoning", opaque=SIGNED), Reasoning(token="more")],
            [ReasoningPart(text="hm", opaque=SIGNED), ReasoningPart(text="more")],
        ),
        (
            [
                Content(content="a", part=0),
                Reasoning(token="b", part=0),
                PartEnd(part=0, kind="reasoning", opaque=SIGNED),
            ],
            [TextPart(text="a"), ReasoningPart(text="b", opaque=SIGNED)],
        ),
        ([Refusal(refusal="no", part=3), PartEnd(part=3, opaque=SIGNED)], [RefusalPart(text="no", opaque=SIGNED)]),
        ([Content(content="a"), PartEnd(opaque=SIGNED), PartEnd()], [TextPart(text="a", opaque=SIGNED)]),
        ([PartEnd(part=1), PartEnd(kind="reasoning")], []),
        ([PartEnd(kind="reasoning", opaque=SIGNED)], [ReasoningPart(opaque=SIGNED)]),
        ([PartEnd(part=4, opaque=SIGNED)], [OpaquePart(opaque=SIGNED)]),
        ([PartEnd(part=4, kind="new", opaque=SIGNED)], [OpaquePart(opaque=SIGNED)]),
        ([Content(content="a"), PartEnd(opaque={"x": 5, **SIGNED})], [TextPart(text="a", opaque=SIGNED)]),
        (  # media
            [
                Media(media_type="audio/wav", data="AAE=", id="m1"),
                Media(data="Ag==", transcript="Hel"),
                Media(transcript="lo", file_id="f"),
            ],
            [
                MediaPart(
                    kind="audio",
                    media_type="audio/wav",
                    data="AAEC",
                    transcript="Hello",
                    file_id="f",
                    opaque={"": {"id": "m1"}},
                )
            ],
        ),
        ([Media(data="AAE", part=0), Media(data="C", part=0)], [MediaPart(kind="document", data="AAEC")]),
        (
            [Media(url="https://a/b", media_type="image/png")],
            [MediaPart(kind="image", media_type="image/png", url="https://a/b")],
        ),
    ],
)
def test_chunks_to_parts(chunks: list[RawResponse], parts: list[Part]) -> None:
    assert fold(chunks).parts == tuple(parts)


def test_what_is_said_around_the_parts() -> None:
    citation = Citation(url="https://a/b")
    reply = fold(
        [
            Start(id="1"),
            Start(model="m"),
            citation,
            Logprobs(logprobs=[{"token": "a"}]),
            Logprobs(),
            Logprobs(logprobs=[{"token": "b"}]),
            Refusal(refusal="no"),
        ]
    )
    assert (reply.id, reply.model, reply.citations) == ("1", "m", (citation,))
    assert [entry["token"] for entry in reply.logprobs] == ["a", "b"]
    assert (reply.refusal, reply.text, str(reply), reply.finish_reason) == ("no", "", "", None)


def test_media_the_text_shows_come_last_and_damage_hides_nothing() -> None:
    reply = fold(
        [
            Content(urls=["data:image/png;base64,AAEC", "/b", "data:image/png"]),
            Media(media_type="audio/wav", data="AA=="),
        ]
    )
    assert reply.media == (
        MediaPart(kind="audio", media_type="audio/wav", data="AA=="),
        MediaPart(kind="image", media_type="image/png", data="AAEC"),
        MediaPart(kind="document", url="/b"),
        MediaPart(kind="document", url="data:image/png"),
    )


def test_a_reply_is_the_next_turn() -> None:
    reply = fold([Reasoning(token="hm"), PartEnd(opaque=SIGNED), Content(content="Hi")])
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hi", "hm", None)
    assert reply.message["content"] == "Hi"
    assert parse_messages([reply.message]) == (Turn(role="assistant", parts=reply.parts),) == (reply.turn,)


def test_where_each_count_comes_from() -> None:
    usage = Usage(
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": True},
        },
        computed=["total_tokens"],
    )
    counts = [
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    ]
    assert [getattr(usage, name) for name in counts] == [10, 5, 15, 3, 2, 4]
    assert (usage.input_audio_tokens, usage.output_audio_tokens) == (1, None)
    assert [usage.source(name) for name in counts] == ["provider", "provider", "computed", *["provider"] * 3]
    assert usage.source("output_audio_tokens") is None
    responses = Usage(usage={"input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": 5})
    assert (responses.cached_tokens, responses.reasoning_tokens, Usage().cached_tokens) == (1, None, None)


@pytest.mark.parametrize(
    ("finish", "reason", "raw"),
    [
        ({"reason": "stop"}, "stop", "stop"),
        ({"reason": "length", "raw": "max_tokens"}, "length", "max_tokens"),
        ("stop", "stop", "stop"),
        ({"reason": 5, "raw": 5}, None, None),
        (None, None, None),
    ],
)
def test_why_it_ended(finish: Any, reason: str | None, raw: str | None) -> None:
    chunk = Finish(finish=finish)
    assert (chunk.reason, chunk.raw) == (reason, raw)


words = st.text(max_size=5)
numbers = st.none() | st.integers(0, 2)
opaques = st.none() | st.dictionaries(words, st.none() | words | st.dictionaries(words, words, max_size=1), max_size=2)
any_chunk = st.one_of(
    st.builds(Content, content=words, part=numbers, urls=st.none() | words | st.lists(words, max_size=2)),
    st.builds(Reasoning, token=words, part=numbers),
    st.builds(Refusal, refusal=words, part=numbers),
    st.builds(ToolCallDelta, id=st.none() | words, name=st.none() | words, arguments=st.none() | words, part=numbers),
    st.builds(ToolCalls, tool_calls=st.lists(st.dictionaries(st.sampled_from(["id", "function"]), words), max_size=2)),
    st.builds(Media, data=st.none() | words, media_type=st.none() | words, id=st.none() | words, part=numbers),
    st.builds(PartEnd, part=numbers, kind=st.none() | words | st.sampled_from(["text", "media"]), opaque=opaques),
)


@given(st.lists(any_chunk, max_size=8))
def test_whatever_comes_adds_up_and_can_be_sent_back(chunks: list[Any]) -> None:
    reply = fold(chunks)
    assert reply.text == "".join(chunk.text for chunk in chunks) or any(
        chunk.part is not None for chunk in chunks if "part" in chunk
    )
    assert parse_messages([reply.message]) == (reply.turn,)
    assert len(reply.media) >= len(reply.media_urls)


def test_what_another_route_voids_is_no_part_of_the_reply() -> None:
    before: list[RawResponse] = [
        Start(id="1"),
        Content(content="Hel", urls="/a"),
        ToolCallDelta(id="1", name="f"),
        Citation(url="u"),
        Logprobs(logprobs=[{}]),
        Usage(usage={"total_tokens": 1}),
        Finish(finish="stop"),
    ]
    after: list[RawResponse] = [Content(content="Hi")]
    for kept in ("nothing", "all"):
        switched = Switched(from_="a/m", to="b/x/m", kept=kept)
        chunks = [*before, switched, *after]
        expected = fold(after) if kept == "nothing" else fold([*before[:-2], *after])  # less usage and finish
        expected = msgspec.structs.replace(expected, model="x/m", switches=(switched,))
        assert fold(chunks) == fold(join_deltas(chunks)) == expected


def test_the_model_that_goes_on_names_itself_best() -> None:
    switched = Switched(from_="a/m", to="b/m", kept="all")
    assert fold([Start(model="old"), switched, Start(model="m-2026")]).model == "m-2026"
    assert fold([Start(model="old"), Switched(from_="a", to="b", kept="all")]).model is None
