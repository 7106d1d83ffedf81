"""A character cut into two halves, each in an event of its own, as servers written in JavaScript send it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream.dialects.names import dialect_for
from backstream.errors import DecodeError
from backstream.reply import End, fold
from backstream.wire.json_text import HalfJoiner

HIGH, LOW = "\ud83d", "\ude42"


def chat(text: str) -> dict[str, Any]:
    return {"id": "a", "choices": [{"index": 0, "delta": {"content": text}}]}


def anthropic(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def gemini(text: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}


def responses(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}


def ollama(text: str) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}


def own(text: str) -> dict[str, Any]:
    return {"type": "content", "content": text}


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        ("openai_chat", chat),
        ("openai_responses", responses),
        ("anthropic_messages", anthropic),
        ("gemini", gemini),
        ("ollama", ollama),
        ("backend_api", own),
    ],
)
@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        (["a" + HIGH, LOW + "b"], "a\U0001f642b"),
        ([HIGH, LOW], "\U0001f642"),
        (["a" + HIGH, LOW + HIGH, LOW], "a\U0001f642\U0001f642"),
        (["a" + HIGH, "b", "c"], "abc"),
        (["a" + HIGH + "b", LOW], "a\ufffdb\ufffd"),
        ([LOW, "a" + LOW], "\ufffda\ufffd"),
        (["a" + HIGH, 'q"' + LOW], 'aq"\ufffd'),
        (["a" + HIGH, '"' + LOW], 'a"\ufffd'),
    ],
)
def test_both_halves_become_one_character(dialect: str, event: Any, texts: list[str], whole: str) -> None:
    parser = dialect_for(dialect).stream_parser()
    frame = b"%b\n" if dialect == "ollama" else b"data: %b\n\n"
    block = []
    for text in ["", "x", *texts]:
        block += parser.feed(frame % json.dumps(event(text)).encode())
    assert fold(chunk for chunk in block if not isinstance(chunk, End)).text == "x" + whole


def test_damage_stays_damage() -> None:
    halves = HalfJoiner()
    for text in ('{"a": "\\ud83d"', "", "[" * 200_000, '"\\ud83d" "\\u12"'):
        with pytest.raises(DecodeError):
            halves.decode(text)
    assert halves.decode('{"a": 1}') == {"a": 1}
