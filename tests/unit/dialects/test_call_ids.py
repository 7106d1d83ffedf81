"""Calls from clients whose own protocol has no ids get some, and their results the same."""

from __future__ import annotations

import json

import pytest

from backstream.dialects.call_ids import with_call_ids
from backstream.dialects.names import dialect_for
from backstream.request import Part, Receipts, TextPart, ToolCallPart, ToolResultPart, Turn

ASKED = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": name, "arguments": {}}} for name in ("get_time", "get_weather")],
        },
        {"role": "tool", "tool_name": "get_weather", "content": "21 degrees"},
        {"role": "tool", "tool_name": "get_time", "content": "noon"},
    ],
}


def said(text: str) -> tuple[TextPart, ...]:
    return (TextPart(text=text),)


def turns(*parts: tuple[Part, ...]) -> list[Turn]:
    return [Turn(role="assistant", parts=each) for each in parts]


def test_each_result_answers_the_first_open_call_of_its_name() -> None:
    one, two = ToolCallPart(name="f"), ToolCallPart(name="f", arguments="[2]")
    other = ToolCallPart(name="g")
    results = [ToolResultPart(name=name, content=said(name)) for name in ("f", "g", "f", "h")]
    _, calls, answers = with_call_ids(turns(said("Hi"), (one, other, two), tuple(results)))
    assert [(part.name, part.id) for part in calls.parts if isinstance(part, ToolCallPart)] == [
        ("f", "call_0"),
        ("g", "call_1"),
        ("f", "call_2"),
    ]
    assert [part.tool_call_id for part in answers.parts if isinstance(part, ToolResultPart)] == [
        "call_0",
        "call_1",
        "call_2",
        "call_h",
    ]


def test_ids_that_are_there_stay() -> None:
    given = turns((ToolCallPart(id="a", name="f"),), (ToolResultPart(tool_call_id="a", content=said("x")),))
    assert with_call_ids(given) == given


def test_a_backend_api_server_gets_ids_for_the_calls_of_an_ollama_client() -> None:
    request = dialect_for("ollama").parse_request(ASKED, "/api/chat")
    rendered = dialect_for("backend_api").render_request(request, Receipts())
    body = json.loads(b"".join(piece for piece in rendered.body if isinstance(piece, bytes)))
    members = dialect_for("backend_api").parse_request(body, "")
    calls = {part.id: part.name for turn in members.turns for part in turn.parts if isinstance(part, ToolCallPart)}
    results = {
        part.tool_call_id: part.text
        for turn in members.turns
        for part in turn.parts
        if isinstance(part, ToolResultPart)
    }
    assert calls == {"call_0": "get_time", "call_1": "get_weather"}
    assert results == {"call_1": "21 degrees", "call_0": "noon"}


@pytest.mark.parametrize(
    ("dialect", "name"), [("gemini", b'"functionResponse":{'), ("ollama", b'"tool_name":"get_time"')]
)
def test_a_result_bears_the_name_of_its_call(dialect: str, name: bytes) -> None:
    """Newer clients of g4f write the call's id where the tool's name would stand."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "name": "call_1", "content": "noon"},
    ]
    request = dialect_for("openai_chat").parse_request({"model": "m", "messages": messages}, "")
    rendered = dialect_for(dialect).render_request(request, Receipts())
    body = b"".join(piece for piece in rendered.body if isinstance(piece, bytes))
    assert name in body
    assert b'"name":"call_1"' not in body
