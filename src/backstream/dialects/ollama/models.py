"""Lists of models in Ollama's form, both ways.

Source: https://docs.ollama.com/api/tags; ``capabilities`` is documented for ``/api/show`` only, and read where a server
puts it into the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backstream.dialects.base import ModelPage
from backstream.dialects.ollama.vendor import render_time
from backstream.errors import DecodeError
from backstream.models import ModelInfo
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_models", "render_models", "render_show"]

_DETAILS: Final[Mapping[str, Any]] = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}


def parse_models(body: bytes) -> ModelPage:
    """Parse a list of models; entries without a name are passed over.

    Raises:
        DecodeError: It is no JSON, or no list of models.
    """
    answer = decode_json(body)
    entries = answer.get("models") if isinstance(answer, Mapping) else None
    if entries is None and isinstance(answer, Mapping) and "models" in answer:
        entries = []  # a server without models says null
    if not isinstance(entries, list):
        raise DecodeError("the list of models has no member 'models' that is a list")
    found = [_parse_entry(entry) for entry in entries if isinstance(entry, Mapping)]
    return ModelPage(models=tuple(model for model in found if model.id))


def _parse_entry(entry: Mapping[str, Any]) -> ModelInfo:
    names = [name for name in (entry.get("model"), entry.get("name")) if isinstance(name, str) and name]
    can = entry.get("capabilities")
    known = [word for word in can if isinstance(word, str)] if isinstance(can, list) else None
    return ModelInfo(
        id=names[0] if names else "",
        input_modalities=_modalities(known),
        tools="tools" in known if known is not None else None,
        reasoning="thinking" in known if known is not None else None,
        raw=dict(entry),
    )


def _modalities(capabilities: Sequence[str] | None) -> tuple[str, ...] | None:
    if capabilities is None:
        return None
    return ("text", "image") if "vision" in capabilities else ("text",)


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """Render a list of models; what the form demands and is not known is empty or 0."""
    entries = [
        {
            "name": model.name,
            "model": model.name,
            "modified_at": render_time(model.created or 0),
            "size": 0,
            "digest": "",
            "details": _DETAILS,
        }
        for model in models
    ]
    return encode_json({"models": entries})


def render_show(model: ModelInfo) -> bytes:
    """Render what is known of one model; what the form demands and is not known is empty.

    Source: https://docs.ollama.com/api/show
    """
    info: dict[str, Any] = {"general.architecture": "backstream", "general.basename": model.label or model.id}
    if model.context_tokens is not None:
        info["backstream.context_length"] = model.context_tokens
    return encode_json(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _DETAILS,
            "model_info": info,
            "capabilities": list(_capabilities(model)),
            "modified_at": render_time(model.created or 0),
        }
    )


def _capabilities(model: ModelInfo) -> Iterator[str]:
    yield "embedding" if model.output_modalities == ("embedding",) else "completion"
    if "image" in (model.input_modalities or ()):
        yield "vision"
    if model.tools:
        yield "tools"
    if model.reasoning:
        yield "thinking"
