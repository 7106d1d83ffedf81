"""Turns to the ``system`` and ``messages`` of the Messages API, where only two roles speak by turns.

Source: https://platform.claude.com/docs/en/api/messages,
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstream.dialects.anthropic_messages.request_parts import PartRenderer
from backstream.dialects.anthropic_messages.vendor import own_members
from backstream.errors import UnsupportedFeatureError
from backstream.request import OpaquePart, Receipts, RefusalPart, TextPart, Turn

__all__ = ["render_turns"]

_Message = dict[str, Any]


def render_turns(
    turns: Sequence[Turn], parts: PartRenderer, receipts: Receipts, *, system_turns: bool
) -> tuple[list[dict[str, Any]], list[_Message]]:
    """Render a conversation.

    Args:
        turns: The turns.
        parts: Renders their parts.
        receipts: Where to note what became of things.
        system_turns: Whether the model takes system turns in mid-conversation. They then stay in their places where
            the API allows them: behind a user's message, and before an assistant's or at the end.

    Returns:
        The blocks of ``system``, and the messages.

    Raises:
        UnsupportedFeatureError: Content that the API has no words for.
        InvalidRequestError: Something that cannot be said as it stands.
    """
    system: list[dict[str, Any]] = []
    messages: list[_Message] = []
    for index, turn in enumerate(turns):
        where = f"messages[{index}]"
        _note_turn(turn, where, receipts)
        blocks = _render_blocks(turn, parts, where)
        own = own_members(turn.opaque, where, receipts)
        if turn.role not in ("system", "developer"):
            _say(messages, "assistant" if turn.role == "assistant" else "user", blocks, own)
        elif not messages:
            system += blocks
        elif system_turns and _fits_between(messages, turns[index + 1 :]):
            _say(messages, "system", blocks, own)
        else:
            receipts.approximated(where, "system", "a system turn in mid-conversation has no place of its own")
            system += blocks
    for index, message in enumerate(messages):
        if not message["content"]:
            receipts.dropped(f"message {index}", "nothing in it that can be said", harmless=True)
    return system, [message for message in messages if message["content"]]


def _note_turn(turn: Turn, where: str, receipts: Receipts) -> None:
    if turn.role == "developer":
        receipts.renamed(f"{where}.role", "system")
    if turn.name is not None:
        receipts.dropped(f"{where}.name", "speakers have no names")


def _render_blocks(turn: Turn, parts: PartRenderer, where: str) -> list[dict[str, Any]]:
    if turn.role in ("system", "developer"):
        for part in turn.parts:
            if not isinstance(part, TextPart | RefusalPart | OpaquePart):
                raise UnsupportedFeatureError(
                    f"{where}: a {turn.role} turn holds text only", "move it to a user's turn"
                )
    blocks = (parts.render(part, turn.role, where) for part in turn.parts)
    return [block for block in blocks if block is not None]


def _say(messages: list[_Message], role: str, blocks: list[dict[str, Any]], own: dict[str, Any]) -> None:
    """Go on with the last message where it is of the same role."""
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
        messages[-1].update(own)
    else:
        messages.append({"role": role, "content": blocks, **own})


def _fits_between(messages: list[_Message], following: Sequence[Turn]) -> bool:
    after = next((turn.role for turn in following if turn.role not in ("system", "developer")), "assistant")
    return messages[-1]["role"] in ("user", "system") and after == "assistant"
