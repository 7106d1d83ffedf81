"""Reasoning items: their text, and what else of them the next turn needs.

Source: OpenAI's OpenAPI description 2.3.0 (``ReasoningItem``); https://platform.openai.com/docs/guides/reasoning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.dialects.openai_responses.members import list_of, text_of, without

__all__ = ["BLANK_LINE", "read_thought"]

BLANK_LINE: Final = "\n\n"
"""Between the paragraphs of a summary."""


def read_thought(item: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Read a reasoning item.

    Returns:
        Its summary, or where it has none the reasoning itself; and its opaque members: those that the text, as the
        only piece of a summary, does not tell.
    """
    summary = [text_of(piece, "text") or "" for piece in list_of(item, "summary")]
    thought = [text_of(piece, "text") or "" for piece in list_of(item, "content")]
    own = without(item, "type", "summary", "content")
    if thought:
        own["content"] = item["content"]
    if thought or len(summary) > 1:
        own["summary"] = item.get("summary") or []
    return BLANK_LINE.join(summary or thought), own
