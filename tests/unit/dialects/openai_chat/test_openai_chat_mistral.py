"""Answers to Mistral's own clients: whole calls, thinking as a part of the content, usage in the last event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream.chunks import (
    Content,
    Finish,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.names import dialect_for
from backstream.dialects.openai_chat.mistral import MistralClients
from backstream.dialects.relay import relay_for
from backstream.errors import UnavailableError
from backstream.models import ModelInfo
from backstream.reply import End
from backstream.request import ReasoningPart, Request, TextPart

MISTRAL = MistralClients()
ENVELOPE = Envelope(id="1", model="m", created=7, request=Request(model="m", dialect="openai_chat"))
CALLS = (
    ToolCallDelta(part=0, id="a", name="f"),
    ToolCallDelta(part=1, name="g", arguments="{"),
    ToolCallDelta(part=0, arguments="{}"),
    ToolCallDelta(part=1, arguments="}"),
)
USAGE = Usage(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})


def events(*blocks: list[RawResponse | End]) -> list[Any]:
    renderer = MISTRAL.stream_renderer(ENVELOPE)
    lines = b"".join(map(renderer.render, blocks)).decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line and line != "data: [DONE]"]


def deltas(*blocks: list[RawResponse | End]) -> list[Any]:
    return [event["choices"][0]["delta"] for event in events(*blocks)]


def call(index: int, id_: str, name: str) -> dict[str, Any]:
    return {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}}


def test_calls_come_whole() -> None:
    whole = ToolCalls(tool_calls=[{"id": "c", "type": "function", "function": {"name": "h", "arguments": "{}"}}])
    ends = PartEnd(part=0, kind="tool_call", opaque={"openai_chat": {"mark": 1}})
    said = deltas([Start(), *CALLS], [ends, whole], [Finish(finish={"reason": "tool_calls"}), End("complete")])
    assert said[1:] == [
        {"tool_calls": [call(0, "a", "f")]},
        {"tool_calls": [call(1, "c", "h")]},
        {"tool_calls": [call(2, "call_1_2", "g")]},
        {},
    ]


def test_a_call_that_was_cut_is_not_said() -> None:
    said = events([Start(), *CALLS, End("failed", (), UnavailableError("broke", phase="body"))])
    assert "error" in said[-1]
    assert all("tool_calls" not in event["choices"][0]["delta"] for event in said[:-1])


def test_thinking_is_a_part_of_the_content() -> None:
    said = deltas([Reasoning(token="So"), Content(content="Hi"), Media(url="https://example.org/a.png")])
    assert said[1:] == [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "So"}]}]},
        {"content": "Hi"},
        {"images": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    ]


def test_the_last_event_tells_the_usage_unasked() -> None:
    last = events([Content(content="Hi"), USAGE, End("complete")])[-1]
    assert last["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert "usage" not in events([Content(content="Hi"), End("complete")])[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [("Hi", [{"type": "text", "text": "Hi"}]), ("", [])],
)
def test_a_whole_answer(text: str, said: list[Any]) -> None:
    block: list[RawResponse | End] = [Reasoning(token="So"), Content(content=text), USAGE, End("complete")]
    answer = json.loads(MISTRAL.render_reply(block, ENVELOPE))
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "So"}]}
    assert answer["choices"][0]["message"]["content"] == [thinking, *said]
    assert answer["usage"]["total_tokens"] == 3


def test_a_whole_answer_has_its_usage_even_if_nothing_is_known() -> None:
    answer = json.loads(MISTRAL.render_reply([Content(content="Hi"), End("complete")], ENVELOPE))
    assert answer["usage"] == {}
    assert answer["choices"][0]["message"]["content"] == "Hi"


def test_models_say_their_type_and_what_they_can() -> None:
    listed = json.loads(MISTRAL.render_models([ModelInfo(id="a", tools=True), ModelInfo(id="b")]))
    first, second = listed["data"]
    assert (first["id"], first["type"]) == ("a", "base")
    assert first["capabilities"] == {"completion_chat": True, "function_calling": True}
    assert second["capabilities"] == {"completion_chat": True}


def test_requests_by_their_own_words() -> None:
    thought = [{"type": "text", "text": "So"}, {"type": "text", "text": "!"}]
    said = [{"type": "thinking", "thinking": thought}, {"type": "thinking"}, {"type": "text", "text": "Hi"}]
    plain = [{"type": "text", "text": "Hello"}]
    request = MISTRAL.parse_request(
        {
            "model": "m",
            "messages": [{"role": "user", "content": plain}, {"role": "assistant", "content": said}],
            "random_seed": 3,
            "tool_choice": "any",
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }
    )
    assert request.seed == 3
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "required"
    assert request.turns[0].parts == (TextPart(text="Hello"),)
    assert request.turns[1].parts == (ReasoningPart(text="So!"), TextPart(text="Hi"))


def test_the_rest_is_left_to_those_who_know() -> None:
    assert MISTRAL.parse_request({"messages": [{"role": "user", "content": "Hi"}]}).turns[0].parts
    with pytest.raises(Exception, match="messages"):
        MISTRAL.parse_request({"messages": "Hi"})


def test_the_frames_of_another_server_are_not_passed_on() -> None:
    chat = dialect_for("openai_chat")
    request = Request(model="m", stream=True)
    assert relay_for(chat, chat, request) is not None
    assert relay_for(MISTRAL, chat, request) is None
