"""The parameters of a request as members of Gemini's: one table, read by both directions.

Source: https://ai.google.dev/api/generate-content#GenerationConfig; for the budgets that stand for efforts,
https://ai.google.dev/gemini-api/docs/openai#thinking
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.gemini.quirks import Quirks
from backstream.request import ReasoningSettings, Receipts, Request, ResponseFormat
from backstream.schema import gemini_json_schema, gemini_schema

__all__ = ["CONFIG", "TIERS", "TIERS_READ", "TOP", "render_settings"]

CONFIG: Final[Mapping[str, str]] = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "modalities": "responseModalities",
}
"""Our parameter → the member of ``generationConfig``."""

TOP: Final[Mapping[str, str]] = {"safety_settings": "safetySettings", "store": "store"}
"""Our parameter → the member of the request."""

TIERS: Final[Mapping[str, str]] = {"flex": "flex", "priority": "priority", "default": "standard"}
"""OpenAI's word for a tier → Google's."""

TIERS_READ: Final[Mapping[str, str]] = {theirs: ours for ours, theirs in TIERS.items()}
"""Google's word for a tier → OpenAI's."""

_LOST: Final[Mapping[str, str]] = {
    "min_p": "gemini does not sample by it",
    "repetition_penalty": "gemini has penalties to add only",
    "logit_bias": "gemini takes no bias of tokens",
    "verbosity": "gemini has no such setting",
    "user": "gemini takes no end user",
    "metadata": "gemini takes no labels",
    "previous_response_id": "gemini keeps no state",
}
_HARMLESS: Final[Mapping[str, str]] = {"conversation": "the messages say it all"}

_BUDGETS: Final[Mapping[str, int]] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS: Final = ("minimal", "low", "medium", "high")

_Render = Callable[[Any, dict[str, Any], Receipts], None]


def render_settings(request: Request, members: dict[str, Any], receipts: Receipts, quirks: Quirks) -> None:
    """Render everything of a request but its turns and tools into ``members``."""
    config: dict[str, Any] = {}
    for name, value in request.parameters().items():
        if name in CONFIG:
            config[CONFIG[name]] = _UPPER[name](value) if name in _UPPER else value
            _kept_or_renamed(receipts, name, f"generationConfig.{CONFIG[name]}")
        elif name in TOP:
            members[TOP[name]] = list(value) if isinstance(value, tuple) else value
            _kept_or_renamed(receipts, name, TOP[name])
        elif name in _SPECIAL:
            _SPECIAL[name](value, members if name == "service_tier" else config, receipts)
        elif name in _HARMLESS:
            receipts.dropped(name, _HARMLESS[name], harmless=True)
        else:
            receipts.dropped(name, _LOST.get(name, "gemini has no such parameter"))
    if request.response_format is not None:
        _render_format(request.response_format, config, receipts, quirks)
    if request.reasoning is not None:
        _render_reasoning(request.reasoning, request.model, config, receipts)
    if config:
        members["generationConfig"] = config


def _kept_or_renamed(receipts: Receipts, name: str, to: str) -> None:
    if to.rpartition(".")[2] == name:
        receipts.kept(name)
    else:
        receipts.renamed(name, to)


_UPPER: Final[Mapping[str, Callable[[Any], Any]]] = {
    "modalities": lambda words: [word.upper() for word in words],
    "stop": list,
}


def _render_audio(audio: Mapping[str, Any], config: dict[str, Any], receipts: Receipts) -> None:
    for name in audio:
        if name != "voice":
            receipts.dropped(f"audio.{name}", "gemini speaks in a form of its own choice")
    voice = audio.get("voice")
    if isinstance(voice, str):
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        receipts.renamed("audio.voice", "generationConfig.speechConfig")
    elif voice is not None:
        receipts.dropped("audio.voice", "gemini knows voices by name")


def _render_parallel(parallel: bool, config: dict[str, Any], receipts: Receipts) -> None:
    del config
    receipts.dropped("parallel_tool_calls", "gemini decides by itself", harmless=parallel)


def _render_tier(tier: str, members: dict[str, Any], receipts: Receipts) -> None:
    if tier in TIERS:
        members["serviceTier"] = TIERS[tier]
        receipts.renamed("service_tier", "serviceTier")
    elif tier == "auto":
        receipts.dropped("service_tier", "what gemini does anyway", harmless=True)
    else:
        receipts.dropped("service_tier", "gemini has no such tier")


_SPECIAL: Final[Mapping[str, _Render]] = {
    "audio": _render_audio,
    "parallel_tool_calls": _render_parallel,
    "service_tier": _render_tier,
}


def _render_format(form: ResponseFormat, config: dict[str, Any], receipts: Receipts, quirks: Quirks) -> None:
    config["responseMimeType"] = "text/plain" if form.kind == "text" else "application/json"
    to = "generationConfig.responseMimeType"
    if form.kind == "json_schema" and form.schema is not None:
        member = "responseJsonSchema" if quirks.json_schema else "responseSchema"
        narrow = gemini_json_schema if quirks.json_schema else gemini_schema
        config[member], lost = narrow(dict(form.schema))
        to = f"generationConfig.{member}"
        for path in lost:
            receipts.approximated(f"response_format.schema {path}", to, "gemini does not know the keyword")
    receipts.renamed("response_format", to)
    for name in ("name", "description"):
        if getattr(form, name) is not None:
            receipts.dropped(f"response_format.{name}", "gemini's schemas have none", harmless=True)
    if form.strict is not None:
        receipts.dropped("response_format.strict", "gemini always holds to the schema", harmless=True)


def _render_reasoning(reasoning: ReasoningSettings, model: str, config: dict[str, Any], receipts: Receipts) -> None:
    thinking: dict[str, Any] = {}
    if reasoning.budget_tokens is not None:
        thinking["thinkingBudget"] = reasoning.budget_tokens
        receipts.renamed("reasoning.budget_tokens", "thinkingConfig.thinkingBudget")
        if reasoning.effort is not None:
            receipts.dropped("reasoning.effort", "the budget says it", harmless=True)
    elif reasoning.enabled is False or reasoning.effort == "none":
        thinking["thinkingBudget"] = 0
        receipts.renamed("reasoning.enabled", "thinkingConfig.thinkingBudget")
        if reasoning.effort not in (None, "none"):
            receipts.dropped("reasoning.effort", "there is no thinking to guide", harmless=True)
    elif reasoning.effort is not None:
        _render_effort(reasoning.effort, model, thinking, receipts)
    elif reasoning.enabled:
        thinking["thinkingBudget"] = -1  # as many as it takes
        receipts.renamed("reasoning.enabled", "thinkingConfig.thinkingBudget")
    if reasoning.summary is not None:
        thinking["includeThoughts"] = reasoning.summary != "none"
        if reasoning.summary in ("auto", "none"):
            receipts.renamed("reasoning.summary", "thinkingConfig.includeThoughts")
        else:
            receipts.approximated("reasoning.summary", "thinkingConfig.includeThoughts", "gemini has one kind")
    if thinking:
        config["thinkingConfig"] = thinking


def _render_effort(effort: str, model: str, thinking: dict[str, Any], receipts: Receipts) -> None:
    known = effort if effort in _LEVELS else "high"
    if model.removeprefix("models/").startswith("gemini-2"):
        thinking["thinkingBudget"] = _BUDGETS[known]
        receipts.approximated("reasoning.effort", "thinkingConfig.thinkingBudget", "this model takes a budget")
        return
    thinking["thinkingLevel"] = known.upper()
    if known == effort:
        receipts.renamed("reasoning.effort", "thinkingConfig.thinkingLevel")
    else:
        receipts.approximated("reasoning.effort", "thinkingConfig.thinkingLevel", "gemini knows none higher")
