"""One answer: sent, shown as it arrives, its media saved. Knows neither options nor sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from backstream.chunks import RawResponse
from backstream.cli.call import Call
from backstream.cli.exits import say
from backstream.cli.progress import make_progress
from backstream.cli.terminal import is_terminal
from backstream.cli.views import View
from backstream.errors import BackstreamError
from backstream.messages import ImageType, Message
from backstream.reply import fold

__all__ = ["Answer", "answer", "introduce"]


class Answer:
    """What one answer added up to, also when it was cut short.

    Attributes:
        chunks: What arrived.
    """

    def __init__(self) -> None:
        self.chunks: list[RawResponse] = []

    @property
    def text(self) -> str:
        """The answer's text."""
        return fold(self.chunks).text

    @property
    def state(self) -> dict[str, Any] | None:
        """State of the conversation to be sent with the next turn; ``None`` where there is none."""
        return fold(self.chunks).conversation


def introduce(call: Call) -> None:
    """Say who will answer: always where it is no language model, else where somebody may be reading along."""
    if call.is_embedded:
        say("talking to the embedded backend (Echo: not a language model); name a server with --url")
    elif is_terminal(sys.stderr):
        say(f"talking to {_public(call.url or os.environ['BACKSTREAM_URL'])}")


def _public(url: str) -> str:
    """A URL without user information and query."""
    return url.rpartition("@")[2].partition("?")[0]


async def answer(
    call: Call,
    messages: Sequence[Message],
    media: Sequence[ImageType],
    view: View,
    *,
    into: Answer,
    output: Path | None = None,
    state: dict[str, Any] | None = None,
) -> bool:
    """Send a conversation and show its answer.

    Args:
        call: Where and how.
        messages: The conversation.
        media: What to send with it.
        view: What shows it.
        into: Takes what arrives, also when the answer fails.
        output: Where to save media of the answer; ``None`` to leave them.
        state: State of the conversation from an earlier answer.

    Returns:
        Whether all media were saved.

    Raises:
        BackstreamError: See :mod:`backstream.errors`; what had arrived was shown.
    """
    members: dict[str, Any] = {}
    if call.provider is not None:
        members["provider"] = call.provider
    if state is not None:
        members["conversation"] = state.get(call.provider, state) if call.provider else state
    backend = call.backend()
    result = backend.create_async_generator(
        call.model, messages, list(media), call.api_key, options=call.options(make_progress()), **members
    )
    try:
        async with result, aclosing(result.blocks()) as blocks:
            async for block in blocks:
                into.chunks.extend(block)
                for chunk in block:
                    view.show(chunk)
                view.settle()
    except BackstreamError:
        view.finish()
        await _save(call, into, output)
        raise
    finally:
        view.finish()
    return await _save(call, into, output)


async def _save(call: Call, answered: Answer, output: Path | None) -> bool:
    urls = fold(answered.chunks).media_urls
    if output is None or not urls:
        return True
    from backstream.cli.saving import Origin, save_media
    from backstream.providers.embedded import embedded_url

    backend = call.backend()
    base = backend.url or os.environ.get("BACKSTREAM_URL") or await embedded_url()
    return await save_media(urls, output, Origin(base, backend.headers, backend.ssl))
