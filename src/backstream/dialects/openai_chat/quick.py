"""The events of which a stream has thousands, read a block at a time: text, reasoning, arguments of a tool call.

One typed decoder each. What may stand in such an event without a meaning is declared as null or empty; whatever has a
meaning is undeclared, or not null, and fails the decoder, so that no chunk needs a test of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec

from backstream.chunks import Content, Reasoning, ToolCallDelta
from backstream.reply import Block

__all__ = ["NOT_QUICK", "READERS", "QuickReader"]

NOT_QUICK: Final = (msgspec.MsgspecError, ValueError, RecursionError, KeyError)
"""What a reader raises where an event is of another kind, or damaged."""

_Empty = Annotated[list[Any], msgspec.Meta(max_length=0)]
_NoText = Annotated[str, msgspec.Meta(max_length=0)]


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    role: str | None = None
    refusal: None = None
    reasoning_details: _Empty | None = None
    function_call: None = None
    audio: None = None


class _Text(_Delta, forbid_unknown_fields=True, gc=False, kw_only=True):
    content: str
    reasoning_content: _NoText | None = None
    reasoning: _NoText | None = None
    tool_calls: _Empty | None = None


class _Thought(_Delta, forbid_unknown_fields=True, gc=False, kw_only=True):
    reasoning_content: str | None = None
    reasoning: str | None = None
    content: _NoText | None = None
    tool_calls: _Empty | None = None


class _Arguments(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    arguments: str


class _Piece(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int
    function: _Arguments
    id: None = None
    type: Literal["function"] | None = None


class _Call(_Delta, forbid_unknown_fields=True, gc=False, kw_only=True):
    tool_calls: tuple[_Piece]
    content: _NoText | None = None
    reasoning_content: _NoText | None = None
    reasoning: _NoText | None = None


DeltaT = TypeVar("DeltaT")


class _Choice(msgspec.Struct, Generic[DeltaT], gc=False):
    delta: DeltaT
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    usage: None = None


class _Event(msgspec.Struct, Generic[DeltaT], gc=False):
    choices: tuple[_Choice[DeltaT]]
    usage: None = None
    error: None = None
    citations: None = None
    search_results: None = None
    x_groq: None = None


_decode_text: Callable[[bytes], _Event[_Text]] = msgspec.json.Decoder(_Event[_Text]).decode
_decode_thought: Callable[[bytes], _Event[_Thought]] = msgspec.json.Decoder(_Event[_Thought]).decode
_decode_call: Callable[[bytes], _Event[_Call]] = msgspec.json.Decoder(_Event[_Call]).decode


def _read_text(frames: list[bytes], calls: Mapping[int, int]) -> Block:
    del calls
    return [Content(content=text) for event in map(_decode_text, frames) if (text := event.choices[0].delta.content)]


def _read_thought(frames: list[bytes], calls: Mapping[int, int]) -> Block:
    del calls
    return [
        Reasoning(token=text)
        for event in map(_decode_thought, frames)
        if (text := (delta := event.choices[0].delta).reasoning_content or delta.reasoning)
    ]


def _read_arguments(frames: list[bytes], calls: Mapping[int, int]) -> Block:
    return [
        ToolCallDelta(part=calls[piece.index], arguments=text)
        for event in map(_decode_call, frames)
        if (text := (piece := event.choices[0].delta.tool_calls[0]).function.arguments)
    ]


QuickReader = Callable[[list[bytes], Mapping[int, int]], Block]
"""Reads events of one kind; takes also which part each index of a tool call is, and raises one of ``NOT_QUICK``."""

READERS: Final[tuple[QuickReader, ...]] = (_read_text, _read_thought, _read_arguments)
