"""When a parser says that an answer is whole though more may follow: never too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.dialects.base import StreamParser
from backstream.dialects.names import dialect_for
from backstream.dialects.openai_chat import OpenAIChat
from backstream.dialects.relay import FrameRelay
from backstream.reply import End

RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "aimock"
STREAMED = ("anthropic_messages", "gemini", "ollama", "openai_chat", "openai_responses")
ANSWERS = [
    pytest.param(name, path, id=f"{name}-{path.stem}")
    for name in STREAMED
    for path in sorted((RECORDED / name).glob("*.body"))
    if not path.stem.startswith(("error", "truncated")) and not path.stem.endswith(".whole")
]


def parser_of(name: str) -> StreamParser:
    return dialect_for(name).stream_parser()


def feed(parser: StreamParser, data: bytes) -> list[bool]:
    """Feed the frames one by one; tell after each whether the parser says it is finished."""
    said = []
    for frame in data.splitlines(keepends=True):
        parser.feed(frame)
        said.append(parser.finished)
    return said


def end_of(name: str, data: bytes) -> Any:
    parser = parser_of(name)
    block = parser.feed(data)
    block += parser.finish(framed=False)
    assert isinstance(block[-1], End)
    return block[-1].state


@pytest.mark.parametrize(("name", "path"), ANSWERS)
def test_from_where_it_is_said_the_answer_is_whole(name: str, path: Path) -> None:
    data = path.read_bytes()
    said = feed(parser_of(name), data)
    assert said == sorted(said)
    lines = data.splitlines(keepends=True)
    for count, finished in enumerate(said, 1):
        if finished and not lines[count - 1].strip():
            assert end_of(name, b"".join(lines[:count])) == "complete"
    alone = name == "gemini" and data.count(b"data:") == 1  # the first of many, perhaps
    assert said[-1] is (end_of(name, data) == "complete" and not alone)


def gemini(text: str, reason: str | None = "STOP") -> bytes:
    finish = f',"finishReason":"{reason}"' if reason else ""
    return b'{"candidates":[{"content":{"parts":[{"text":"%s"}]}%s}]}' % (text.encode(), finish.encode())


def events(*frames: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % frame for frame in frames)


@pytest.mark.parametrize(
    ("data", "finished"),
    [
        (events(gemini("a", None), gemini("b")), True),
        (events(gemini("a", None), gemini("b", None)), False),
        (events(gemini("a", None), gemini("b", "FINISH_REASON_UNSPECIFIED")), False),
        (events(gemini("a")), False),  # the first of many, perhaps
        (events(gemini("a"), gemini("b"), gemini("c")), False),
        (gemini("a"), True),  # one document
        (b"[" + gemini("a"), False),
        (b"[" + gemini("a") + b"]", True),
        (b"[" + gemini("a", None) + b"]", False),
        (b"[" + gemini("a", None) + b"," + gemini("b"), True),
    ],
)
def test_gemini_says_it_where_a_reason_is_the_last_word(data: bytes, finished: bool) -> None:
    parser = parser_of("gemini")
    parser.feed(data)
    assert parser.finished is finished
    assert not parser.done


@pytest.mark.parametrize(
    ("data", "finished"),
    [
        (b'{"type":"content","content":"a"}\n', False),
        (b'{"type":"content","content":"a"}\n{"type":"finish","finish":{"reason":"stop"}}\n', True),
        (b'data: {"type":"content","content":"a"}\n\ndata: [DONE]\n\n', True),
    ],
)
def test_backend_api_says_it_at_its_finish(data: bytes, finished: bool) -> None:
    parser = parser_of("backend_api")
    parser.feed(data)
    assert parser.finished is finished
    assert not parser.done


def test_openai_says_it_before_its_usage() -> None:
    parser = parser_of("openai_chat")
    parser.feed(events(b'{"choices":[{"delta":{"content":"a"}}]}'))
    assert not parser.finished
    parser.feed(events(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}'))
    assert (parser.finished, parser.done) == (True, False)
    parser.feed(events(b"[DONE]"))
    assert (parser.finished, parser.done) == (True, True)


def test_openai_does_not_believe_a_reason_that_comes_with_content() -> None:
    """Some servers give a reason with each event."""
    parser = parser_of("openai_chat")
    for word in (b"one", b" two"):
        parser.feed(events(b'{"choices":[{"delta":{"content":"%b"},"finish_reason":"stop"}]}' % word))
        assert not parser.finished
    parser.feed(events(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}'))
    assert not parser.finished


def test_openai_does_not_say_it_of_an_answer_that_was_broken_off() -> None:
    parser = parser_of("openai_chat")
    parser.feed(events(b'{"choices":[{"delta":{},"finish_reason":"error"}]}'))
    assert not parser.finished


def test_a_relay_says_what_its_parser_says() -> None:
    relay = FrameRelay("openai_chat")
    assert not relay.finished
    relay.watch(OpenAIChat().stream_parser())
    assert not relay.finished
    relay.feed(events(b'{"choices":[{"delta":{"content":"a"}}]}', b'{"choices":[{"delta":{},"finish_reason":"stop"}]}'))
    assert (relay.finished, relay.done) == (True, False)
