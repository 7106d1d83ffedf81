"""Lists of models in this protocol: ``{provider: [model, …]}`` for all, model objects for one provider.

Described in ``docs/protocol.md``, section "Endpoints".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backstream.dialects.base import ModelPage
from backstream.errors import DecodeError
from backstream.models import ModelInfo
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_models", "render_models"]


def parse_models(body: bytes) -> ModelPage:
    """Parse either list; a model that several providers have is there once, with the first as its owner.

    Raises:
        DecodeError: It is no JSON, or neither list.
    """
    answer = decode_json(body)
    if not isinstance(answer, list | Mapping):
        raise DecodeError(f"the list of models is a JSON {type(answer).__name__}")
    found: dict[str, ModelInfo] = {}
    for model in _parse_providers(answer) if isinstance(answer, Mapping) else _parse_entries(answer):
        found.setdefault(model.id, model)
    return ModelPage(models=tuple(found.values()))


def _parse_providers(answer: Mapping[str, Any]) -> Iterator[ModelInfo]:
    for provider, models in answer.items():
        for model in models if isinstance(models, list) else ():
            if isinstance(model, str) and model:
                yield ModelInfo(id=model, owned_by=provider)


def _parse_entries(entries: Sequence[object]) -> Iterator[ModelInfo]:
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        group = entry.get("models")  # of a provider that lists its models in groups
        if isinstance(group, list):
            yield from _parse_entries(group)
        model = entry.get("id") or entry.get("model")
        if isinstance(model, str):
            label, sees, makes = entry.get("label"), entry.get("vision"), _made(entry)
            yield ModelInfo(
                id=model,
                label=label if isinstance(label, str) else None,
                input_modalities=("text", "image") if sees is True else None,
                output_modalities=makes or None,
                raw=dict(entry),
            )


def _made(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(kind for kind in ("image", "audio", "video") if entry.get(kind) is True)


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """Render the list of all providers' models; one without a provider is backstream's."""
    providers: dict[str, list[str]] = {}
    for model in models:
        providers.setdefault(model.provider or "backstream", []).append(model.id)
    return encode_json(providers)
