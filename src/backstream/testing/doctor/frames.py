"""The events of a streamed answer as they stood on the wire, and which of them is the dialect's last word. Pure.

Judges a server by its bytes, beside what our own parser makes of them: a parser that forgives hides faults.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.testing.doctor.observing import Observed
from backstream.wire.sse import SSEDecoder

__all__ = ["LAST_WORDS", "damage_of", "frames_of", "last_words"]

LAST_WORDS: Final[Mapping[str, str]] = {
    "openai_chat": "data: [DONE]",
    "openai_responses": "response.completed",
    "anthropic_messages": "message_stop",
    "gemini": "finishReason",
    "ollama": '"done":true',
    "backend_api": "finish",
}
"""Dialect → what its last word is, in words."""

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


def _finish_reason(event: Any) -> bool:
    candidates = event.get("candidates") if isinstance(event, dict) else None
    return isinstance(candidates, list) and any(isinstance(c, dict) and c.get("finishReason") for c in candidates)


# Source: each vendor's documentation of its streams
_IS_LAST: Final[Mapping[str, Callable[[Any], bool]]] = {
    "openai_chat": lambda event: bool(event == "[DONE]"),
    "openai_responses": lambda event: isinstance(event, dict) and event.get("type") in _ENDS,
    "anthropic_messages": lambda event: isinstance(event, dict) and event.get("type") == "message_stop",
    "gemini": _finish_reason,
    "ollama": lambda event: isinstance(event, dict) and event.get("done") is True,
    "backend_api": lambda event: isinstance(event, dict) and event.get("type") == "finish",
}
_MAY_FOLLOW: Final[Mapping[str, frozenset[str]]] = {
    # no order is promised after the reason of the end
    "backend_api": frozenset({"usage", "provider", "conversation", "log", "parameters", "title", "suggestions"}),
}


def frames_of(seen: Observed) -> list[str]:
    """Return the data of every event, or every line of JSON."""
    if seen.content_type == "text/event-stream":
        return [event.data for event in SSEDecoder().feed(seen.body)]
    return [line for line in seen.body.decode("utf-8", "replace").split("\n") if line.strip()]


def damage_of(seen: Observed) -> str:
    """Tell what is wrong with the events' bytes; ``""`` for nothing."""
    try:
        seen.body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start} is no UTF-8"
    for index, frame in enumerate(frames_of(seen)):
        if _parse(frame) is None:
            return f"event {index} is no JSON"
    return ""


def last_words(seen: Observed, dialect: str) -> tuple[int, int]:
    """Return how often the dialect's last word came, and how many events came after its first time that must not."""
    events = [_parse(frame) for frame in frames_of(seen)]
    places = [index for index, event in enumerate(events) if _IS_LAST[dialect](event)]
    if not places:
        return 0, 0
    after = events[places[0] + 1 :]
    return len(places), sum(not _may_follow(event, dialect) for event in after)


def _may_follow(event: Any, dialect: str) -> bool:
    if not isinstance(event, dict):
        return False
    if dialect == "gemini":
        return "candidates" not in event
    return event.get("type") in _MAY_FOLLOW.get(dialect, frozenset())


def _parse(frame: str) -> Any:
    if frame == "[DONE]":
        return frame
    try:
        return json.loads(frame)
    except (ValueError, RecursionError):
        return None
