"""What a response's items and events mean, as chunks; how they are framed is not known here.

Parts are numbered in the order they begin: a text or refusal by its item and its place in it, every other item as one
part. Events that are unknown, or whose members have other types, are passed over; their numbers are looked at where
they are a stream's (``numbering.py``).

Source: https://platform.openai.com/docs/api-reference/responses-streaming; OpenAI's OpenAPI description 2.3.0.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.chunks import (
    Citation,
    Content,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    Preview,
    RawResponse,
    Reasoning,
    Refusal,
    ToolCallDelta,
)
from backstream.dialects.openai_responses.failures import failure
from backstream.dialects.openai_responses.finishing import conversation_of, finish_of, start_of, usage_chunk
from backstream.dialects.openai_responses.members import ITEM, NAME, count_of, list_of, object_of, text_of, without
from backstream.dialects.openai_responses.thoughts import BLANK_LINE, read_thought
from backstream.errors import BackstreamError, IncompleteStream
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["ResponseReader", "citation_of"]

Members = Mapping[str, Any]


class ResponseReader:
    """Reads one response, event by event or whole.

    Attributes:
        ending: The back-end's word for done, ``response.completed`` or ``response.incomplete``; ``""`` until it came.
    """

    __slots__ = ("_called", "_cited", "_done", "_ids", "_numbers", "_said", "_started", "ending")

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._said: set[int] = set()  # parts of which a piece has come
        self._cited: dict[int, int] = {}
        self._done: set[int] = set()  # items, by output_index
        self._ids: set[str] = set()  # of items that are done
        self._started = False
        self._called = False
        self.ending = ""

    def read(self, members: Members) -> Block:
        """Read one event; the last item is an ``End`` where it says that the response failed."""
        kind = text_of(members, "type")
        if kind is None:
            return [End("failed", ("error",), self._failure(members))] if members.get("error") else []
        if kind in _TERMINAL:
            return self.read_end(object_of(members, "response"), _TERMINAL[kind])
        if kind == "error":
            return [End("failed", ("error",), self._failure(members))]
        read = _EVENTS.get(kind)
        return read(self, members) if read is not None else []

    @staticmethod
    def _failure(members: Members) -> BackstreamError:
        return failure(members, encode_json(members))

    # --- the response as a whole --------------------------------------------------------------------------------------

    def read_start(self, response: Members) -> Block:
        """Read the response object of an event, or of a whole answer."""
        if self._started or not response:
            return []
        self._started = True
        return [start_of(response)]

    def read_end(self, response: Members, status: str) -> Block:
        """Read a response that is over, with whatever of it was not told before.

        Args:
            response: The response.
            status: What its event says; its own status wins.
        """
        status = text_of(response, "status") or status
        block = self.read_start(response)
        for index, item in enumerate(list_of(response, "output")):
            if index not in self._done and text_of(item, "id") not in self._ids:
                block += self.read_item(index, item)
        if status == "failed":
            return [*block, End("failed", ("error",), self._failure(object_of(response, "error")))]
        if status not in ("completed", "incomplete"):
            problem = f"the answer ended with the status {status[:40]!r}" if status else "the answer has no status"
            return [*block, End("incomplete", (status[:40],) if status else (), IncompleteStream(problem))]
        self.ending = f"response.{status}"
        further = (
            usage_chunk(response),
            finish_of(response, status, called=self._called),
            conversation_of(response),
        )
        return block + [chunk for chunk in further if chunk is not None]

    def _read_response(self, members: Members) -> Block:
        return self.read_start(object_of(members, "response"))

    # --- items --------------------------------------------------------------------------------------------------------

    def number_of(self, *place: object) -> int:
        """Return the number of the part at a place, a new one where it is new."""
        return self._numbers.setdefault(place, len(self._numbers))

    def _read_added(self, members: Members) -> Block:
        item, index = object_of(members, "item"), count_of(members, "output_index")
        if index is not None and item.get("type") == "reasoning":
            return self._name(self.number_of(index), "reasoning", item.get("id"))
        if index is None or item.get("type") != "function_call":
            return []
        begun = self._begin_call(index, item)
        return [*self._name(self.number_of(index), "tool_call", item.get("id")), *begun] if begun else []

    def _read_part_added(self, members: Members) -> Block:
        number, kind = self.place_of(members), _TEXTS.get(text_of(object_of(members, "part"), "type") or "")
        return self._name(number, kind, members.get("item_id")) if number is not None and kind else []

    @staticmethod
    def _name(number: int, kind: str, item_id: object) -> Block:
        """Tell the id of an item that begins: who writes it anew has to name it long before its end."""
        if not isinstance(item_id, str) or not item_id:
            return []
        own: dict[str, Any] = {ITEM: {"id": item_id}} if kind in _TEXTS.values() else {"id": item_id}
        return [PartStart(part=number, kind=kind, opaque={NAME: own})]

    def _begin_call(self, index: int, item: Members) -> Block:
        known = (index,) in self._numbers
        number = self.number_of(index)
        self._called = True
        if known:
            return []
        call = ToolCallDelta(part=number, id=text_of(item, "call_id"), name=text_of(item, "name"))
        return [call, *self._argue(number, text_of(item, "arguments"))]

    def _argue(self, number: int, arguments: str | None) -> Block:
        if not arguments:
            return []
        self._said.add(number)
        return [ToolCallDelta(part=number, arguments=arguments)]

    def _read_done(self, members: Members) -> Block:
        index = count_of(members, "output_index")
        return self.read_item(index, object_of(members, "item")) if index is not None else []

    def read_item(self, index: int, item: Members) -> Block:
        """Read a whole item: what of it was not told in pieces, and its end."""
        if index in self._done or not item:
            return []
        self._done.add(index)
        if isinstance(item.get("id"), str):
            self._ids.add(item["id"])
        read = _ITEMS.get(str(item.get("type")))
        if read is not None:
            return read(self, index, item)
        return [PartEnd(part=self.number_of(index), kind="opaque", opaque={NAME: dict(item)})]

    def _read_message(self, index: int, item: Members) -> Block:
        block: Block = []
        around = without(item, "type", "role", "content")
        for place, content in enumerate(list_of(item, "content")):
            number = self.number_of(index, place)
            kind = text_of(content, "type")
            own: dict[str, Any] = {ITEM: around} if around else {}
            if kind == "output_text":
                block += self._read_whole_text(number, content)
                own |= {name: content[name] for name in ("annotations",) if content.get(name)}
                own |= without(content, "type", "text", "annotations", "logprobs")
            elif kind == "refusal":
                block += self._refuse(number, text_of(content, "refusal"))
            else:
                own = {ITEM: around, **content}
            name = _TEXTS.get(str(kind), "opaque")
            block.append(PartEnd(part=number, kind=name, opaque={NAME: own} if own else None))
        return block

    def _read_whole_text(self, number: int, content: Members) -> Block:
        block = self._say(number, text_of(content, "text"), content.get("logprobs"))
        for annotation in list_of(content, "annotations")[self._cited.get(number, 0) :]:
            block.append(citation_of(annotation, number))
        return block

    def _say(self, number: int, text: str | None, logprobs: object) -> Block:
        """Give a whole text, unless its pieces have come."""
        if number in self._said:
            return []
        return self._piece(number, text, logprobs)

    def _piece(self, number: int, text: str | None, logprobs: object) -> Block:
        block: Block = []
        if text:
            self._said.add(number)
            block.append(Content(content=text, part=number))
        if isinstance(logprobs, list) and logprobs:
            self._said.add(number)
            block.append(Logprobs(logprobs=[entry for entry in logprobs if isinstance(entry, dict)], part=number))
        return block

    def _refuse(self, number: int, refusal: str | None) -> Block:
        if not refusal or number in self._said:
            return []
        self._said.add(number)
        return [Refusal(refusal=refusal, part=number)]

    def _read_call(self, index: int, item: Members) -> Block:
        block = self._begin_call(index, item)
        number = self.number_of(index)
        if number not in self._said:
            block += self._argue(number, text_of(item, "arguments"))
        own = without(item, "type", "call_id", "name", "arguments")
        return [*block, PartEnd(part=number, kind="tool_call", opaque={NAME: own} if own else None)]

    def _read_thought(self, index: int, item: Members) -> Block:
        number = self.number_of(index)
        text, own = read_thought(item)
        block: Block = []
        if text and number not in self._said:
            block.append(Reasoning(token=text, part=number))
        return [*block, PartEnd(part=number, kind="reasoning", opaque={NAME: own})]

    def _read_image(self, index: int, item: Members) -> Block:
        number, result = self.number_of(index), text_of(item, "result")
        if not result:
            return [PartEnd(part=number, kind="opaque", opaque={NAME: dict(item)})]
        form = text_of(item, "output_format") or "png"
        return [
            Media(media_type=f"image/{form}", data=result, id=text_of(item, "id"), part=number),
            PartEnd(part=number, kind="media", opaque={NAME: without(item, "result")}),
        ]

    # --- pieces -------------------------------------------------------------------------------------------------------

    def place_of(self, members: Members) -> int | None:
        """Return the number of the content an event is about; ``None`` where it does not say."""
        index, place = count_of(members, "output_index"), count_of(members, "content_index")
        return self.number_of(index, place) if index is not None and place is not None else None

    def _read_text(self, members: Members) -> Block:
        number = self.place_of(members)
        return self._piece(number, text_of(members, "delta"), members.get("logprobs")) if number is not None else []

    def _read_text_done(self, members: Members) -> Block:
        number = self.place_of(members)
        return self._say(number, text_of(members, "text"), members.get("logprobs")) if number is not None else []

    def _read_annotation(self, members: Members) -> Block:
        number, annotation = self.place_of(members), object_of(members, "annotation")
        if number is None or not annotation:
            return []
        self._cited[number] = self._cited.get(number, 0) + 1
        return [citation_of(annotation, number)]

    def _read_refusal(self, members: Members) -> Block:
        number, refusal = self.place_of(members), text_of(members, "delta")
        if number is None or not refusal:
            return []
        self._said.add(number)
        return [Refusal(refusal=refusal, part=number)]

    def _read_refusal_done(self, members: Members) -> Block:
        number = self.place_of(members)
        return self._refuse(number, text_of(members, "refusal")) if number is not None else []

    def _read_arguments(self, members: Members) -> Block:
        index = count_of(members, "output_index")
        if index is None:
            return []
        self._called = True
        return self._argue(self.number_of(index), text_of(members, "delta"))

    def _read_arguments_done(self, members: Members) -> Block:
        index = count_of(members, "output_index")
        number = self.number_of(index) if index is not None else None
        if number is None or number in self._said:
            return []
        return self._argue(number, text_of(members, "arguments"))

    def _read_summary_begin(self, members: Members) -> Block:
        """Summaries are paragraphs; a blank line keeps them apart."""
        index = count_of(members, "output_index")
        if index is None or self.number_of(index) not in self._said:
            return []
        return [Reasoning(token=BLANK_LINE, part=self.number_of(index))]

    def _read_thinking(self, members: Members) -> Block:
        index, token = count_of(members, "output_index"), text_of(members, "delta")
        if index is None or not token:
            return []
        number = self.number_of(index)
        self._said.add(number)
        return [Reasoning(token=token, part=number)]

    def _read_partial_image(self, members: Members) -> Block:
        data = text_of(members, "partial_image_b64")
        if not data:
            return []
        form = text_of(members, "output_format") or "png"
        uri = f"data:image/{form};base64,{data}"
        return [Preview(preview=f"![]({uri})", urls=uri)]

    def _read_sound(self, members: Members) -> Block:
        data = text_of(members, "delta")
        if not data or not _is_base64(data):
            return []
        return [Media(media_type="audio/*", data=data, part=self.number_of("audio"))]

    def _read_transcript(self, members: Members) -> Block:
        said = text_of(members, "delta")
        return [Media(media_type="audio/*", transcript=said, part=self.number_of("audio"))] if said else []


def _is_base64(text: str) -> bool:
    try:
        return bool(a2b_base64(text))
    except ValueError:
        return False


def citation_of(annotation: Members, number: int) -> RawResponse:
    """Make the chunk of a source; files of the back-end have a name instead of a URL."""
    at = count_of(annotation, "index")
    return Citation(
        url=text_of(annotation, "url"),
        title=text_of(annotation, "title") or text_of(annotation, "filename"),
        start=count_of(annotation, "start_index") if at is None else at,
        end=count_of(annotation, "end_index") if at is None else at,
        part=number,
        raw={NAME: dict(annotation)},
    )


_TEXTS: Final = {"output_text": "text", "refusal": "refusal"}
"""Type of a message's content → kind of part."""
_TERMINAL: Final = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
# ruff: noqa: SLF001 - the tables below are part of the class
_EVENTS: Final[Mapping[str, Callable[[ResponseReader, Members], Block]]] = {
    "response.created": ResponseReader._read_response,
    "response.queued": ResponseReader._read_response,
    "response.in_progress": ResponseReader._read_response,
    "response.output_item.added": ResponseReader._read_added,
    "response.output_item.done": ResponseReader._read_done,
    "response.content_part.added": ResponseReader._read_part_added,
    "response.output_text.delta": ResponseReader._read_text,
    "response.output_text.done": ResponseReader._read_text_done,
    "response.output_text.annotation.added": ResponseReader._read_annotation,
    "response.refusal.delta": ResponseReader._read_refusal,
    "response.refusal.done": ResponseReader._read_refusal_done,
    "response.function_call_arguments.delta": ResponseReader._read_arguments,
    "response.function_call_arguments.done": ResponseReader._read_arguments_done,
    "response.reasoning_summary_part.added": ResponseReader._read_summary_begin,
    "response.reasoning_summary_text.delta": ResponseReader._read_thinking,
    "response.reasoning_text.delta": ResponseReader._read_thinking,
    "response.image_generation_call.partial_image": ResponseReader._read_partial_image,
    "response.audio.delta": ResponseReader._read_sound,
    "response.audio.transcript.delta": ResponseReader._read_transcript,
}
_ITEMS: Final[Mapping[str, Callable[[ResponseReader, int, Members], Block]]] = {
    "message": ResponseReader._read_message,
    "function_call": ResponseReader._read_call,
    "reasoning": ResponseReader._read_thought,
    "image_generation_call": ResponseReader._read_image,
}
