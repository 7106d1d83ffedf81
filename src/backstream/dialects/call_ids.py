"""Ids for the tool calls of a conversation whose back-end gave none, in dialects that demand them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.request import Part, ToolCallPart, ToolResultPart, Turn

__all__ = ["CallIds", "with_call_ids"]


class CallIds:
    """Gives ids to calls without one, and finds them for the results that answer those calls."""

    __slots__ = ("_given", "_open")

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []  # tool name, id given here
        self._given = 0

    def of_call(self, call: ToolCallPart) -> str:
        """Return the id of a call: its own, or a new one."""
        if call.id:
            return call.id
        given = f"call_{self._given}"
        self._given += 1
        self._open.append((call.name, given))
        return given

    def of_result(self, result: ToolResultPart) -> str:
        """Return the id of the call a result answers; without one of its own the first open call of its name."""
        if result.tool_call_id:
            return result.tool_call_id
        for index, (called, given) in enumerate(self._open):
            if not result.name or called == result.name:
                del self._open[index]
                return given
        return f"call_{result.name}"


def with_call_ids(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return turns in which every call has an id, and every result that of its call."""
    ids = CallIds()

    def identified(part: Part) -> Part:
        if isinstance(part, ToolCallPart) and not part.id:
            return msgspec.structs.replace(part, id=ids.of_call(part))
        if isinstance(part, ToolResultPart) and not part.tool_call_id:
            return msgspec.structs.replace(part, tool_call_id=ids.of_result(part))
        return part

    return [
        msgspec.structs.replace(turn, parts=tuple(map(identified, turn.parts)))
        if any(isinstance(part, ToolCallPart | ToolResultPart) for part in turn.parts)
        else turn
        for turn in turns
    ]
