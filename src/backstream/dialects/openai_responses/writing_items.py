"""The items of an answer while they are written: each knows its events, and what it is when it is over.

Source: https://platform.openai.com/docs/api-reference/responses-streaming; OpenAI's OpenAPI description 2.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Citation, Media, RawResponse
from backstream.dialects.openai_responses.members import ITEM, NAME, without
from backstream.reply import fold
from backstream.request import MediaPart

__all__ = ["CallItem", "Event", "MediaItems", "OpenItem", "RefusalItem", "TextItem", "ThoughtItem", "message_of"]

Event = dict[str, Any]
Own = Mapping[str, Any]


def message_of(item_id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Make a message item."""
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": content}


class OpenItem:
    """An item that is being written.

    Attributes:
        kind: The kind of part it is.
        number: The part's number; ``None`` where it has none.
        index: Its place in the output.
        id: Its id while it is written.
        item: What it is, once it is over.
        is_announced: Whether its id has been told.
    """

    kind = ""

    def __init__(self, index: int, item_id: str, number: int | None) -> None:
        self.index = index
        self.id = item_id
        self.number = number
        self.item: dict[str, Any] = {}
        self.is_announced = False

    def at(self, kind: str, **members: Any) -> Event:
        """Make an event about this item."""
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.index, **members}

    def added(self, item: dict[str, Any]) -> Event:
        """Make the event that begins this item."""
        self.is_announced = True
        return {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def over(self, item: dict[str, Any]) -> Event:
        """Make the event that ends this item."""
        self.item = item
        return {"type": "response.output_item.done", "output_index": self.index, "item": item}

    def begin(self) -> list[Event]:
        """Give the events before its first piece."""
        raise NotImplementedError

    def end(self, own: Own, status: str) -> list[Event]:
        """Give the events after its last piece.

        Args:
            own: The opaque members of the part.
            status: ``completed`` or ``incomplete``.
        """
        raise NotImplementedError


class TextItem(OpenItem):
    """A message with one text."""

    kind = "text"
    word = "output_text"
    member = "text"

    def __init__(self, index: int, item_id: str, number: int | None) -> None:
        super().__init__(index, item_id, number)
        self.pieces: list[str] = []
        self.annotations: list[dict[str, Any]] = []
        self.logprobs: list[dict[str, Any]] = []

    def _content(self) -> dict[str, Any]:
        text = "".join(self.pieces)
        return {"type": "output_text", "text": text, "annotations": self.annotations, "logprobs": self.logprobs}

    def begin(self) -> list[Event]:
        """See :class:`OpenItem`."""
        empty = {name: type(value)() if name != "type" else value for name, value in self._content().items()}
        added = self.added(message_of(self.id, [], "in_progress"))
        return [added, self.at("content_part.added", content_index=0, part=empty)]

    def say(self, text: str, logprobs: list[dict[str, Any]] | None = None) -> list[Event]:
        """Give the event of a piece."""
        self.pieces.append(text)
        self.logprobs += logprobs or []
        return [self.at("output_text.delta", content_index=0, delta=text, logprobs=logprobs or [])]

    def cite(self, citation: Citation) -> list[Event]:
        """Give the event of a source."""
        size = sum(map(len, self.pieces))
        annotation = _annotation_of(citation, size)
        self.annotations.append(annotation)
        place = {"content_index": 0, "annotation_index": len(self.annotations) - 1}
        return [self.at("output_text.annotation.added", **place, annotation=annotation)]

    def end(self, own: Own, status: str) -> list[Event]:
        """See :class:`OpenItem`."""
        content = {**self._content(), **without(own, ITEM)}
        around = own.get(ITEM)
        item = {**message_of(self.id, [content], status), **(around if isinstance(around, Mapping) else {})}
        further = {"logprobs": self.logprobs} if self.word == "output_text" else {}
        return [
            self.at(f"{self.word}.done", content_index=0, **{self.member: content[self.member]}, **further),
            self.at("content_part.done", content_index=0, part=content),
            self.over(item),
        ]


class RefusalItem(TextItem):
    """A message with one refusal."""

    kind = "refusal"
    word = "refusal"
    member = "refusal"

    def _content(self) -> dict[str, Any]:
        return {"type": "refusal", "refusal": "".join(self.pieces)}

    def say(self, text: str, logprobs: list[dict[str, Any]] | None = None) -> list[Event]:
        """Give the event of a piece."""
        del logprobs
        self.pieces.append(text)
        return [self.at("refusal.delta", content_index=0, delta=text)]


def _annotation_of(citation: Citation, size: int) -> dict[str, Any]:
    """Say a source; one that does not say where it is cited is cited where the text has come to."""
    own = (citation.raw or {}).get(NAME)
    if isinstance(own, Mapping):
        return dict(own)
    start = citation.start if citation.start is not None else size
    end = citation.end if citation.end is not None else size
    if citation.url is None:
        return {"type": "file_citation", "file_id": "", "filename": citation.title or "", "index": end}
    title = citation.title or ""
    return {"type": "url_citation", "url": citation.url, "start_index": start, "end_index": end, "title": title}


class ThoughtItem(OpenItem):
    """Reasoning, with one summary."""

    kind = "reasoning"

    def __init__(self, index: int, item_id: str, number: int | None) -> None:
        super().__init__(index, item_id, number)
        self.pieces: list[str] = []

    def begin(self) -> list[Event]:
        """See :class:`OpenItem`."""
        return [self.added({"type": "reasoning", "id": self.id, "summary": []})]

    def think(self, token: str) -> list[Event]:
        """Give the events of a piece."""
        first = not self.pieces
        self.pieces.append(token)
        delta = self.at("reasoning_summary_text.delta", summary_index=0, delta=token)
        return [self._part("added", ""), delta] if first else [delta]

    def _part(self, word: str, text: str) -> Event:
        part = {"type": "summary_text", "text": text}
        return self.at(f"reasoning_summary_part.{word}", summary_index=0, part=part)

    def end(self, own: Own, status: str) -> list[Event]:
        """See :class:`OpenItem`."""
        del status  # only for items that were read back
        text = "".join(self.pieces)
        summary = [{"type": "summary_text", "text": text}] if text else []
        done = self.over({"type": "reasoning", "id": self.id, "summary": summary, **own})
        if not self.pieces:
            return [done]
        said = self.at("reasoning_summary_text.done", summary_index=0, text=text)
        return [said, self._part("done", text), done]


class CallItem(OpenItem):
    """A call of a function; it begins once its name is known."""

    kind = "tool_call"

    def __init__(self, index: int, item_id: str, number: int | None) -> None:
        super().__init__(index, item_id, number)
        self.call_id = ""
        self.name = ""
        self.pieces: list[str] = []
        self._begun = False

    def begin(self) -> list[Event]:
        """See :class:`OpenItem`."""
        return []

    def _item(self, arguments: str, status: str) -> dict[str, Any]:
        call = {"call_id": self.call_id or self.id, "name": self.name, "arguments": arguments}
        return {"type": "function_call", "id": self.id, **call, "status": status}

    def call(self, call_id: str | None, name: str | None, arguments: str | None) -> list[Event]:
        """Give the events of a piece."""
        self.call_id = self.call_id or call_id or ""
        self.name = self.name or name or ""
        events = self._begin() if self.name else []
        if arguments:
            self.pieces.append(arguments)
            if self._begun:
                events += self._argue(arguments)
        return events

    def _begin(self) -> list[Event]:
        if self._begun:
            return []
        self._begun = True
        held = "".join(self.pieces)
        return [self.added(self._item("", "in_progress")), *(self._argue(held) if held else ())]

    def _argue(self, arguments: str) -> list[Event]:
        return [self.at("function_call_arguments.delta", delta=arguments)]

    def end(self, own: Own, status: str) -> list[Event]:
        """See :class:`OpenItem`."""
        begun = self._begin()
        arguments = "".join(self.pieces)
        done = self.at("function_call_arguments.done", name=self.name, arguments=arguments)
        return [*begun, done, self.over({**self._item(arguments, status), **own})]


class MediaItems(OpenItem):
    """Media; said when they are whole: an image as the result of a call, anything else as a link in a text."""

    kind = "media"

    def __init__(self, index: int, item_id: str, number: int | None) -> None:
        super().__init__(index, item_id, number)
        self._chunks: list[RawResponse] = []

    def begin(self) -> list[Event]:
        """See :class:`OpenItem`."""
        return []

    def add(self, chunk: Media) -> list[Event]:
        """Take a piece."""
        self._chunks.append(chunk)
        return []

    def end(self, own: Own, status: str) -> list[Event]:
        """See :class:`OpenItem`."""
        part = next((part for part in fold(self._chunks).parts if isinstance(part, MediaPart)), MediaPart(kind="image"))
        if part.kind == "image" and part.data is not None:
            form = part.media_type.removeprefix("image/") or "png"
            self.id = own.get("id", self.id)
            call = {"type": "image_generation_call", "id": self.id, "output_format": form}
            begun = self.added({**call, "status": "in_progress", "result": None})
            completed = self.at("image_generation_call.completed")
            return [begun, completed, self.over({**call, "status": "completed", **own, "result": part.data})]
        text = TextItem(self.index, self.id, None)
        events = [*text.begin(), *text.say(_link_to(part)), *text.end({}, status)]
        self.item = text.item
        return events


def _link_to(part: MediaPart) -> str:
    """Show media that no item can hold, in Markdown."""
    uri = part.url or (f"data:{part.media_type};base64,{part.data}" if part.data is not None else part.file_id or "")
    shown = f"![{part.kind}]({uri})" if part.kind == "image" else f"[{part.transcript or part.kind}]({uri})"
    return shown if uri else part.transcript or ""
