"""One answer: sent, shown as it arrives, its media saved. Knows neither options nor sessions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from backstream.chunks import RawResponse
from backstream.cli.attachments import name_error
from backstream.cli.backends import BackEnd, advise, find_back_end, introduce
from backstream.cli.call import Call
from backstream.cli.exits import say
from backstream.cli.logs import shown_by
from backstream.cli.progress import make_progress
from backstream.cli.tables import print_json
from backstream.cli.usage import describe_usage
from backstream.cli.views import View
from backstream.client import ChatStream, Client
from backstream.errors import BackstreamError, InvalidMediaError, ProviderError
from backstream.messages import ImageType
from backstream.reply import fold

if TYPE_CHECKING:
    from backstream.cli.saving import Saver

__all__ = ["Answer", "Talk", "answer", "ask_once", "make_saver"]

_log = logging.getLogger("backstream.cli")


class Talk(NamedTuple):
    """With whom, and how.

    Attributes:
        client: What sends.
        back_end: Who answers.
        call: How it is asked.
    """

    client: Client
    back_end: BackEnd
    call: Call


class Answer:
    """What one answer added up to, also when it was cut short.

    Attributes:
        chunks: What arrived.
        history: The messages to send before the next turn; empty where the answer was cut short.
    """

    def __init__(self) -> None:
        self.chunks: list[RawResponse] = []
        self.history: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """The answer's text."""
        return fold(self.chunks).text

    @property
    def state(self) -> dict[str, Any] | None:
        """State of the conversation to be sent with the next turn; ``None`` where there is none."""
        return fold(self.chunks).conversation


def make_saver(output: Path | None) -> Saver | None:
    """Return what saves an answer's media in a folder; ``None`` for none."""
    if output is None:
        return None
    from backstream.cli.saving import Saver

    return Saver(output)


async def ask_once(
    call: Call, messages: Sequence[Mapping[str, Any]], media: Sequence[ImageType], view: View, saver: Saver | None
) -> bool:
    """Find who answers, send one conversation and show the answer; as :func:`answer`, which says the rest."""
    async with Client(receipts=call.receipts) as client:
        with shown_by(view.note):
            back_end = await find_back_end(call, client)
        talk = Talk(client, back_end, call)
        return await answer(talk, messages, media, view, into=Answer(), saver=saver, introduced=call.as_events)


async def answer(
    talk: Talk,
    messages: Sequence[Mapping[str, Any]],
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
        talk: With whom, and how.
        messages: The conversation.
        media: What to send with it.
        view: What shows it.
        into: Takes what arrives, also when the answer fails.
        saver: Saves media of the answer; ``None`` to leave them.
        state: State of the conversation from an earlier answer.
        introduced: Whether it was said who will answer; else it is said once the call has proved good.

    Returns:
        Whether the answer is what was asked for, and all its media were saved.

    Raises:
        BackstreamError: See :mod:`backstream.errors`; what had arrived was shown.
    """
    back_end = talk.back_end
    stream = _start(talk, messages, media, view, state)
    if not introduced:
        introduce(back_end)
    try:
        with shown_by(view.note):
            async with stream, aclosing(stream.blocks()) as blocks:
                async for block in blocks:
                    into.chunks.extend(block)
                    for chunk in block:
                        if saver is not None:
                            saver.take(chunk)
                        view.show(chunk)
                    view.settle()
    except InvalidMediaError as error:
        raise name_error(error, media) from error
    except BackstreamError as error:
        view.finish()
        if isinstance(error, ProviderError):
            advise(error, back_end)
        await _save(back_end, into, saver)
        raise
    finally:
        try:
            view.finish()
        finally:
            if saver is not None:  # also where nobody reads the answer any more: the files are there
                saver.tell()
    saved = await _save(back_end, into, saver)
    return _conclude(stream, talk.call, into) and saved


def _start(
    talk: Talk,
    messages: Sequence[Mapping[str, Any]],
    media: Sequence[ImageType],
    view: View,
    state: dict[str, Any] | None,
) -> ChatStream:
    from backstream.cli.tools import shown_tools
    from backstream.tools import ToolLimits

    client, back_end, call = talk
    members = dict(back_end.members)
    if state is not None and back_end.is_server:
        members["conversation"] = state.get(call.provider, state) if call.provider else state
    return client.stream(
        back_end.model,
        list(messages),
        media=list(media) or None,
        tools=shown_tools(call.tools, view.note),
        run_tools=ToolLimits(max_rounds=call.tool_rounds) if call.tools else False,
        response_format=call.response_format,
        provider=back_end.provider,
        api_key=back_end.api_key,
        **call.keywords(make_progress(), members),
    )


def _conclude(stream: ChatStream, call: Call, into: Answer) -> bool:
    """Take from a whole answer what is known once it is over; print the value that was asked for.

    Raises:
        DecodeError: It is not of the schema that was asked for.
    """
    reply = stream.reply
    into.history = stream.history
    if reply.usage is not None:
        _log.info("usage: %s", describe_usage(reply.usage, reply.cost))
    if call.response_format is None or call.as_events:
        return True
    if reply.refusal is not None or reply.tool_calls:
        say("the model " + ("called a tool instead of answering" if reply.refusal is None else "refused to answer"))
        return False
    print_json(reply.parsed)
    return True


async def _save(back_end: BackEnd, answered: Answer, saver: Saver | None) -> bool:
    if saver is None:
        return True
    whole = fold(answered.chunks)
    for part in whole.parts:
        saver.take_part(part)
    urls = [*whole.media_urls, *(url for part in whole.parts if (url := getattr(part, "url", None)))]
    return await saver.finish(urls, await back_end.origin() if urls else None)
