"""Lists of models and numbers of tokens, both ways.

Source: https://platform.claude.com/docs/en/api/models-list, https://platform.claude.com/docs/en/api/messages-count-tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backstream.dialects.base import ModelPage
from backstream.errors import DecodeError
from backstream.models import ModelInfo
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_models", "parse_token_count", "render_count", "render_models"]


def _object(body: bytes) -> Mapping[str, Any]:
    members = decode_json(body)
    if not isinstance(members, Mapping):
        raise DecodeError(f"the answer is a JSON {type(members).__name__}, not an object")
    return members


def parse_models(body: bytes) -> ModelPage:
    """Parse a list of models.

    Raises:
        DecodeError: It is no JSON, or no such list.
    """
    members = _object(body)
    entries = members.get("data")
    if not isinstance(entries, list):
        raise DecodeError("the answer holds no list of models")
    models = tuple(
        _parse_model(entry) for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)
    )
    last = members.get("last_id")
    more = members.get("has_more") is True and isinstance(last, str)
    return ModelPage(models=models, next_query={"after_id": str(last)} if more else None)


def _parse_model(entry: Mapping[str, Any]) -> ModelInfo:
    able = entry.get("capabilities")
    return ModelInfo(
        id=entry["id"],
        label=_text(entry.get("display_name")),
        context_tokens=_count(entry.get("max_input_tokens")),
        max_output_tokens=_count(entry.get("max_tokens")),
        input_modalities=_modalities(able) if isinstance(able, Mapping) else None,
        output_modalities=("text",),
        reasoning=_supported(able, "thinking"),
        created=_seconds(entry.get("created_at", entry.get("created"))),
        owned_by=_text(entry.get("owned_by")),
        raw=dict(entry),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _supported(able: object, name: str) -> bool | None:
    capability = able.get(name) if isinstance(able, Mapping) else None
    supported = capability.get("supported") if isinstance(capability, Mapping) else None
    return supported if isinstance(supported, bool) else None


def _modalities(able: Mapping[str, Any]) -> tuple[str, ...]:
    inputs = (("image", "image_input"), ("file", "pdf_input"))
    return ("text", *(modality for modality, name in inputs if _supported(able, name)))


def _seconds(value: object) -> float | None:
    """A release date that is not known is the beginning of the epoch, and so none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) or None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() or None


def parse_token_count(body: bytes) -> int:
    """Parse a number of tokens.

    Raises:
        DecodeError: It is no JSON, or holds no such number.
    """
    tokens = _object(body).get("input_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        raise DecodeError("the answer holds no number of tokens")
    return tokens


def render_count(tokens: int) -> bytes:
    """Render a number of tokens."""
    return encode_json({"input_tokens": tokens})


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """Render a list of models, all on one page."""
    entries = [_render_model(model) for model in models]
    ends = {"first_id": entries[0]["id"], "last_id": entries[-1]["id"]} if entries else {}
    return encode_json({"data": entries, "has_more": False, "first_id": None, "last_id": None, **ends})


def _render_model(model: ModelInfo) -> dict[str, Any]:
    try:
        moment = datetime.fromtimestamp(model.created or 0, UTC)
    except (OverflowError, ValueError, OSError):  # no date of this calendar
        moment = datetime.fromtimestamp(0, UTC)
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.label or model.id,
        "created_at": moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }
