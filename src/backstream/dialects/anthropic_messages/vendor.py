"""Anthropic's own words and numbers: names, versions, reasons, and which models know what. Knows no request.

Source: https://platform.claude.com/docs/en/api/messages, https://platform.claude.com/docs/en/api/versioning,
https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking,
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages,
https://platform.claude.com/docs/en/about-claude/models/migration-guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from backstream.request import Receipts

__all__ = [
    "COUNT_PATH",
    "DEFAULT_MAX_TOKENS",
    "FILES_BETA",
    "NAME",
    "PATH",
    "REASONS",
    "STOP_REASONS",
    "VERSION",
    "knows_adaptive_thinking",
    "knows_both_temperature_and_top_p",
    "knows_budgets",
    "knows_sampling",
    "knows_system_turns",
    "own_members",
]

NAME: Final = "anthropic_messages"
PATH: Final = "/messages"
COUNT_PATH: Final = "/messages/count_tokens"
VERSION: Final = "2023-06-01"
FILES_BETA: Final = "files-api-2025-04-14"
"""The beta that files by id need (https://platform.claude.com/docs/en/build-with-claude/files)."""

DEFAULT_MAX_TOKENS: Final = 8192
"""What is sent where the caller set no ``max_tokens``, which the API demands; every current model may say as much."""

REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Their word for why an answer ended → ours; other words (``pause_turn``) are ours as they are."""

STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}
"""Our word → theirs."""

_MODEL: Final = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2})(?!\d))?")


def _generation(model: str) -> tuple[int, int] | None:
    """Tell the generation of one of Anthropic's models by its name; ``None`` for names of another form."""
    found = _MODEL.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def knows_adaptive_thinking(model: str) -> bool:
    """Tell whether a model decides itself how much to think; those before 4.6 must be given a budget."""
    generation = _generation(model)
    return generation is None or generation >= (4, 6)


def knows_budgets(model: str) -> bool:
    """Tell whether a model takes a budget for thinking; those from 4.7 on refuse it."""
    generation = _generation(model)
    return generation is None or generation < (4, 7)


def knows_sampling(model: str) -> bool:
    """Tell whether a model takes settings of sampling; those from 4.7 on refuse them."""
    return knows_budgets(model)


def knows_both_temperature_and_top_p(model: str) -> bool:
    """Tell whether a model takes a temperature and ``top_p`` together; those from 4.1 on refuse that."""
    generation = _generation(model)
    return generation is None or generation < (4, 1)


def knows_system_turns(model: str) -> bool:
    """Tell whether a model takes system turns in mid-conversation; those before 4.8 refuse them."""
    generation = _generation(model)
    return generation is not None and generation >= (4, 8)


def own_members(
    opaque: Mapping[str, Mapping[str, Any]],
    where: str,
    receipts: Receipts,
    *,
    local: bool = False,
    harmless: bool = True,
) -> dict[str, Any]:
    """Return the opaque members this dialect lays over what it renders; those of others are dropped, with receipts.

    Args:
        opaque: Of a part, a turn or a tool.
        where: Its place, for receipts.
        receipts: Where to note what was dropped.
        local: Whether members with the key ``""`` are taken too, as a local caller's own.
        harmless: Whether those of others are nothing a caller asked for.
    """
    own: dict[str, Any] = {}
    for dialect, members in opaque.items():
        if dialect == NAME or (local and not dialect):
            own.update(members)
        else:
            receipts.dropped(f"{where}.opaque", f"only {dialect or 'its own back-end'} reads it", harmless=harmless)
    return own
