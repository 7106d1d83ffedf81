"""Recorded answers of many services: the chunks they mean, at every cut."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.reply import End, fold
from backstream.testing.chop import chop
from support_openai_chat import AIMOCK, RECORDED, joined, parse

STOP = Finish(finish={"reason": "stop"})
CALLED = Finish(finish={"reason": "tool_calls"})
DONE = ("complete", ("finish_reason", "[DONE]"), "NoneType")
WHOLE = ("complete", ("finish_reason",), "NoneType")
FAILED = ("failed", ("error",), "UnavailableError")
NAME = "openai_chat"


def openai(model: str, id_: str = "chatcmpl-1", created: int = 1763800000, **members: Any) -> Start:
    return Start(id=id_, model=model, created=created, **members)


OPENAI = openai("gpt-5.4", service_tier="default", fingerprint="fp_1")
OPENROUTER = openai("anthropic/claude-opus", "gen-1", 1763800003)

STREAMS: dict[str, list[Any]] = {
    "openai-text": [
        openai("gpt-4o-mini", "chatcmpl-123", 1694268190, fingerprint="fp_44709d6fcb"),
        Content(content="Hello"),
        STOP,
        DONE,
    ],
    "openai-tools": [
        OPENAI,
        ToolCallDelta(part=0, id="call_a", name="get_weather", arguments='{"city":"Paris"}'),
        ToolCallDelta(part=1, id="call_b", name="get_time", arguments="{}"),
        CALLED,
        (82, 17, 99, 64, 3),
        DONE,
    ],
    "openai-refusal": [OPENAI, Refusal(refusal="I cannot do that."), STOP, DONE],
    "openai-audio": [
        openai("gpt-audio", "chatcmpl-2", 1763800001),
        Media(id="audio_1", transcript="Hel"),
        Media(media_type="audio/pcm", data="AAEC"),
        Media(transcript="lo"),
        Media(data="AwQF"),
        Media(expires_at=1763803600),
        PartEnd(kind="media", opaque={NAME: {"id": "audio_1"}}),
        STOP,
        DONE,
    ],
    "openai-error": [OPENAI, Content(content="The"), FAILED],
    "azure-text": [openai("gpt-5-mini", "chatcmpl-3"), Content(content="Hello"), STOP, DONE],
    "deepseek-reasoning": [
        openai("deepseek-reasoner", "1f6", fingerprint="fp_ds"),
        Reasoning(token="9.8 is more."),
        Content(content="9.8."),
        STOP,
        (17, 9, 26, 0, 6),
        DONE,
    ],
    "openrouter-reasoning": [
        OPENROUTER,
        Reasoning(token="Let me think."),
        Content(content="Hello"),
        Citation(
            url="https://example.org/a",
            title="A",
            cited_text="said",
            start=0,
            end=5,
            raw={
                NAME: {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://example.org/a",
                        "title": "A",
                        "content": "said",
                        "start_index": 0,
                        "end_index": 5,
                    },
                }
            },
        ),
        PartEnd(
            kind="reasoning",
            opaque={
                NAME: {
                    "reasoning_details": [
                        {
                            "type": "reasoning.text",
                            "text": "Let me think.",
                            "format": "anthropic-claude-v1",
                            "index": 0,
                            "signature": "c2ln",
                        }
                    ]
                }
            },
        ),
        Finish(finish={"reason": "stop", "raw": "end_turn"}),
        (10, 5, 15, 0, 3),
        DONE,
    ],
    "openrouter-image": [
        OPENROUTER,
        Content(content="Here."),
        Media(media_type="image/png", data="iVBORw0KGgo="),
        PartEnd(kind="media", opaque={NAME: {"type": "image_url"}}),
        Finish(finish={"reason": "stop", "raw": "STOP"}),
        DONE,
    ],
    "openrouter-error": [OPENROUTER, Content(content="Hel"), FAILED],
    "groq-text": [
        openai("llama-3.3-70b-versatile", "chatcmpl-4", fingerprint="fp_g"),
        Content(content="Hello World"),
        STOP,
        (38, 4, 42, None, None),
        DONE,
    ],
    "mistral-thinking": [
        openai("magistral-medium-latest", "cmpl-5"),
        Reasoning(token="Let me see."),
        Content(content="It is "),
        Citation(raw={NAME: {"type": "reference", "reference_ids": [1]}}),
        Content(content="four."),
        STOP,
        (12, 8, 20, None, None),
        DONE,
    ],
    "perplexity-citations": [
        openai("sonar", "px-1", 1763800006),
        Content(content="Yes"),
        Citation(url="https://example.org/1", title="One"),
        Citation(url="https://example.org/2"),
        Content(content=" [1]."),
        STOP,
        (5, 4, 9, None, None),
        WHOLE,
    ],
    "vllm-think-tags": [
        openai("Qwen/Qwen3-8B", "chatcmpl-7"),
        Reasoning(token="Two and two.\n"),
        Content(content="Four."),
        Finish(finish={"reason": "stop", "stop_sequence": "END"}),
        DONE,
    ],
    "gemini-tools": [
        openai("gemini-3-pro-preview", "g-8"),
        ToolCallDelta(part=0, id="function-call-1", name="get_weather", arguments='{"city":"Paris"}'),
        ToolCallDelta(part=1, id="function-call-2", name="get_weather", arguments='{"city":"Oslo"}'),
        PartEnd(
            part=0,
            kind="tool_call",
            opaque={NAME: {"extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}}}},
        ),
        STOP,
        (7, 11, 18, None, None),
        DONE,
    ],
}

REPLIES: dict[str, list[Any]] = {
    "openai-text": [
        openai("gpt-5.4", "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", 1741569952, service_tier="default"),
        Content(content="Hello! How can I assist you today?"),
        STOP,
        (19, 10, 29, 0, 0),
        WHOLE,
    ],
    "openai-tool": [
        openai("gpt-4o-mini", "chatcmpl-abc123", 1699896916),
        ToolCallDelta(part=0, id="call_abc123", name="get_current_weather", arguments='{\n"location": "Boston, MA"\n}'),
        CALLED,
        (82, 17, 99, None, 0),
        WHOLE,
    ],
    "openai-logprobs": [
        openai("gpt-4o-mini", "chatcmpl-123", 1702685778),
        Content(content="Hello! How can I assist you today?"),
        "logprobs of 9 tokens",
        STOP,
        (9, 9, 18, None, 0),
        WHOLE,
    ],
}


def told(items: list[Any]) -> list[Any]:
    """Items, with usage and log probabilities as what is counted in them."""
    short: list[Any] = []
    for item in items:
        if isinstance(item, Usage):
            assert item.raw
            assert item.computed is None
            counts = (item.input_tokens, item.output_tokens, item.total_tokens, item.cached_tokens)
            short.append((*counts, item.reasoning_tokens))
        elif isinstance(item, Logprobs):
            short.append(f"logprobs of {len(item.logprobs or ())} tokens")
        else:
            short.append(item)
    return short


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "refusal", "provider")
@pytest.mark.capability(NAME, "audio-out", "provider")
@pytest.mark.capability(NAME, "image-out", "provider")
@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "citations", "provider")
@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "cached-usage", "provider")
@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
@pytest.mark.capability(NAME, "stream-errors", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize("name", STREAMS)
def test_streams_at_every_cut(name: str) -> None:
    stream = (RECORDED / f"{name}.sse").read_bytes()
    quirks = Quirks(think_tags=name == "vllm-think-tags")
    first = parse([stream], quirks)
    assert told(joined(first)) == STREAMS[name]
    for pieces in chop(stream):
        block = parse(pieces, quirks)
        assert block[:-1] == first[:-1]
        assert joined(block[-1:]) == joined(first[-1:])


@pytest.mark.capability(NAME, "logprobs", "provider")
@pytest.mark.parametrize("name", REPLIES)
def test_whole_answers(name: str) -> None:
    block = OpenAIChat().parse_reply((RECORDED / f"{name}.json").read_bytes())
    assert told(joined(block)) == REPLIES[name]


def test_every_recorded_file_is_in_a_table() -> None:
    assert {path.stem for path in RECORDED.glob("*.sse")} == set(STREAMS)
    assert {path.stem for path in RECORDED.glob("*.json")} == set(REPLIES)


AIMOCK_STREAMS = sorted(
    path.name.removesuffix(".body")
    for path in AIMOCK.glob("*.body")
    if ".whole" not in path.name and not path.name.startswith("error")
)


@pytest.mark.parametrize("name", AIMOCK_STREAMS)
def test_streams_of_the_mock_at_every_cut(name: str) -> None:
    stream = (AIMOCK / f"{name}.body").read_bytes()
    framed = (AIMOCK / f"{name}.headers").read_text().splitlines()[0].endswith("whole")
    first = parse([stream], framed=framed)
    assert isinstance(first[-1], End)
    assert first[-1].state == ("incomplete" if name.startswith("truncated") else "complete")
    for pieces in chop(stream):
        assert parse(pieces, framed=framed)[:-1] == first[:-1]


@pytest.mark.parametrize("name", [name for name in AIMOCK_STREAMS if (AIMOCK / f"{name}.whole.body").exists()])
def test_a_stream_of_the_mock_means_the_same_as_the_whole_answer(name: str) -> None:
    streamed = fold(parse([(AIMOCK / f"{name}.body").read_bytes()])[:-1])
    whole = fold(OpenAIChat().parse_reply((AIMOCK / f"{name}.whole.body").read_bytes())[:-1])
    if name == "text-split-emoji":  # a character in two halves, in two events: each of them is U+FFFD
        assert streamed.text.replace("\ufffd\ufffd", "🙂") == whole.text
    else:
        assert streamed.text == whole.text
    assert streamed.reasoning == whole.reasoning
    assert streamed.tool_calls == whole.tool_calls
    assert streamed.finish_reason == whole.finish_reason


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("error-400", "BackendRequestError"),
        ("error-401", "AuthenticationError"),
        ("error-403", "AuthenticationError"),
        ("error-404", "ModelNotFoundError"),
        ("error-429", "RateLimitError"),
        ("error-500", "UnavailableError"),
        ("error-503", "UnavailableError"),
    ],
)
def test_refusals_of_the_mock(case: str, name: str) -> None:
    status = int((AIMOCK / f"{case}.headers").read_text().split()[0])
    error = OpenAIChat().parse_error(status, {}, (AIMOCK / f"{case}.body").read_bytes())
    assert type(error).__name__ == name
    assert error.problem == f"Refused with {status}"
