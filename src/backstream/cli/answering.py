"""One answer: sent, shown as it arrives, its media saved. Knows neither options nor sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstream.chunks import RawResponse
from backstream.cli.attachments import name_error
from backstream.cli.call import Call
from backstream.cli.exits import say
from backstream.cli.progress import make_progress
from backstream.cli.terminal import is_terminal
from backstream.cli.views import View
from backstream.errors import BackstreamError, InvalidMediaError
from backstream.messages import ImageType, Message
from backstream.reply import fold

if TYPE_CHECKING:
    from backstream.cli.saving import Saver

__all__ = ["Answer", "answer", "introduce", "make_saver"]


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


def make_saver(output: Path | None) -> Saver | None:
    """Return what saves an answer's media in a folder; ``None`` for none."""
    if output is None:
        return None
    from backstream.cli.saving import Saver

    return Saver(output)


async def answer(
    call: Call,
    messages: Sequence[Message],
    media: Sequence[ImageType],
    view: View,
    *,
    into: Answer,
    saver: Saver | None = None,
    state: dict[str, Any] | None = None,
    introduced: bool = True,
) -> bool:
    """Send a conversation and show its answer.

    Args:
        call: Where and how.
        messages: The conversation.
        media: What to send with it.
        view: What shows it.
        into: Takes what arrives, also when the answer fails.
        saver: Saves media of the answer; ``None`` to leave them.
        state: State of the conversation from an earlier answer.
        introduced: Whether it was said who will answer; else it is said once the call has proved good.

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
    if not introduced:
        introduce(call)
    try:
        async with result, aclosing(result.blocks()) as blocks:
            async for block in blocks:
                into.chunks.extend(block)
                for chunk in block:
                    if saver is not None:
                        saver.take(chunk)
                    view.show(chunk)
                view.settle()
    except InvalidMediaError as error:
        raise name_error(error, media) from error
    except BackstreamError:
        view.finish()
        await _save(call, into, saver)
        raise
    finally:
        try:
            view.finish()
        finally:
            if saver is not None:  # also where nobody reads the answer any more: the files are there
                saver.tell()
    return await _save(call, into, saver)


async def _save(call: Call, answered: Answer, saver: Saver | None) -> bool:
    urls = fold(answered.chunks).media_urls
    if saver is None or not urls:
        return True
    from backstream.cli.saving import Origin
    from backstream.providers.embedded import embedded_url

    backend = call.backend()
    base = backend.url or os.environ.get("BACKSTREAM_URL") or await embedded_url()
    return await saver.finish(urls, Origin(base, backend.headers, backend.ssl))
