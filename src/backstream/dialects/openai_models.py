"""Lists of models in the form of OpenAI's API, with what other services add to their entries.

Source: https://platform.openai.com/docs/api-reference/models/list;
https://openrouter.ai/docs/api-reference/list-available-models; https://docs.mistral.ai/api (``capabilities``);
https://console.groq.com/docs/api-reference (``context_window``); vLLM's ``max_model_len``;
https://docs.together.ai/reference/models (a bare list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.base import ModelPage
from backstream.errors import DecodeError
from backstream.models import ModelInfo
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_models", "render_models"]

_CONTEXT: Final = ("context_length", "context_window", "max_model_len", "max_context_length")
_OUTPUT: Final = ("max_completion_tokens", "max_output_tokens", "max_output_length")


def parse_models(body: bytes) -> ModelPage:
    """Parse a list of models; entries without an id are passed over.

    Raises:
        DecodeError: It is no JSON, or no list of models.
    """
    answer = decode_json(body)
    entries = answer.get("data", answer.get("models")) if isinstance(answer, Mapping) else answer
    if not isinstance(entries, list):
        raise DecodeError("the list of models has no member 'data' that is a list")
    found = [_parse_entry(entry) for entry in entries if isinstance(entry, Mapping)]
    return ModelPage(models=tuple(model for model in found if model.id))


def _parse_entry(entry: Mapping[str, Any]) -> ModelInfo:
    shape, can = _object(entry, "architecture"), _object(entry, "capabilities")
    sizes = {**_object(entry, "meta"), **_object(entry, "top_provider"), **entry}
    accepted = entry.get("supported_parameters")
    accepted = accepted if isinstance(accepted, list) else None
    tools, reasoning = can.get("function_calling"), can.get("reasoning")
    made = entry.get("created")
    return ModelInfo(
        id=_text(entry.get("id")) or _text(entry.get("name")) or "",
        label=_text(entry.get("display_name")) or (_text(entry.get("name")) if "id" in entry else None),
        context_tokens=_first_count(sizes, _CONTEXT),
        max_output_tokens=_first_count(sizes, _OUTPUT),
        input_modalities=_words(shape.get("input_modalities")) or _words(entry.get("input_modalities")),
        output_modalities=_words(shape.get("output_modalities")) or _words(entry.get("output_modalities")),
        tools=tools if isinstance(tools, bool) else ("tools" in accepted if accepted is not None else None),
        reasoning=reasoning if isinstance(reasoning, bool) else ("reasoning" in accepted if accepted else None),
        created=made if isinstance(made, int | float) and not isinstance(made, bool) and made > 0 else None,
        owned_by=_text(entry.get("owned_by")) or _text(entry.get("organization")),
        raw=dict(entry),
    )


def _object(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _words(value: object) -> tuple[str, ...] | None:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else None


def _first_count(entry: Mapping[str, Any], names: Sequence[str]) -> int | None:
    counts = (entry.get(name) for name in names)
    return next(
        (count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count > 0), None
    )


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """Render a list of models; ``created`` and ``owned_by``, which the form demands, are 0 and the provider's name."""
    data = [
        {
            "id": model.name,
            "object": "model",
            "created": int(model.created or 0),
            "owned_by": model.owned_by or model.provider or "backstream",
        }
        for model in models
    ]
    return encode_json({"object": "list", "data": data})
