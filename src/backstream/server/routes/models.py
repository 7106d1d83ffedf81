"""``GET /backend-api/v2/models`` and ``/models/{provider}``: the models of all providers, or of one in detail."""

from __future__ import annotations

from typing import Any

from backstream.models import ModelInfo
from backstream.server.catalog import Entry
from backstream.server.routing import Exchange

__all__ = ["list_all_models", "list_models"]


async def list_all_models(exchange: Exchange) -> None:
    """Answer an object: provider → names of its models."""
    entries = exchange.catalog.entries
    await exchange.answer({name: await _names(exchange, entry) for name, entry in entries.items()})


async def list_models(exchange: Exchange) -> None:
    """Answer an array of model objects; an unknown provider has none."""
    entry = exchange.catalog.find(exchange.parameters["provider"])
    await exchange.answer([] if entry is None else [_describe(entry, name) for name in await _names(exchange, entry)])


async def _names(exchange: Exchange, entry: Entry) -> list[str]:
    """Return the models of a provider that the client's key may use."""
    models = [ModelInfo(id=name, provider=entry.name) for name in await entry.models()]
    return [model.id for model in exchange.admission.visible(exchange, models)]


def _describe(entry: Entry, model: str) -> dict[str, Any]:
    """Describe a model; ``id`` for clients of today, ``model`` for older ones."""
    tags = entry.feature("models_tags", {}).get(model, [])
    return {
        "id": model,
        "model": model,
        "label": model,
        "default": model == entry.feature("default_model"),
        "vision": model in entry.feature("vision_models", ()),
        "audio": model in entry.feature("audio_models", ()),
        "video": model in entry.feature("video_models", ()),
        "image": model in entry.feature("image_models", ()),
        "count": None,
        "tags": list(tags),
    }
