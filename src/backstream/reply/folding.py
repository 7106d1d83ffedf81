"""Chunks to the whole reply they make: deltas to parts, whatever order they came in."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from backstream.chunks import (
    Citation,
    Content,
    Conversation,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    ProviderInfo,
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
from backstream.reply.whole import Reply
from backstream.request.messages import kind_of
from backstream.request.parts import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)

__all__ = ["fold", "join_deltas"]


def fold(chunks: Iterable[RawResponse]) -> Reply:
    """Add chunks up to the reply they make; what a ``Switched`` voids is no part of it.

    Args:
        chunks: The chunks of one stream, in order.
    """
    parts = _Parts()
    media: list[str] = []
    citations: list[Citation] = []
    logprobs: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    switches: list[Switched] = []
    for chunk in chunks:
        if isinstance(chunk, Content):
            if chunk.text:
                parts.at("text", chunk.part).pieces.append(chunk.text)
            media.extend(_media_urls(chunk))
        elif isinstance(chunk, Usage):
            last["usage"] = chunk
        elif isinstance(chunk, Finish):
            last["finish"] = chunk
        elif isinstance(chunk, Citation):
            citations.append(chunk)
        elif isinstance(chunk, Logprobs):
            logprobs.extend(chunk.logprobs or ())
        elif isinstance(chunk, Start):
            last |= {"id": chunk.id or last.get("id"), "model": chunk.model or last.get("model")}
        elif isinstance(chunk, ProviderInfo):
            last["provider"] = chunk.provider
        elif isinstance(chunk, Conversation):
            last["conversation"] = chunk.conversation
        elif isinstance(chunk, Switched):
            switches.append(chunk)
            if chunk.kept == "nothing":
                parts = _Parts()
                for kept in (media, citations, logprobs, last):
                    kept.clear()
            _switch(last, chunk)
        else:
            parts.add(chunk)
    return Reply(
        parts=parts.whole(),
        media_urls=tuple(media),
        citations=tuple(citations),
        logprobs=tuple(logprobs),
        switches=tuple(switches),
        **last,
    )


def _switch(last: dict[str, Any], chunk: Switched) -> None:
    """Forget what was said of the answer by a route that was left, and name the model that goes on."""
    last.pop("usage", None)
    last.pop("finish", None)
    last["model"] = (chunk.to or "").partition("/")[2] or None


_TEXT_OF: Mapping[type, str] = {Content: "content", Reasoning: "token", ToolCallDelta: "arguments", Refusal: "refusal"}


def _rest_of(cls: type[Typed]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter("part", *(name for name in cls.__struct_fields__ if name not in (_TEXT_OF[cls], "part")))


_REST_OF: Mapping[type, Callable[[Any], tuple[Any, ...]]] = {
    cls: _rest_of(cls) for cls in (Content, Reasoning, ToolCallDelta, Refusal)
}


def join_deltas(chunks: Iterable[RawResponse]) -> list[RawResponse]:
    """Join neighbouring deltas of one part, so that many take little room; they fold to the same reply.

    Args:
        chunks: The chunks of one stream, in order.
    """
    joined: list[RawResponse] = []
    for cls, group in groupby(chunks, type):
        rest_of = _REST_OF.get(cls)
        if rest_of is None:
            joined += group
            continue
        for rest, run in groupby(group, rest_of):
            deltas = list(run)
            holds_only_text = rest.count(None) == len(rest) - (rest[0] is not None)
            joined += _join_run(deltas, _TEXT_OF[cls]) if holds_only_text else deltas
    return joined


def _join_run(run: list[Any], member: str) -> list[RawResponse]:
    """Join deltas that hold nothing but text, all of one part."""
    if len(run) < 2:
        return run
    text = "".join([getattr(chunk, member) or "" for chunk in run])
    return [msgspec.structs.replace(run[0], **{member: text})]


def _media_urls(chunk: Content) -> Iterable[str]:
    if chunk.data is not None:
        yield chunk.data
    if isinstance(chunk.urls, str):
        yield chunk.urls
    elif chunk.urls is not None:
        yield from chunk.urls


class _Growing:
    """A part while its pieces come."""

    __slots__ = ("kind", "members", "number", "opaque", "over", "pieces")

    def __init__(self, kind: str, number: int | None) -> None:
        self.kind = kind
        self.number = number
        self.pieces: list[str] = []
        self.members: dict[str, Any] = {}
        self.opaque: dict[str, Mapping[str, Any]] = {}
        self.over = False

    def whole(self) -> Part:
        if self.kind == "text":
            return TextPart(text="".join(self.pieces), opaque=self.opaque)
        if self.kind == "reasoning":
            return ReasoningPart(text="".join(self.pieces), opaque=self.opaque)
        if self.kind == "refusal":
            return RefusalPart(text="".join(self.pieces), opaque=self.opaque)
        if self.kind == "tool_call":
            return ToolCallPart(arguments="".join(self.pieces), opaque=self.opaque, **self.members)
        if self.kind == "media":
            media_type = self.members.pop("media_type", "")
            data = _join_base64(self.pieces)
            return MediaPart(
                kind=kind_of(media_type), media_type=media_type, data=data, opaque=self.opaque, **self.members
            )
        return OpaquePart(opaque=self.opaque)


def _join_base64(pieces: list[str]) -> str | None:
    if len(pieces) <= 1:
        return pieces[0] if pieces else None
    try:
        return b64encode(b"".join(map(b64decode, pieces))).decode("ascii")
    except ValueError:  # one text cut anywhere, not texts of their own; or none at all, which is not ours to mend
        return "".join(pieces)


class _Parts:
    """The parts of a reply while they grow, in the order they began."""

    def __init__(self) -> None:
        self._all: list[_Growing] = []
        self._numbered: dict[tuple[str, int], _Growing] = {}

    def at(self, kind: str, number: int | None, *, anew: bool = False) -> _Growing:
        """Return the part a piece belongs to: the one of its number, or without one the last if it is of its kind."""
        if number is not None:
            found = self._numbered.get((kind, number))
        else:
            last = self._all[-1] if self._all else None
            found = last if last is not None and last.kind == kind and last.number is None and not last.over else None
        if found is None or anew:
            found = _Growing(kind, number)
            self._all.append(found)
            if number is not None:
                self._numbered[kind, number] = found
        return found

    def add(self, chunk: RawResponse) -> None:
        """Add a chunk of any kind but text; one that is no part of an answer is passed over."""
        if isinstance(chunk, Reasoning):
            if chunk.token:
                self.at("reasoning", chunk.part).pieces.append(chunk.token)
        elif isinstance(chunk, Refusal):
            if chunk.refusal:
                self.at("refusal", chunk.part).pieces.append(chunk.refusal)
        elif isinstance(chunk, ToolCallDelta):
            self._add_call(chunk)
        elif isinstance(chunk, ToolCalls):
            for call in chunk.tool_calls or ():
                self._add_whole_call(call)
        elif isinstance(chunk, Media):
            self._add_media(chunk)
        elif isinstance(chunk, PartEnd):
            self._end(chunk)

    def _add_call(self, chunk: ToolCallDelta) -> None:
        anew = chunk.part is None and chunk.id is not None
        if anew and self._all:
            last = self._all[-1]
            anew = last.kind != "tool_call" or last.members.get("id", chunk.id) != chunk.id
        call = self.at("tool_call", chunk.part, anew=anew)
        if chunk.id:
            call.members["id"] = chunk.id
        if chunk.name:
            call.members["name"] = call.members.get("name") or chunk.name
        call.pieces.append(chunk.arguments or "")

    def _add_whole_call(self, call: Mapping[str, Any]) -> None:
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        whole = self.at("tool_call", None, anew=True)
        arguments = function.get("arguments")
        whole.pieces.append(arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode())
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if isinstance(value, str):
                whole.members[name] = value
        whole.over = True

    def _add_media(self, chunk: Media) -> None:
        media = self.at("media", chunk.part)
        if chunk.data is not None:
            media.pieces.append(chunk.data)
        for name in ("media_type", "url", "file_id"):
            value = getattr(chunk, name)
            if value is not None:
                media.members[name] = value
        if chunk.transcript:
            media.members["transcript"] = media.members.get("transcript", "") + chunk.transcript
        if chunk.id is not None:
            media.opaque[""] = {"id": chunk.id}

    def _end(self, chunk: PartEnd) -> None:
        kinds = (chunk.kind,) if chunk.kind else ("text", "reasoning", "tool_call", "media", "refusal")
        part: _Growing | None = None
        if chunk.part is not None:
            part = next(
                (self._numbered[kind, chunk.part] for kind in kinds if (kind, chunk.part) in self._numbered), None
            )
        else:
            part = next((last for last in reversed(self._all) if last.kind in kinds and not last.over), None)
        if part is None:
            if not chunk.opaque:
                return
            part = self.at(chunk.kind or "opaque", chunk.part, anew=True)
        opaque = chunk.opaque or {}
        part.opaque |= {dialect: members for dialect, members in opaque.items() if isinstance(members, Mapping)}
        part.over = True

    def whole(self) -> tuple[Part, ...]:
        """Return the parts."""
        return tuple(part.whole() for part in self._all)
