"""The order rules of a stream: how it ends, what counts as content, and the whole reply that its chunks add up to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from backstream.chunks import (
    Content,
    Conversation,
    Finish,
    Preview,
    ProviderInfo,
    RawResponse,
    Reasoning,
    ToolCalls,
    Usage,
    Variant,
)
from backstream.errors import BackstreamError

__all__ = ["Block", "End", "EndState", "Reply", "fold", "has_content"]

EndState = Literal["complete", "incomplete", "failed", "cancelled"]


class End(msgspec.Struct, frozen=True):
    """How a stream ended. Travels as the last item of the last block between layers; never a wire event.

    Attributes:
        state: ``complete`` only on the back-end's word for done, or, where its protocol has none, on a body that HTTP
            framed to its end. ``incomplete``: cut off. ``failed``: the back-end's error, or nothing received.
            ``cancelled``: the caller left.
        evidence: What the state rests on, e.g. ``("finish", "last-chunk")``.
        error: What the consumer is to be told once every earlier chunk was delivered; ``None`` for ``complete``.
    """

    state: EndState
    evidence: tuple[str, ...] = ()
    error: BackstreamError | None = None


Block: TypeAlias = "list[RawResponse | End]"
"""What one read of the socket brought: chunks, and at the very end one :class:`End`."""

_CONTENT = (Content, Reasoning, ToolCalls, Variant, Preview)


def has_content(block: Iterable[object]) -> bool:
    """Tell whether a block holds something the model said: what the content clocks and the commit point wait for."""
    return any(isinstance(chunk, _CONTENT) for chunk in block)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: what its chunks add up to.

    Attributes:
        text: The answer's text.
        reasoning: The reasoning's text.
        media_urls: Where generated media lie (URLs or data URIs), in order.
        tool_calls: Whole tool calls, in OpenAI's shape.
        usage: The last usage chunk; ``None`` where the back-end gave none.
        finish_reason: The back-end's word; ``None`` where it gave none.
        provider: The members of the last ``provider`` event.
        conversation: State to be sent back with the next turn.
    """

    text: str = ""
    reasoning: str = ""
    media_urls: tuple[str, ...] = ()
    tool_calls: tuple[dict[str, Any], ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = None
    provider: dict[str, Any] | None = None
    conversation: dict[str, Any] | None = None


def fold(chunks: Iterable[RawResponse]) -> Reply:
    """Add chunks up to the reply they make.

    Args:
        chunks: The chunks of one stream, in order.
    """
    text: list[str] = []
    reasoning: list[str] = []
    media: list[str] = []
    calls: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    for chunk in chunks:
        if isinstance(chunk, Content):
            text.append(chunk.text)
            media.extend(_media_urls(chunk))
        elif isinstance(chunk, Reasoning):
            reasoning.append(chunk.token or "")
        elif isinstance(chunk, ToolCalls):
            calls.extend(chunk.tool_calls or ())
        elif isinstance(chunk, Usage):
            last["usage"] = chunk
        elif isinstance(chunk, Finish):
            last["finish_reason"] = chunk.reason
        elif isinstance(chunk, ProviderInfo):
            last["provider"] = chunk.provider
        elif isinstance(chunk, Conversation):
            last["conversation"] = chunk.conversation
    return Reply(
        text="".join(text),
        reasoning="".join(reasoning),
        media_urls=tuple(media),
        tool_calls=tuple(calls),
        **last,
    )


def _media_urls(chunk: Content) -> Iterable[str]:
    if chunk.data is not None:
        yield chunk.data
    if isinstance(chunk.urls, str):
        yield chunk.urls
    elif chunk.urls is not None:
        yield from chunk.urls
