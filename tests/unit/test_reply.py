"""What chunks add up to, and what counts as content."""

from __future__ import annotations

import pickle

from backstream.chunks import (
    Content,
    Conversation,
    Finish,
    Log,
    ProviderInfo,
    RawResponse,
    Reasoning,
    Title,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.reply import Reply, fold, has_content, join_deltas
from backstream.request import ReasoningPart, TextPart, ToolCallPart


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
    assert [str(chunk) for chunk in joined if isinstance(chunk, Content)] == ["ab", "c", "de", "h", "i"]
    assert join_deltas([]) == []
