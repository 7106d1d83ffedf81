"""Chunks: every event survives, known types are typed, hostile members do no harm."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.chunks import KNOWN_TYPES, Content, Extra, Finish, OpenResponse, RawResponse, Reasoning, Usage
from backstream.dialects.backend_api.stream import decode_event, encode_event

# (event, its class, the text a reader should see)
EVENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "content", "content": "Hi"}, "Content", "Hi"),
    ({"type": "content", "content": ""}, "Content", ""),
    ({"type": "content"}, "Content", ""),
    ({"type": "content", "content": None}, "Content", ""),
    ({"type": "content", "content": "x", "urls": "http://h/a.png", "alt": "a"}, "Content", "x"),
    ({"type": "content", "content": "x", "urls": ["/a", "/b"], "data": "data:,"}, "Content", "x"),
    ({"type": "reasoning", "token": "so"}, "Reasoning", ""),
    ({"type": "reasoning", "token": None, "status": "", "is_thinking": "</think>"}, "Reasoning", ""),
    ({"type": "reasoning", "label": "Search", "status": "3 hits"}, "Reasoning", ""),
    ({"type": "usage", "usage": {"total_tokens": 7}, "model": "m", "provider": "P"}, "Usage", ""),
    ({"type": "finish", "finish": {"reason": "stop"}}, "Finish", ""),
    ({"type": "finish", "finish": "stop"}, "Finish", ""),
    ({"type": "provider", "provider": {"name": "P", "model": "m"}}, "ProviderInfo", ""),
    ({"type": "parameters", "parameters": {}}, "Parameters", ""),
    ({"type": "conversation", "conversation": {"P": {"id": 1}}}, "Conversation", ""),
    ({"type": "preview", "preview": "p", "urls": "u", "alt": "a"}, "Preview", ""),
    ({"type": "title", "title": "T"}, "Title", ""),
    ({"type": "suggestions", "suggestions": ["a?", "b?"]}, "Suggestions", ""),
    ({"type": "switched", "from": "a/m", "to": "b/m", "why": "silence", "kept": "all"}, "Switched", ""),
    ({"type": "synthesize", "synthesize": {"provider": "P", "data": {"text": "say"}}}, "Synthesize", ""),
    ({"type": "tool_calls", "tool_calls": [{"id": "c1", "type": "function"}]}, "ToolCalls", ""),
    ({"type": "variant", "variant": "v"}, "Variant", ""),
    ({"type": "continue", "continue": "go on"}, "Continue", ""),
    ({"type": "request", "request": {"model": "m", "stream": True}}, "UpstreamRequest", ""),
    ({"type": "response", "response": "plain"}, "UpstreamResponse", ""),
    ({"type": "response", "response": {"a": 1}}, "UpstreamResponse", ""),
    ({"type": "headers", "headers": {"x-limit": "5"}}, "UpstreamHeaders", ""),
    ({"type": "log", "log": "line"}, "Log", ""),
    ({"type": "message", "message": "E: t", "error": "E"}, "Notice", ""),
    ({"type": "error", "error": "E", "message": "E: t", "status": 429}, "ErrorEvent", ""),
    ({"type": "auth", "auth": "MissingAuthError", "message": "m"}, "AuthEvent", ""),
    ({"type": "login", "login": "http://h"}, "Login", ""),
    ({"type": "start", "id": "a1", "model": "m", "created": 1, "service_tier": "t", "fingerprint": "f"}, "Start", ""),
    ({"type": "tool_call_delta", "part": 1, "id": "c1", "name": "f", "arguments": "{"}, "ToolCallDelta", ""),
    ({"type": "part_start", "part": 0, "kind": "text", "opaque": {"d": {"id": "i"}}}, "PartStart", ""),
    ({"type": "part_end", "part": 0, "kind": "text", "opaque": {"d": {"signature": "s"}}}, "PartEnd", ""),
    ({"type": "refusal", "refusal": "No.", "part": 0}, "Refusal", ""),
    ({"type": "citation", "url": "http://h", "title": "T", "cited_text": "c", "start": 0, "end": 1}, "Citation", ""),
    ({"type": "logprobs", "logprobs": [{"token": "a", "logprob": -0.5}]}, "Logprobs", ""),
    ({"type": "media", "media_type": "image/png", "data": "AAAA", "id": "m1"}, "Media", ""),
    # not known, or not of the shape we know: nothing is lost
    ({"type": "custom_x", "foo": 1, "bar": [1, 2]}, "OpenResponse", ""),
    ({"type": "content", "content": 5}, "OpenResponse", ""),
    ({"type": "content", "content": "x", "later": {"a": None}}, "Content", "x"),
    ({"type": 7}, "OpenResponse", ""),
    ({}, "OpenResponse", ""),
    ({"self": 1, "__class__": 2, "get_dict": 3, "type": "odd", "__dict__": 4, "_members": 5}, "OpenResponse", ""),
    ({"type": "content", "self": 1, "__class__": 2, "get_dict": 3, "extra": 4, "(extra)": 5}, "Content", ""),
]


@pytest.mark.parametrize(("event", "cls", "text"), EVENTS, ids=lambda value: str(value)[:40])
def test_an_event_survives_both_ways(event: dict[str, Any], cls: str, text: str) -> None:
    for chunk in (RawResponse.from_dict(event), decode_event(msgspec.json.encode(event))):
        assert type(chunk).__name__ == cls
        assert isinstance(chunk, RawResponse)
        assert chunk.get_dict() == event
        assert msgspec.json.decode(encode_event(chunk)) == event
        assert str(chunk) == chunk.text == text
        assert chunk == RawResponse.from_dict(event)
        assert pickle.loads(pickle.dumps(chunk)) == chunk
        assert copy.deepcopy(chunk) == chunk
        assert set(chunk) == set(event)
        for name, value in event.items():
            assert chunk[name] == value
            assert name in chunk


def test_every_known_type_is_in_the_table_above() -> None:
    assert {event["type"] for event, cls, _ in EVENTS if cls != "OpenResponse"} == set(KNOWN_TYPES)


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_the_type_is_the_tag(kind: str) -> None:
    cls: Any = KNOWN_TYPES[kind]
    assert cls.type == cls.__struct_config__.tag == kind == cls().type


def test_members_are_attributes() -> None:
    chunk: Any = RawResponse.from_dict({"type": "custom", "foo": 1, "_bar": 2, "get_dict": 3})
    assert (chunk.foo, chunk._bar, chunk.type) == (1, 2, "custom")
    assert callable(chunk.get_dict)
    assert chunk["get_dict"] == 3
    typed: Any = RawResponse.from_dict({"type": "content", "content": "x", "foo": 1})
    assert (typed.content, typed.foo) == ("x", 1)
    with pytest.raises(AttributeError, match="no member 'contnt'"):
        typed.contnt  # noqa: B018
    with pytest.raises(AttributeError):
        typed.__wrapped__  # noqa: B018
    with pytest.raises(KeyError):
        typed["contnt"]


def test_chunks_are_immutable() -> None:
    for chunk in (Content(content="x"), OpenResponse({"a": 1})):
        with pytest.raises(AttributeError):
            chunk.content = "y"  # type: ignore[misc, attr-defined]


def test_an_open_chunk_copies_its_members() -> None:
    members = {"type": "custom"}
    chunk = OpenResponse(members)
    members["type"] = "changed"
    chunk.get_dict()["type"] = "changed"
    assert chunk.type == "custom"


def test_chunks_of_different_kinds_differ() -> None:
    assert Content(content="x") != OpenResponse({"type": "content", "content": "x"})
    assert OpenResponse({"a": 1}) != OpenResponse({"a": 2})
    assert Extra({"a": 1}) == Extra({"a": 1})
    assert Extra({"a": 1}) != {"a": 1}
    assert len(Extra({"a": 1})) == 1


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, (1, 2, 3)),
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2, None)),
        ({"promptTokenCount": 0, "candidatesTokenCount": 2, "totalTokenCount": 2}, (0, 2, 2)),
        ({"prompt_tokens": "many", "completion_tokens": True}, (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_usage_is_as_reported_and_unknown_is_none(usage: dict[str, Any] | None, counts: tuple[int | None, ...]) -> None:
    chunk = Usage(usage=usage)
    assert (chunk.input_tokens, chunk.output_tokens, chunk.total_tokens) == counts


def test_the_reason_of_a_finish() -> None:
    assert Finish(finish={"reason": "stop"}).reason == "stop"
    assert Finish(finish="length").reason == "length"
    assert Finish(finish={"reason": 3}).reason is None
    assert Finish().reason is None


def test_a_repr_shows_no_whole_prompt_or_upload() -> None:
    chunk = RawResponse.from_dict(
        {
            "type": "parameters",
            "parameters": {"messages": [{"role": "user", "content": "PROMPT"}]},
            "uri": "data:image/png;base64,SECRETPIXELS",
            "long": "x" * 100 + "TAIL",
            "list": ["ITEM"],
        }
    )
    shown = repr(chunk)
    assert shown.startswith("Parameters(parameters={messages}")
    assert not any(word in shown for word in ("PROMPT", "SECRETPIXELS", "TAIL", "ITEM"))
    assert repr(Content(content="Hi")) == "Content(content='Hi')"
    assert repr(Reasoning(token=None)) == "Reasoning()"
    assert repr(OpenResponse({"n": 7, "x": None})) == "OpenResponse(n=7, x=None)"
    assert "PROMPT" not in repr(chunk.extra)  # type: ignore[attr-defined]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.sampled_from([*KNOWN_TYPES, "other", ""]))
def test_any_event_survives(members: dict[str, Any], kind: str) -> None:
    members["type"] = kind
    members[kind] = members.get(kind, "x")
    if kind == "":
        del members[""]
    chunk = decode_event(encode_event(RawResponse.from_dict(members)))
    assert chunk == RawResponse.from_dict(members)
    assert chunk.get_dict() == members
