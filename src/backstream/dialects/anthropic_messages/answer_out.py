"""Chunks of any dialect to the events of one answer, as members of JSON objects; knows no framing.

Blocks of the Messages API come one after another, while tool calls of other dialects may come interleaved: what is not
for the call that is open waits until that call is over.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.anthropic_messages.media_out import MediaText
from backstream.dialects.anthropic_messages.usage import render_usage
from backstream.dialects.anthropic_messages.vendor import NAME, REASONS, STOP_REASONS
from backstream.dialects.base import Envelope
from backstream.errors import DecodeError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["AnswerRenderer", "Event"]

Event = dict[str, Any]

_PART_KINDS: Final[Mapping[str, str]] = {"text": "text", "refusal": "text", "reasoning": "thinking"}
_SHOWN: Final = (Content, Refusal, Reasoning, ToolCallDelta, ToolCalls, Citation, Media, PartEnd)


class _Open:
    """The block that is open.

    Attributes:
        kind: ``text``, ``thinking`` or ``tool_use``.
        part: The number of the part it stands for.
        call_id: Of a tool call.
        arguments: Of a tool call, as far as they came.
    """

    __slots__ = ("arguments", "call_id", "kind", "part")

    def __init__(self, kind: str, part: int | None, call_id: str | None = None) -> None:
        self.kind = kind
        self.part = part
        self.call_id = call_id
        self.arguments: list[str] = []

    def is_over(self) -> bool:
        """A call whose arguments are a whole JSON object can get no more of them."""
        if self.kind != "tool_use":
            return True
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):  # spares most of the decoding
            return False
        try:
            return isinstance(decode_json("".join(self.arguments)), dict)
        except DecodeError:
            return False

    def goes_on(self, chunk: ToolCallDelta) -> bool:
        """Tell whether a piece is of this call."""
        if self.kind != "tool_use":
            return False
        if chunk.part is not None:
            return chunk.part == self.part
        if chunk.id:
            return chunk.id == self.call_id
        return not (chunk.name and self.is_over())


class AnswerRenderer:
    """Turns the chunks of one answer into events, ``type`` included, in the order the API sends them.

    Args:
        envelope: What the server says of the answer.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._started = False
        self._next = 0
        self._open: _Open | None = None
        self._held: list[RawResponse] = []
        self._media = MediaText()
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._called: set[int | None] = set()
        self._refused = False

    def take(self, chunk: RawResponse) -> Iterator[Event]:
        """Give the events of a chunk; of one the API has no words for there are none."""
        if isinstance(chunk, Start):
            if not self._started:
                yield self._start(chunk)
        elif isinstance(chunk, Usage):
            self._usage = chunk
        elif isinstance(chunk, Finish):
            self._finish = chunk
        elif isinstance(chunk, _SHOWN):
            if not self._started:
                yield self._start(Start())
            yield from self._pass(chunk)
            yield from self._release()

    def finish(self) -> Iterator[Event]:
        """Give the events that close a whole answer."""
        if not self._started:
            yield self._start(Start())
        yield from self._take_text(self._media.take(), None)
        while self._open is not None or self._held:
            yield from self._close()
            yield from self._release()
        finish = self._finish.finish if self._finish is not None else None
        sequence = finish.get("stop_sequence") if isinstance(finish, dict) else None
        sequence = sequence if isinstance(sequence, str) else None
        delta: Event = {"stop_reason": self._stop_reason(sequence), "stop_sequence": sequence}
        for name in ("stop_details", "container"):
            if isinstance(finish, dict) and finish.get(name) is not None:
                delta[name] = finish[name]
        yield {"type": "message_delta", "delta": delta, "usage": render_usage(self._usage)}
        yield {"type": "message_stop"}

    def _stop_reason(self, sequence: str | None) -> str:
        finish = self._finish
        raw = finish.raw if finish is not None else None
        if raw is not None and (raw in REASONS or raw == "pause_turn"):
            return raw
        reason = finish.reason if finish is not None else None
        if self._refused and reason in (None, "stop"):
            return "refusal"
        if self._called and reason in (None, "stop"):  # some back-ends know no other word
            return "tool_use"
        if reason is None:
            return "end_turn"
        return "stop_sequence" if reason == "stop" and sequence is not None else STOP_REASONS.get(reason, reason)

    def _start(self, start: Start) -> Event:
        self._started = True
        theirs, ours = start.id or "", self._envelope.id
        usage: Event = render_usage(self._usage)
        if start.service_tier is not None:
            usage["service_tier"] = start.service_tier
        message: Event = {
            "id": theirs if theirs.startswith("msg_") else ours if ours.startswith("msg_") else f"msg_{ours}",
            "type": "message",
            "role": "assistant",
            "model": start.model or self._envelope.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return {"type": "message_start", "message": message}

    # --- one block after another

    def _show(self, chunk: RawResponse) -> Iterator[Event]:
        """Show a chunk, or hold it where another call has to end first."""
        if not self._is_for_open(chunk) and self._open is not None and not self._open.is_over():
            self._held.append(chunk)
            return
        if not isinstance(chunk, Media):
            yield from self._take_text(self._media.take(), None)
        if isinstance(chunk, Content):
            yield from self._take_text(chunk.text, chunk.part)
        elif isinstance(chunk, Refusal):
            self._refused = True
            yield from self._take_text(chunk.refusal or "", chunk.part)
        elif isinstance(chunk, Reasoning):
            yield from self._take_thinking(chunk)
        elif isinstance(chunk, ToolCallDelta):
            yield from self._take_call(chunk)
        elif isinstance(chunk, ToolCalls):
            for call in chunk.tool_calls or ():
                yield from self._take_whole_call(call)
        elif isinstance(chunk, Citation):
            yield from self._take_citation(chunk)
        elif isinstance(chunk, Media):
            self._media.add(chunk)
        else:
            assert isinstance(chunk, PartEnd)
            yield from self._take_end(chunk)

    def _is_for_open(self, chunk: RawResponse) -> bool:
        opened = self._open
        if opened is None:
            return False
        if isinstance(chunk, ToolCallDelta):
            return opened.goes_on(chunk)
        if isinstance(chunk, PartEnd) and chunk.kind in ("tool_call", None):
            return opened.kind == "tool_use" and chunk.part in (None, opened.part)
        return False

    def _release(self) -> Iterator[Event]:
        """Show what was held, in order; what must go on waiting is held again."""
        while self._held and (self._open is None or self._open.is_over()):
            held, self._held = self._held, []
            for chunk in held:
                yield from self._pass(chunk)

    def _pass(self, chunk: RawResponse) -> Iterator[Event]:
        """Show a chunk, unless others wait that came before it; what is for the open call goes past them."""
        if self._held and not self._is_for_open(chunk):
            self._held.append(chunk)
        else:
            yield from self._show(chunk)

    def _begin(self, kind: str, part: int | None, block: Event, call_id: str | None = None) -> Iterator[Event]:
        yield from self._close()
        self._open = _Open(kind, part, call_id)
        yield {"type": "content_block_start", "index": self._next, "content_block": block}

    def _delta(self, kind: str, **members: Any) -> Event:
        return {"type": "content_block_delta", "index": self._next, "delta": {"type": kind, **members}}

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._next}
            self._next += 1

    def _is_open(self, kind: str, part: int | None) -> bool:
        opened = self._open
        return opened is not None and opened.kind == kind and (part is None or part == opened.part)

    # --- what is shown

    def _take_text(self, text: str, part: int | None) -> Iterator[Event]:
        if not text:
            return
        if not self._is_open("text", part):
            yield from self._begin("text", part, {"type": "text", "text": ""})
        yield self._delta("text_delta", text=text)

    def _take_thinking(self, chunk: Reasoning) -> Iterator[Event]:
        if not chunk.token:
            return
        if not self._is_open("thinking", chunk.part):
            yield from self._begin_thinking(chunk.part)
        yield self._delta("thinking_delta", thinking=chunk.token)

    def _begin_thinking(self, part: int | None) -> Iterator[Event]:
        yield from self._begin("thinking", part, {"type": "thinking", "thinking": "", "signature": ""})

    def _take_call(self, chunk: ToolCallDelta) -> Iterator[Event]:
        opened = self._open
        if opened is None or not opened.goes_on(chunk):
            if not chunk.id and not chunk.name and (chunk.part is None or chunk.part in self._called):
                return  # a piece of a call that is over
            self._called.add(chunk.part)
            yield from self._close()  # the number of the block is in the id
            given = chunk.id or f"toolu_{self._envelope.id}_{self._next}"
            block = {"type": "tool_use", "id": given, "name": chunk.name or "", "input": {}}
            yield from self._begin("tool_use", chunk.part, block, given)
            opened = self._open
        if chunk.arguments and opened is not None:
            opened.arguments.append(chunk.arguments)
            yield self._delta("input_json_delta", partial_json=chunk.arguments)

    def _take_whole_call(self, call: Mapping[str, Any]) -> Iterator[Event]:
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        call_id, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
        text = arguments if isinstance(arguments, str) else encode_json(arguments or {}).decode()
        yield from self._close()
        yield from self._take_call(
            ToolCallDelta(
                id=call_id if isinstance(call_id, str) else None,
                name=name if isinstance(name, str) else "",
                arguments=text,
            )
        )
        yield from self._close()

    def _take_citation(self, chunk: Citation) -> Iterator[Event]:
        raw = (chunk.raw or {}).get(NAME)
        if not isinstance(raw, Mapping):
            raw = {
                "type": "web_search_result_location",
                "url": chunk.url or "",
                "title": chunk.title,
                "cited_text": chunk.cited_text or "",
                "encrypted_index": "",
            }
        if not self._is_open("text", chunk.part):
            yield from self._begin("text", chunk.part, {"type": "text", "text": ""})
        yield self._delta("citations_delta", citation=dict(raw))

    def _take_end(self, chunk: PartEnd) -> Iterator[Event]:
        own = (chunk.opaque or {}).get(NAME)
        own = own if isinstance(own, Mapping) else {}
        if chunk.kind == "opaque":
            if isinstance(own.get("type"), str):
                yield from self._take_block(own)
        elif chunk.kind == "tool_call":
            if self._is_open("tool_use", chunk.part):
                yield from self._close()
        elif chunk.kind == "reasoning":
            signature = own.get("signature")
            if isinstance(signature, str) and signature:
                if not self._is_open("thinking", chunk.part):
                    yield from self._begin_thinking(chunk.part)
                yield self._delta("signature_delta", signature=signature)
            if self._is_open("thinking", chunk.part):
                yield from self._close()
        else:
            yield from self._take_plain_end(chunk)

    def _take_plain_end(self, chunk: PartEnd) -> Iterator[Event]:
        opened = self._open
        if opened is None or chunk.kind == "media":
            return
        if self._is_open(_PART_KINDS.get(chunk.kind or "", opened.kind), chunk.part):
            yield from self._close()

    def _take_block(self, block: Mapping[str, Any]) -> Iterator[Event]:
        """Show a block only this dialect knows; the input of a tool goes behind it, as the API sends it."""
        shown = dict(block)
        given = shown.get("input")
        if isinstance(given, Mapping):
            shown["input"] = {}
        yield from self._begin("opaque", None, shown)
        if isinstance(given, Mapping) and given:
            yield self._delta("input_json_delta", partial_json=encode_json(given).decode())
        yield from self._close()
