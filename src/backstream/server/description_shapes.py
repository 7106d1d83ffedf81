"""The shapes of bodies, as JSON schemas: what every route takes and gives, as far as this server checks it. Pure data.

Members that are not named here are translated for providers; the vendors' own pages describe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ANSWERS", "COMPONENTS", "ERRORS", "FORMS", "REQUESTS"]

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_SOME_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_FLAG: Final[Schema] = {"type": ["boolean", "null"]}
_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_COUNT: Final[Schema] = {"type": ["integer", "null"], "minimum": 1}
_MODEL: Final[Schema] = {"type": ["string", "null"], "examples": ["echo"]}
_NAMED: Final[Schema] = {"type": "string", "minLength": 1, "examples": ["echo"]}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


_PRINTABLE: Final = r"^[^\u0000-\u001f\u007f\u0085\u2028\u2029]*$"


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _form(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {**_object(required, **properties), "propertyNames": {"pattern": _PRINTABLE}}


def _message(*roles: str) -> Schema:
    return _object(("role",), role={"enum": list(roles)}, content={"type": ["string", "null"]})


_SAID_LATER: Final[Schema] = {"description": "What is wrong with it is an event of the stream"}

# --- requests ---------------------------------------------------------------------------------------------------------

_CHAT: Final = _object(
    ("messages",),
    model=_MODEL,
    messages=_list(_message("system", "developer", "user", "assistant"), 1),
    stream=_FLAG,
    temperature=_NUMBER,
    top_p=_NUMBER,
)
_RESPONSES: Final = _object(
    ("input",),
    model=_MODEL,
    input={"anyOf": [_TEXT, _list(_message("system", "developer", "user"), 1)]},
    instructions={"type": ["string", "null"]},
    stream=_FLAG,
    temperature=_NUMBER,
)
_MESSAGES: Final = _object(
    ("messages",),
    model=_MODEL,
    messages=_list(_message("user", "assistant"), 1),
    system={"type": ["string", "null"]},
    stream=_FLAG,
    temperature=_NUMBER,
)
_PARTS: Final = _list(_object(("text",), text=_TEXT), 1)
_CONTENT: Final[Schema] = {
    "type": ["object", "string", "null"],
    "properties": {"role": {"enum": ["user", "model", "function", "system", None]}},
    "description": "A role, and parts: text, inlineData, functionCall, functionResponse",
    "examples": [{"role": "user", "parts": [{"text": "Hi"}]}],
}
_GENERATE: Final = _object(
    ("contents",),
    contents={"anyOf": [_list(_CONTENT, 1), {**_CONTENT, "type": "object"}]},
    generationConfig=_or_null(_object(temperature=_NUMBER, topP=_NUMBER)),
)
_EMBED: Final = _object(
    ("content",),
    content=_object(("parts",), parts=_PARTS),
    taskType={"type": ["string", "null"]},
    title={"type": ["string", "null"]},
    outputDimensionality=_COUNT,
)
_OPTIONS: Final = _or_null(_object(temperature=_NUMBER, top_p=_NUMBER))
_OLLAMA_CHAT: Final = _object(
    ("messages",),
    model=_MODEL,
    messages=_list(_message("system", "user", "assistant"), 1),
    stream=_FLAG,
    options=_OPTIONS,
)
_OLLAMA_GENERATE: Final = _object(
    model=_MODEL, prompt={"type": ["string", "null"]}, system={"type": ["string", "null"]}, stream=_FLAG
)
_TOKENS: Final = _list({"type": "integer", "minimum": 0}, 1)
_VECTORS: Final = _object(
    ("model", "input"),
    model=_NAMED,
    input={"anyOf": [_SOME_TEXT, _list(_SOME_TEXT, 1), _TOKENS, _list(_TOKENS, 1)]},
    encoding_format={"enum": ["float", "base64", None]},
    dimensions=_COUNT,
)
_IMAGES: Final = _object(
    ("model", "prompt"),
    model=_NAMED,
    prompt=_SOME_TEXT,
    n=_COUNT,
    response_format={"enum": ["url", "b64_json", None]},
)
_SPEECH: Final = _object(
    ("model", "input"),
    model=_NAMED,
    input=_SOME_TEXT,
    voice={"type": ["string", "object", "null"]},
    response_format={"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm", None]},
    speed={"type": ["number", "null"], "minimum": 0},
)
_CONVERSATION: Final = _object(model=_SAID_LATER, messages=_SAID_LATER)

REQUESTS: Final[Mapping[str, Schema]] = {
    "conversation": _CONVERSATION,
    "chat-completions": _CHAT,
    "responses": _RESPONSES,
    "embeddings": _VECTORS,
    "images": _IMAGES,
    "speech": _SPEECH,
    "messages": _MESSAGES,
    "messages-count": _MESSAGES,
    "gemini-generate": _GENERATE,
    "gemini-stream": _GENERATE,
    "gemini-count": _GENERATE,
    "gemini-embed": _EMBED,
    "gemini-batch-embed": _object(("requests",), requests=_list(_EMBED, 1)),
    "ollama-chat": _OLLAMA_CHAT,
    "ollama-generate": _OLLAMA_GENERATE,
    "ollama-show": _object(("model",), model=_NAMED),
    "ollama-embed": _object(("model", "input"), model=_NAMED, input={"anyOf": [_TEXT, _list(_TEXT)]}),
    "ollama-embeddings": _object(("model", "prompt"), model=_NAMED, prompt=_TEXT),
}
"""The JSON that a route takes, by the route's name."""

_FILE: Final[Schema] = {"type": "string", "format": "binary", "minLength": 1}

FORMS: Final[Mapping[str, Schema]] = {
    "conversation": _form(("json",), json=_CONVERSATION),
    "image-edits": _form(("model", "prompt", "image"), model=_NAMED, prompt=_SOME_TEXT, image=_FILE, mask=_FILE),
    "transcriptions": _form(
        ("model", "file"),
        model=_NAMED,
        file=_FILE,
        prompt=_TEXT,
        response_format={"enum": ["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]},
    ),
}
"""The form (``multipart/form-data``) that a route takes, by the route's name."""

# --- errors -----------------------------------------------------------------------------------------------------------

COMPONENTS: Final[Mapping[str, Schema]] = {
    "GatewayError": _object(("error",), error=_object(("message",), message=_TEXT)),
    "OpenAIError": _object(("error",), error=_object(("message", "type", "param", "code"), message=_TEXT, type=_TEXT)),
    "AnthropicError": _object(
        ("type", "error"), type={"const": "error"}, error=_object(("type", "message"), type=_TEXT, message=_TEXT)
    ),
    "GeminiError": _object(
        ("error",),
        error=_object(("code", "message", "status"), code={"type": "integer"}, message=_TEXT, status=_TEXT),
    ),
    "OllamaError": _object(("error",), error=_TEXT, status={"type": "integer"}),
}
"""The shapes of refusals."""

ERRORS: Final[Mapping[str, str]] = {
    "": "GatewayError",
    "openai_chat": "OpenAIError",
    "openai_responses": "OpenAIError",
    "anthropic_messages": "AnthropicError",
    "gemini": "GeminiError",
    "ollama": "OllamaError",
}
"""The shape of a dialect's refusals."""

# --- answers ----------------------------------------------------------------------------------------------------------

_ANY_LIST: Final = _list({"type": "object"})
_JSON: Final = "application/json"
_SSE: Final = "text/event-stream"
_LINES: Final = "application/x-ndjson"
_MODELS: Final = {
    "anyOf": [
        _object(("object", "data"), object={"const": "list"}, data=_list(_object(("id", "object"), id=_TEXT))),
        _object(("data", "has_more"), data=_list(_object(("id", "type"), id=_TEXT)), has_more={"type": "boolean"}),
        _object(("models",), models=_list(_object(("name",), name=_TEXT))),
    ]
}
_CHAT_ANSWER: Final = _object(("id", "object", "choices"), id=_TEXT, object=_TEXT, choices=_ANY_LIST)
_RESPONSE: Final = _object(("id", "object", "output"), id=_TEXT, object={"const": "response"}, output=_ANY_LIST)
_MESSAGE: Final = _object(("id", "type", "content"), id=_TEXT, type={"const": "message"}, content=_ANY_LIST)
_CANDIDATES: Final = _object(("candidates",), candidates=_ANY_LIST)
_GEMINI_COUNT: Final = _object(("totalTokens",), totalTokens={"type": "integer"})
_VALUES: Final = _object(("values",), values=_list({"type": "number"}))
_ENTRY: Final = _object(("provider",), provider=_TEXT)
_PICTURES: Final = _object(("created", "data"), created={"type": "integer"}, data=_ANY_LIST)
_STATUS: Final = _object(("status",), status=_TEXT)

ANSWERS: Final[Mapping[str, Mapping[str, Schema]]] = {
    "health": {_JSON: _STATUS},
    "ready": {_JSON: _STATUS},
    "metrics": {"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
    "description": {_JSON: _object(("openapi", "paths"), openapi=_TEXT, paths={"type": "object"})},
    "conversation": {_SSE: {}, _LINES: {}},
    "models": {_JSON: {"type": "object"}},
    "provider-models": {_JSON: _ANY_LIST},
    "providers": {_JSON: _ANY_LIST},
    "version": {_JSON: _object(("version",), version=_TEXT)},
    "root": {"text/plain": _TEXT},
    "chat-completions": {_JSON: _CHAT_ANSWER, _SSE: {}},
    "responses": {_JSON: _RESPONSE, _SSE: {}},
    "response": {_JSON: _RESPONSE},
    "response-deletion": {_JSON: _object(("id", "deleted"), id=_TEXT, deleted={"const": True})},
    "response-cancel": {_JSON: _RESPONSE},
    "embeddings": {_JSON: _object(("object", "data", "model", "usage"), data=_ANY_LIST)},
    "images": {_JSON: _PICTURES},
    "image-edits": {_JSON: _PICTURES},
    "speech": {"audio/mpeg": {}, "audio/ogg": {}, "audio/aac": {}, "audio/flac": {}, "audio/wav": {}, "audio/pcm": {}},
    "transcriptions": {_JSON: _object(("text",), text=_TEXT), "text/plain": _TEXT},
    "messages": {_JSON: _MESSAGE, _SSE: {}},
    "messages-count": {_JSON: _object(("input_tokens",), input_tokens={"type": "integer"})},
    "gemini-generate": {_JSON: _CANDIDATES},
    "gemini-stream": {_JSON: _list({"anyOf": [_CANDIDATES, COMPONENTS["GeminiError"]]}), _SSE: {}},
    "gemini-count": {_JSON: _GEMINI_COUNT},
    "gemini-embed": {_JSON: _object(("embedding",), embedding=_VALUES)},
    "gemini-batch-embed": {_JSON: _object(("embeddings",), embeddings=_list(_VALUES))},
    "v1-models": {_JSON: _MODELS},
    "v1-model": {_JSON: {"anyOf": [_object(("id",), id=_TEXT), _object(("name",), name=_TEXT)]}},
    "gemini-models": {_JSON: _object(("models",), models=_ANY_LIST)},
    "gemini-model": {_JSON: _object(("name",), name=_TEXT)},
    "ollama-chat": {_JSON: _object(("model", "message", "done")), _LINES: {}},
    "ollama-generate": {_JSON: _object(("model", "response", "done")), _LINES: {}},
    "ollama-show": {_JSON: _object(("details", "capabilities"), capabilities=_list(_TEXT))},
    "ollama-embed": {_JSON: _object(("model", "embeddings"))},
    "ollama-embeddings": {_JSON: _object(("embedding",))},
    "ollama-ps": {_JSON: _object(("models",), models=_ANY_LIST)},
    "ollama-version": {_JSON: _object(("version",), version=_TEXT)},
    "ollama-tags": {_JSON: _object(("models",), models=_ANY_LIST)},
}
"""What a route answers with status 200: content type → schema, by the route's name."""
