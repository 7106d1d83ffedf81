"""The faults, as a table: name → script. A new fault is a new row and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from backstream.testing.chaos.faults_http import OF_HTTP
from backstream.testing.chaos.faults_stream import OF_STREAMS
from backstream.testing.chaos.shape import PREFIX, Fault

__all__ = ["FAULTS", "Chosen", "find_fault"]

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (*OF_STREAMS, *OF_HTTP)}
"""Name → fault, those of the stream first."""

_NUMBERED: Final = re.compile(r"(.+)-([0-9]{1,6})")


class Chosen(NamedTuple):
    """A fault, with the number that was chosen."""

    fault: Fault
    number: int


def find_fault(model: str) -> Chosen | None:
    """Return the fault that a model's name means.

    Args:
        model: The name, as ``chaos/cut-after-3``; the prefix may be left out, and so may the number.

    Returns:
        ``None`` where there is no such fault, or its number is too large.
    """
    name = model.removeprefix(PREFIX)
    for plain in (name, f"{name}-N"):
        if plain in FAULTS:
            return Chosen(FAULTS[plain], FAULTS[plain].number)
    numbered = _NUMBERED.fullmatch(name)
    fault = FAULTS.get(f"{numbered[1]}-N") if numbered else None
    if fault is None or numbered is None or int(numbered[2]) > fault.most:
        return None
    return Chosen(fault, int(numbered[2]))
