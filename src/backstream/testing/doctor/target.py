"""What is examined: an endpoint, the dialect it is spoken to in, and a key for it. Asks nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from backstream.credentials import Secret
from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.transport.session import check_url
from backstream.transport.url import parse_url

__all__ = ["Target", "aim"]

# Source: each vendor's own documentation of authentication
_AUTH: Final[Mapping[str, str]] = {"anthropic_messages": "x-api-key", "gemini": "x-goog-api-key"}
_MODELS: Final[Mapping[str, str]] = {"ollama": "/api/tags", "backend_api": "/backend-api/v2/models"}
_VERSIONS: Final[Mapping[str, str]] = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "anthropic_messages": "/v1",
    "gemini": "/v1beta",
    "ollama": "",
    "backend_api": "",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """An endpoint as one dialect sees it.

    Attributes:
        url: Its base URL, to which the dialect's paths are appended.
        dialect: The dialect.
        key: Its key.
        patience_seconds: How long one answer may take.
    """

    url: str
    dialect: Dialect
    key: Secret | None
    patience_seconds: float

    @property
    def models_path(self) -> str:
        """Where it lists its models."""
        return _MODELS.get(self.dialect.name, "/models")

    def auth(self, key: Secret | None) -> dict[str, str | Secret]:
        """Return the header fields that carry a key, and what the dialect demands of a GET."""
        fields: dict[str, str | Secret] = {}
        if self.dialect.name == "anthropic_messages":
            fields["anthropic-version"] = "2023-06-01"
        if key is None:
            return fields
        name = _AUTH.get(self.dialect.name)
        if name is not None:
            return {**fields, name: key}
        return {**fields, "authorization": Secret(lambda: f"Bearer {key.reveal()}", origin=key.origin)}


def aim(url: str, dialect: str, key: str | None, patience_seconds: float) -> Target:
    """Make a target of what a person gave.

    Args:
        url: The endpoint, with or without the version that the dialect's paths begin with (``/v1``, ``/v1beta``).
        dialect: The dialect's name.
        key: The endpoint's key.
        patience_seconds: How long one answer may take.

    Raises:
        ConfigurationError: No http or https URL, no such dialect, or a key that no header can carry.
    """
    base = check_url(url)
    origin = parse_url(base).origin
    for version in ("/v1beta", "/v1"):
        if base == origin + version:  # any other path is the endpoint's own
            base = origin
    version = _VERSIONS.get(dialect, "")
    return Target(
        url=base + version if base == origin else base,
        dialect=dialect_for(dialect),
        key=None if key is None else Secret(key, origin=origin),
        patience_seconds=patience_seconds,
    )
