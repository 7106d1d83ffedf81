"""What a call may do to survive trouble, as one value: the option of that name. Knows no route and runs nothing."""

from __future__ import annotations

from backstream.options import MidStreamPolicy, Recovery

__all__ = ["MidStreamPolicy", "Recovery"]
