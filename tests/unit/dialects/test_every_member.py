"""Of a request with every member its vendor documents, each is in what is sent, or on a receipt.

Source: OpenAI's OpenAPI description 2.3.0 (``CreateChatCompletionRequest``);
https://platform.claude.com/docs/en/api/messages; https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from backstream.client.explain import explain

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CHAT: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "Hi", "name": "Ann"}],
    "metadata": {"k": "v-metadata"},
    "temperature": 0.11,
    "top_p": 0.97,
    "user": "v-user",
    "safety_identifier": "v-safety",
    "prompt_cache_key": "v-cache",
    "prompt_cache_retention": "24h",
    "service_tier": "priority",
    "top_logprobs": 3,
    "logprobs": True,
    "modalities": ["text"],
    "verbosity": "low",
    "reasoning_effort": "high",
    "max_completion_tokens": 12345,
    "frequency_penalty": 0.12,
    "presence_penalty": 0.13,
    "web_search_options": {"search_context_size": "low"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "audio": {"voice": "alloy", "format": "mp3"},
    "store": True,
    "stream": True,
    "stop": ["v-stop"],
    "logit_bias": {"1": 5},
    "prediction": {"type": "content", "content": "v-prediction"},
    "seed": 77,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "function_call": "auto",
    "functions": [{"name": "old"}],
    "moderation": {"model": "v-moderation"},
    "verbosity_of_tomorrow": 1,
}
ANTHROPIC: Mapping[str, Any] = {
    "max_tokens": 12345,
    "messages": [{"role": "user", "content": "Hi"}],
    "system": "Be brief",
    "metadata": {"user_id": "v-user", "more": 1},
    "service_tier": "standard_only",
    "stop_sequences": ["v-stop"],
    "stream": True,
    "temperature": 0.11,
    "top_k": 7,
    "top_p": 0.97,
    "thinking": {"type": "enabled", "budget_tokens": 2222, "display": "summarized", "more": 1},
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True, "more": 1},
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}, {"type": "bash_20250124"}],
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}, "task_budget": {"total": 1}},
    "container": "v-container",
    "context_management": {"edits": []},
    "mcp_servers": [{"type": "url", "url": "https://example.org", "name": "n"}],
    "inference_geo": "us",
    "speed": "fast",
    "cache_control": {"type": "ephemeral"},
    "of_tomorrow": 1,
}
GEMINI: Mapping[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief"}]},
    "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}, {"urlContext": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "more": 1}, "retrievalConfig": {"languageCode": "de"}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
    "serviceTier": "priority",
    "store": True,
    "generationConfig": {
        "stopSequences": ["v-stop"],
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        "responseModalities": ["TEXT"],
        "candidateCount": 1,
        "maxOutputTokens": 12345,
        "temperature": 0.11,
        "topP": 0.97,
        "topK": 7,
        "seed": 77,
        "presencePenalty": 0.13,
        "frequencyPenalty": 0.12,
        "responseLogprobs": True,
        "logprobs": 3,
        "enableEnhancedCivicAnswers": True,
        "speechConfig": {"languageCode": "de"},
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2222},
        "imageConfig": {"aspectRatio": "1:1"},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    "ofTomorrow": 1,
}
OUR_NAMES = {  # of a member elsewhere, by what receipts call it
    "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop",
    "reasoning_effort": "reasoning",
    "thinking": "reasoning",
    "output_config": "response_format",
    "metadata.user_id": "user",
    "disable_parallel_tool_use": "parallel_tool_calls",
    "stopSequences": "stop",
    "responseMimeType": "response_format",
    "responseSchema": "response_format",
    "responseModalities": "modalities",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "logprobs",
    "thinkingConfig": "reasoning",
    "safetySettings": "safety_settings",
    "serviceTier": "service_tier",
}
OF_GOOGLE = {"candidateCount", "enableEnhancedCivicAnswers", "speechConfig", "imageConfig", "mediaResolution"}
CONTENT = {"messages", "contents", "system", "systemInstruction", "model", "stream"}
TO = ["openai_chat", "openai", "openai_responses", "anthropic_messages/claude-opus-5", "anthropic/claude-sonnet-4-5"]
TO += ["gemini/gemini-3-pro", "gemini/gemini-2.5-flash", "mistral", "groq"]


def members(body: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a body, those of ``generationConfig`` one by one."""
    inner = body.get("generationConfig", {})
    return {name: value for name, value in {**body, **inner}.items() if name not in (*CONTENT, "generationConfig")}


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize(
    ("written_in", "body"), [("openai_chat", CHAT), ("anthropic_messages", ANTHROPIC), ("gemini", GEMINI)]
)
def test_every_member_is_sent_or_told(written_in: str, body: Mapping[str, Any], to: str) -> None:
    found = explain({"model": "m", **body} if written_in != "gemini" else body, to=to, written_in=written_in)
    told = {receipt.what.partition(".")[0].partition("[")[0] for receipt in found.receipts}
    sent = members(found.body)
    lost = [
        name
        for name, value in members(body).items()
        if sent.get(name) != value
        and not {name, OUR_NAMES.get(name, name)} & told
        and not (name in OF_GOOGLE and "generationConfig" in told)
    ]
    assert lost == []
