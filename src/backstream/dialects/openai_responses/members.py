"""Words of OpenAI's Responses API that several modules here share, and reading members of unknown types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ITEM", "NAME", "PATH", "count_of", "list_of", "object_of", "text_of", "without"]

NAME: Final = "openai_responses"
PATH: Final = "/responses"
ITEM: Final = "item"
"""In the opaque members of a text or refusal: those of the message item around it (``id``, ``status``, ``phase``).
Every other opaque member belongs to the content itself."""


def text_of(members: Mapping[str, Any], name: str) -> str | None:
    """Return a member that is text; ``None`` for anything else."""
    value = members.get(name)
    return value if isinstance(value, str) else None


def count_of(members: Mapping[str, Any], name: str) -> int | None:
    """Return a member that is a whole number from 0 on; ``None`` for anything else."""
    value = members.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def object_of(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one for anything else."""
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def list_of(members: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in a member that is a list; none for anything else."""
    value = members.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return all members but some."""
    return {name: value for name, value in members.items() if name not in names}
