"""``GET /backend-api/v2/providers``: the registered providers, as pages that list them expect it."""

from __future__ import annotations

from typing import Any

from backstream.server.catalog import Entry
from backstream.server.routing import Exchange

__all__ = ["list_providers"]


async def list_providers(exchange: Exchange) -> None:
    """Answer an array of provider objects."""
    await exchange.answer([_describe(entry) for entry in exchange.catalog.entries.values()])


def _describe(entry: Entry) -> dict[str, Any]:
    active = entry.feature("active_by_default")
    return {
        "name": entry.name,
        "label": entry.label,
        "parent": entry.feature("parent"),
        "image": len(entry.feature("image_models", ())),
        "audio": len(entry.feature("audio_models", ())),
        "video": len(entry.feature("video_models", ())),
        "vision": bool(entry.feature("vision_models", ())),
        "nodriver": False,
        "hf_space": False,
        "active_by_default": bool(entry.feature("working", True)) if active is None else bool(active),
        "auth": bool(entry.feature("needs_auth", False)),
        "login_url": entry.feature("login_url"),
        "live": int(bool(entry.feature("working", True))),
        "login": False,
    }
