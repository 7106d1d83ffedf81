"""The events of one answer, decoded, to chunks; a whole answer is the same blocks, each in one piece.

Knows no framing. Whatever has another shape than the API's is passed over, never an error.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming, …/extended-thinking, …/citations,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from backstream.chunks import Citation, Content, Finish, PartEnd, RawResponse, Reasoning, Start, ToolCallDelta
from backstream.dialects.anthropic_messages.usage import parse_usage
from backstream.dialects.anthropic_messages.vendor import NAME, REASONS
from backstream.errors import DecodeError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["AnswerState"]

_Members = Mapping[str, Any]
_KINDS: Final[Mapping[str, str]] = {"text": "text", "thinking": "reasoning", "tool_use": "tool_call"}


class _OpenBlock:
    """A content block while its pieces come.

    Attributes:
        kind: The part's kind; ``opaque`` for blocks only this dialect knows.
        members: What goes along with the part, or the whole block of kind ``opaque``.
        pieces: The pieces of its input, as far as they are kept.
        said: Whether a piece of its input came.
    """

    __slots__ = ("given", "kind", "members", "pieces", "said")

    def __init__(self, kind: str, members: dict[str, Any]) -> None:
        self.kind = kind
        self.members = members
        self.given: object = None
        self.pieces: list[str] = []
        self.said = False


class AnswerState:
    """Turns the events of one answer into chunks, one by one.

    Attributes:
        started: Whether there was an event of an answer.
        stopped: Whether the back-end said that the answer is over.
        evidence: Its words for that.
    """

    def __init__(self) -> None:
        self._open: dict[int, _OpenBlock] = {}
        self._usage: dict[str, Any] = {}
        self._counted = False
        self._finish: dict[str, Any] | None = None
        self._model: str | None = None
        self.started = False
        self.stopped = False

    @property
    def evidence(self) -> tuple[str, ...]:
        """The back-end's words for the end, as far as they came."""
        words = (("message_stop", self.stopped), ("stop_reason", self._finish is not None))
        return tuple(word for word, seen in words if seen)

    @property
    def is_whole(self) -> bool:
        """Whether its back-end said why it ended, after every block was ended."""
        return self._finish is not None and not self._open

    def take(self, kind: str, event: _Members) -> Iterator[RawResponse]:
        """Give the chunks of an event.

        Args:
            kind: Its type; events of unknown types have no chunks.
            event: Its members.
        """
        take = _TAKERS.get(kind)
        if take is not None:
            self.started = True
            yield from take(self, event)

    def note_input(self, index: int, piece: str) -> RawResponse | None:
        """Take a piece of a tool's input; the chunk of it, where it is a caller's tool."""
        block = self._open.get(index)
        if block is None:
            return None
        if block.kind != "tool_call":
            block.pieces.append(piece)
            return None
        block.said = block.said or bool(piece)
        return ToolCallDelta(arguments=piece, part=index) if piece else None

    def close(self) -> Iterator[RawResponse]:
        """Give what is known of the end, once: the reason and the counts."""
        finish, usage = self._finish, self._usage
        if finish is not None:
            yield Finish(finish=finish)
        if usage.keys() - {"service_tier"}:  # which is no count
            yield parse_usage(usage, self._model, output=self._counted)
        self._usage = {}

    # --- the message

    def _message_start(self, event: _Members) -> Iterator[RawResponse]:
        message = event.get("message")
        if isinstance(message, Mapping):
            yield self.start(message)

    def start(self, message: _Members) -> Start:
        """Give the beginning of a message."""
        usage = message.get("usage")
        self._add_usage(usage)
        self._model = _text(message.get("model"))
        tier = usage.get("service_tier") if isinstance(usage, Mapping) else None
        return Start(id=_text(message.get("id")), model=self._model, service_tier=_text(tier))

    def count(self) -> None:
        """Note that the counts are final."""
        self._counted = True

    def _add_usage(self, usage: object) -> None:
        if isinstance(usage, Mapping):
            self._usage |= {name: count for name, count in usage.items() if count is not None}

    def _message_delta(self, event: _Members) -> Iterator[RawResponse]:
        usage = event.get("usage")
        self._add_usage(usage)
        self._counted = self._counted or (isinstance(usage, Mapping) and usage.get("output_tokens") is not None)
        delta = event.get("delta")
        if isinstance(delta, Mapping):
            self.end(delta)
        yield from ()

    def end(self, message: _Members) -> None:
        """Note why a message ended, and whatever else its back-end says of that."""
        reason = _text(message.get("stop_reason"))
        if reason is None:
            return
        unified = REASONS.get(reason, reason)
        raw = {"raw": reason} if unified != reason else {}
        further = {name: value for name, value in message.items() if value is not None and name != "stop_reason"}
        self._finish = {**further, "reason": unified, **raw}

    def _message_stop(self, event: _Members) -> Iterator[RawResponse]:
        del event
        self.stopped = True
        yield from self.close()

    # --- its blocks

    def _block_start(self, event: _Members) -> Iterator[RawResponse]:
        index, block = event.get("index"), event.get("content_block")
        if isinstance(block, Mapping) and isinstance(index, int) and not isinstance(index, bool):
            yield from self.start_block(index, block)

    def start_block(self, index: int, block: _Members) -> Iterator[RawResponse]:
        """Begin a block; what it holds already comes first."""
        kind = _KINDS.get(str(block.get("type")), "opaque")
        members = {name: value for name, value in block.items() if value is not None}
        opened = self._open[index] = _OpenBlock(kind, members)
        if kind == "opaque":
            return
        del members["type"]
        if kind == "tool_call":
            opened.given = members.pop("input", None)
            call_id, name = _text(members.pop("id", None)), _text(members.pop("name", None))
            yield ToolCallDelta(id=call_id, name=name, part=index)
            return
        if text := _text(members.pop("text" if kind == "text" else "thinking", None)):
            yield Content(content=text, part=index) if kind == "text" else Reasoning(token=text, part=index)
        if not members.get("signature"):
            members.pop("signature", None)
        citations = members.pop("citations", None)
        for citation in citations if isinstance(citations, list) else ():
            yield from self._cite(index, citation)

    def _block_delta(self, event: _Members) -> Iterator[RawResponse]:
        index, delta = event.get("index"), event.get("delta")
        if not isinstance(delta, Mapping) or not isinstance(index, int) or isinstance(index, bool):
            return
        kind = delta.get("type")
        text = _text(delta.get(_TEXTS[kind])) if isinstance(kind, str) and kind in _TEXTS else None
        if kind == "text_delta":
            if text:
                yield Content(content=text, part=index)
        elif kind == "thinking_delta":
            if text:
                yield Reasoning(token=text, part=index)
        elif kind == "input_json_delta":
            chunk = self.note_input(index, text or "")
            if chunk is not None:
                yield chunk
        elif kind == "citations_delta":
            yield from self._cite(index, delta.get("citation"))
        else:
            self._merge(index, delta)

    def _merge(self, index: int, delta: _Members) -> None:
        """Lay a delta over its block: texts go on, everything else replaces. So also for deltas not known here."""
        block = self._open.get(index)
        if block is None or (block.kind != "opaque" and delta.get("type") != "signature_delta"):
            return
        for name, value in delta.items():
            if name == "type" or value is None:
                continue
            before = block.members.get(name)
            block.members[name] = before + value if isinstance(before, str) and isinstance(value, str) else value

    def _cite(self, index: int, citation: object) -> Iterator[RawResponse]:
        if not isinstance(citation, Mapping):
            return
        block = self._open.get(index)
        if block is not None and block.kind == "text":
            block.members.setdefault("citations", []).append(dict(citation))
        yield Citation(
            url=_text(citation.get("url")),
            title=_text(citation.get("title")) or _text(citation.get("document_title")),
            cited_text=_text(citation.get("cited_text")),
            part=index,
            raw={NAME: dict(citation)},
        )

    def _block_stop(self, event: _Members) -> Iterator[RawResponse]:
        index = event.get("index")
        if isinstance(index, int):
            yield from self.stop_block(index)

    def stop_block(self, index: int) -> Iterator[RawResponse]:
        """End a block; what its back-end wants back with the next turn goes with that."""
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind == "tool_call" and not block.said:
            given = block.given if isinstance(block.given, Mapping) else {}
            yield ToolCallDelta(arguments=encode_json(given).decode(), part=index)
        if block.pieces:
            block.members["input"] = _decode_input("".join(block.pieces))
        yield PartEnd(part=index, kind=block.kind, opaque={NAME: block.members} if block.members else None)


_TAKERS: Final[Mapping[str, Callable[[AnswerState, _Members], Iterator[RawResponse]]]] = {
    "message_start": AnswerState._message_start,  # noqa: SLF001 - its own table
    "content_block_start": AnswerState._block_start,  # noqa: SLF001
    "content_block_delta": AnswerState._block_delta,  # noqa: SLF001
    "content_block_stop": AnswerState._block_stop,  # noqa: SLF001
    "message_delta": AnswerState._message_delta,  # noqa: SLF001
    "message_stop": AnswerState._message_stop,  # noqa: SLF001
}
_TEXTS: Final[Mapping[str, str]] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _decode_input(text: str) -> Any:
    """The input of a tool the back-end ran; it may have been cut off."""
    try:
        return decode_json(text)
    except DecodeError:
        return {"INVALID_JSON": text}
