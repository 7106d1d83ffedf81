"""What an answer used and cost, in words. Knows no prices."""

from __future__ import annotations

from backstream.chunks import Usage
from backstream.reply import Cost

__all__ = ["describe_usage"]

_COUNTS = (
    ("input", "input_tokens", ("prompt_tokens", "input_tokens")),
    ("output", "output_tokens", ("completion_tokens", "output_tokens")),
)
_PARTS = (
    ("cached", "cached_tokens"),
    ("written to the cache", "cache_write_tokens"),
    ("reasoning", "reasoning_tokens"),
)


def describe_usage(usage: Usage, cost: Cost | None) -> str:
    """Describe in one line what an answer used; what was computed here and not reported has a ``~`` before it.

    Args:
        usage: What it used.
        cost: What it cost; ``None`` where that is not known.
    """
    computed = usage.computed or ()
    said = []
    for label, count, names in _COUNTS:
        tokens = getattr(usage, count)
        if tokens is not None:
            said.append(f"{'~' if set(names) & set(computed) else ''}{tokens:,} {label}")
    for label, count in _PARTS:
        tokens = getattr(usage, count)
        if tokens:
            said.append(f"{tokens:,} {label}")
    text = ", ".join(said) + " tokens" if said else "no counts of tokens"
    return text if cost is None else f"{text}; {describe_cost(cost)}"


def describe_cost(cost: Cost) -> str:
    """Describe a sum, with where its price comes from; ``~`` before what the provider did not tell itself."""
    sign = "" if cost.source == "provider" else "~"
    amount = f"{cost.amount:.6f}".rstrip("0")
    return f"{sign}{amount + '00' if amount.endswith('.') else amount} {cost.currency} ({cost.source})"
