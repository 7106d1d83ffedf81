"""Chunks as the messages of Ollama's answers; the same for a line of a stream and for a whole answer.

Ollama says tool calls and images whole, so their pieces are held until they are over. Arguments that are no JSON
object, which Ollama cannot say, become ``{"arguments": "…"}``; media other than images become a Markdown link.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from backstream.chunks import Content, Finish, Logprobs, RawResponse, Reasoning, Refusal, Usage
from backstream.dialects.counts import raw_usage
from backstream.dialects.joining import PartJoiner
from backstream.dialects.ollama.vendor import NAME, object_text
from backstream.request import MediaPart, ToolCallPart
from backstream.wire.json_text import encode_json

__all__ = ["AnswerWriter", "Piece", "finish_members"]


class Piece(msgspec.Struct, frozen=True):
    """What one line says.

    Attributes:
        message: Members of its message; ``content`` is always there.
        logprobs: Its log probabilities.
    """

    message: dict[str, Any]
    logprobs: list[dict[str, Any]] | None = None


class AnswerWriter:
    """Writes the chunks of one answer, in order; chunks Ollama has no words for are passed over."""

    __slots__ = ("_calls", "_joiner")

    def __init__(self) -> None:
        self._joiner = PartJoiner()
        self._calls = 0

    def write(self, chunk: RawResponse) -> Iterator[Piece]:
        """Write a chunk."""
        yield from self._write_whole(self._joiner.add(chunk))
        if isinstance(chunk, Content | Refusal):
            text = chunk.content if isinstance(chunk, Content) else chunk.refusal
            if text:
                yield Piece({"content": text})
        elif isinstance(chunk, Reasoning):
            if chunk.token:
                yield Piece({"content": "", "thinking": chunk.token})
        elif isinstance(chunk, Logprobs) and chunk.logprobs:
            yield Piece({"content": ""}, chunk.logprobs)

    def flush(self) -> Iterator[Piece]:
        """Write what was held: the answer is over."""
        yield from self._write_whole(self._joiner.flush())

    def _write_whole(self, parts: Iterable[ToolCallPart | MediaPart]) -> Iterator[Piece]:
        for part in parts:
            if isinstance(part, ToolCallPart):
                yield Piece({"content": "", "tool_calls": [self._render_call(part)]})
            else:
                yield Piece(_render_media(part))

    def _render_call(self, part: ToolCallPart) -> dict[str, Any]:
        arguments = object_text(part.arguments)
        if arguments is None:
            arguments = msgspec.Raw(encode_json({"arguments": part.arguments}))
        function = {"index": self._calls, "name": part.name, "arguments": arguments}
        self._calls += 1
        call: dict[str, Any] = {"id": part.id} if part.id else {}
        return {**call, "function": function, **part.opaque.get(NAME, {})}


def _render_media(part: MediaPart) -> dict[str, Any]:
    if part.data is not None and part.kind == "image":
        return {"content": "", "images": [part.data]}
    if part.transcript:
        return {"content": part.transcript}
    where = part.url or (f"data:{part.media_type};base64,{part.data}" if part.data is not None else part.file_id)
    mark = "!" if part.kind == "image" else ""
    return {"content": f"{mark}[{part.filename or part.kind}]({where})"}


def finish_members(finish: Finish | None, usage: Usage | None) -> dict[str, Any]:
    """Make the members of the last line: why the answer ended, and what it used."""
    reason = (finish.reason if finish is not None else None) or "stop"
    members: dict[str, Any] = {"done": True, "done_reason": "stop" if reason == "tool_calls" else reason}
    if usage is not None:
        members |= raw_usage(usage, NAME) or _metrics(usage)
    return members


def _metrics(usage: Usage) -> Mapping[str, int]:
    counts = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    return {name: count for name, count in counts.items() if count is not None}
