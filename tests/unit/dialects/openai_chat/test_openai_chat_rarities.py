"""What only some requests and answers of chat completions hold: custom tools, forms of one back-end, odd counting."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backstream.chunks import Media, ToolCallDelta
from backstream.client.explain import explain
from backstream.dialects.base import Envelope
from backstream.dialects.openai_chat import OpenAIChat
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.reply import Block, End, fold
from backstream.request import Request

CHAT = OpenAIChat()
USER = {"role": "user", "content": "Hi"}
ENVELOPE = Envelope(id="1", model="m", created=1, request=Request())


def explained(to: str, written_in: str = "openai_chat", /, **members: Any) -> tuple[Any, dict[str, bool]]:
    """Return the body, and what was dropped: whether that is harmless."""
    found = explain({"model": "m", "messages": [USER], **members}, to=to, written_in=written_in)
    return found.body, {each.what: each.harmless for each in found.receipts if each.outcome == "dropped"}


def read(*deltas: dict[str, Any]) -> Block:
    parser = CHAT.stream_parser()
    block: Block = []
    for delta in deltas:
        block += parser.feed(b"data: %b\n\n" % msgspec.json.encode({"id": "a", "choices": [{"delta": delta}]}))
    return [*block, *parser.feed(b"data: [DONE]\n\n")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool_choice", {"type": "custom", "custom": {"name": "x"}}),
        (
            "tool_choice",
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]},
            },
        ),
        ("response_format", {"type": "json_object", "schema": {"type": "object"}}),
        ("response_format", {"type": "grammar", "grammar": "root ::= x"}),
    ],
)
def test_a_form_without_a_place_goes_along_as_it_is(name: str, value: dict[str, Any]) -> None:
    body, lost = explained("openai", **{name: value})
    assert body[name] == value
    assert lost == {}
    body, lost = explained("gemini", **{name: value})
    assert lost == {name: False}


@pytest.mark.parametrize("value", [{"type": 3}, {}])
def test_a_form_of_another_shape_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="response_format has another shape"):
        explained("openai", response_format=value)


def test_an_object_of_reasoning_loses_nothing_where_it_is_known() -> None:
    given = {"effort": "high", "exclude": True}
    assert explained("openrouter", reasoning=given)[0]["reasoning"] == given
    body, lost = explained("openai", reasoning=given)
    assert body["reasoning_effort"] == "high"
    assert lost == {"reasoning": False}
    assert explained("openai", reasoning="high")[0]["reasoning_effort"] == "high"


def test_a_call_of_a_custom_tool_is_said_as_one() -> None:
    call = {"id": "1", "type": "custom", "custom": {"name": "x", "input": "a b", "more": 1}}
    plain = {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [USER, {"role": "assistant", "content": None, "tool_calls": [call, plain]}]
    assert explained("openai", messages=messages)[0]["messages"][1]["tool_calls"] == [call, plain]
    body, _ = explained("anthropic_messages", messages=messages)
    assert body["messages"][1]["content"][0]["input"] == {"INVALID_JSON": "a b"}


def test_a_custom_tool_is_called_in_an_answer() -> None:
    message = {"tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "x", "input": "a b"}}]}
    answer = {"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    block = CHAT.parse_reply(msgspec.json.encode(answer))
    assert [chunk for chunk in block if isinstance(chunk, ToolCallDelta)] == [
        ToolCallDelta(part=0, id="1", name="x", arguments="a b")
    ]
    shown = msgspec.json.decode(CHAT.render_reply(block, ENVELOPE))
    assert shown["choices"][0]["message"]["tool_calls"] == message["tool_calls"]


def test_calls_that_all_count_as_the_first_and_have_no_id_are_two() -> None:
    call = {"index": 0, "id": "", "function": {"name": "f", "arguments": "{}"}}
    other = {"index": 0, "function": {"name": "g", "arguments": "{}"}}
    block = read({"tool_calls": [call]}, {"tool_calls": [other]})
    calls = fold(chunk for chunk in block if not isinstance(chunk, End)).tool_calls
    assert [call.name for call in calls] == ["f", "g"]


@pytest.mark.parametrize("pieces", [["x"], ["AAAA", "x"], ["AAAA", "\ufffd"]])
def test_a_sound_that_is_no_base64_is_passed_on_as_it_came(pieces: list[str]) -> None:
    block = read(*({"audio": {"id": "s", "data": piece}} for piece in pieces))
    assert any(isinstance(chunk, Media) for chunk in block)
    shown = msgspec.json.decode(CHAT.render_reply(block, ENVELOPE))
    assert shown["choices"][0]["message"]["audio"]["data"] == "".join(pieces)


@pytest.mark.parametrize(("to", "stream"), [("mistral", True), ("openai", False)])
def test_options_of_a_stream_are_not_sent_where_they_are_refused(to: str, stream: bool) -> None:
    body, lost = explained(to, stream=stream, stream_options={"include_usage": True})
    assert "stream_options" not in body
    assert lost == {"stream_options": True}


@pytest.mark.parametrize("to", ["openai", "gemini"])
def test_what_a_user_said_in_a_part_that_nobody_else_reads_is_not_lost(to: str) -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "true"}]}
    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": [found]}]}
    with pytest.raises(UnsupportedFeatureError, match="only anthropic_messages reads"):
        explained(to, "anthropic_messages", **asked)
    searched = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    history = [USER, {"role": "assistant", "content": [searched, {"type": "text", "text": "a"}]}]
    _, lost = explained(to, "anthropic_messages", max_tokens=9, messages=history)
    assert set(lost.values()) == {True}


@pytest.mark.parametrize("to", ["openai", "gemini"])
def test_what_a_user_said_of_a_document_is_no_harmless_loss(to: str) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    document = {"type": "document", "source": source, "context": "from 1999"}
    _, lost = explained(to, "anthropic_messages", max_tokens=9, messages=[{"role": "user", "content": [document]}])
    assert list(lost.values()) == [False]


def test_what_a_user_said_of_a_video_is_no_harmless_loss() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "AAAA", "displayName": "x"}}
    found = explain({"contents": [{"role": "user", "parts": [part]}]}, to="anthropic_messages", written_in="gemini")
    assert [each.harmless for each in found.receipts if each.outcome == "dropped"] == [False]


@pytest.mark.parametrize("detail", ["auto", "high"])
def test_only_a_closer_look_is_a_loss(detail: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": detail}}
    _, lost = explained("anthropic_messages", max_tokens=9, messages=[{"role": "user", "content": [image]}])
    assert list(lost.values()) == [detail == "auto"]


@pytest.mark.parametrize(("model", "known"), [("gemini-2.5-flash", False), ("gemini-3-pro", True)])
def test_a_resolution_is_only_said_to_models_that_know_it(model: str, known: bool) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "high"}}
    body, lost = explained(f"gemini/{model}", messages=[{"role": "user", "content": [image]}])
    assert ("mediaResolution" in body["contents"][0]["parts"][0]) is known
    assert bool(lost) is not known


def test_a_level_of_thinking_beside_none_is_told() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 0, "thinkingLevel": "LOW"}}
    asked = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": config}
    found = explain(asked, to="gemini/gemini-3-pro", written_in="gemini")
    assert [each.what for each in found.receipts if each.outcome == "dropped"] == ["reasoning.effort"]
