"""Lists of models and numbers of tokens, both ways.

Source: https://ai.google.dev/api/models; https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backstream.dialects.base import ModelPage
from backstream.errors import DecodeError
from backstream.models import ModelInfo
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_models", "parse_token_count", "render_count", "render_models"]

_ANSWERS: Final = "generateContent"
_EMBEDS: Final = frozenset({"embedContent", "embedText"})


def _members(body: bytes) -> Mapping[str, Any]:
    found = decode_json(body)
    if not isinstance(found, Mapping):
        raise DecodeError(f"the answer is a JSON {type(found).__name__}, not an object")
    return found


def parse_models(body: bytes) -> ModelPage:
    """See :class:`backstream.dialects.base.Dialect`."""
    members = _members(body)
    found, token = members.get("models", []), members.get("nextPageToken")
    if not isinstance(found, list):
        raise DecodeError("the list of models is none")
    models = tuple(_parse_model(model) for model in found if isinstance(model, Mapping) and _name(model))
    return ModelPage(models=models, next_query={"pageToken": token} if isinstance(token, str) and token else None)


def _name(model: Mapping[str, Any]) -> str:
    name = model.get("name")
    return name.removeprefix("models/") if isinstance(name, str) else ""


def _parse_model(model: Mapping[str, Any]) -> ModelInfo:
    methods = model.get("supportedGenerationMethods")
    names = {name for name in methods if isinstance(name, str)} if isinstance(methods, list) else set()
    label, thinking = model.get("displayName"), model.get("thinking")
    return ModelInfo(
        id=_name(model),
        label=label if isinstance(label, str) else None,
        context_tokens=_count(model, "inputTokenLimit"),
        max_output_tokens=_count(model, "outputTokenLimit"),
        output_modalities=("embedding",) if names & _EMBEDS and _ANSWERS not in names else None,
        reasoning=thinking if isinstance(thinking, bool) else None,
        counts_tokens="countTokens" in names if isinstance(methods, list) else None,
        raw=dict(model),
    )


def _count(members: Mapping[str, Any], name: str) -> int | None:
    value = members.get(name)
    return value if type(value) is int and value > 0 else None


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """See :class:`backstream.dialects.base.Dialect`."""
    return encode_json({"models": [dict(_render_model(model)) for model in models]})


def _render_model(model: ModelInfo) -> Iterator[tuple[str, Any]]:
    yield "name", f"models/{model.name}"
    yield "baseModelId", model.name
    yield "version", "001"
    yield "displayName", model.label or model.name
    if model.context_tokens is not None:
        yield "inputTokenLimit", model.context_tokens
    if model.max_output_tokens is not None:
        yield "outputTokenLimit", model.max_output_tokens
    embeds = model.output_modalities == ("embedding",)
    yield "supportedGenerationMethods", ["embedContent"] if embeds else _methods(model)
    if model.reasoning is not None:
        yield "thinking", model.reasoning


def _methods(model: ModelInfo) -> list[str]:
    return [_ANSWERS, "countTokens"] if model.counts_tokens else [_ANSWERS]


def parse_token_count(body: bytes) -> int:
    """See :class:`backstream.dialects.base.Dialect`."""
    count = _members(body).get("totalTokens", 0)  # Google leaves out a 0
    if type(count) is not int:
        raise DecodeError("the number of tokens is none")
    return count


def render_count(tokens: int) -> bytes:
    """See :class:`backstream.dialects.base.Dialect`."""
    return encode_json({"totalTokens": tokens})
