"""How a stream ends, and what in it counts as content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from backstream.chunks import (
    Content,
    Media,
    Preview,
    RawResponse,
    Reasoning,
    Refusal,
    ToolCallDelta,
    ToolCalls,
    Variant,
)
from backstream.errors import BackstreamError, DeadlineError, DisconnectedError, IncompleteStream, ProtocolError

__all__ = ["Block", "End", "EndState", "end_after", "has_content", "judged", "state_after"]

EndState = Literal["complete", "incomplete", "failed", "cancelled"]


class End(msgspec.Struct, frozen=True):
    """How a stream ended. Travels as the last item of the last block between layers; never a wire event.

    Attributes:
        state: ``complete`` only on the back-end's word for done, or, where its protocol has none, on a body that HTTP
            framed to its end. ``incomplete``: cut off after something was received, by the connection, by a clock or by
            damage. ``failed``: the back-end's error, or nothing received. ``cancelled``: the caller left.
        evidence: What the state rests on, e.g. ``("finish", "last-chunk")``.
        error: What the consumer is to be told once every earlier chunk was delivered; ``None`` for ``complete``, and
            once it was told.
        advice: What the caller can do next, in one line; ``""`` where nothing went wrong.
    """

    state: EndState
    evidence: tuple[str, ...] = ()
    error: BackstreamError | None = None
    advice: str = ""


Block: TypeAlias = "list[RawResponse | End]"
"""What one read of the socket brought: chunks, and at the very end one :class:`End`."""

_CUTS = (IncompleteStream, DisconnectedError, DeadlineError, ProtocolError)
_CONTENT = (Content, Reasoning, ToolCallDelta, ToolCalls, Refusal, Media, Variant, Preview)


def has_content(block: Iterable[object]) -> bool:
    """Tell whether a block holds something the model said: what the content clocks and the commit point wait for."""
    return any(isinstance(chunk, _CONTENT) for chunk in block)


def end_after(error: BackstreamError, *, received: bool = True) -> End:
    """Return the end of an answer that an error broke off.

    Args:
        error: What ended it.
        received: Whether anything of the answer had come before.
    """
    evidence = "disconnected" if isinstance(error, IncompleteStream) else type(error).__name__
    return End(state_after(error, received=received), (evidence,), error)


def state_after(error: BaseException, *, received: bool) -> Literal["incomplete", "failed"]:
    """Return the state that an error leaves an answer in: was it cut, or did it fail?

    Args:
        error: What ended it.
        received: Whether anything of the answer had come before.
    """
    return "incomplete" if received and isinstance(error, _CUTS) else "failed"


def judged(end: End, *, received: bool) -> End:
    """Call an answer that damage broke off incomplete, which its parser cannot know.

    Args:
        end: How it ended, by its parser.
        received: Whether anything of the answer had come before.
    """
    if end.state != "failed" or end.error is None:
        return end
    return msgspec.structs.replace(end, state=state_after(end.error, received=received))
