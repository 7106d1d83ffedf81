"""Requests of Gemini's clients, as their libraries send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backstream.dialects.gemini import Gemini
from backstream.errors import InvalidRequestError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    ReasoningPart,
    ReasoningSettings,
    Receipts,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)

NAME = "gemini"
STREAM = "/v1beta/models/gemini-3-pro:streamGenerateContent"


def parse(path: str = STREAM, **members: Any) -> Request:
    return Gemini().parse_request(members, path)


def parts(*given: Any, role: str = "user") -> tuple[Any, ...]:
    return parse(contents=[{"role": role, "parts": list(given)}]).turns[0].parts


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (STREAM, "gemini-3-pro", True),
        (STREAM + "?alt=sse", "gemini-3-pro", True),
        ("models/a:generateContent", "a", False),
        ("/v1beta/models/openai/gpt-5:generateContent", "openai/gpt-5", False),
        ("/v1beta/models/odd%20name:generateContent", "odd name", False),
        ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine", False),
        ("projects/p/models/m:generateContent", "projects/p/models/m", False),
        ("", "from-body", True),
        ("/other", "from-body", True),
    ],
)
def test_the_path_says_the_model_and_whether_to_stream(path: str, model: str, stream: bool) -> None:
    request = parse(path, contents=[], model="models/from-body")
    assert (request.model, request.stream, request.extra) == (model, stream, {})


@pytest.mark.capability(NAME, "token-count", "server")
def test_the_question_for_the_number_of_tokens() -> None:
    inner = {"model": "models/gemini-3-pro", "contents": [{"parts": [{"text": "Hi"}]}]}
    request = parse("/v1beta/models/gemini-3-pro:countTokens", generateContentRequest=inner)
    assert request.model == "gemini-3-pro"
    assert request.turns == (Turn(role="user", parts=(TextPart(text="Hi"),)),)
    assert Gemini().render_count(7) == b'{"totalTokens":7}'


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
def test_names_with_underscores_and_short_forms_are_read_too() -> None:
    request = parse(
        system_instruction="Be brief.",
        contents=["Hi", {"role": "model", "parts": {"text": "Hello"}}, {"role": "system", "parts": [{"text": "!"}]}],
        generation_config={"max_output_tokens": 5.0, "thinking_config": {"include_thoughts": True}},
    )
    assert [(turn.role, turn.text) for turn in request.turns] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("system", "!"),
    ]
    assert request.max_tokens == 5
    assert request.reasoning == ReasoningSettings(summary="auto")


def test_what_a_content_says_beside_its_parts_stays_with_it() -> None:
    request = parse(
        systemInstruction={"role": "user", "parts": [{"text": "a"}], "note": 1},
        contents=[{"parts": [{"text": "b"}], "note": 2}, {"role": "user"}],
    )
    assert [turn.opaque for turn in request.turns] == [{NAME: {"note": 1}}, {NAME: {"note": 2}}, {}]
    assert parse(systemInstruction={"parts": []}, contents=None).turns == ()


@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "audio-in", "server")
@pytest.mark.capability(NAME, "video-in", "server")
@pytest.mark.capability(NAME, "document-in", "server")
@pytest.mark.capability(NAME, "media-by-url", "server")
@pytest.mark.capability(NAME, "media-by-file-id", "server")
def test_media() -> None:
    files = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert parts(
        {
            "inline_data": {"mime_type": "image/png", "data": "aA=="},
            "media_resolution": {"level": "MEDIA_RESOLUTION_HIGH"},
        },
        {"inlineData": {"mimeType": "audio/wav", "data": "aA==", "displayName": "a"}, "mediaResolution": {"level": 3}},
        {"fileData": {"fileUri": files, "mimeType": "application/pdf"}},
        {"fileData": {"fileUri": "https://youtu.be/1"}, "videoMetadata": {"fps": 1}},
        {"fileData": {"fileUri": "https://example.org/a.mp4"}},
    ) == (
        MediaPart(kind="image", media_type="image/png", data="aA==", detail="high"),
        MediaPart(
            kind="audio",
            media_type="audio/wav",
            data="aA==",
            opaque={NAME: {"inlineData": {"displayName": "a"}, "mediaResolution": {"level": 3}}},
        ),
        MediaPart(kind="document", media_type="application/pdf", file_id="files/abc"),
        MediaPart(kind="video", url="https://youtu.be/1", opaque={NAME: {"videoMetadata": {"fps": 1}}}),
        MediaPart(kind="video", url="https://example.org/a.mp4"),
    )


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("-_8=", "+/8="), ("-_8", "+/8="), ("aA", "aA=="), ("", ""), ("aGFs\nbG8", "aGFs\nbG8")],
)
def test_either_alphabet_of_base64_is_taken(sent: str, kept: str) -> None:
    """Google's own library for Python writes the one of URLs."""
    (part,) = parts({"inlineData": {"mimeType": "image/png", "data": sent}})
    assert isinstance(part, MediaPart)
    assert part.data == kept


@pytest.mark.capability(NAME, "streamed-media-upload", "server")
def test_media_that_the_server_kept_out_of_memory() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"a"

    item = MediaItem(media_type="image/png", size=1, blocks=blocks)
    assert parts({"inlineData": {"data": item}}) == (MediaPart(kind="image", media_type="image/png", item=item),)


@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "ids", "server")
@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "tool-result-media", "server")
@pytest.mark.capability(NAME, "reasoning-opaque", "server")
def test_calls_and_results() -> None:
    assert parts(
        {"functionCall": {"name": "f", "args": {"a": 1}, "willContinue": False}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "2", "name": "g"}},
        {"text": "Hm.", "thought": True},
        {"text": "", "thoughtSignature": "c2ln"},
        {"inlineData": {"mimeType": "image/png", "data": "aA=="}, "thought": True},
        {"executableCode": {"code": "1"}},
        role="model",
    ) == (
        ToolCallPart(
            name="f",
            arguments='{"a":1}',
            opaque={NAME: {"thoughtSignature": "c2ln", "functionCall": {"willContinue": False}}},
        ),
        ToolCallPart(id="2", name="g", arguments="{}"),
        ReasoningPart(text="Hm."),
        OpaquePart(opaque={NAME: {"text": "", "thoughtSignature": "c2ln"}}),
        OpaquePart(opaque={NAME: {"inlineData": {"mimeType": "image/png", "data": "aA=="}, "thought": True}}),
        OpaquePart(opaque={NAME: {"executableCode": {"code": "1"}}}),
    )

    def result(**members: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": "f", **members}}

    picture = {"inlineData": {"mimeType": "image/png", "data": "aA=="}}
    turns = parse(
        contents=[
            {
                "role": "function",
                "parts": [
                    result(id="1", response={"output": "x"}),
                    result(response={"error": "bad"}, scheduling="SILENT"),
                    result(response={"error": {"code": 1}}),
                    result(response={"a": [1]}, parts=[picture]),
                    {"text": "And?"},
                    result(),
                ],
            }
        ]
    ).turns
    assert [turn.role for turn in turns] == ["tool", "user", "tool"]
    assert turns[0].parts == (
        ToolResultPart(tool_call_id="1", name="f", content=(TextPart(text="x"),)),
        ToolResultPart(
            name="f",
            content=(TextPart(text="bad"),),
            is_error=True,
            opaque={NAME: {"functionResponse": {"scheduling": "SILENT"}}},
        ),
        ToolResultPart(name="f", content=(TextPart(text='{"error":{"code":1}}'),), is_error=True),
        ToolResultPart(
            name="f",
            content=(TextPart(text='{"a":[1]}'), MediaPart(kind="image", media_type="image/png", data="aA==")),
        ),
    )
    assert turns[2].parts == (ToolResultPart(name="f"),)


@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "stop", "server")
@pytest.mark.capability(NAME, "seed", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
@pytest.mark.capability(NAME, "image-out", "server")
@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.capability(NAME, "structured-output", "server")
def test_parameters() -> None:
    request = parse(
        contents=[],
        generationConfig={
            "temperature": 0.5,
            "topK": 3,
            "stopSequences": ["a"],
            "seed": 1,
            "responseLogprobs": True,
            "logprobs": 2,
            "responseModalities": ["TEXT", "IMAGE"],
            "candidateCount": 1,
            "thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False, "new": 1},
            "responseMimeType": "application/json",
            "responseSchema": {
                "type": "OBJECT",
                "nullable": True,
                "properties": {
                    "a": {"type": "STRING", "format": "enum", "enum": ["x"], "nullable": True},
                    "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
                    "c": {"anyOf": [{"type": "TYPE_UNSPECIFIED"}, {"type": "null"}], "nullable": True},
                    "d": {"nullable": True},
                    "e": True,
                },
                "additionalProperties": False,
            },
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
        safetySettings=[{"category": "a"}],
        serviceTier="FLEX",
        store=True,
        labels={"a": "b"},
    )
    assert (request.temperature, request.top_k, request.stop, request.seed) == (0.5, 3, ("a",), 1)
    assert (request.logprobs, request.top_logprobs, request.modalities) == (True, 2, ("text", "image"))
    assert request.reasoning == ReasoningSettings(enabled=False, summary="none")
    assert request.response_format == ResponseFormat(
        kind="json_schema",
        schema={
            "type": ["object", "null"],
            "properties": {
                "a": {"type": ["string", "null"], "enum": ["x", None]},
                "b": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                "c": {"anyOf": [{}, {"type": "null"}, {"type": "null"}]},
                "d": {},
                "e": True,
            },
            "additionalProperties": False,
        },
    )
    assert (request.audio, request.service_tier, request.store) == ({"voice": "Kore"}, "flex", True)
    assert request.safety_settings == [{"category": "a"}]
    assert request.dialect == NAME
    assert request.extra == {
        "labels": {"a": "b"},
        "generationConfig": {"candidateCount": 1, "thinkingConfig": {"new": 1}},
    }
    only_new = parse(generationConfig={"thinkingConfig": {"new": 1}})
    assert only_new.reasoning is None


def test_plain_forms_and_budgets() -> None:
    plain = parse(generationConfig={"responseMimeType": "text/plain", "thinkingConfig": {"thinkingLevel": "LOW"}})
    assert plain.response_format == ResponseFormat(kind="text")
    assert plain.reasoning == ReasoningSettings(effort="low")
    wide = parse(generationConfig={"responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 5}})
    assert wide.response_format == ResponseFormat(kind="json_object")
    assert wide.reasoning == ReasoningSettings(budget_tokens=5)
    assert plain.extra == wide.extra == {}


def test_forms_that_have_no_place_stay_what_they_are() -> None:
    config = {
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING", "enum": ["a"]},
        "speechConfig": {"languageCode": "de-DE"},
    }
    request = parse(contents=[], generationConfig=config, serviceTier="new")
    assert request.response_format is None
    assert request.extra == {"generationConfig": config, "serviceTier": "new"}
    rendered = Gemini().render_request(request, Receipts())
    assert b'"text/x.enum"' in b"".join(piece for piece in rendered.body if isinstance(piece, bytes))


@pytest.mark.capability(NAME, "tools", "server")
def test_tools() -> None:
    request = parse(
        contents=[],
        tools=[
            {
                "function_declarations": [
                    {"name": "f", "description": "d", "parameters": {"type": "OBJECT"}, "response": {"type": "STRING"}},
                    {"name": "g", "parametersJsonSchema": {"type": "object"}, "description": None},
                ],
                "googleSearch": {},
            }
        ],
    )
    assert request.tools == (
        Tool(name="f", description="d", parameters={"type": "object"}, opaque={NAME: {"response": {"type": "STRING"}}}),
        Tool(name="g", parameters={"type": "object"}),
        Tool(opaque={NAME: {"googleSearch": {}}}),
    )


@pytest.mark.capability(NAME, "tool-choice", "server")
@pytest.mark.parametrize(
    ("calling", "choice", "strict"),
    [
        ({}, None, None),
        ({"mode": "MODE_UNSPECIFIED"}, None, None),
        ({"mode": "auto"}, ToolChoice(), None),
        ({"mode": "NONE"}, ToolChoice(mode="none"), None),
        ({"mode": "ANY"}, ToolChoice(mode="required"), None),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode="tool", names=("f",)), None),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice(names=("f",)), None),
        ({"allowedFunctionNames": ["f"]}, ToolChoice(names=("f",)), None),
        ({"mode": "VALIDATED"}, None, True),
    ],
)
def test_tool_choice(calling: dict[str, Any], choice: ToolChoice | None, strict: bool | None) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]
    request = parse(contents=[], tools=tools, toolConfig={"functionCallingConfig": calling})
    assert request.tool_choice == choice
    assert [tool.strict for tool in request.tools] == [strict, None]
    further = {"functionCallingConfig": {"streamFunctionCallArguments": True}, "retrievalConfig": {}}
    assert parse(contents=[], toolConfig=further).extra == {"toolConfig": further}


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"contents": 1}, "contents is a int"),
        ({"contents": [1]}, r"contents\[0\] is a int"),
        ({"contents": [{"role": "robot"}]}, r"contents\[0\] has role 'robot'"),
        ({"contents": [{"role": 1}]}, r"contents\[0\].role is a int"),
        ({"contents": [{"parts": "x"}]}, r"contents\[0\].parts is a str"),
        ({"contents": [{"parts": [{"text": 1}]}]}, r"parts\[0\].text is a int"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "names no function"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, "args is a list"),
        ({"contents": [{"parts": [{"functionResponse": {"response": "x"}}]}]}, "response is a str"),
        ({"contents": [{"parts": [{"functionResponse": {"parts": [{"text": "x"}]}}]}]}, "other than media"),
        ({"contents": [{"parts": [{"fileData": {}}]}]}, "no fileUri"),
        ({"generationConfig": {"temperature": "x"}}, "generationConfig.temperature is a str"),
        ({"generationConfig": {"maxOutputTokens": 1.5}}, "no whole number"),
        ({"generationConfig": {"responseLogprobs": 1}}, "use true or false"),
        ({"generationConfig": {"responseMimeType": "application/json", "responseSchema": 1}}, "no object"),
        ({"tools": [{"functionDeclarations": [{}]}]}, r"functionDeclarations\[0\] has no name"),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parameters": 1}]}]}, "parameters that are no object"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "mode is unknown"),
    ],
)
def test_another_shape_is_refused_with_its_place(members: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequestError, match=where):
        parse(**members)
