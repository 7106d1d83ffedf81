"""What a fuzzed decoder did, as a value that two runs can be compared by. Knows no decoder."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from backstream.dialects.base import StreamParser
from backstream.errors import BackstreamError
from backstream.reply import End
from backstream.testing.chop import FeedDecoder

__all__ = ["cuts_of", "decoded", "documented", "parsed", "same_at_any_cut"]

_BYTE_BY_BYTE_UP_TO = 2048

Outcome = tuple[list[Any], Any]


def cuts_of(data: bytes) -> Iterator[list[bytes]]:
    """Cut a stream in some ways, always the same ones for the same bytes: whole, at some places, byte by byte."""
    yield [data]
    chance = random.Random(zlib.crc32(data))
    for count in (1, 7):
        edges = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(count))})
        yield [data[begin:end] for begin, end in itertools.pairwise(edges)]
    if len(data) <= _BYTE_BY_BYTE_UP_TO:
        yield [data[at : at + 1] for at in range(len(data))]


def same_at_any_cut(run: Callable[[Sequence[bytes]], Outcome], data: bytes) -> Outcome:
    """Run with every cut; the outcomes must be the same. Any error but a documented one goes through."""
    whole: Outcome | None = None
    for pieces in cuts_of(data):
        outcome = run(pieces)
        if whole is None:
            whole = outcome
        sizes = [len(piece) for piece in pieces[:8]]
        assert outcome == whole, f"cut into {len(pieces)} pieces of {sizes}: {outcome!r}, whole: {whole!r}"
    assert whole is not None
    return whole


def documented(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or its documented error as a value; any other error goes through."""
    try:
        return call()
    except BackstreamError as error:
        kind, text = type(error), str(error)
    assert text, f"{kind.__name__} says nothing"
    assert len(text.splitlines()) == 1, f"{kind.__name__} says {text!r}"
    return kind, text


def decoded(make: Callable[[], FeedDecoder[Any]], pieces: Sequence[bytes], *, largest: int | None = None) -> Outcome:
    """Feed a decoder to its end, or to its error.

    Args:
        make: Makes the decoder.
        pieces: What it is fed.
        largest: No frame may have more bytes.
    """
    decoder = make()
    frames: list[Any] = []

    def feed_all() -> None:
        for piece in pieces:
            frames.extend(decoder.feed(piece))
        frames.extend(decoder.finish() or ())

    error = documented(feed_all)
    if largest is not None:
        for frame in frames:
            data = getattr(frame, "data", frame)
            assert len(data) <= largest, f"a frame of {len(data)} came through a cap of {largest}"
    return frames, error


def parsed(parser: StreamParser, pieces: Sequence[bytes], *, framed: bool) -> Outcome:
    """Parse a stream to its end; there must be one ``End``, last, with a documented error where it is not complete."""
    block: list[Any] = []
    for piece in pieces:
        block += parser.feed(piece)
    block += parser.finish(framed=framed)
    ends = [item for item in block if isinstance(item, End)]
    assert len(ends) == 1, f"{len(ends)} ends"
    assert block[-1] is ends[0], "it went on after its end"
    end = ends[0]
    assert (end.error is None) == (end.state == "complete"), f"{end.state} with {end.error!r}"
    assert end.error is None or isinstance(end.error, BackstreamError), f"{end.error!r} is not documented"
    said = documented(lambda: _raise(end.error))
    return block[:-1], (end.state, end.evidence, said)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error
