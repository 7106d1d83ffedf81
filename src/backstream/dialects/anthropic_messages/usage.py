"""Counts of tokens, both ways.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching ("Tracking cache performance"): the tokens
of a request are ``input_tokens``, ``cache_read_input_tokens`` and ``cache_creation_input_tokens`` together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Usage
from backstream.dialects.anthropic_messages.vendor import NAME
from backstream.dialects.counts import raw_usage, usage_of

__all__ = ["parse_usage", "render_usage"]


def _count(members: object, name: str) -> int | None:
    value = members.get(name) if isinstance(members, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parse_usage(raw: Mapping[str, Any], model: str | None, *, output: bool = True) -> Usage:
    """Make the usage chunk of an answer's counts.

    Args:
        raw: The counts, the ones that came last winning.
        model: The model that answered.
        output: Whether the answer's own count is final; the one at a stream's beginning is not.
    """
    fresh = _count(raw, "input_tokens")
    cached, written = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    added_up = fresh is not None and (cached is not None or written is not None)
    return usage_of(
        NAME,
        raw,
        input_tokens=fresh + (cached or 0) + (written or 0) if fresh is not None else None,
        output_tokens=_count(raw, "output_tokens") if output else None,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(raw.get("output_tokens_details"), "thinking_tokens") if output else None,
        computed=("prompt_tokens",) if added_up else (),
        model=model,
    )


def render_usage(usage: Usage | None) -> dict[str, Any]:
    """Write counts in Anthropic's form; ``input_tokens`` and ``output_tokens``, which it demands, are null if unknown.

    Anthropic itself always knows them; a 0 would be a count that nobody made. Its own client library (2.12.0) takes the
    null as ``None``: in whole answers, in events, and in the message its streaming helper adds up from them.
    """
    unknown: dict[str, Any] = {"input_tokens": None, "output_tokens": None}
    if usage is None:
        return unknown
    raw = raw_usage(usage, NAME)
    if raw is not None:
        return {**unknown, **raw}
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    members = {**unknown, "output_tokens": usage.output_tokens}
    if usage.input_tokens is not None:
        members["input_tokens"] = max(usage.input_tokens - (cached or 0) - (written or 0), 0)
    if cached is not None:
        members["cache_read_input_tokens"] = cached
    if written is not None:
        members["cache_creation_input_tokens"] = written
    if usage.reasoning_tokens is not None:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return members
