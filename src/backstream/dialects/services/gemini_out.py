"""Gemini's embeddings as a server speaks them: one text, or a batch.

Source: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.services import Embeddings
from backstream.wire.json_text import encode_json

__all__ = ["parse_batch", "parse_embed", "render_embeddings"]

_NAMES: Final = {
    "taskType": "taskType",
    "task_type": "taskType",
    "title": "title",
    "outputDimensionality": "dimensions",
    "output_dimensionality": "dimensions",
}


def parse_embed(members: Mapping[str, Any], where: str = "") -> tuple[str, dict[str, Any]]:
    """Read one text to embed.

    Args:
        members: The body's members, or a request's of a batch.
        where: What stands before a member's name in an error.

    Returns:
        The text and its parameters: ``dimensions``, ``taskType``, ``title``.

    Raises:
        InvalidRequestError: Another shape; the text says where.
        UnsupportedFeatureError: It holds something else than text.
    """
    content = members.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    if isinstance(parts, Mapping):
        parts = [parts]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
        raise InvalidRequestError(f"{where}content has no parts", 'send {"parts": [{"text": "…"}]}')
    texts = [text for part in parts if isinstance(text := part.get("text"), str)]
    if len(texts) < len(parts):
        raise UnsupportedFeatureError(f"{where}content: only text is embedded here", "send parts with text")
    found = {_NAMES[name]: value for name, value in members.items() if name in _NAMES and value is not None}
    dimensions = found.get("dimensions", 1)
    if not isinstance(dimensions, int | float) or isinstance(dimensions, bool) or dimensions < 1 or dimensions % 1:
        raise InvalidRequestError(f"{where}outputDimensionality is no positive whole number")
    if not all(isinstance(found.get(name, ""), str) for name in ("taskType", "title")):
        raise InvalidRequestError(f"{where}taskType or title is no text")
    return "".join(texts), found


def parse_batch(members: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Read a batch of texts to embed.

    Returns:
        Each text and its parameters; see :func:`parse_embed`.

    Raises:
        InvalidRequestError: Another shape.
        UnsupportedFeatureError: It holds something else than text.
    """
    requests = members.get("requests")
    if not isinstance(requests, list) or not requests or not all(isinstance(each, Mapping) for each in requests):
        raise InvalidRequestError("requests is no list of requests", "send at least one")
    return [parse_embed(each, f"requests[{index}].") for index, each in enumerate(requests)]


def render_embeddings(found: Embeddings, *, batch: bool) -> bytes:
    """Render the vectors of a batch, or the one of a text."""
    vectors = [{"values": vector} for vector in found.vectors]
    return encode_json({"embeddings": vectors} if batch else {"embedding": vectors[0]})
