"""Which dialect a request is in, by its path, and what it asks for. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.wire.http import Headers

__all__ = ["Asked", "read_path"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a path asks for.

    Attributes:
        dialect: The dialect.
        lists: Whether for the models; else for an answer.
        path: The path, without its query, as the dialect reads it.
    """

    dialect: Dialect
    lists: bool
    path: str


# Source: each dialect's own routes, as the vendors document them; what stands before them does not matter
_ROUTES: Final[Sequence[tuple[str, str, str, bool]]] = (
    ("POST", r".*/chat/completions", "openai_chat", False),
    ("POST", r".*/responses", "openai_responses", False),
    ("POST", r".*/v1/messages", "anthropic_messages", False),
    ("POST", r".*/models/.+:(generateContent|streamGenerateContent)", "gemini", False),
    ("POST", r".*/api/chat", "ollama", False),
    ("POST", r".*/backend-api/v2/conversation", "backend_api", False),
    ("GET", r".*/api/tags", "ollama", True),
    ("GET", r".*/backend-api/v2/models(/[^/]+)?", "backend_api", True),
    ("GET", r".*/v1beta/models", "gemini", True),
    ("GET", r".*/models", "openai_chat", True),
)


def read_path(method: str, target: str, headers: Headers) -> Asked | None:
    """Tell what a request line asks for; ``None`` where it is nothing.

    Args:
        method: Its method.
        target: Its target.
        headers: Its header fields: three vendors list their models at one path.
    """
    path, _, query = target.partition("?")
    path = unquote(path)
    for route_method, pattern, name, lists in _ROUTES:
        if method == route_method and re.fullmatch(pattern, path):
            return Asked(
                dialect_for(_named(name, path, query, headers, lists=lists), _quirks(name, path, query)), lists, path
            )
    return None


def _named(name: str, path: str, query: str, headers: Headers, *, lists: bool) -> str:
    if lists and name == "openai_chat":
        if "anthropic-version" in headers:
            return "anthropic_messages"
        if "x-goog-api-key" in headers:
            return "gemini"
    return name


def _quirks(name: str, path: str, query: str) -> dict[str, str]:
    """Without ``alt=sse`` Gemini streams one JSON array."""
    as_array = name == "gemini" and path.endswith(":streamGenerateContent") and "alt=sse" not in query
    return {"framing": "array"} if as_array else {}
