"""How many media a conversation may bring: counted before any of them is decoded. Knows no dialect."""

from __future__ import annotations

from typing import Final

from backstream.request import MediaPart, Request, ToolResultPart
from backstream.server.asgi import Refusal
from backstream.server.spool import BodyLimits

__all__ = ["check_media_count"]

_TURNS: Final = 8
"""A client sends the whole conversation again each time: this many times what one turn may bring."""


def check_media_count(request: Request, limits: BodyLimits) -> None:
    """Check the number of media in a conversation, of all its turns and of what tools gave.

    Raises:
        Refusal: 413, there are more than 8 times ``max_media_items``.
    """
    most = limits.max_media_items * _TURNS
    parts = [part for turn in request.turns for part in turn.parts]
    given = [each for part in parts if isinstance(part, ToolResultPart) for each in part.content]
    if sum(isinstance(part, MediaPart) for part in (*parts, *given)) > most:
        raise Refusal(413, f"More than {most} media")
