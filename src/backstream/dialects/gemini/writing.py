"""Chunks to the events of an answer: one writer for streams and whole replies.

Google sends calls and pictures whole: their pieces are held until they are. A signature stands on the part it belongs
to where it comes in the same block; behind text that is on its way already it travels on a part of its own.
"""

from __future__ import annotations

import contextlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.gemini.citations import render_citations
from backstream.dialects.gemini.contents import call_arguments
from backstream.dialects.gemini.failures import error_members
from backstream.dialects.gemini.quirks import NAME, overlay
from backstream.dialects.gemini.words import render_finish, render_logprobs, render_usage
from backstream.errors import ContentRefusedError, InvalidMediaError
from backstream.media import decode_data_uri, is_data_uri, media_type_of
from backstream.reply import Block, End

__all__ = ["Writer"]

Event = dict[str, Any]


class _Call:
    """A call while its pieces come."""

    __slots__ = ("arguments", "id", "name", "number")

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    @property
    def whole(self) -> bool:
        text = "".join(self.arguments)
        return bool(text) and call_arguments(text)[1]

    def part(self) -> Event:
        arguments, _ = call_arguments("".join(self.arguments))
        return {"functionCall": {**({"id": self.id} if self.id else {}), "name": self.name, "args": arguments}}


class Writer:
    """Write the events of one answer.

    Args:
        envelope: What the server says of it.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._id = envelope.id
        self._model = envelope.model
        self._parts: list[Event] = []
        self._logprobs: list[Mapping[str, Any]] = []
        self._citations: list[Citation] = []
        self._calls: list[_Call] = []
        self._media: Media | None = None
        self._pieces: list[str] = []
        self._open_text: tuple[str, int | None] | None = None
        self._text_number: int | None = None
        self._said: list[str] = []
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._spoken = False

    def write(self, block: Block) -> list[Event]:
        """Write a block; an :class:`End` in it gives the last events."""
        events: list[Event] = []
        self._open_text = None  # what went out with an earlier block can take no signature any more
        for chunk in block:
            if isinstance(chunk, End):
                self._flush()
                self._give(events)
                events.append(self._last(chunk))
                return events
            self._take(chunk)
        self._give(events)
        return events

    def _take(self, chunk: RawResponse) -> None:
        if not isinstance(chunk, Media | PartEnd) and self._media is not None:
            self._end_media({})
        if isinstance(chunk, Content):
            self._take_content(chunk)
        elif isinstance(chunk, Reasoning):
            self._add_text("reasoning", chunk.token or "", chunk.part, {"thought": True})
        elif isinstance(chunk, Refusal):
            self._add_text("refusal", chunk.refusal or "", chunk.part, {})
        elif isinstance(chunk, ToolCallDelta):
            self._take_delta(chunk)
        elif isinstance(chunk, ToolCalls):
            for call in chunk.tool_calls or ():
                self._take_whole_call(call)
        elif isinstance(chunk, Media):
            self._take_media(chunk)
        elif isinstance(chunk, PartEnd):
            self._take_end(chunk)
        else:
            self._take_news(chunk)

    def _take_news(self, chunk: RawResponse) -> None:
        if isinstance(chunk, Start):
            self._id, self._model = chunk.id or self._id, chunk.model or self._model
        elif isinstance(chunk, Usage):
            self._usage = chunk
        elif isinstance(chunk, Finish):
            self._finish = chunk
        elif isinstance(chunk, Citation):
            self._citations.append(chunk)
        elif isinstance(chunk, Logprobs):
            self._logprobs += chunk.logprobs or ()

    def _add_text(self, kind: str, text: str, number: int | None, beside: Event) -> None:
        if not text:
            return
        self._flush_whole_calls()
        if kind == "text":
            if self._text_number != number:
                self._said = []
            self._text_number = number
            self._said.append(text)
        if self._open_text == (kind, number) and self._parts:
            self._parts[-1]["text"] += text
        else:
            self._parts.append({"text": text, **beside})
            self._open_text = (kind, number)

    def _take_content(self, chunk: Content) -> None:
        urls = [chunk.urls] if isinstance(chunk.urls, str) else list(chunk.urls or ())
        shown = [*([chunk.data] if chunk.data is not None else []), *urls]
        if not shown:  # else the text is only markup that shows the media
            self._add_text("text", chunk.text, chunk.part, {})
        for url in shown:
            self._flush_whole_calls()
            self._add_part(_render_url(url, ""))

    def _add_part(self, part: Event) -> None:
        self._parts.append(part)
        self._open_text = None

    # --- calls

    def _take_delta(self, chunk: ToolCallDelta) -> None:
        call = self._call_of(chunk)
        call.id = call.id or chunk.id or ""
        call.name = call.name or chunk.name or ""
        call.arguments.append(chunk.arguments or "")

    def _call_of(self, chunk: ToolCallDelta) -> _Call:
        last = self._calls[-1] if self._calls else None
        if chunk.part is not None:
            last = next((call for call in self._calls if call.number == chunk.part), None)
        elif last is not None and (last.number is not None or (chunk.id is not None and chunk.id != last.id)):
            self._flush_calls()
            last = None
        if last is None:
            last = _Call(chunk.part)
            self._calls.append(last)
        return last

    def _take_whole_call(self, call: Mapping[str, Any]) -> None:
        self._flush_calls()
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            arguments, _ = call_arguments(arguments)
        identity = call.get("id")
        members = {"name": str(function.get("name") or ""), "args": arguments if isinstance(arguments, Mapping) else {}}
        self._add_part(
            {"functionCall": {**({"id": identity} if isinstance(identity, str) and identity else {}), **members}}
        )

    def _flush_whole_calls(self) -> None:
        """Before something else is said, give the calls that can have no further piece."""
        while self._calls and self._calls[0].whole:
            self._add_part(self._calls.pop(0).part())

    def _flush_calls(self) -> None:
        for call in self._calls:
            self._add_part(call.part())
        self._calls.clear()

    # --- media

    def _take_media(self, chunk: Media) -> None:
        if self._media is not None and self._media.part != chunk.part:
            self._end_media({})
        self._flush_whole_calls()
        media = self._media or Media(part=chunk.part)
        self._media = Media(
            part=chunk.part,
            media_type=media.media_type or chunk.media_type,
            url=chunk.url or media.url,
            file_id=chunk.file_id or media.file_id,
        )
        if chunk.data is not None:
            self._pieces.append(chunk.data)
            if (self._media.media_type or "").startswith("audio/"):  # Google streams sound in pieces too
                self._add_media({})
        if chunk.transcript:
            self._add_part({"text": chunk.transcript})

    def _add_media(self, opaque: Mapping[str, Any]) -> None:
        media, pieces = self._media, self._pieces
        assert media is not None
        place = media.file_id or media.url
        if pieces:
            for data in _join_base64(pieces):
                blob = {"mimeType": media.media_type or "application/octet-stream", "data": data}
                self._add_part(overlay({"inlineData": blob}, opaque))
        elif place is not None:
            self._add_part(overlay(_render_url(place, media.media_type or ""), opaque))
        elif opaque:
            if self._parts and "inlineData" in self._parts[-1]:
                self._parts[-1] = overlay(self._parts[-1], opaque)
            else:
                self._add_part({"text": "", **opaque})
        self._pieces = []

    def _end_media(self, opaque: Mapping[str, Any]) -> None:
        self._add_media(opaque)
        self._media = None

    # --- ends

    def _take_end(self, chunk: PartEnd) -> None:
        own = (chunk.opaque or {}).get(NAME)
        opaque: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        if self._media is not None:
            if chunk.kind in (None, "media") and chunk.part == self._media.part:
                self._end_media(opaque)
                return
            self._end_media({})
        if chunk.kind in (None, "tool_call"):
            call = next((call for call in self._calls if chunk.part in (None, call.number)), None)
            if call is not None:
                self._calls.remove(call)
                self._add_part(overlay(call.part(), opaque))
                return
        if opaque:
            self._sign(chunk, opaque)
        self._open_text = None

    def _sign(self, chunk: PartEnd, opaque: Mapping[str, Any]) -> None:
        open_kind, open_number = self._open_text or ("", None)
        if open_kind and chunk.kind in (None, open_kind) and chunk.part == open_number:
            self._parts[-1] = overlay(self._parts[-1], opaque)
        elif chunk.kind == "opaque":
            self._flush_whole_calls()
            self._add_part(dict(opaque))
        else:
            self._add_part({"text": "", **({"thought": True} if chunk.kind == "reasoning" else {}), **opaque})

    # --- events

    def _flush(self) -> None:
        if self._media is not None:
            self._end_media({})
        self._flush_calls()

    def _give(self, events: list[Event]) -> None:
        """Make an event of what has gathered."""
        beside = self._take_beside()
        if self._parts or beside:
            self._spoken = self._spoken or bool(self._parts)
            content = {"content": {"parts": self._parts, "role": "model"}} if self._parts else {}
            events.append(self._event({**content, "index": 0, **beside}))
            self._parts = []

    def _take_beside(self) -> Event:
        """Take what stands beside the parts of a candidate."""
        beside = {"logprobsResult": render_logprobs(self._logprobs)} if self._logprobs else {}
        if self._citations:
            beside |= render_citations(self._citations, "".join(self._said))
        self._logprobs, self._citations = [], []
        return beside

    def _event(self, candidate: Event) -> Event:
        event: Event = {"candidates": [candidate]}
        if self._usage is not None:
            event["usageMetadata"] = render_usage(self._usage)
        return event | self._names()

    def _names(self) -> Event:
        return {"modelVersion": self._model, "responseId": self._id}

    def _last(self, end: End) -> Event:
        if end.state == "complete":
            content = {"parts": [{"text": ""}], "role": "model"}
            return self._event({"content": content, **render_finish(self._finish), "index": 0})
        if isinstance(end.error, ContentRefusedError) and not self._spoken:
            kind = end.error.kind or ""
            blocked: Event = {"promptFeedback": {"blockReason": kind if kind.isupper() else "OTHER"}}
            usage = {"usageMetadata": render_usage(self._usage)} if self._usage is not None else {}
            return blocked | usage | self._names()
        return {"error": error_members(end.error)}

    def whole(self, chunks: Sequence[RawResponse | End]) -> Event:
        """Write a whole answer as one event."""
        self._open_text = None
        for chunk in chunks:
            if not isinstance(chunk, End):
                self._take(chunk)
        self._flush()
        beside = self._take_beside()
        parts = self._parts or [{"text": ""}]
        content = {"parts": parts, "role": "model"}
        return self._event({"content": content, **render_finish(self._finish), "index": 0, **beside})


def _join_base64(pieces: list[str]) -> list[str]:
    """Join pieces that are base64 texts each of their own; those that are none stay apart."""
    if len(pieces) > 1:
        with contextlib.suppress(ValueError):
            return [b64encode(b"".join(map(b64decode, pieces))).decode("ascii")]
    return pieces


def _render_url(url: str, media_type: str) -> Event:
    decoded = None
    if is_data_uri(url):
        with contextlib.suppress(InvalidMediaError):
            decoded = decode_data_uri(url)
    if decoded is not None:
        data = b64encode(decoded.data).decode("ascii")
        return {"inlineData": {"mimeType": decoded.media_type.partition(";")[0], "data": data}}
    media_type = media_type or media_type_of(url.partition("?")[0].rpartition("/")[2]) or ""
    return {"fileData": {**({"mimeType": media_type} if media_type else {}), "fileUri": url}}
