"""Requests to a back-end: what is said how, what is dropped, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ReasoningSettings,
    Receipts,
    RefusalPart,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from support_openai_chat import PLAIN, check_schema, rendered, sent

NAME = "openai_chat"
VIDEO = Quirks(video=True)
HI = Turn(role="user", parts=(TextPart(text="Hi"),))
PNG = MediaPart(kind="image", media_type="image/png", data="iVBORw0KGgo=")


def ask(*parts: Part, role: Any = "user", **members: Any) -> Request:
    return Request(model="m", turns=(Turn(role=role, parts=parts),), stream=False, **members)


def message(*parts: Part, role: Any = "user", quirks: Quirks = VIDEO) -> dict[str, Any]:
    (found,) = sent(ask(*parts, role=role), quirks)["messages"]
    assert isinstance(found, dict)
    return found


def item(data: bytes, media_type: str) -> MediaItem:
    def blocks() -> Iterator[bytes]:
        yield data

    return MediaItem(media_type=media_type, size=len(data), blocks=blocks)


@pytest.mark.capability(NAME, "text", "provider")
def test_a_plain_request() -> None:
    assert sent(Request(model="m", turns=(HI,))) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert sent(Request(turns=(HI,), stream=False)) == {"model": "", "messages": [{"role": "user", "content": "Hi"}]}
    assert "stream_options" not in sent(Request(model="m", turns=(HI,)), Quirks(stream_options=False))
    assert set(sent(Request(model="m", turns=(HI,), stream=False))) == {"model", "messages"}


FULL = Request(
    model="gpt-5.4",
    turns=(
        Turn(role="developer", parts=(TextPart(text="Be brief."),)),
        Turn(role="user", name="ann", parts=(TextPart(text="What is it?"), PNG)),
        Turn(role="assistant", parts=(TextPart(text="I look."), ToolCallPart(id="c1", name="look", arguments="{}"))),
        Turn(role="tool", parts=(ToolResultPart(tool_call_id="c1", content=(TextPart(text="a cat"),)),)),
    ),
    tools=(
        Tool(name="look", description="Looks", parameters={"type": "object", "properties": {}}, strict=True),
        Tool(name="bare"),
    ),
    tool_choice=ToolChoice(mode="auto"),
    parallel_tool_calls=False,
    response_format=ResponseFormat(kind="json_schema", schema={"type": "object"}, name="cat", strict=True),
    reasoning=ReasoningSettings(effort="low"),
    max_tokens=5,
    temperature=0.5,
    top_p=0.9,
    stop=("END",),
    seed=7,
    frequency_penalty=0.1,
    presence_penalty=0.2,
    logit_bias={"50256": -100},
    logprobs=True,
    top_logprobs=2,
    modalities=("text", "audio"),
    audio={"voice": "alloy", "format": "wav"},
    verbosity="low",
    user="u1",
    metadata={"a": "b"},
    service_tier="flex",
    store=False,
    extra={"prediction": {"type": "content", "content": "x"}},
)


@pytest.mark.capability(NAME, "system", "provider")
@pytest.mark.capability(NAME, "multi-turn", "provider")
@pytest.mark.capability(NAME, "names", "provider")
@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "stop", "provider")
@pytest.mark.capability(NAME, "seed", "provider")
@pytest.mark.capability(NAME, "logprobs", "provider")
@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "tool-choice", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "tool-results", "provider")
@pytest.mark.capability(NAME, "structured-output", "provider")
@pytest.mark.capability(NAME, "reasoning", "provider")
def test_a_full_request_fits_the_description_and_has_a_receipt_for_everything() -> None:
    body, receipts = rendered(FULL, Quirks(max_tokens="max_completion_tokens", system_role="auto"))
    check_schema(body, "CreateChatCompletionRequest")
    assert body["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ]
    assert {name: value for name, value in body.items() if name not in ("messages", "tools")} == {
        "model": "gpt-5.4",
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "cat", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning_effort": "low",
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "verbosity": "low",
        "user": "u1",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "store": False,
        "stream": True,
        "stream_options": {"include_usage": True},
        "prediction": {"type": "content", "content": "x"},
    }
    assert body["tools"][1] == {"type": "function", "function": {"name": "bare"}}
    renamed = {"max_tokens": "max_completion_tokens", "reasoning.effort": "reasoning_effort"}
    kept = [
        *FULL.parameters(),
        "tools[0].strict",
        "tool_choice",
        "response_format",
        "prediction",
    ]
    expected = [f"{name} renamed as {to}" for name, to in renamed.items()]
    expected += [f"{name} kept" for name in [*kept, "messages[1].name"] if name not in renamed]
    assert sorted(receipts) == sorted(expected)


# --- parameters -------------------------------------------------------------------------------------------------------


def receipts_of(quirks: Quirks = PLAIN, **members: Any) -> tuple[dict[str, Any], list[str]]:
    body, receipts = rendered(Request(model="m", turns=(HI,), stream=False, **members), quirks)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}, receipts


@pytest.mark.parametrize(
    ("members", "quirks", "body", "receipts"),
    [
        ({"seed": 1}, Quirks(seed="random_seed"), {"random_seed": 1}, ["seed renamed as random_seed"]),
        ({"top_k": 1, "min_p": 0.1}, Quirks(), {"top_k": 1, "min_p": 0.1}, ["top_k kept", "min_p kept"]),
        ({"top_k": 1}, Quirks(unsupported=("top_k",)), {}, ["top_k dropped (the back-end refuses it)"]),
        (
            {"previous_response_id": "r", "conversation": {"x": {}}, "safety_settings": [{}]},
            Quirks(),
            {},
            [
                "previous_response_id dropped (chat completions keep no state)",
                "conversation dropped (chat completions keep no state)",
                "safety_settings dropped (known to Gemini only)",
            ],
        ),
        ({"extra": {"x": 1}, "dialect": NAME}, Quirks(), {"x": 1}, ["x kept"]),
        ({"extra": {"x": 1}}, Quirks(unsupported=("x",)), {}, ["x dropped (the back-end refuses it)"]),
        ({"extra": {"x": 1}, "dialect": "gemini"}, Quirks(), {}, ["x dropped (a member of gemini only)"]),
        (
            {"parallel_tool_calls": True},
            Quirks(unsupported=("parallel_tool_calls",)),
            {},
            ["parallel_tool_calls dropped (the back-end refuses it)"],
        ),
        (
            {"tool_choice": ToolChoice(mode="required")},
            Quirks(tool_choice_required="any"),
            {"tool_choice": "any"},
            ["tool_choice renamed as any"],
        ),
        (
            {"tool_choice": ToolChoice(mode="required")},
            Quirks(unsupported=("tool_choice",)),
            {},
            ["tool_choice dropped (the back-end refuses it)"],
        ),
        (
            {"tools": (Tool(opaque={"gemini": {"googleSearch": {}}}),)},
            Quirks(),
            {},
            ["tools[0] dropped (a tool that only another back-end runs)"],
        ),
        ({"tool_choice": ToolChoice(mode="required")}, Quirks(), {"tool_choice": "required"}, ["tool_choice kept"]),
        (
            {"tool_choice": ToolChoice(mode="none", names=("f",))},
            Quirks(),
            {"tool_choice": "none"},
            ["tool_choice kept"],
        ),
        (
            {"tool_choice": ToolChoice(mode="tool", names=("f",))},
            Quirks(),
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            ["tool_choice kept"],
        ),
        (
            {"tool_choice": ToolChoice(mode="auto", names=("f",))},
            Quirks(),
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                }
            },
            ["tool_choice kept"],
        ),
        (
            {"tool_choice": ToolChoice(mode="tool", names=("f", "g"))},
            Quirks(),
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [
                            {"type": "function", "function": {"name": "f"}},
                            {"type": "function", "function": {"name": "g"}},
                        ],
                    },
                }
            },
            ["tool_choice kept"],
        ),
        (
            {"response_format": ResponseFormat(kind="json_object")},
            Quirks(),
            {"response_format": {"type": "json_object"}},
            ["response_format kept"],
        ),
        (
            {"response_format": ResponseFormat(kind="json_schema", schema={"type": "object"})},
            Quirks(json_schema=False),
            {"response_format": {"type": "json_object"}},
            ["response_format approximated as json_object (the back-end takes no JSON schema)"],
        ),
        (
            {"response_format": ResponseFormat(kind="json_schema", schema={}, description="d")},
            Quirks(),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {}, "description": "d"},
                }
            },
            ["response_format kept"],
        ),
    ],
)
def test_parameters(members: dict[str, Any], quirks: Quirks, body: dict[str, Any], receipts: list[str]) -> None:
    assert receipts_of(quirks, **members) == (body, receipts)


def test_stream_options_of_a_client_are_kept_beside_ours() -> None:
    request = Request(model="m", turns=(HI,), dialect=NAME, extra={"stream_options": {"include_obfuscation": False}})
    assert sent(request)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert sent(msgspec.structs.replace(request, extra={"stream_options": 3}))["stream_options"] == {
        "include_usage": True
    }


@pytest.mark.parametrize(
    ("settings", "quirks", "body", "receipts"),
    [
        (ReasoningSettings(effort="high"), Quirks(), "high", ["reasoning.effort renamed as reasoning_effort"]),
        (
            ReasoningSettings(enabled=False),
            Quirks(),
            "none",
            ["reasoning.enabled renamed as reasoning_effort=none"],
        ),
        (
            ReasoningSettings(enabled=True),
            Quirks(),
            None,
            ["reasoning.enabled dropped (only an effort can be said; models that reason do so unasked)"],
        ),
        (
            ReasoningSettings(budget_tokens=1024, summary="auto"),
            Quirks(),
            "low",
            [
                "reasoning.summary dropped (chat completions show no summary)",
                "reasoning.budget_tokens approximated as reasoning_effort=low (only an effort can be said)",
            ],
        ),
        (
            ReasoningSettings(budget_tokens=8192),
            Quirks(),
            "medium",
            ["reasoning.budget_tokens approximated as reasoning_effort=medium (only an effort can be said)"],
        ),
        (
            ReasoningSettings(budget_tokens=8193),
            Quirks(),
            "high",
            ["reasoning.budget_tokens approximated as reasoning_effort=high (only an effort can be said)"],
        ),
        (
            ReasoningSettings(effort="low", budget_tokens=5),
            Quirks(),
            "low",
            [
                "reasoning.effort renamed as reasoning_effort",
                "reasoning.budget_tokens dropped (only an effort can be said)",
            ],
        ),
        (ReasoningSettings(), Quirks(), None, []),
        (
            ReasoningSettings(effort="low"),
            Quirks(reasoning_effort=None),
            None,
            ["reasoning dropped (the back-end refuses it)"],
        ),
        (
            ReasoningSettings(effort="low"),
            Quirks(unsupported=("reasoning_effort",)),
            None,
            ["reasoning dropped (the back-end refuses it)"],
        ),
    ],
)
def test_reasoning_by_a_word(
    settings: ReasoningSettings, quirks: Quirks, body: str | None, receipts: list[str]
) -> None:
    expected = {} if body is None else {"reasoning_effort": body}
    assert receipts_of(quirks, reasoning=settings) == (expected, receipts)


@pytest.mark.capability(NAME, "reasoning", "provider")
def test_reasoning_by_an_object() -> None:
    settings = ReasoningSettings(enabled=True, effort="low", budget_tokens=5, summary="auto")
    body, receipts = receipts_of(Quirks(reasoning_effort="reasoning"), reasoning=settings)
    assert body == {"reasoning": {"enabled": True, "effort": "low", "max_tokens": 5, "summary": "auto"}}
    assert receipts == ["reasoning kept"]


@pytest.mark.parametrize(
    "members",
    [
        {"tool_choice": ToolChoice(mode="tool")},
        {"response_format": ResponseFormat(kind="json_schema")},
        {"extra": {"x": object()}},
    ],
)
def test_what_cannot_be_said_as_it_stands(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        sent(Request(model="m", turns=(HI,), **members))


@pytest.mark.capability(NAME, "cache-control", "provider")
def test_marks_for_caching_go_only_to_those_who_take_them() -> None:
    mark = {"type": "ephemeral"}
    request = Request(
        model="m",
        turns=(Turn(role="user", parts=(TextPart(text="a", cache_control=mark),)),),
        tools=(Tool(name="f", cache_control=mark),),
        stream=False,
    )
    body, receipts = rendered(request)
    assert body["messages"] == [{"role": "user", "content": "a"}]
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert receipts == [
        "messages[0].cache_control dropped (the back-end caches by itself)",
        "tools[0].cache_control dropped (the back-end caches by itself)",
    ]
    body = sent(request, Quirks(cache_control=True))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]}]
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}, "cache_control": mark}]


def test_tools_of_back_ends() -> None:
    tools = (
        Tool(opaque={"": {"type": "web_search"}}),
        Tool(opaque={NAME: {"type": "custom", "custom": {"name": "c"}}}),
        Tool(opaque={"gemini": {"googleSearch": {}}}),
        Tool(name="f", strict=False, opaque={"gemini": {}, NAME: {"defer": True}}),
    )
    body, receipts = receipts_of(Quirks(unsupported=("strict",)), tools=tools)
    assert body["tools"] == [
        {"type": "web_search"},
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "function", "function": {"name": "f"}, "defer": True},
    ]
    assert receipts == [
        "tools[2] dropped (a tool that only another back-end runs)",
        "tools[3].strict dropped (the back-end refuses it)",
        "tools[3].opaque dropped (for another back-end)",
    ]


# --- turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.capability(NAME, "system", "provider")
@pytest.mark.parametrize(
    ("quirk", "roles"),
    [("auto", ["system", "developer"]), ("system", ["system", "system"]), ("developer", ["developer", "developer"])],
)
def test_roles_for_the_system(quirk: Any, roles: list[str]) -> None:
    turns = tuple(Turn(role=role, parts=(TextPart(text="a"),)) for role in ("system", "developer"))  # type: ignore[arg-type]
    body, receipts = rendered(Request(model="m", turns=turns), Quirks(system_role=quirk))
    assert [message["role"] for message in body["messages"]] == roles
    assert len(receipts) == (quirk != "auto")


@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "audio-in", "provider")
@pytest.mark.capability(NAME, "video-in", "provider")
@pytest.mark.capability(NAME, "document-in", "provider")
@pytest.mark.capability(NAME, "media-by-url", "provider")
@pytest.mark.capability(NAME, "media-by-file-id", "provider")
@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
@pytest.mark.parametrize(
    ("part", "content"),
    [
        (
            MediaPart(kind="image", url="https://h/a.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
        ),
        (
            MediaPart(kind="image", item=item(b"abc", "image/png")),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
        ),
        (
            MediaPart(kind="image", item=MediaItem(media_type="", url="https://h/b.png")),
            {"type": "image_url", "image_url": {"url": "https://h/b.png"}},
        ),
        (
            MediaPart(kind="audio", media_type="audio/mpeg", data="SUQz"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            MediaPart(kind="audio", media_type="audio/wav", item=item(b"RIFF", "audio/wav")),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ),
        (
            MediaPart(kind="audio", media_type="audio/basic", data="AAAA"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "basic"}},
        ),
        (
            MediaPart(kind="audio", url="https://h/a.mp3"),
            {"type": "audio_url", "audio_url": {"url": "https://h/a.mp3"}},
        ),
        (
            MediaPart(kind="video", media_type="video/mp4", data="AAAA"),
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            MediaPart(kind="document", media_type="application/pdf", data="JVBERg==", filename="a.pdf"),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
        ),
        (
            MediaPart(kind="document", media_type="application/pdf", item=item(b"%PDF", "application/pdf")),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "document.pdf"}},
        ),
        (MediaPart(kind="document", file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
    ],
)
def test_media(part: MediaPart, content: dict[str, Any]) -> None:
    assert message(part)["content"] == [content]
    assert message(TextPart(text="a"), part)["content"] == [{"type": "text", "text": "a"}, content]


def test_documents_by_url_go_only_to_those_who_fetch_them() -> None:
    part = MediaPart(kind="document", url="https://h/a.pdf", filename="a.pdf")
    file = {"type": "file", "file": {"file_data": "https://h/a.pdf", "filename": "a.pdf"}}
    assert message(part, quirks=Quirks(document_urls=True))["content"] == [file]


@pytest.mark.parametrize(
    ("parts", "role", "problem"),
    [
        ([MediaPart(kind="image", file_id="f")], "user", "messages[0]: chat completions take no image by file id"),
        ([MediaPart(kind="audio", url="https://h/a")], "user", "messages[0]: the back-end takes no audio by URL"),
        ([MediaPart(kind="video", url="https://h/a")], "user", "messages[0]: the back-end takes no video"),
        ([MediaPart(kind="document", url="https://h/a")], "user", "messages[0]: the back-end takes no document by URL"),
        ([PNG], "assistant", "messages[0]: media that a model made cannot be sent back as its answer (image)"),
        ([ToolResultPart(content=(PNG,))], "tool", "messages[0]: chat completions take only text as the result"),
        ([ToolCallPart(name="f")], "user", "messages[0]: only an answer can hold a ToolCall"),
        ([RefusalPart(text="no")], "system", "messages[0]: only an answer can hold a Refusal"),
    ],
)
def test_content_that_cannot_be_said(parts: list[Part], role: str, problem: str) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        message(*parts, role=role, quirks=Quirks())
    assert str(caught.value).startswith(problem)


def test_media_without_anything_in_it() -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]: media without bytes, URL or file id"):
        message(MediaPart(kind="image"))


@pytest.mark.capability(NAME, "refusal", "provider")
@pytest.mark.capability(NAME, "audio-out", "provider")
@pytest.mark.capability(NAME, "image-out", "provider")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], {"content": ""}),
        ([TextPart(text="a"), TextPart(text="b")], {"content": [{"type": "text", "text": t} for t in "ab"]}),
        ([TextPart(text="")], {"content": [{"type": "text", "text": ""}]}),
        ([RefusalPart(text="n"), RefusalPart(text="o")], {"content": None, "refusal": "no"}),
        ([MediaPart(kind="audio", file_id="audio_1")], {"content": None, "audio": {"id": "audio_1"}}),
        (
            [MediaPart(kind="audio", data="AAAA", transcript="Hi", opaque={NAME: {"id": "audio_2"}})],
            {"content": None, "audio": {"id": "audio_2"}},
        ),
        ([MediaPart(kind="audio", data="AAAA", transcript="Hi")], {"content": "Hi"}),
        (
            [TextPart(text="a"), msgspec.structs.replace(PNG, opaque={NAME: {"type": "image_url"}})],
            {
                "content": "a",
                "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
            },
        ),
        ([OpaquePart(opaque={"": {"type": "x"}}), OpaquePart(opaque={"gemini": {}})], {"content": [{"type": "x"}]}),
    ],
)
def test_answers_of_the_model(parts: list[Part], expected: dict[str, Any]) -> None:
    assert message(*parts, role="assistant") == {"role": "assistant", **expected}


@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
def test_reasoning_of_earlier_turns() -> None:
    details = {"reasoning_details": [{"type": "reasoning.text"}]}
    turn = Turn(role="assistant", parts=(ReasoningPart(text="a"), ReasoningPart(text="b"), TextPart(text="c")))
    marked = Turn(role="assistant", parts=(ReasoningPart(text="a", opaque={NAME: details}), TextPart(text="c")))
    foreign = Turn(role="assistant", parts=(ReasoningPart(opaque={"anthropic_messages": {"signature": "s"}}),))
    request = Request(model="m", turns=(turn, marked, foreign), stream=False)
    body, receipts = rendered(request)
    assert body["messages"] == [
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": "c", **details},
        {"role": "assistant", "content": ""},
    ]
    dropped = "messages[{}].reasoning dropped (the back-end takes no reasoning back)"
    assert receipts == [
        dropped.format(0),
        dropped.format(0),
        dropped.format(2),
        "messages[2].opaque.anthropic_messages dropped (for another back-end)",
    ]
    body = sent(request, Quirks(send_reasoning=True, reasoning_field="reasoning"))
    assert body["messages"] == [
        {"role": "assistant", "content": "c", "reasoning": "ab"},
        {"role": "assistant", "content": "c", "reasoning": "a", **details},
        {"role": "assistant", "content": ""},
    ]
    body, receipts = rendered(ask(ReasoningPart(text="a"), TextPart(text="b")))
    assert body["messages"] == [{"role": "user", "content": "b"}]
    assert receipts == ["messages[0].reasoning dropped (only an answer reasons)"]


@pytest.mark.capability(NAME, "tool-results", "provider")
def test_results_of_tools() -> None:
    turns = (
        Turn(role="assistant", parts=(ToolCallPart(id="a", name="f", arguments="{}", opaque={NAME: {"extra": 1}}),)),
        Turn(
            role="tool",
            parts=(
                ToolResultPart(tool_call_id="a", name="f", content=(TextPart(text="1"),), opaque={NAME: {"x": 1}}),
                ToolResultPart(tool_call_id="b", content=(), is_error=True),
            ),
            opaque={NAME: {"y": 2}},
        ),
        Turn(role="user", parts=(ToolResultPart(tool_call_id="c", content=(TextPart(text="2"),)), TextPart(text="3"))),
    )
    body, receipts = rendered(Request(model="m", turns=turns, stream=False))
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra": 1}],
        },
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "1", "x": 1, "y": 2},
        {"role": "tool", "tool_call_id": "b", "content": "", "y": 2},
        {"role": "tool", "tool_call_id": "c", "content": "2"},
        {"role": "user", "content": "3"},
    ]
    assert receipts == ["messages[1].is_error dropped (there is no such mark; its text tells)"]


@pytest.mark.capability(NAME, "ids", "provider")
def test_calls_without_ids_are_given_some() -> None:
    calls = tuple(ToolCallPart(name=name, arguments="{}") for name in ("f", "g", "f"))
    results = tuple(Turn(role="tool", parts=(ToolResultPart(name=name),)) for name in ("g", "f", "", "h"))
    body = sent(Request(model="m", turns=(Turn(role="assistant", parts=calls), *results)))
    assert [call["id"] for call in body["messages"][0]["tool_calls"]] == ["call_0", "call_1", "call_2"]
    assert [found["tool_call_id"] for found in body["messages"][1:]] == ["call_1", "call_0", "call_2", "call_h"]


def test_members_of_this_dialect_are_laid_over() -> None:
    turn = Turn(
        role="user", parts=(TextPart(text="a", opaque={NAME: {"x": 1}, "gemini": {}}),), opaque={NAME: {"y": 2}}
    )
    body, receipts = rendered(Request(model="m", turns=(turn,)))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}], "y": 2}]
    assert receipts == ["messages[0].opaque.gemini dropped (for another back-end)"]


def test_there_is_no_question_for_counts() -> None:
    assert OpenAIChat().render_token_count(FULL, Receipts()) is None


def test_the_dialect_is_a_frozen_value() -> None:
    dialect = OpenAIChat(Quirks(video=True))
    assert dialect.name == NAME
    assert dialect == OpenAIChat(Quirks(video=True))
    with pytest.raises(AttributeError):
        dialect.quirks = Quirks()  # type: ignore[misc]


BEGIN = (HI, Turn(role="assistant", parts=(TextPart(text="Once"),)))
CALL = Turn(role="assistant", parts=(TextPart(text="so"), ToolCallPart(id="1", name="f", arguments="{}")))


@pytest.mark.parametrize(
    ("prefix", "last", "members"),
    [
        (None, {}, {}),
        ("plain", {}, {}),
        ("member", {"prefix": True}, {}),
        ("final_message", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_the_begin_of_an_answer_is_said_as_the_back_end_takes_it(prefix: Any, last: Any, members: Any) -> None:
    body = sent(Request(model="m", turns=BEGIN, stream=False), Quirks(prefix=prefix))
    assert body["messages"][-1] == {"role": "assistant", "content": "Once", **last}
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == members


@pytest.mark.parametrize("prefix", ["member", "final_message"])
@pytest.mark.parametrize("turns", [(), (HI,), (HI, CALL), (HI, Turn(role="assistant", parts=()))])
def test_nothing_else_is_a_begin(prefix: Any, turns: tuple[Turn, ...]) -> None:
    body = sent(Request(model="m", turns=turns, stream=False), Quirks(prefix=prefix))
    assert "continue_final_message" not in body
    assert all("prefix" not in message for message in body["messages"])
