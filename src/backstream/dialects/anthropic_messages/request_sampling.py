"""Which settings of sampling a model refuses, alone or beside others.

Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking ("Feature compatibility"),
https://platform.claude.com/docs/en/about-claude/models/migration-guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.dialects.anthropic_messages.vendor import NAME, knows_both_temperature_and_top_p, knows_sampling
from backstream.request import Request

__all__ = ["refused_sampling"]

_LEAST_TOP_P: Final = 0.95


def refused_sampling(request: Request, members: Mapping[str, Any]) -> dict[str, str]:
    """Tell which settings would make the API refuse a request, and why; none of a request in this dialect.

    Args:
        request: The request.
        members: The members of its body so far, ``thinking`` among them.
    """
    if request.dialect == NAME:
        return {}
    if not knows_sampling(request.model):
        return dict.fromkeys(("temperature", "top_p", "top_k"), "models from 4.7 on refuse it")
    refused: dict[str, str] = {}
    if members.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        why = "it cannot be set beside thinking"
        if request.temperature != 1:
            refused["temperature"] = why
        if request.top_p is not None and request.top_p < _LEAST_TOP_P:
            refused["top_p"] = why
        refused["top_k"] = why
    both = request.temperature is not None and request.top_p is not None and "temperature" not in refused
    if both and not knows_both_temperature_and_top_p(request.model):
        refused["top_p"] = "the model takes it or a temperature, not both"
    return refused
