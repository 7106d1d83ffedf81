"""Chunks to the stream of an answer, in either framing: all of them, or only what a g4f client knows.

Tool calls and media that come in pieces are said whole; a refusal and media become ``content``, written as g4f's
servers write them. Described in ``docs/protocol.md``, section "Only between backstream and backstream".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import msgspec

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    Switched,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.chunks.base import Typed
from backstream.dialects.backend_api.failures import render_failure
from backstream.dialects.backend_api.stream import Framing, render_block
from backstream.dialects.joining import PartJoiner
from backstream.errors import IncompleteStream
from backstream.reply import Block, End
from backstream.request import MediaPart, ToolCallPart

__all__ = ["BackendApiRenderer", "PlainEvents"]

_LEFT_OUT: Final = (Start, ToolCallDelta, PartStart, PartEnd, Citation, Logprobs, Media, Switched)


class PlainEvents:
    """Says the chunks of one answer in the event types of g4f alone.

    Args:
        answer_id: The answer's id; ids of calls that have none are made of it.
    """

    __slots__ = ("_answer_id", "_calls", "_joiner")

    def __init__(self, answer_id: str = "") -> None:
        self._joiner = PartJoiner()
        self._answer_id = answer_id
        self._calls = 0

    def say(self, block: Sequence[RawResponse]) -> list[RawResponse]:
        """Take chunks; give the events to send."""
        events: list[RawResponse] = []
        for chunk in block:
            if type(chunk) is Content and chunk.part is None and self._joiner.idle:
                events.append(chunk)
            else:
                events += self._say_one(chunk)
        return events

    def _say_one(self, chunk: RawResponse) -> list[RawResponse]:
        whole = isinstance(chunk, ToolCalls)  # is said as it came; like text, it only ends what was under way
        events = [self._say_part(part) for part in self._joiner.add(Content() if whole else chunk)]
        if isinstance(chunk, Finish):
            events += self.flush()
        if not isinstance(chunk, _LEFT_OUT):
            say = _SAY.get(type(chunk))
            events.append(chunk if say is None else say(chunk))
        return events

    def flush(self) -> list[RawResponse]:
        """Say that the answer is over; give what was held."""
        return [self._say_part(part) for part in self._joiner.flush()]

    def _say_part(self, part: ToolCallPart | MediaPart) -> RawResponse:
        if isinstance(part, MediaPart):
            return _say_media(part)
        self._calls += 1
        id_ = part.id or f"call_{self._answer_id}_{self._calls}"  # clients answer a call by its id
        function = {"name": part.name, "arguments": part.arguments}
        return ToolCalls(tool_calls=[{"id": id_, "type": "function", "function": function}])


def _without(*names: str) -> Callable[[Any], RawResponse]:
    def say(chunk: Typed) -> RawResponse:
        given = [name for name in names if getattr(chunk, name) is not None]
        return msgspec.structs.replace(chunk, **dict.fromkeys(given)) if given else chunk

    return say


def _say_refusal(chunk: Refusal) -> RawResponse:
    return Content(content=chunk.refusal or "")


def _say_finish(chunk: Finish) -> RawResponse:
    if not isinstance(chunk.finish, dict) or "raw" not in chunk.finish:
        return chunk
    return Finish(finish={name: value for name, value in chunk.finish.items() if name != "raw"})


_SAY: Final[Mapping[type, Callable[[Any], RawResponse]]] = {
    Content: _without("part"),
    Reasoning: _without("part"),
    Usage: _without("computed", "raw"),
    Refusal: _say_refusal,
    Finish: _say_finish,
}


def _say_media(part: MediaPart) -> RawResponse:
    url = part.url or (f"data:{part.media_type};base64,{part.data}" if part.data is not None else None)
    if url is None:
        return Content(content=part.transcript or f"[{part.kind}]({part.file_id})")
    if part.kind == "image":
        return Content(content=f"[![]({url})]({url})", urls=url)
    if part.kind == "audio":
        said = f"\n\n{part.transcript}" if part.transcript else ""
        return Content(content=f'<audio controls src="{escape(url)}"></audio>{said}', data=url)
    if part.kind == "video":
        return Content(content=f'<video src="{escape(url)}"></video>', urls=url)
    return Content(content=f"[{part.filename or part.media_type or part.kind}]({url})", urls=url)


class BackendApiRenderer:
    """Render one streamed answer; a :class:`backstream.dialects.base.StreamRenderer`.

    Args:
        framing: How events are framed.
        own_types: Whether the client asked for the event types that only backstream knows.
        answer_id: See :class:`PlainEvents`.

    Attributes:
        content_type: What the answer calls itself: an event stream in both framings, as servers of this protocol do.
        keep_alive: A comment; nothing where the framing has none.
    """

    __slots__ = ("_framing", "_over", "_plain", "content_type", "keep_alive")

    def __init__(self, framing: Framing = "sse", *, own_types: bool = False, answer_id: str = "") -> None:
        self.content_type = "text/event-stream; charset=utf-8"
        self.keep_alive = b": keep-alive\n\n" if framing == "sse" else b""
        self._framing: Framing = framing
        self._plain = None if own_types else PlainEvents(answer_id)
        self._over = False

    def render(self, block: Block | Iterable[RawResponse]) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`; chunks without an ``End`` are a block too."""
        if self._over:
            return b""
        chunks: list[RawResponse] = []
        end: End | None = None
        for chunk in block:
            if isinstance(chunk, End):
                end = chunk
                break
            chunks.append(chunk)
        data = render_block(chunks if self._plain is None else self._plain.say(chunks), self._framing)
        if end is None:
            return data
        if end.state != "complete":
            return data + self.fail(end.error or IncompleteStream("the answer was cut off"))
        return data + self.finish()

    def finish(self) -> bytes:
        """Render what was held; the answer is whole. Nothing else marks its end."""
        self._over = True
        return render_block(self._plain.flush(), self._framing) if self._plain is not None else b""

    def fail(self, error: BaseException) -> bytes:
        """Render what broke the answer; a tool call that was under way is not said, since it may be cut.

        Args:
            error: Any exception; see :func:`backstream.dialects.backend_api.render_failure`.
        """
        self._over = True
        return render_block([render_failure(error)], self._framing)
