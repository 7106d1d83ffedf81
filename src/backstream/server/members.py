"""What a client may tell a provider: everything but where the back-end is, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.options import LOCAL_KEYWORDS

__all__ = ["SERVER_SIDE", "for_provider"]

SERVER_SIDE: Final = LOCAL_KEYWORDS | {"base_url", "cls", "headers", "provider", "proxies", "self", "ssl", "url"}
"""Members of a request that are the server's to decide: they are dropped."""

_ARGUMENTS: Final = frozenset({"model", "messages", "media", "api_key"})


def for_provider(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that a provider gets as keywords."""
    return {
        name: value
        for name, value in members.items()
        if name not in _ARGUMENTS and name not in SERVER_SIDE and not name.startswith("extra_")
    }
