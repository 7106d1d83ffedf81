"""What the mock is asked for in each dialect, and the answers it is given; for the tests and for the captures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Members = dict[str, Any]


class Dialect(NamedTuple):
    """How one vendor's route is asked."""

    name: str
    path: Callable[[bool], str]
    body: Callable[[str, bool], Members]
    headers: Mapping[str, str]
    media_type: str  # of a streamed answer


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def _openai_chat(text: str, stream: bool) -> Members:
    return {
        "model": "gpt-5",
        "messages": [{"role": "user", "content": text}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}],
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }


def _openai_responses(text: str, stream: bool) -> Members:
    return {
        "model": "gpt-5",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}],
        "tools": [{"type": "function", "name": "get_weather", "parameters": WEATHER}],
        "stream": stream,
    }


def _anthropic_messages(text: str, stream: bool) -> Members:
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": text}],
        "tools": [{"name": "get_weather", "input_schema": WEATHER}],
        "stream": stream,
    }


def _gemini(text: str, stream: bool) -> Members:
    return {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER}]}],
    }


def _gemini_path(stream: bool) -> str:
    return "/v1beta/models/gemini-2.5-pro:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")


def _ollama(text: str, stream: bool) -> Members:
    return {
        "model": "qwen3",
        "messages": [{"role": "user", "content": text}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}],
        "stream": stream,
    }


BEARER = {"Authorization": "Bearer not-a-key"}
CLAUDE = {"x-api-key": "not-a-key", "anthropic-version": "2023-06-01"}
SSE = "text/event-stream"

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai_chat", lambda _: "/v1/chat/completions", _openai_chat, BEARER, SSE),
        Dialect("openai_responses", lambda _: "/v1/responses", _openai_responses, BEARER, SSE),
        Dialect("anthropic_messages", lambda _: "/v1/messages", _anthropic_messages, CLAUDE, SSE),
        Dialect("gemini", _gemini_path, _gemini, {"x-goog-api-key": "not-a-key"}, SSE),
        Dialect("ollama", lambda _: "/api/chat", _ollama, {}, "application/x-ndjson"),
    )
}

TEXT = 'Hello, wörld!\nA "quoted" line, a tab\t, a line separator\u2028 and the end.'
THOUGHT = "The user greets me. I greet back."
ID = {"id": "aimock-1", "created": 1700000000}
PARIS: Members = {"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris", "days": 3}}
OSLO: Members = {"id": "call_2", "name": "get_weather", "arguments": {"city": "Tromsø"}}
NOW: Members = {"id": "call_3", "name": "get_weather", "arguments": {}}


def _case(response: Members, **how: Any) -> Members:
    return {"response": {**ID, **response}, **how}


def _error(status: int, kind: str, code: str | None = None, **how: Any) -> Members:
    error = {"message": f"Refused with {status}", "type": kind} | ({} if code is None else {"code": code})
    return {"response": {"error": error, "status": status, **how}}


CASES: dict[str, Members] = {
    "text": _case({"content": TEXT}, chunkSize=9),
    "text-split-emoji": _case({"content": "ab🙂cd👩‍🚀e"}, chunkSize=3),
    "text-usage": _case(
        {
            "content": "Counted.",
            "usage": {
                **dict.fromkeys(("prompt_tokens", "input_tokens", "promptTokenCount"), 11),
                **dict.fromkeys(("completion_tokens", "output_tokens", "candidatesTokenCount"), 7),
                **dict.fromkeys(("total_tokens", "totalTokenCount"), 18),
            },
        }
    ),
    "text-length": _case({"content": "Cut off in the mid", "finishReason": "length"}),
    "text-filtered": _case({"content": "I would", "finishReason": "content_filter"}),
    "tool": _case({"toolCalls": [PARIS]}, chunkSize=8),
    "tool-parallel": _case({"toolCalls": [PARIS, OSLO, NOW]}, chunkSize=8),
    "tool-after-text": _case({"content": "I look it up.", "toolCalls": [PARIS]}),
    "tool-between-texts": _case(
        {
            "blocks": [
                {"type": "text", "text": "First Paris. "},
                {"type": "toolCall", **PARIS},
                {"type": "text", "text": "Then Tromsø."},
                {"type": "toolCall", **OSLO},
            ]
        }
    ),
    "reasoning": _case({"reasoning": THOUGHT, "content": "Hello!"}, chunkSize=12),
    "reasoning-tool": _case({"reasoning": THOUGHT, "toolCalls": [PARIS]}, chunkSize=12),
    "reasoning-signed": _case(
        {"reasoning": THOUGHT, "reasoningSignature": "c2lnbmF0dXJl", "redactedThinking": ["b3BhcXVl"], "content": "Hi"}
    ),
    "audio": _case({"audio": {"b64Json": "UklGRg==", "contentType": "audio/wav"}, "content": "Listen."}),
    "web-search": _case({"webSearches": ["weather in Paris"], "content": "Sunny."}),
    "truncated": _case(
        {"content": "This answer never comes to its end."}, chunkSize=5, truncateAfterChunks=4, latency=5
    ),
    "truncated-tool": _case({"toolCalls": [PARIS]}, chunkSize=5, truncateAfterChunks=3, latency=5),
    "truncated-at-once": _case({"content": "Nothing of this."}, disconnectAfterMs=20, latency=1000),
    "error-400": _error(400, "invalid_request_error", "context_length_exceeded"),
    "error-401": _error(401, "authentication_error", "invalid_api_key"),
    "error-403": _error(403, "permission_error"),
    "error-404": _error(404, "not_found_error", "model_not_found"),
    "error-429": _error(429, "rate_limit_error", "rate_limit_exceeded", retryAfter=7),
    "error-500": _error(500, "server_error"),
    "error-503": _error(503, "overloaded_error"),
    "error-malformed": _case({"content": "Never."}, chaos={"malformedRate": 1}),
    "error-disconnect": _case({"content": "Never."}, chaos={"disconnectRate": 1}),
}


ONLY = {"audio": "gemini", "reasoning-signed": "anthropic_messages", "web-search": "openai_responses"}
"""Cases that the mock tells apart in one dialect only."""

SILENT = ("truncated-at-once", "error-disconnect")
"""Cases in which the connection ends before an answer's first byte."""


def cases(dialect: str) -> list[str]:
    """Return the names of the cases that say something about a dialect."""
    return [name for name in CASES if ONLY.get(name, dialect) == dialect]


def has_whole(case: str) -> bool:
    """Say whether asking without streaming gives something else than asking with it."""
    return not case.startswith(("error-", "truncated"))


def question(case: str) -> str:
    """Return the user message that a case answers to; no one's is part of another's."""
    return f"Case {case}."


def fixtures() -> list[Members]:
    """Return the answers of all cases, in the mock's own form."""
    return [{"match": {"userMessage": question(name)}, **case} for name, case in CASES.items()]
