"""The pieces that most of a stream consists of, each kind decoded by one typed decoder, a whole block at a time.

A reader takes only plain pieces of the part that is being written: whatever else there is in a block, it gives fewer
chunks than it was given frames, or raises one of :data:`NOT_QUICK`. Then all of the block is for the slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from backstream.chunks import Content, Reasoning, ToolCallDelta
from backstream.reply import Block

__all__ = ["NOT_QUICK", "READERS", "Place"]

NOT_QUICK: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class Place(NamedTuple):
    """The part that is being written.

    Attributes:
        output_index: Its item.
        content_index: Its place in that; ``None`` in an item that is one part.
        number: Its number.
    """

    output_index: int
    content_index: int | None
    number: int


QuickReader = Callable[[Sequence[bytes], Place, Iterable[int | None]], Block]
"""Takes the data of events, the part that is being written, and the numbers that the events should have."""


class _TextDelta(msgspec.Struct, tag_field="type", tag="response.output_text.delta", gc=False):
    """The members of a piece of text that matter; the others are skipped without being decoded."""

    delta: str
    output_index: int
    content_index: int
    sequence_number: int | None = None
    logprobs: list[msgspec.Raw] = []


def _delta_of(kind: str) -> Callable[[bytes], Any]:
    """Make the decoder of a piece that says its item only."""
    members: list[Any] = [("delta", str), ("output_index", int), ("sequence_number", int | None, None)]
    cls = msgspec.defstruct("_Delta", members, tag_field="type", tag=kind, gc=False)
    return msgspec.json.Decoder(cls).decode


_decode_text: Final = msgspec.json.Decoder(_TextDelta).decode


def _read_texts(frames: Sequence[bytes], place: Place, expected: Iterable[int | None]) -> Block:
    output, content, number = place
    return [
        Content(content=piece.delta, part=number)
        for piece, numbered in zip(map(_decode_text, frames), expected, strict=False)
        if piece.sequence_number == numbered
        and piece.output_index == output
        and piece.content_index == content
        and piece.delta
        and not piece.logprobs
    ]


def _read_arguments(frames: Sequence[bytes], place: Place, expected: Iterable[int | None]) -> Block:
    output, _, number = place
    return [
        ToolCallDelta(part=number, arguments=piece.delta)
        for piece, numbered in zip(map(_decode_arguments, frames), expected, strict=False)
        if piece.sequence_number == numbered and piece.output_index == output and piece.delta
    ]


def _thought_reader(kind: str) -> QuickReader:
    decode = _delta_of(kind)

    def read(frames: Sequence[bytes], place: Place, expected: Iterable[int | None]) -> Block:
        output, _, number = place
        return [
            Reasoning(token=piece.delta, part=number)
            for piece, numbered in zip(map(decode, frames), expected, strict=False)
            if piece.sequence_number == numbered and piece.output_index == output and piece.delta
        ]

    return read


_ARGUMENTS: Final = "response.function_call_arguments.delta"
_THOUGHTS: Final = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_decode_arguments: Final = _delta_of(_ARGUMENTS)

READERS: Final[Mapping[str, QuickReader]] = {
    "response.output_text.delta": _read_texts,
    _ARGUMENTS: _read_arguments,
    **{kind: _thought_reader(kind) for kind in _THOUGHTS},
}
"""Of each kind of event: reads many of its kind."""
