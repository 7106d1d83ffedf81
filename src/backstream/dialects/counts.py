"""Counts of tokens as back-ends report them, to one shape: that of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Usage

__all__ = ["raw_usage", "usage_of"]


def usage_of(
    dialect: str,
    raw: Mapping[str, Any],
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    total_tokens: int | None = None,
    cached_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    input_audio_tokens: int | None = None,
    output_audio_tokens: int | None = None,
    computed: tuple[str, ...] = (),
    model: str | None = None,
) -> Usage:
    """Make the usage chunk of reported counts; a count that is ``None`` is left out.

    Args:
        dialect: Whose form ``raw`` is.
        raw: The back-end's own object, kept for clients of the same dialect.
        input_tokens: Of the request, cached ones with them.
        output_tokens: Of the answer, reasoning with them.
        total_tokens: Of both, only where reported.
        cached_tokens: Of the input, read from a cache.
        cache_write_tokens: Of the input, written to a cache.
        reasoning_tokens: Of the output.
        input_audio_tokens: Of the input.
        output_audio_tokens: Of the output.
        computed: Which of the counts were added up here: ``prompt_tokens``, ``completion_tokens``, ``total_tokens``.
        model: The model that answered.
    """
    counts: dict[str, Any] = {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": total_tokens,
        "prompt_tokens_details": _known(
            cached_tokens=cached_tokens, cache_write_tokens=cache_write_tokens, audio_tokens=input_audio_tokens
        ),
        "completion_tokens_details": _known(reasoning_tokens=reasoning_tokens, audio_tokens=output_audio_tokens),
    }
    return Usage(usage=_known(**counts) or {}, model=model, computed=list(computed) or None, raw={dialect: dict(raw)})


def _known(**counts: Any) -> dict[str, Any] | None:
    return {name: count for name, count in counts.items() if count is not None} or None


def raw_usage(usage: Usage, dialect: str) -> dict[str, Any] | None:
    """Return the back-end's own object where it is in the asked dialect; ``None`` where it must be made anew."""
    raw = (usage.raw or {}).get(dialect)
    return dict(raw) if isinstance(raw, Mapping) else None
