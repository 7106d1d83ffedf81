"""The tool calls of an answer, in whatever order and with whatever marks servers send their pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from backstream.chunks import PartEnd, RawResponse, ToolCallDelta
from backstream.dialects.openai_chat.quirks import NAME

__all__ = ["CallReader"]


class _Call:
    __slots__ = ("id", "name", "opaque", "part")

    def __init__(self, part: int) -> None:
        self.part = part
        self.id: str | None = None
        self.name: str | None = None
        self.opaque: dict[str, Any] = {}


class CallReader:
    """Reads pieces of tool calls; counts the calls anew, in the order they begin.

    Pieces belong together by ``index``, without one by ``id``, without both to the last call. A new id under a known
    index begins a new call: some servers give every call the index 0.

    Attributes:
        parts: The part of each index, as it was last seen.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self.parts: dict[int, int] = {}

    def read(self, message: Mapping[str, Any]) -> Iterable[RawResponse]:
        """Read the calls of a delta or a message."""
        calls = message.get("tool_calls")
        for position, piece in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(piece, Mapping):
                yield from self._read_piece(piece, position)
        legacy = message.get("function_call")
        if isinstance(legacy, Mapping):  # one call, before there were several
            yield from self._read_piece({"index": 0, "function": legacy}, 0)

    def _read_piece(self, piece: Mapping[str, Any], position: int) -> Iterable[RawResponse]:
        function = _function_of(piece)
        known = len(self._calls)
        call = self._find(piece.get("index"), piece.get("id"), function.get("name"), position)
        members: dict[str, Any] = {}
        for name, value in (("id", piece.get("id")), ("name", function.get("name"))):
            if isinstance(value, str) and value and getattr(call, name) is None:  # some repeat them in every piece
                setattr(call, name, value)
                members[name] = value
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):  # some send the object itself
            arguments = msgspec.json.encode(arguments).decode()
        if isinstance(arguments, str) and arguments:
            members["arguments"] = arguments
        call.opaque |= {name: value for name, value in piece.items() if name not in _KNOWN and value is not None}
        if isinstance(piece.get("custom"), Mapping):
            call.opaque |= {"custom": {}}  # the mark of such a call
        if members or len(self._calls) > known:
            yield ToolCallDelta(part=call.part, **members)

    def _find(self, index: object, given: object, name: object, position: int) -> _Call:
        id_ = given if isinstance(given, str) and given else None
        call: _Call | None
        if isinstance(index, int):
            call = self._by_index.get(index)
            if call is not None and id_ is not None and call.id not in (None, id_):
                call = self._by_id.get(id_)
            elif call is not None and id_ is None and _is_another(name, call.name):
                call = None  # some count every call as the first, and give none of them an id
        elif id_ is not None:
            call = self._by_id.get(id_)
        else:
            # without any mark: a name begins another call, as does a further place in one and the same list
            begins = position > 0 or (isinstance(name, str) and name and self._calls and self._calls[-1].name)
            call = self._calls[-1] if self._calls and not begins else None
        if call is None:
            call = _Call(len(self._calls))
            self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
            self.parts[index] = call.part
        if id_ is not None:
            self._by_id.setdefault(id_, call)
        return call

    def finish(self) -> list[RawResponse]:
        """Give the ends of the calls that carry something their back-end wants back. Once."""
        ends: list[RawResponse] = [
            PartEnd(part=call.part, kind="tool_call", opaque={NAME: call.opaque}) for call in self._calls if call.opaque
        ]
        for call in self._calls:
            call.opaque = {}
        return ends


def _function_of(piece: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return name and arguments; those of a custom tool are a text in no form."""
    function = piece.get("function")
    if isinstance(function, Mapping):
        return function
    custom = piece.get("custom")
    return {"name": custom.get("name"), "arguments": custom.get("input")} if isinstance(custom, Mapping) else {}


def _is_another(name: object, known: str | None) -> bool:
    return isinstance(name, str) and bool(name) and known is not None and name != known


_KNOWN = frozenset({"index", "id", "type", "function", "custom"})
