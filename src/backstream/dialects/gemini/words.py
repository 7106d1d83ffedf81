"""The small tables of Gemini's words: why an answer ended, and what it used. Both ways.

Source: https://ai.google.dev/api/generate-content (``FinishReason``, ``UsageMetadata``, ``LogprobsResult``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from backstream.chunks import Finish, Usage
from backstream.dialects.counts import raw_usage, usage_of
from backstream.dialects.gemini.quirks import NAME

__all__ = [
    "FINISHED_BESIDE",
    "REASONS",
    "parse_logprobs",
    "parse_usage",
    "render_finish",
    "render_logprobs",
    "render_usage",
]

REASONS: Final[Mapping[str, str]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "FUNCTION_CALL": "tool_calls",  # never by Google, but by some servers that speak its dialect
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Gemini's word for why an answer ended → everybody's; other words stay what they are."""

_WORDS: Final[Mapping[str, str]] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}

FINISHED_BESIDE: Final[Mapping[str, str]] = {
    "finishMessage": "message",
    "safetyRatings": "safety_ratings",
    "avgLogprobs": "avg_logprobs",
}
"""What a candidate may say beside its finish reason → the member of the finish chunk's object."""


def render_finish(finish: Finish | None) -> dict[str, Any]:
    """Render why an answer ended as members of a candidate; an ordinary end where nobody said."""
    said: Mapping[str, Any] = finish.finish if finish is not None and isinstance(finish.finish, dict) else {}
    reason = (finish.reason if finish is not None else None) or "stop"
    raw = said.get("raw")
    known = isinstance(raw, str) and (raw in REASONS or raw.isupper())
    members = {"finishReason": raw if known else _WORDS.get(reason, reason if reason.isupper() else "OTHER")}
    return members | {theirs: said[ours] for theirs, ours in FINISHED_BESIDE.items() if ours in said}


def _count(members: Mapping[str, Any], name: str) -> int | None:
    value = members.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _audio(members: Mapping[str, Any], name: str) -> int | None:
    details = members.get(name)
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and detail.get("modality") == "AUDIO":
            return _count(detail, "tokenCount")
    return None


def parse_usage(members: Mapping[str, Any], model: str | None) -> Usage:
    """Read ``usageMetadata``; Google counts thoughts and the results of its own tools apart."""
    prompt, tools = _count(members, "promptTokenCount"), _count(members, "toolUsePromptTokenCount")
    answer, thoughts = _count(members, "candidatesTokenCount"), _count(members, "thoughtsTokenCount")
    computed = (("prompt_tokens",) if tools else ()) + (("completion_tokens",) if thoughts else ())
    return usage_of(
        NAME,
        members,
        input_tokens=_sum(prompt, tools),
        output_tokens=_sum(answer, thoughts),
        total_tokens=_count(members, "totalTokenCount"),
        cached_tokens=_count(members, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        input_audio_tokens=_audio(members, "promptTokensDetails"),
        output_audio_tokens=_audio(members, "candidatesTokensDetails"),
        computed=computed,
        model=model,
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def render_usage(usage: Usage) -> dict[str, Any]:
    """Render what an answer used as ``usageMetadata``."""
    raw = raw_usage(usage, NAME)
    if raw is not None:
        return raw
    output, reasoning = usage.output_tokens, usage.reasoning_tokens
    counts: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
        "candidatesTokenCount": None if output is None else max(output - (reasoning or 0), 0),
        "thoughtsTokenCount": reasoning,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": _details(usage.input_audio_tokens),
        "candidatesTokensDetails": _details(usage.output_audio_tokens),
    }
    return {name: count for name, count in counts.items() if count is not None}


def _details(audio: int | None) -> list[dict[str, Any]] | None:
    return None if audio is None else [{"modality": "AUDIO", "tokenCount": audio}]


def parse_logprobs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read ``logprobsResult``: the tokens chosen, and beside each the likeliest at its place."""
    chosen, tops = result.get("chosenCandidates"), result.get("topCandidates")
    places = tops if isinstance(tops, list) else []
    said = []
    for index, token in enumerate(chosen if isinstance(chosen, list) else ()):
        place = places[index] if index < len(places) else None
        near = place.get("candidates") if isinstance(place, Mapping) else None
        said += [
            {**one, "bytes": None, "top_logprobs": list(_logprobs(near if isinstance(near, list) else ()))}
            for one in _logprobs([token])
        ]
    return said


def _logprobs(tokens: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for token in tokens:
        if isinstance(token, Mapping) and isinstance(token.get("token"), str):
            yield {"token": token["token"], "logprob": token.get("logProbability")}


def render_logprobs(logprobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Render log probabilities as ``logprobsResult``."""
    tokens = list(logprobs)
    return {
        "chosenCandidates": [_render_logprob(token) for token in tokens],
        "topCandidates": [
            {"candidates": [_render_logprob(near) for near in token.get("top_logprobs") or ()]} for token in tokens
        ],
    }


def _render_logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}
