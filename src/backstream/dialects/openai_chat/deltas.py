"""Chunks to deltas: what each adds to the message that an answer is; streamed one by one, or merged to the whole.

Source: https://platform.openai.com/docs/api-reference/chat-streaming; for what others add, see ``answer.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from backstream.chunks import (
    Citation,
    Content,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    ToolCallDelta,
    ToolCalls,
)
from backstream.dialects.joining import join_base64
from backstream.dialects.openai_chat.quirks import NAME, Quirks

__all__ = ["Delta", "DeltaWriter", "merge"]


class Delta(msgspec.Struct, frozen=True):
    """One addition to the message.

    Attributes:
        members: What it adds.
        logprobs: The log probabilities of what came before; beside the message, not in it.
    """

    members: dict[str, Any]
    logprobs: dict[str, Any] | None = None


class DeltaWriter:
    """Writes the deltas of one answer.

    Args:
        answer_id: The answer's id; ids of calls that have none are made of it.
        quirks: Which of two names for reasoning to use.

    Attributes:
        called: Whether a tool was called.
    """

    def __init__(self, answer_id: str, quirks: Quirks) -> None:
        self.called = False
        self._answer_id = answer_id
        self._reasoning = quirks.reasoning_field
        self._index: dict[int, int] = {}  # part of a call → its index
        self._calls = 0
        self._open: tuple[str | None, bool] = (None, False)  # of the last call: its id, whether it has its name
        self._image: dict[str, Any] | None = None
        self._sounding = False

    def write(self, chunk: RawResponse) -> Iterator[Delta]:
        """Write what a chunk adds; nothing for chunks that clients of this dialect have no use for."""
        goes_on = isinstance(chunk, Media) and chunk.media_type is None and chunk.url is None
        if self._image is not None and not goes_on:
            yield from self.flush()
        if isinstance(chunk, Content):
            if chunk.content:
                yield Delta({"content": chunk.content})
        elif isinstance(chunk, Reasoning):
            if chunk.token:
                yield Delta({self._reasoning: chunk.token})
        elif isinstance(chunk, Refusal):
            if chunk.refusal:
                yield Delta({"refusal": chunk.refusal})
        elif isinstance(chunk, ToolCallDelta):
            yield Delta({"tool_calls": [self._write_call(chunk)]})
        elif isinstance(chunk, ToolCalls):
            yield from self._write_whole(chunk)
        elif isinstance(chunk, Media):
            yield from self._write_media(chunk)
        elif isinstance(chunk, Citation):
            yield Delta({"annotations": [_write_citation(chunk)]})
        elif isinstance(chunk, Logprobs):
            yield Delta({}, {"content": chunk.logprobs, "refusal": None})
        elif isinstance(chunk, PartEnd):
            yield from self._write_end(chunk)

    def flush(self) -> Iterator[Delta]:
        """Write the image that was held back until it was whole."""
        image, self._image = self._image, None
        if image is not None:
            data = image["pieces"][0] if len(image["pieces"]) == 1 else join_base64(image["pieces"])
            yield _image(f"data:{image['media_type']};base64,{data}")

    def _write_call(self, chunk: ToolCallDelta) -> dict[str, Any]:
        known, named = self._open
        if chunk.part is not None:
            begins = chunk.part not in self._index
        else:
            begins = not self._calls or (chunk.id is not None and chunk.id != known)
            begins = begins or (chunk.id is None and chunk.name is not None and named)
        function: dict[str, Any] = {} if chunk.name is None else {"name": chunk.name}
        if begins:
            index, self._calls = self._calls, self._calls + 1
            self.called = True
            self._open = (chunk.id, chunk.name is not None)
            if chunk.part is not None:
                self._index[chunk.part] = index
            function["arguments"] = chunk.arguments or ""
            id_ = chunk.id or f"call_{self._answer_id}_{index}"  # clients answer a call by its id
            return {"index": index, "id": id_, "type": "function", "function": function}
        index = self._calls - 1 if chunk.part is None else self._index[chunk.part]
        if chunk.arguments is not None:
            function["arguments"] = chunk.arguments
        self._open = (known, named or chunk.name is not None)
        return {"index": index, "function": function}

    def _write_whole(self, chunk: ToolCalls) -> Iterator[Delta]:
        for call in chunk.tool_calls or ():
            function = call.get("function")
            function = function if isinstance(function, Mapping) else {}
            name, arguments, id_ = function.get("name"), function.get("arguments"), call.get("id")
            if not isinstance(arguments, str):
                arguments = msgspec.json.encode(arguments or {}).decode()
            self._open = (None, True)
            whole = ToolCallDelta(
                id=id_ if isinstance(id_, str) and id_ else f"call_{self._answer_id}_{self._calls}",
                name=name if isinstance(name, str) else None,
                arguments=arguments,
            )
            yield Delta({"tool_calls": [self._write_call(whole)]})

    def _write_media(self, chunk: Media) -> Iterator[Delta]:
        kind = chunk.media_type
        if kind is None and self._image is not None:
            self._image["pieces"] += [chunk.data] if chunk.data is not None else []
            return
        if chunk.transcript is not None or (kind.startswith("audio/") if kind is not None else self._sounding):
            self._sounding = True
            if chunk.url is not None:  # a sound that lies elsewhere can only be named
                yield Delta({"content": chunk.url})
            names = ("id", "data", "transcript", "expires_at")
            audio = {name: value for name in names if (value := getattr(chunk, name)) is not None}
            if audio:
                yield Delta({"audio": audio})
        elif chunk.url is not None:
            yield _image(chunk.url)
        elif chunk.data is not None:
            self._image = {"media_type": kind or "", "pieces": [chunk.data]}

    def _write_end(self, chunk: PartEnd) -> Iterator[Delta]:
        """Write what this dialect's own back-end wants back; that of others means nothing to its clients."""
        if chunk.kind == "media":
            self._sounding = False
            return
        own = (chunk.opaque or {}).get(NAME)
        if not isinstance(own, Mapping) or not own:
            return
        if chunk.kind == "tool_call":
            index = self._calls - 1 if chunk.part is None else self._index.get(chunk.part, -1)
            if index >= 0:
                yield Delta({"tool_calls": [{"index": index, **own}]})
        else:
            yield Delta(dict(own))


def _image(url: str) -> Delta:
    return Delta({"images": [{"type": "image_url", "image_url": {"url": url}}]})


def _write_citation(chunk: Citation) -> dict[str, Any]:
    own = (chunk.raw or {}).get(NAME)
    if isinstance(own, Mapping) and "type" in own:
        return dict(own)
    cited = {
        "start_index": chunk.start,
        "end_index": chunk.end,
        "url": chunk.url,
        "title": chunk.title,
        "content": chunk.cited_text,
    }
    return {"type": "url_citation", "url_citation": {name: value for name, value in cited.items() if value is not None}}


def merge(deltas: Iterable[Delta]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Merge deltas to the message they make, and its log probabilities."""
    message: dict[str, Any] = {}
    tokens: list[Any] = []
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        if delta.logprobs is not None:
            tokens += delta.logprobs["content"] or ()
        for name, value in delta.members.items():
            if name == "tool_calls":
                _merge_call(calls, value[0])
            elif name == "audio":
                _merge_audio(message.setdefault("audio", {}), value)
            elif isinstance(value, list):
                message.setdefault(name, []).extend(value)
            elif isinstance(value, str):
                message[name] = message.get(name, "") + value
            else:
                message[name] = value
    if calls:
        message["tool_calls"] = [_as_custom(call) if "custom" in call else call for call in calls]
    if "audio" in message:
        message["audio"]["data"] = join_base64(message["audio"].pop("pieces", ()))
    return message, {"content": tokens, "refusal": None} if tokens else None


def _as_custom(call: dict[str, Any]) -> dict[str, Any]:
    """Write a call that bears the mark of a custom tool's as such a one."""
    function = call.pop("function")
    named = {"name": function["name"], "input": function.get("arguments", "")}
    return {**call, "type": "custom", "custom": {**named, **call["custom"]}}


def _merge_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece["index"]
    rest = {name: value for name, value in piece.items() if name not in ("index", "function")}
    if index == len(calls):
        calls.append({**rest, "function": {"name": "", **piece["function"]}})
        return
    call = calls[index]
    call.update(rest)
    function = piece.get("function", {})
    call["function"]["arguments"] += function.get("arguments", "")
    call["function"]["name"] = call["function"]["name"] or function.get("name", "")


def _merge_audio(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        if name == "data":
            whole.setdefault("pieces", []).append(value)
        elif name == "transcript":
            whole[name] = whole.get(name, "") + value
        else:
            whole[name] = value
