"""Ollama's embeddings as a server speaks them, on today's route and on the one before.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.errors import InvalidRequestError
from backstream.services import Embeddings
from backstream.wire.json_text import encode_json

__all__ = ["parse_embed", "render_embeddings"]


def parse_embed(members: Mapping[str, Any], *, old: bool) -> str | list[str]:
    """Read what is to be embedded; an empty list is, since Ollama answers it.

    Args:
        members: The body's members.
        old: Whether it is ``/api/embeddings``, which takes one ``prompt``.

    Raises:
        InvalidRequestError: It is no text, or no list of texts.
    """
    name = "prompt" if old else "input"
    texts = members.get(name)
    if isinstance(texts, str) or (not old and isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        return texts
    raise InvalidRequestError(f"{name} is no text", "send a text" if old else "send a text, or a list of texts")


def render_embeddings(found: Embeddings, model: str, *, old: bool) -> bytes:
    """Render vectors; of the old route, the first one."""
    if old:
        return encode_json({"embedding": found.vectors[0] if found.vectors else []})
    counted = found.usage.input_tokens if found.usage is not None else None
    counts = {"prompt_eval_count": counted} if counted is not None else {}
    return encode_json({"model": found.model or model, "embeddings": found.vectors, **counts})
