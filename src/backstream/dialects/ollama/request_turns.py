"""Turns as Ollama's messages: one text, images beside it, tool calls as objects; each tool result on its own.

Source: https://docs.ollama.com/api/chat, https://docs.ollama.com/capabilities/tool-calling and ``…/vision``. ``id`` of
a call and ``tool_call_id`` of a result are known to newer servers; older ones pass over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backstream.dialects.ollama.vendor import NAME, object_text
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    Receipts,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.wire.json_body import json_base64

__all__ = ["render_turns"]

_ORDER: tuple[type, ...] = (ReasoningPart, TextPart, MediaPart, ToolCallPart)


def render_turns(turns: Sequence[Turn], receipts: Receipts) -> list[dict[str, Any]]:
    """Render turns as messages; media still to be read are segments in them.

    Raises:
        UnsupportedFeatureError: Content that Ollama has no words for.
        InvalidRequestError: The arguments of a tool call are no JSON object.
    """
    renderer = _TurnRenderer(receipts)
    return [message for index, turn in enumerate(turns) for message in renderer.render(turn, f"messages[{index}]")]


class _TurnRenderer:
    """Renders the turns of one request; knows the calls so far, since results are matched to them by name."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._names: dict[str, str] = {}
        self._unnamed_calls: list[str] = []

    def render(self, turn: Turn, where: str) -> list[dict[str, Any]]:
        results = [part for part in turn.parts if isinstance(part, ToolResultPart)]
        messages = [self._render_result(part, turn, where) for part in results]
        if len(results) < len(turn.parts) or not results:
            rest = [part for part in turn.parts if not isinstance(part, ToolResultPart)]
            messages.append(self._render_message(turn, rest, where))
        if turn.name is not None:
            self._receipts.dropped(f"{where}.name", "Ollama's messages have no names")
        self._note_foreign(turn.opaque, where)
        for part in turn.parts:
            self._note_foreign(part.opaque, where, harmless=turn.role in ("assistant", "tool"))
        return messages

    def _note_foreign(self, opaque: Mapping[str, Any], where: str, *, harmless: bool = True) -> None:
        """What a model said beside its words only its own back-end wants; what a user said was meant."""
        for dialect in opaque:
            if dialect not in ("", NAME):
                self._receipts.dropped(f"{where}.opaque.{dialect}", "for another back-end", harmless=harmless)

    def _render_message(self, turn: Turn, parts: Sequence[Part], where: str) -> dict[str, Any]:
        role = "system" if turn.role == "developer" else turn.role
        if role != turn.role:
            self._receipts.renamed(f"{where}.role", role)
        message: dict[str, Any] = {"role": role, **self._render_content(parts, where)}
        thoughts = [part.text for part in parts if isinstance(part, ReasoningPart) and part.text]
        if thoughts:
            message["thinking"] = "\n".join(thoughts)
        calls = [self._render_call(part, where) for part in parts if isinstance(part, ToolCallPart)]
        if calls:
            message["tool_calls"] = calls
        for part in parts:
            if isinstance(part, OpaquePart):
                message |= _own(part, turn, where)
        return message | dict(turn.opaque.get(NAME, {}))

    def _render_content(self, parts: Sequence[Part], where: str) -> dict[str, Any]:
        """Render texts and images, which Ollama holds apart."""
        texts: list[str] = []
        images: list[Any] = []
        further: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, TextPart | RefusalPart):
                texts.append(part.text)
            elif isinstance(part, MediaPart):
                images.append(self._render_image(part, where))
            if isinstance(part, TextPart | RefusalPart | MediaPart | ReasoningPart):
                further |= part.opaque.get(NAME, {})
            if part.cache_control is not None:
                self._receipts.dropped(f"{where}.cache_control", "Ollama caches by itself", harmless=True)
        self._note_order(parts, where)
        content: dict[str, Any] = {"content": "\n".join(texts)}
        if images:
            content["images"] = images
        return content | further

    def _note_order(self, parts: Sequence[Part], where: str) -> None:
        if any(isinstance(part, RefusalPart) for part in parts):
            self._receipts.approximated(f"{where}.refusal", "its text", "Ollama's messages have no refusals")
        places = [_ORDER.index(type(part)) for part in parts if type(part) in _ORDER]
        if places != sorted(places):
            why = "Ollama's messages hold text, images and calls apart"
            self._receipts.approximated(f"{where}.content", "text, then images, then calls", why)

    def _render_image(self, part: MediaPart, where: str) -> Any:
        if part.kind != "image":
            article = "an" if part.kind == "audio" else "a"
            raise UnsupportedFeatureError(
                f"{where} holds {article} {part.kind}, and Ollama takes only images", "leave it out, or send its text"
            )
        if part.detail is not None:
            why = "Ollama looks at an image in one way only"
            self._receipts.dropped(f"{where}.detail", why, harmless=part.detail == "auto")
        if part.data is not None:
            return part.data
        if part.item is not None and part.item.blocks is not None:
            return json_base64(part.item)
        by = "file id" if part.file_id is not None else "URL"
        raise UnsupportedFeatureError(
            f"{where} holds an image by {by}, and Ollama takes only its bytes", "read it, and pass the bytes as media"
        )

    def _render_call(self, part: ToolCallPart, where: str) -> dict[str, Any]:
        arguments = object_text(part.arguments)
        if arguments is None:
            raise InvalidRequestError(
                f"{where}: the arguments of the call of {part.name[:80]!r} are no JSON object",
                "Ollama takes only objects; leave the call and its result out",
            )
        call: dict[str, Any] = {"function": {"name": part.name, "arguments": arguments}}
        if part.id:
            call = {"id": part.id, **call}
            self._names[part.id] = part.name
        else:
            self._unnamed_calls.append(part.name)
        return call | dict(part.opaque.get(NAME, {}))

    def _render_result(self, part: ToolResultPart, turn: Turn, where: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "tool", **self._render_content(part.content, where)}
        name = self._called(part)
        if name:
            message["tool_name"] = name
        if part.tool_call_id:
            message["tool_call_id"] = part.tool_call_id
        if part.is_error:
            self._receipts.dropped(f"{where}.is_error", "there is no such mark; its text tells", harmless=True)
        message |= part.opaque.get(NAME, {})
        return message | dict(turn.opaque.get(NAME, {})) if turn.role == "tool" else message

    def _called(self, part: ToolResultPart) -> str | None:
        """Find the name of the tool whose result this is: its call knows; without ids, calls are taken in order."""
        name = self._names.get(part.tool_call_id) or part.name  # some clients send the id as the name
        if name or part.tool_call_id:
            return name
        return self._unnamed_calls.pop(0) if self._unnamed_calls else None


def _own(part: OpaquePart, turn: Turn, where: str) -> dict[str, Any]:
    own = {**part.opaque.get("", {}), **part.opaque.get(NAME, {})}
    if own or turn.role == "assistant":
        return own
    raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")
