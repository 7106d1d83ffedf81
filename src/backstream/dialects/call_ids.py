"""Ids for the tool calls of a conversation whose back-end gave none, in dialects that demand them."""

from __future__ import annotations

from backstream.request import ToolCallPart, ToolResultPart

__all__ = ["CallIds"]


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
