"""The turns of a conversation as items of the Responses API's ``input``.

The dialect's opaque members are laid over what is rendered. Those of a text or refusal belong to its content, except
``item``, whose members belong to the message around it; texts that follow each other with the same ``item`` share one
message.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input; OpenAI's OpenAPI
description 2.3.0; for ``encrypted_content``, https://platform.openai.com/docs/guides/reasoning (the content is bound to
its item's ``id``, and items without it are known to the server only where it stores answers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.call_ids import CallIds
from backstream.dialects.openai_responses.members import ITEM, NAME, without
from backstream.dialects.openai_responses.request_media import render_media
from backstream.errors import UnsupportedFeatureError
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

__all__ = ["render_items"]

Item = dict[str, Any]

_BREAKPOINT: Final = {"mode": "explicit"}


def render_items(turns: Sequence[Turn], first: int, receipts: Receipts, *, stored: bool) -> list[Item]:
    """Render turns as items; media still to be read are segments in them.

    Args:
        turns: The turns.
        first: The place of the first of them in the conversation, for receipts and errors.
        receipts: Where to say what became of what.
        stored: Whether the back-end keeps answers: then it knows items by their ids.

    Raises:
        UnsupportedFeatureError: Content that the back-end has no words for.
    """
    renderer = _ItemRenderer(receipts, stored=stored)
    return [item for index, turn in enumerate(turns, first) for item in renderer.render(turn, f"messages[{index}]")]


class _ItemRenderer:
    """Renders the turns of one request; gives calls without an id one, the same in the call and in its result."""

    def __init__(self, receipts: Receipts, *, stored: bool) -> None:
        self._receipts = receipts
        self._stored = stored
        self._call_ids = CallIds()

    def render(self, turn: Turn, where: str) -> list[Item]:
        if turn.name is not None:
            self._receipts.dropped(f"{where}.name", "messages have no names here")
        self._note_foreign(turn.opaque, where)
        for part in turn.parts:
            self._note_foreign(part.opaque, where, harmless=turn.role in ("assistant", "tool"))
            if part.cache_control is not None and (turn.role == "assistant" or isinstance(part, ToolResultPart)):
                self._receipts.dropped(f"{where}.cache_control", "only questions are marked", harmless=True)
        if turn.role == "assistant":
            return self._render_answer(turn, where)
        return self._render_question(turn, where)

    def _note_foreign(self, opaque: Mapping[str, Any], where: str, *, harmless: bool = True) -> None:
        """What a model said beside its words only its own back-end wants; what a user said was meant."""
        for dialect in opaque:
            if dialect not in ("", NAME):
                self._receipts.dropped(f"{where}.opaque.{dialect}", "for another back-end", harmless=harmless)

    # --- what users, developers and tools say -------------------------------------------------------------------------

    def _render_question(self, turn: Turn, where: str) -> list[Item]:
        items: list[Item] = []
        content: list[Item] = []
        for part in turn.parts:
            whole = self._render_whole(part, turn, where)
            if whole is None:
                content += self._render_content(part, where)
                continue
            if content:
                items.append(self._message(turn, content))
                content = []
            items += whole
        if content or not turn.parts:
            items.append(self._message(turn, content))
        return items

    def _render_whole(self, part: Part, turn: Turn, where: str) -> list[Item] | None:
        """Render a part that is an item of its own; ``None`` for content of a message."""
        if isinstance(part, ToolResultPart):
            return [self._render_result(part, where)]
        if turn.role == "tool":
            if isinstance(part, OpaquePart):
                return [_own_of_asker(part, where)]
            raise UnsupportedFeatureError(f"{where}: a turn of a tool can hold only results")
        return None

    def _message(self, turn: Turn, content: list[Item]) -> Item:
        item: Item = {"type": "message", "role": turn.role, "content": _shorten(content)}
        return {**item, **turn.opaque.get(NAME, {})}

    def _render_content(self, part: Part, where: str) -> list[Item]:
        if isinstance(part, TextPart):
            return [self._lay_over({"type": "input_text", "text": part.text}, part)]
        if isinstance(part, MediaPart):
            return [self._lay_over(render_media(part, where), part)]
        if isinstance(part, OpaquePart):
            return [_own_of_asker(part, where)]
        if isinstance(part, ReasoningPart):
            self._receipts.dropped(f"{where}.reasoning", "only an answer reasons", harmless=True)
            return []
        raise UnsupportedFeatureError(f"{where}: only an answer can hold a {_kind(part)}")

    def _lay_over(self, rendered: Item, part: Part) -> Item:
        if part.cache_control is not None:
            rendered["prompt_cache_breakpoint"] = _BREAKPOINT
        return {**rendered, **part.opaque.get(NAME, {})}

    def _render_result(self, part: ToolResultPart, where: str) -> Item:
        output = [piece for content in part.content for piece in self._render_content(content, where)]
        if part.is_error:
            self._receipts.dropped(f"{where}.is_error", "there is no such mark; its text tells", harmless=True)
        if part.name:
            self._receipts.dropped(f"{where}.name", "the id of its call tells it", harmless=True)
        call_id = self._call_ids.of_result(part)
        item: Item = {"type": "function_call_output", "call_id": call_id, "output": _shorten(output) or ""}
        return {**item, **part.opaque.get(NAME, {})}

    # --- what a model said --------------------------------------------------------------------------------------------

    def _render_answer(self, turn: Turn, where: str) -> list[Item]:
        items: list[Item] = []
        nameless = self._forget_ids(turn)
        message: Any = None  # the opaque ``item`` of the message that the last item is, if further text may join it
        for part in turn.parts:
            own = _own(part)
            if isinstance(part, TextPart | RefusalPart) or (isinstance(part, OpaquePart) and ITEM in own):
                around = own.pop(ITEM, None)
                around = around if isinstance(around, Mapping) else None
                if message is None or around != message:
                    items.append({"type": "message", "role": "assistant", **(around or {}), "content": []})
                items[-1]["content"].append({**_said(part), **own})
                message = around
                continue
            message = None
            item = self._render_item(part, own, where)
            items += [item] if item else []
        if nameless:
            items = [without(item, "id") for item in items if item.get("type") != "reasoning"]
        for item in items:
            _settle_message(item)
        return items

    def _forget_ids(self, turn: Turn) -> bool:
        """Tell whether ids must go: a server that stores nothing refuses those it would have to look up."""
        if self._stored:
            return False
        return any(
            isinstance(part, ReasoningPart) and NAME in part.opaque and not part.opaque[NAME].get("encrypted_content")
            for part in turn.parts
        )

    def _render_item(self, part: Part, own: Item, where: str) -> Item | None:
        if isinstance(part, ReasoningPart):
            return self._render_reasoning(part, own, where)
        if isinstance(part, ToolCallPart):
            call = {"call_id": self._call_ids.of_call(part), "name": part.name, "arguments": part.arguments}
            return {"type": "function_call", **call, **own}
        if isinstance(part, MediaPart):
            return self._render_made(part, own, where)
        if isinstance(part, OpaquePart):
            return own or None
        raise UnsupportedFeatureError(f"{where}: an answer cannot hold a {_kind(part)}")

    def _render_reasoning(self, part: ReasoningPart, own: Item, where: str) -> Item | None:
        if not own.get("id") or (not self._stored and not own.get("encrypted_content")):
            why = "the back-end takes only its own reasoning back"
            self._receipts.dropped(f"{where}.reasoning", why, harmless=True)
            return None
        self._receipts.kept(f"{where}.reasoning")
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return {"type": "reasoning", "summary": summary, **own}

    def _render_made(self, part: MediaPart, own: Item, where: str) -> Item:
        """Media that a model made: an image of its own; a foreign sound by its words."""
        if own.get("type") == "image_generation_call":
            return {"status": "completed", "result": part.data, **own}
        if part.transcript:
            self._receipts.approximated(f"{where}.audio", "its transcript", "an answer can hold no sound")
            return {"type": "message", "role": "assistant", "content": part.transcript}
        raise UnsupportedFeatureError(
            f"{where}: an answer of the model with a {part.kind} in it cannot be sent back",
            "leave it out, or put it into a turn of the user",
        )


def _own(part: Part) -> Item:
    """What is laid over a part; a caller's own members, of no dialect, count only where there is nothing else."""
    own = part.opaque.get(NAME, {})
    return {**part.opaque.get("", {}), **own} if isinstance(part, OpaquePart) else dict(own)


def _own_of_asker(part: OpaquePart, where: str) -> Item:
    own = _own(part)
    if not own:
        raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")
    return own


def _said(part: Part) -> Item:
    if isinstance(part, TextPart):
        return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.text}
    return {}


def _settle_message(item: Item) -> None:
    """Say a text that never was an item as plain text: only items of an answer have parts, and those have ids."""
    content = item.get("content")
    only = content[0] if isinstance(content, list) and len(content) == 1 and "id" not in item else None
    text = only.get("text") if isinstance(only, dict) else None
    if isinstance(text, str) and only == _said(TextPart(text=text)):
        item["content"] = text


def _shorten(content: list[Item]) -> Any:
    """One bare text stays a text."""
    if len(content) == 1 and set(content[0]) == {"type", "text"} and content[0]["type"] == "input_text":
        return content[0]["text"]
    return content


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part")
