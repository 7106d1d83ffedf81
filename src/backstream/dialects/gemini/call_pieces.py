"""The arguments of a call that come in pieces, each with the place it belongs to.

Only where ``functionCallingConfig.streamFunctionCallArguments`` asked for it. A place is never made larger than one
step at a time, so that no piece can ask for memory.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling (``partialArgs``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

__all__ = ["CallPieces"]

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([0-9]{1,6})\]|\['((?:[^'\\]|\\.)*)'\]")
_DEEPEST: Final = 64
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")


class CallPieces:
    """Put the arguments of one call together.

    Args:
        id: The call's id; ``""`` where there is none.
        name: The tool's name.
        opaque: What its first piece had beside the call.
    """

    __slots__ = ("arguments", "id", "name", "opaque")

    def __init__(self, id: str, name: str, opaque: Mapping[str, Any]) -> None:  # noqa: A002 - Google's word
        self.id = id
        self.name = name
        self.opaque = dict(opaque)
        self.arguments: dict[str, Any] = {}

    def add(self, pieces: object) -> None:
        """Add pieces; one without a place or a value is passed over."""
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, Mapping) and isinstance(piece.get("jsonPath"), str):
                steps = _steps(piece["jsonPath"])
                value = next((piece[name] for name in _VALUES if name in piece), None)
                if steps and any(name in piece for name in _VALUES):
                    self._put(steps, None if "nullValue" in piece else value)

    def _put(self, steps: list[str | int], value: Any) -> None:
        place: Any = self.arguments
        for step, following in pairwise(steps):
            inner = _at(place, step)
            if not isinstance(inner, dict | list):
                inner = [] if isinstance(following, int) else {}
                _set(place, step, inner)
            place = inner
        last = _at(place, steps[-1])
        _set(place, steps[-1], last + value if isinstance(last, str) and isinstance(value, str) else value)


def _steps(path: str) -> list[str | int]:
    """Read a path such as ``$.a[0].b``; an empty list where it is none."""
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            return []
        name, index, quoted = found.groups()
        steps.append(int(index) if index is not None else name if name is not None else quoted)
        position = found.end()
    return steps if len(steps) <= _DEEPEST else []


def _at(place: Any, step: str | int) -> Any:
    if isinstance(place, list):
        return place[step] if isinstance(step, int) and step < len(place) else None
    return place.get(str(step))


def _set(place: Any, step: str | int, value: Any) -> None:
    if isinstance(place, dict):
        place[str(step)] = value
    elif isinstance(step, int) and step < len(place):
        place[step] = value
    else:
        place.append(value)
