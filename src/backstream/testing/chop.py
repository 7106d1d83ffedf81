"""Ways of cutting a stream, and the check that a decoder does not care. Knows no decoder."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

__all__ = ["FeedDecoder", "check_cuts", "chop"]

FrameT = TypeVar("FrameT")
FrameT_co = TypeVar("FrameT_co", covariant=True)


class FeedDecoder(Protocol[FrameT_co]):
    """What every incremental decoder of this package offers."""

    def feed(self, data: bytes) -> Sequence[FrameT_co]:
        """Take the next piece; give what is whole by now."""
        ...

    def finish(self) -> Sequence[FrameT_co]:
        """Say that the stream is over; give what that makes whole."""
        ...


def chop(data: bytes, *, every_cut_up_to: int = 4096, samples: int = 2000, seed: int = 0) -> Iterator[list[bytes]]:
    """Cut a stream in all the ways a network may: whole, byte by byte, and in two.

    Args:
        data: The stream.
        every_cut_up_to: Up to this many bytes every cut in two is given.
        samples: Above that, so many cuts in two, chosen by ``seed``.
        seed: Of the choice; the same one gives the same cuts.

    Yields:
        The pieces, in order; joined they are ``data``.
    """
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    cuts: Sequence[int] = range(1, len(data))
    if len(data) > every_cut_up_to:
        cuts = sorted(random.Random(seed).sample(cuts, min(samples, len(cuts))))  # noqa: S311 - not for secrets
    for at in cuts:
        yield [data[:at], data[at:]]


def check_cuts(make_decoder: Callable[[], FeedDecoder[FrameT]], data: bytes, **options: Any) -> list[FrameT]:
    """Check that a decoder gives the same frames however its input is cut.

    Args:
        make_decoder: Makes a new decoder.
        data: The stream.
        options: Those of :func:`chop`.

    Returns:
        The frames.

    Raises:
        AssertionError: Some cut gives other frames than the whole.
    """
    whole: list[FrameT] | None = None
    for pieces in chop(data, **options):
        decoder = make_decoder()
        frames = [frame for piece in pieces for frame in decoder.feed(piece)]
        frames += decoder.finish()
        if whole is None:
            whole = frames
        elif frames != whole:
            sizes = [len(piece) for piece in pieces[:2]]
            raise AssertionError(f"{len(pieces)} pieces of {sizes}… bytes give {len(frames)} frames, not {len(whole)}")
    return whole or []
