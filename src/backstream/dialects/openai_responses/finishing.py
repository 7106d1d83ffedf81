"""What the end of a response says: why, how much was used, and what the next turn may go on from.

Source: OpenAI's OpenAPI description 2.3.0 (``Response``, ``ResponseUsage``);
https://platform.openai.com/docs/guides/conversation-state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.chunks import Conversation, Finish, RawResponse, Start, Usage
from backstream.dialects.counts import raw_usage, usage_of
from backstream.dialects.openai_responses.members import NAME, count_of, object_of, text_of

__all__ = ["conversation_of", "finish_of", "render_usage", "start_of", "usage_chunk"]

_REASONS: Final = {"max_output_tokens": "length", "max_tokens": "length", "incomplete": "length"}


def start_of(response: Mapping[str, Any]) -> Start:
    """Make the first chunk of a response object."""
    created = response.get("created_at")
    return Start(
        id=text_of(response, "id"),
        model=text_of(response, "model"),
        created=int(created) if isinstance(created, int | float) and -(2**53) < created < 2**53 else None,
        service_tier=text_of(response, "service_tier"),
    )


def finish_of(response: Mapping[str, Any], status: str, *, called: bool) -> Finish:
    """Make the chunk that says why a response ended.

    Args:
        response: The response.
        status: ``completed`` or ``incomplete``.
        called: Whether the model called a tool.
    """
    if status == "incomplete":
        raw = text_of(object_of(response, "incomplete_details"), "reason") or "incomplete"
        reason = _REASONS.get(raw, raw)
    else:
        raw, reason = status, "tool_calls" if called else "stop"
    return Finish(finish={"reason": reason} if reason == raw else {"reason": reason, "raw": raw})


def usage_chunk(response: Mapping[str, Any]) -> Usage | None:
    """Make the chunk of what a response used; ``None`` where that is not reported."""
    usage = response.get("usage")
    if not isinstance(usage, dict) or not usage:
        return None
    read, written = object_of(usage, "input_tokens_details"), object_of(usage, "output_tokens_details")
    return usage_of(
        NAME,
        usage,
        input_tokens=count_of(usage, "input_tokens"),
        output_tokens=count_of(usage, "output_tokens"),
        total_tokens=count_of(usage, "total_tokens"),
        cached_tokens=count_of(read, "cached_tokens"),
        cache_write_tokens=count_of(read, "cache_write_tokens"),
        input_audio_tokens=count_of(read, "audio_tokens"),
        reasoning_tokens=count_of(written, "reasoning_tokens"),
        output_audio_tokens=count_of(written, "audio_tokens"),
        model=text_of(response, "model"),
    )


def conversation_of(response: Mapping[str, Any]) -> RawResponse | None:
    """Make the chunk of what the next turn may go on from; ``None`` where the back-end keeps nothing."""
    conversation = text_of(object_of(response, "conversation"), "id")
    if conversation:
        return Conversation(conversation={NAME: {"conversation": conversation}})
    if response.get("store") is False or not text_of(response, "id"):
        return None
    return Conversation(conversation={NAME: {"previous_response_id": response["id"]}})


def render_usage(usage: Usage) -> dict[str, Any]:
    """Render counts in this dialect's shape; every member is demanded, and so what was not reported is 0 here."""
    asked, said = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens if usage.total_tokens is not None else asked + said,
        **(raw_usage(usage, NAME) or {}),
    }
