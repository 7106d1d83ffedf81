"""What property tests of several dialects share about turns."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from backstream.request import ToolCallPart, ToolResultPart, Turn


def named_by_calls(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Name each result of a tool as its call does: dialects that send names take them from there."""
    names: dict[str, str] = {}
    named = []
    for turn in turns:
        parts = []
        for part in turn.parts:
            if isinstance(part, ToolCallPart) and part.id:
                names[part.id] = part.name
            if isinstance(part, ToolResultPart) and part.tool_call_id in names:
                part = msgspec.structs.replace(part, name=names[part.tool_call_id])
            parts.append(part)
        named.append(msgspec.structs.replace(turn, parts=tuple(parts)))
    return tuple(named)
