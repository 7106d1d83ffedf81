"""The question how many tokens a request has, and its answer.

Source: https://platform.openai.com/docs/api-reference/responses/input-tokens; OpenAI's OpenAPI description 2.3.0
(``TokenCountsBody``, ``TokenCountsResource``).
"""

from __future__ import annotations

from typing import Any, Final

from backstream.dialects.openai_responses.members import count_of
from backstream.dialects.openai_responses.request import render_members
from backstream.errors import DecodeError
from backstream.request import Receipts, Request
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_count", "render_count", "render_question"]

_COUNTED: Final = (
    "model",
    "input",
    "previous_response_id",
    "tools",
    "text",
    "reasoning",
    "truncation",
    "instructions",
    "conversation",
    "tool_choice",
    "parallel_tool_calls",
)


def render_question(request: Request, receipts: Receipts) -> dict[str, Any]:
    """Render the body of the question: what of a request goes into its tokens."""
    members = render_members(request, receipts)
    return {name: members[name] for name in _COUNTED if name in members}


def parse_count(body: bytes) -> int:
    """Parse the answer.

    Raises:
        DecodeError: It is no JSON, or holds no count.
    """
    answer = decode_json(body)
    count = count_of(answer, "input_tokens") if isinstance(answer, dict) else None
    if count is None:
        raise DecodeError("the answer has no member 'input_tokens' that is a number")
    return count


def render_count(tokens: int) -> bytes:
    """Render the answer."""
    return encode_json({"object": "response.input_tokens", "input_tokens": tokens})
