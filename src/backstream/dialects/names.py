"""The dialects by name; each is imported when first used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final, cast

from backstream.dialects.base import Dialect
from backstream.errors import ConfigurationError

__all__ = ["DIALECTS", "dialect_for"]

DIALECTS: Final[Mapping[str, str]] = {
    "openai_chat": "backstream.dialects.openai_chat:OpenAIChat",
    "openai_responses": "backstream.dialects.openai_responses:OpenAIResponses",
    "anthropic_messages": "backstream.dialects.anthropic_messages:AnthropicMessages",
    "gemini": "backstream.dialects.gemini:Gemini",
    "ollama": "backstream.dialects.ollama:Ollama",
    "backend_api": "backstream.dialects.backend_api.dialect:BackendApiDialect",
}
"""Name → where its class is."""


def dialect_for(name: str, quirks: Mapping[str, Any] = {}) -> Dialect:
    """Return a dialect.

    Args:
        name: Its name.
        quirks: What is odd about one back-end, by the names of the dialect's own ``Quirks``.

    Raises:
        ConfigurationError: No such dialect, or a quirk it does not know.
    """
    where = DIALECTS.get(name)
    if where is None:
        raise ConfigurationError(f"unknown dialect {name[:40]!r}", "use " + ", ".join(DIALECTS))
    module_name, _, class_name = where.partition(":")
    module = importlib.import_module(module_name)
    cls = getattr(module, class_name)
    if not quirks:
        return cast("Dialect", cls())
    kind = getattr(module, "Quirks", None)
    try:
        return cast("Dialect", cls(kind(**quirks)) if kind is not None else cls(**quirks))
    except TypeError:
        known = ", ".join(getattr(kind or cls, "__struct_fields__", ()))
    raise ConfigurationError(f"the {name} dialect does not know one of {', '.join(quirks)}", f"it knows {known}")
