"""How often everybody is measured: as each part thinks right, or less where ``BENCH_TURNS`` says so."""

from __future__ import annotations

import os

__all__ = ["TURNS", "turns"]

TURNS = "BENCH_TURNS"


def turns(usual: int) -> int:
    """As often as usual, but no more often than was asked for."""
    return min(usual, int(os.environ.get(TURNS) or usual))
