"""Requests to Gemini: every feature in Google's words, and a receipt for what is not said as it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.dialects.gemini import Gemini, Quirks
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
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
from backstream.testing.dialects import check_dialect

NAME = "gemini"
HI = Turn(role="user", parts=(TextPart(text="Hi"),))
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def written(body: Any) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in body)


def render(quirks: Quirks = Quirks(), **members: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: B008 - frozen
    request = Request(**{"model": "gemini-3-pro", "turns": (HI,)} | members)
    receipts = Receipts()
    rendered = Gemini(quirks).render_request(request, receipts)
    found: dict[str, Any] = json.loads(written(rendered.body))
    return found, [str(receipt) for receipt in receipts]


def contents(*turns: Turn, quirks: Quirks = Quirks()) -> Any:  # noqa: B008 - frozen
    return render(quirks, turns=turns)[0]["contents"]


def user(*parts: Any) -> Turn:
    return Turn(role="user", parts=parts)


def test_the_dialect_keeps_its_promises() -> None:
    check_dialect(Gemini())
    check_dialect(Gemini(Quirks(framing="array")))
    assert Gemini().name == NAME


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.parametrize(
    ("model", "stream", "framing", "path", "query"),
    [
        ("gemini-3-pro", True, "sse", "/models/gemini-3-pro:streamGenerateContent", {"alt": "sse"}),
        ("gemini-3-pro", True, "array", "/models/gemini-3-pro:streamGenerateContent", {}),
        ("models/gemini-3-pro", False, "sse", "/models/gemini-3-pro:generateContent", {}),
        ("tunedModels/mine", False, "sse", "/tunedModels/mine:generateContent", {}),
        ("a b?c", False, "sse", "/models/a%20b%3Fc:generateContent", {}),
    ],
)
def test_the_model_stands_in_the_path(model: str, stream: bool, framing: Any, path: str, query: Any) -> None:
    request = Request(model=model, turns=(HI,), stream=stream)
    rendered = Gemini(Quirks(framing=framing)).render_request(request, Receipts())
    assert (rendered.path, rendered.query) == (path, query)
    assert list(rendered.body) == [b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}']


def test_a_model_must_be_named() -> None:
    with pytest.raises(InvalidRequestError, match="name one"):
        render(model="")


@pytest.mark.capability(NAME, "token-count", "provider")
def test_the_question_for_the_number_of_tokens_holds_the_whole_request() -> None:
    rendered = Gemini().render_token_count(Request(model="gemini-3-pro", turns=(HI,)), Receipts())
    assert rendered.path == "/models/gemini-3-pro:countTokens"
    assert json.loads(written(rendered.body)) == {
        "generateContentRequest": {
            "model": "models/gemini-3-pro",
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        }
    }
    assert Gemini().parse_token_count(b'{"totalTokens": 7}') == 7


@pytest.mark.capability(NAME, "system", "provider")
@pytest.mark.capability(NAME, "multi-turn", "provider")
def test_instructions_at_the_beginning_are_apart_and_later_ones_near_it() -> None:
    def system(text: str, role: Any = "system") -> Turn:
        return Turn(role=role, parts=(TextPart(text=text),), opaque={NAME: {"role": "system"}} if text == "a" else {})

    answer = Turn(role="assistant", parts=(TextPart(text="Hello"),))
    body, receipts = render(turns=(system("a"), system("b", "developer"), HI, answer, system("c"), HI))
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}], "role": "system"}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "user"]
    assert receipts == ["messages[4].role approximated as user (gemini takes system messages only at the beginning)"]
    alone, _ = render(turns=(system("b"),))
    assert alone == {"contents": [{"role": "user", "parts": [{"text": "b"}]}]}
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: gemini takes only text"):
        render(turns=(Turn(role="system", parts=(MediaPart(kind="image", url="https://a.b/c.png"),)), HI))


def test_what_has_no_words_is_told() -> None:
    turn = Turn(
        role="user",
        name="Ann",
        opaque={"ollama": {"a": 1}},
        parts=(
            TextPart(text="Hi", cache_control={"type": "ephemeral"}, opaque={"anthropic_messages": {"b": 1}}),
            OpaquePart(opaque={"": {"text": "mine"}}),
            ReasoningPart(opaque={"anthropic_messages": {"signature": "x"}}),
            RefusalPart(text="No."),
        ),
    )
    body, receipts = render(turns=(turn, Turn(role="assistant")))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "mine"}, {"text": "No."}]}]
    assert receipts == [
        "messages[0].name dropped (gemini knows no names of speakers)",
        "messages[0].content[0].cache_control dropped (gemini caches by itself, or by cachedContent)",
        "messages[0].content[0].opaque.anthropic_messages dropped (another back-end's own)",
        "messages[0].content[2].opaque.anthropic_messages dropped (another back-end's own)",
        "messages[0].content[3].refusal approximated as text (gemini knows no refusals by the model)",
        "messages[0].opaque.ollama dropped (another back-end's own)",
    ]


@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "audio-in", "provider")
@pytest.mark.capability(NAME, "video-in", "provider")
@pytest.mark.capability(NAME, "document-in", "provider")
@pytest.mark.capability(NAME, "media-by-url", "provider")
@pytest.mark.capability(NAME, "media-by-file-id", "provider")
@pytest.mark.parametrize(
    ("part", "rendered"),
    [
        (
            MediaPart(kind="image", media_type="image/png", data="aA==", filename="a.png", detail="low"),
            {
                "inlineData": {"mimeType": "image/png", "data": "aA=="},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
        ),
        (
            MediaPart(kind="audio", media_type="audio/wav", data="aA==", transcript="a"),
            {"inlineData": {"mimeType": "audio/wav", "data": "aA=="}},
        ),
        (
            MediaPart(
                kind="video", url="https://www.youtube.com/watch?v=1", opaque={NAME: {"videoMetadata": {"fps": 1}}}
            ),
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}, "videoMetadata": {"fps": 1}},
        ),
        (
            MediaPart(kind="document", url="https://example.org/a.pdf?b=c"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/a.pdf?b=c"}},
        ),
        (
            MediaPart(kind="document", media_type="application/pdf", file_id="files/abc"),
            {
                "fileData": {
                    "mimeType": "application/pdf",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                }
            },
        ),
        (MediaPart(kind="document", file_id="gs://a/b"), {"fileData": {"fileUri": "gs://a/b"}}),
    ],
)
def test_media(part: MediaPart, rendered: dict[str, Any]) -> None:
    assert contents(user(part)) == [{"role": "user", "parts": [rendered]}]


def test_media_without_a_type_or_a_place_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="type"):
        contents(user(MediaPart(kind="image", data="aA==")))
    with pytest.raises(InvalidRequestError, match="neither data nor a place"):
        contents(user(MediaPart(kind="image", media_type="image/png")))


def test_details_that_a_model_does_not_know_are_told() -> None:
    part = MediaPart(kind="image", media_type="image/png", data="aA==", detail="high")
    body, receipts = render(Quirks(media_resolution=False), turns=(user(part),))
    assert "mediaResolution" not in body["contents"][0]["parts"][0]
    assert receipts == ["messages[0].content[0].detail dropped (gemini has no such resolution for a part)"]


@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
def test_media_are_read_while_they_are_sent() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"abc" * 1000

    item = MediaItem(media_type="image/png", size=3000, blocks=blocks)
    rendered = Gemini().render_request(
        Request(model="m", turns=(user(MediaPart(kind="image", item=item)),)), Receipts()
    )
    assert [isinstance(piece, bytes) for piece in rendered.body] == [True, False, True]
    part = json.loads(written(rendered.body))["contents"][0]["parts"][0]
    assert part == {"inlineData": {"mimeType": "image/png", "data": "YWJj" * 1000}}


@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "tool-results", "provider")
@pytest.mark.capability(NAME, "tool-result-media", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
def test_calls_and_their_results() -> None:
    signed = {NAME: {"thoughtSignature": "c2ln"}}
    calls = Turn(
        role="assistant",
        parts=(
            ReasoningPart(text="Hm."),
            ToolCallPart(id="1", name="f", arguments='{"a": 1}', opaque=signed),
            ToolCallPart(name="g", arguments=""),
            ToolCallPart(id="3", name="h", arguments="{cut"),
        ),
    )

    def result(*content: Any, **members: Any) -> Turn:
        return Turn(role="tool", parts=(ToolResultPart(content=content, **members),))

    picture = MediaPart(kind="image", media_type="image/png", data="aA==", opaque={NAME: {"note": 1}})
    turns = (
        calls,
        result(TextPart(text='{"a":1}'), tool_call_id="1"),
        result(TextPart(text="bad"), name="g", is_error=True),
        result(TextPart(text="see"), picture, tool_call_id="3"),
        result(MediaPart(kind="image", url="https://a.b/c.png"), name="h"),
    )
    body, receipts = render(turns=(HI, *turns))
    assert body["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "g", "args": {}}},
        {"functionCall": {"id": "3", "name": "h", "args": {"arguments": "{cut"}}},
    ]
    inline = {"inlineData": {"mimeType": "image/png", "data": "aA=="}, "note": 1}
    after = {"fileData": {"mimeType": "image/png", "fileUri": "https://a.b/c.png"}}
    assert body["contents"][2:] == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "1", "name": "f", "response": {"a": 1}}},
                {"functionResponse": {"name": "g", "response": {"error": "bad"}}},
                {"functionResponse": {"id": "3", "name": "h", "response": {"output": "see"}, "parts": [inline]}},
                {"functionResponse": {"name": "h", "response": {}}},
                after,
            ],
        }
    ]
    assert receipts == [
        "messages[1].content[3].arguments approximated as args.arguments (gemini takes only a JSON object)",
        "messages[5].content[0].content approximated as parts (the media follow the result)",
    ]
    older = contents(calls, turns[3], quirks=Quirks(media_in_results=False))
    assert older[1]["parts"][1] == inline
    with pytest.raises(InvalidRequestError, match="give the tool's name"):
        contents(result(TextPart(text="x"), tool_call_id="unknown"))


@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "stop", "provider")
@pytest.mark.capability(NAME, "seed", "provider")
@pytest.mark.capability(NAME, "logprobs", "provider")
@pytest.mark.capability(NAME, "image-out", "provider")
@pytest.mark.capability(NAME, "audio-out", "provider")
def test_parameters() -> None:
    body, receipts = render(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop=("a", "b"),
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
        modalities=("text", "audio"),
        audio={"voice": "Kore", "format": "wav"},
        service_tier="default",
        store=False,
        safety_settings=({"category": "a", "threshold": "b"},),
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 5,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "stopSequences": ["a", "b"],
        "seed": 1,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseModalities": ["TEXT", "AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    assert body["serviceTier"] == "standard"
    assert body["store"] is False
    assert body["safetySettings"] == [{"category": "a", "threshold": "b"}]
    assert "temperature kept" in receipts
    assert "max_tokens renamed as generationConfig.maxOutputTokens" in receipts
    assert [receipt for receipt in receipts if "dropped" in receipt] == [
        "audio.format dropped (gemini speaks in a form of its own choice)"
    ]


@pytest.mark.parametrize(
    ("members", "harmless"),
    [
        ({"min_p": 0.1}, False),
        ({"repetition_penalty": 1.1}, False),
        ({"logit_bias": {"1": 1}}, False),
        ({"verbosity": "low"}, False),
        ({"user": "a"}, False),
        ({"metadata": {"a": "b"}}, False),
        ({"previous_response_id": "a"}, False),
        ({"conversation": "a"}, True),
        ({"parallel_tool_calls": True}, True),
        ({"parallel_tool_calls": False}, False),
        ({"service_tier": "auto"}, True),
        ({"service_tier": "scale"}, False),
        ({"audio": {"voice": {"id": "v"}}}, False),
    ],
)
def test_parameters_that_are_not_said(members: dict[str, Any], harmless: bool) -> None:
    receipts = Receipts()
    rendered = Gemini().render_request(Request(model="m", turns=(HI,), **members), receipts)
    assert json.loads(written(rendered.body)).keys() == {"contents"}
    assert [(receipt.outcome, receipt.harmless) for receipt in receipts] == [("dropped", harmless)]


def test_an_empty_voice_says_nothing() -> None:
    assert render(audio={}) == ({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, [])


@pytest.mark.capability(NAME, "structured-output", "provider")
def test_forms_of_the_answer() -> None:
    def config(quirks: Quirks = Quirks(), **members: Any) -> tuple[Any, list[str]]:  # noqa: B008 - frozen
        body, receipts = render(quirks, response_format=ResponseFormat(**members))
        return body["generationConfig"], receipts

    assert config(kind="text")[0] == {"responseMimeType": "text/plain"}
    assert config(kind="json_object")[0] == {"responseMimeType": "application/json"}
    schema = {**CITY, "not": {}}
    found, receipts = config(kind="json_schema", schema=schema, name="place", description="where", strict=True)
    assert found == {"responseMimeType": "application/json", "responseJsonSchema": CITY}
    assert [receipt.partition(" ")[0] for receipt in receipts] == [
        "response_format.schema",
        "response_format",
        "response_format.name",
        "response_format.description",
        "response_format.strict",
    ]
    older, _ = config(Quirks(json_schema=False), kind="json_schema", schema=CITY)
    assert older["responseSchema"]["type"] == "OBJECT"


@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.parametrize(
    ("settings", "model", "thinking"),
    [
        (ReasoningSettings(), "gemini-3-pro", None),
        (ReasoningSettings(effort="low"), "gemini-3-pro", {"thinkingLevel": "LOW"}),
        (ReasoningSettings(effort="xhigh"), "gemini-3-pro", {"thinkingLevel": "HIGH"}),
        (ReasoningSettings(effort="medium"), "gemini-2.5-flash", {"thinkingBudget": 8192}),
        (ReasoningSettings(effort="none"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (ReasoningSettings(enabled=False), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (ReasoningSettings(enabled=True), "gemini-2.5-flash", {"thinkingBudget": -1}),
        (ReasoningSettings(budget_tokens=5, effort="low"), "gemini-3-pro", {"thinkingBudget": 5}),
        (ReasoningSettings(budget_tokens=5, summary="auto"), "m", {"thinkingBudget": 5, "includeThoughts": True}),
        (ReasoningSettings(summary="detailed"), "m", {"includeThoughts": True}),
        (ReasoningSettings(summary="none"), "m", {"includeThoughts": False}),
    ],
)
def test_reasoning(settings: ReasoningSettings, model: str, thinking: dict[str, Any] | None) -> None:
    body, receipts = render(model=model, reasoning=settings)
    assert body.get("generationConfig") == (thinking and {"thinkingConfig": thinking})
    assert bool(receipts) is (thinking is not None)


@pytest.mark.capability(NAME, "tools", "provider")
def test_tools_stand_in_one_and_google_s_own_behind() -> None:
    tools = (
        Tool(opaque={NAME: {"googleSearch": {}}}),
        Tool(
            name="f",
            description="d",
            parameters={**CITY, "not": {}},
            strict=False,
            cache_control={"type": "ephemeral"},
            opaque={NAME: {"behavior": "BLOCKING"}},
        ),
        Tool(opaque={"": {"codeExecution": {}}}),
        Tool(opaque={"openai_responses": {"type": "web_search"}}),
        Tool(name="g"),
    )
    body, receipts = render(tools=tools)
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": CITY, "behavior": "BLOCKING"},
                {"name": "g"},
            ]
        },
        {"googleSearch": {}},
        {"codeExecution": {}},
    ]
    assert [receipt.partition(" ")[0] for receipt in receipts] == [
        "tools[1].cache_control",
        "tools[1].parameters",
        "tools[3]",
        "tools[1].strict",
    ]
    older, _ = render(
        Quirks(json_schema=False), tools=(tools[1], Tool(name="h", parameters={"type": "object", "properties": {}}))
    )
    functions = older["tools"][0]["functionDeclarations"]
    assert functions[0]["parameters"]["type"] == "OBJECT"
    assert functions[1] == {"name": "h"}


@pytest.mark.capability(NAME, "tool-choice", "provider")
@pytest.mark.parametrize(
    ("choice", "strict", "calling"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(), None, {"mode": "AUTO"}),
        (ToolChoice(), True, {"mode": "VALIDATED"}),
        (ToolChoice(names=("f",)), None, {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="none"), True, {"mode": "NONE"}),
        (ToolChoice(mode="required"), None, {"mode": "ANY"}),
        (ToolChoice(mode="tool", names=("f",)), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, strict: bool | None, calling: dict[str, Any] | None) -> None:
    body, _ = render(tools=(Tool(name="f", strict=strict),), tool_choice=choice)
    assert body.get("toolConfig") == (calling and {"functionCallingConfig": calling})


def test_further_members_are_joined_to_ours_or_told() -> None:
    extra = {
        "generationConfig": {"imageConfig": {"aspectRatio": "1:1"}, "seed": 9},
        "cachedContent": "cachedContents/1",
    }
    body, _ = render(seed=1, temperature=1.0, extra=extra)
    assert body["generationConfig"] == {"seed": 9, "temperature": 1.0, "imageConfig": {"aspectRatio": "1:1"}}
    assert body["cachedContent"] == "cachedContents/1"
    body, receipts = render(extra={"think": True}, dialect="ollama")
    assert body.keys() == {"contents"}
    assert receipts == ["think dropped (a member of ollama only)"]
