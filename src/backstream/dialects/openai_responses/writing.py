"""Chunks to the events of a response, and to the response they add up to; how events are framed is not known here.

Every text, refusal, thought, call and image becomes an item of its own. Calls that have numbers may come interleaved;
everything else is over when another part begins. An item keeps the back-end's own id, because encrypted reasoning is
bound to that; a streamed one only where it was told before the item's first event, because OpenAI's package breaks off
when the id of an item changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses.echo import response_of
from backstream.dialects.openai_responses.failures import error_event, response_error
from backstream.dialects.openai_responses.finishing import render_usage
from backstream.dialects.openai_responses.members import ITEM, NAME, without
from backstream.dialects.openai_responses.writing_items import (
    CallItem,
    Event,
    MediaItems,
    OpenItem,
    RefusalItem,
    TextItem,
    ThoughtItem,
    message_of,
)
from backstream.reply import End
from backstream.wire.json_text import encode_json

__all__ = ["ResponseWriter"]

ItemT = TypeVar("ItemT", bound=OpenItem)

_PREFIXES: Final[Mapping[str, str]] = {"reasoning": "rs", "tool_call": "fc", "media": "ig"}
_CUT: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter:
    """Writes one response.

    Args:
        envelope: What the server says of the answer.
        streams: Whether its events are sent; else only what they add up to counts.
    """

    def __init__(self, envelope: Envelope, *, streams: bool) -> None:
        self._envelope = envelope
        self._streams = streams
        self._told: dict[int | None, str] = {}  # ids of parts that have not begun
        self._response: dict[str, Any] = {}
        self._items: list[OpenItem] = []
        self._open: list[OpenItem] = []
        self._ids: set[str] = set()
        self._finish: Finish | None = None
        self._usage: Usage | None = None

    def write(self, chunk: RawResponse) -> list[Event]:
        """Give the events of a chunk; a chunk of an unknown type has none."""
        if isinstance(chunk, Start):
            return self._begin(chunk)
        write = _WRITERS.get(type(chunk))
        return [*self._begin(Start()), *write(self, chunk)] if write is not None else []

    def _begin(self, start: Start) -> list[Event]:
        if self._response:
            return []
        self._response = response_of(start, self._envelope)
        return [{"type": f"response.{word}", "response": dict(self._response)} for word in ("created", "in_progress")]

    # --- parts --------------------------------------------------------------------------------------------------------

    def _at(self, cls: type[ItemT], number: int | None, events: list[Event], *, anew: bool = False) -> ItemT:
        """Return the item that a piece belongs to; begin it where there is none."""
        if not anew:
            for item in reversed(self._open):
                if type(item) is cls and item.number == number:
                    return item
        sequential = [item for item in self._open if item.number is None or item.kind != "tool_call"]
        for item in sequential:
            events += self._close(item)
        return self._add(cls, number, events)

    def _add(self, cls: type[ItemT], number: int | None, events: list[Event]) -> ItemT:
        index = len(self._items)
        told = self._told.pop(number, None)
        if told is None or told in self._ids:  # two texts of one message: each is an item here
            told = f"{_PREFIXES.get(cls.kind, 'msg')}_{self._envelope.id}_{index}"
        self._ids.add(told)
        item = cls(index, told, number)
        self._items.append(item)
        self._open.append(item)
        events += item.begin()
        return item

    def _close(self, item: OpenItem, own: Mapping[str, Any] | None = None, status: str = "completed") -> list[Event]:
        self._open.remove(item)
        own = own or {}
        around = own.get(ITEM)
        members = around if isinstance(around, Mapping) else own
        if "id" in members and not self._fits(item, members["id"]):
            bare = without(members, "id")
            own = {**own, ITEM: bare} if members is around else bare
        return item.end(own, status)

    def _fits(self, item: OpenItem, known: object) -> bool:
        """Tell whether an item that ends can have the id its back-end gave it."""
        if known == item.id:
            return True
        if not isinstance(known, str) or known in self._ids or (self._streams and item.is_announced):
            return False
        self._ids.add(known)
        return True

    def _note_id(self, chunk: PartStart) -> list[Event]:
        if item_id := _id_of((chunk.opaque or {}).get(NAME)):
            self._told[chunk.part] = item_id
        return []

    def _write_content(self, chunk: Content) -> list[Event]:
        events: list[Event] = []
        if chunk.text:
            item = self._at(TextItem, chunk.part, events)
            events += item.say(chunk.text)
        return events

    def _write_logprobs(self, chunk: Logprobs) -> list[Event]:
        events: list[Event] = []
        if chunk.logprobs:
            item = self._at(TextItem, chunk.part, events)
            events += item.say("", chunk.logprobs)
        return events

    def _write_reasoning(self, chunk: Reasoning) -> list[Event]:
        events: list[Event] = []
        if chunk.token:
            item = self._at(ThoughtItem, chunk.part, events)
            events += item.think(chunk.token)
        return events

    def _write_refusal(self, chunk: Refusal) -> list[Event]:
        events: list[Event] = []
        if chunk.refusal:
            item = self._at(RefusalItem, chunk.part, events)
            events += item.say(chunk.refusal)
        return events

    def _write_citation(self, chunk: Citation) -> list[Event]:
        """A source belongs to the last text, unless it says to which."""
        texts = [item for item in self._open if type(item) is TextItem and chunk.part in (None, item.number)]
        events: list[Event] = []
        item = texts[-1] if texts else self._at(TextItem, chunk.part, events)
        return [*events, *item.cite(chunk)]

    def _write_call(self, chunk: ToolCallDelta) -> list[Event]:
        events: list[Event] = []
        anew = chunk.part is None and chunk.id is not None and not self._is_open_call(chunk.id)
        item = self._at(CallItem, chunk.part, events, anew=anew)
        return [*events, *item.call(chunk.id, chunk.name, chunk.arguments)]

    def _is_open_call(self, call_id: str) -> bool:
        last = self._open[-1] if self._open else None
        return isinstance(last, CallItem) and last.number is None and last.call_id in ("", call_id)

    def _write_calls(self, chunk: ToolCalls) -> list[Event]:
        events: list[Event] = []
        for call in chunk.tool_calls or ():
            function = call.get("function")
            function = function if isinstance(function, Mapping) else {}
            given, arguments = call.get("id"), function.get("arguments")
            if not isinstance(arguments, str):
                arguments = encode_json(arguments or {}).decode()
            item = self._at(CallItem, None, events, anew=True)
            events += item.call(given if isinstance(given, str) else None, str(function.get("name") or ""), arguments)
            events += self._close(item)
        return events

    def _write_media(self, chunk: Media) -> list[Event]:
        events: list[Event] = []
        self._at(MediaItems, chunk.part, events).add(chunk)
        return events

    def _write_part_end(self, chunk: PartEnd) -> list[Event]:
        own = (chunk.opaque or {}).get(NAME)
        own = own if isinstance(own, Mapping) else {}
        if chunk.kind == "opaque":
            return self._write_opaque(own) if own else []
        for item in reversed(self._open):
            if item.number == chunk.part and chunk.kind in (None, item.kind):
                return self._close(item, own)
        cls = _KINDS.get(chunk.kind or "")
        if not own or cls is None:
            return []
        events: list[Event] = []
        if item_id := _id_of(own):
            self._told.setdefault(chunk.part, item_id)
        item = self._at(cls, chunk.part, events)
        return [*events, *self._close(item, own)]

    def _write_opaque(self, own: Mapping[str, Any]) -> list[Event]:
        """Say a part that only this dialect knows: an item as it was, or a content in a message of its own."""
        events: list[Event] = []
        item = self._at(_OpaqueItem, None, events, anew=True)
        return [*events, *self._close(item, own)]

    # --- the end ------------------------------------------------------------------------------------------------------

    def _note_finish(self, chunk: Finish) -> list[Event]:
        self._finish = chunk
        return []

    def _note_usage(self, chunk: Usage) -> list[Event]:
        self._usage = chunk
        return []

    def end(self, end: End) -> list[Event]:
        """Give the events that close the answer."""
        events = self._begin(Start())
        if end.state != "complete":
            error = error_event(end.error)
            response = self.whole("failed") | {"error": response_error(error)}
            return [*events, error, {"type": "response.failed", "response": response}]
        cut = _CUT.get(self._finish.reason or "") if self._finish is not None else None
        status = "incomplete" if cut else "completed"
        for item in list(self._open):
            events += self._close(item, None, status)
        response = self.whole(status)
        if cut:
            response["incomplete_details"] = {"reason": cut}
        return [*events, {"type": f"response.{status}", "response": response}]

    def whole(self, status: str) -> dict[str, Any]:
        """Return the response as it is by now, less the items that are being written."""
        output = [item.item for item in self._items if item.item]
        response = {**self._response, "status": status, "output": output}
        return {**response, "usage": render_usage(self._usage)} if self._usage is not None else response


def _id_of(own: object) -> str | None:
    """Return the item's id among a part's own members."""
    if not isinstance(own, Mapping):
        return None
    around = own.get(ITEM)
    item_id = (around if isinstance(around, Mapping) else own).get("id")
    return item_id if isinstance(item_id, str) else None


class _OpaqueItem(OpenItem):
    """A part that only this dialect knows."""

    kind = "opaque"

    def begin(self) -> list[Event]:
        return []

    def end(self, own: Mapping[str, Any], status: str) -> list[Event]:
        around = own.get(ITEM)
        if isinstance(around, Mapping):
            item = {**message_of(self.id, [without(own, ITEM)], status), **around}
        else:
            item = {"id": self.id, **own}
        return [self.added(item), self.over(item)]


_KINDS: Final[Mapping[str, type[OpenItem]]] = {cls.kind: cls for cls in (TextItem, RefusalItem, ThoughtItem, CallItem)}
# ruff: noqa: SLF001 - the table below is part of the class
_WRITERS: Final[Mapping[type, Callable[[ResponseWriter, Any], list[Event]]]] = {
    Content: ResponseWriter._write_content,
    Logprobs: ResponseWriter._write_logprobs,
    Reasoning: ResponseWriter._write_reasoning,
    Refusal: ResponseWriter._write_refusal,
    Citation: ResponseWriter._write_citation,
    ToolCallDelta: ResponseWriter._write_call,
    ToolCalls: ResponseWriter._write_calls,
    Media: ResponseWriter._write_media,
    PartStart: ResponseWriter._note_id,
    PartEnd: ResponseWriter._write_part_end,
    Finish: ResponseWriter._note_finish,
    Usage: ResponseWriter._note_usage,
}
