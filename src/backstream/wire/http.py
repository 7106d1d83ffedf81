"""HTTP as plain values: header fields, and bodies made of segments. No sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

__all__ = ["Body", "Segment"]


@runtime_checkable
class Segment(Protocol):
    """A piece of a request body that is made only while it is being sent.

    Attributes:
        size: Its exact size in bytes; ``None`` where unknown, and then the body goes out chunked.
        replayable: Whether ``blocks`` may be called twice.
    """

    @property
    def size(self) -> int | None: ...  # noqa: D102 - see the class

    @property
    def replayable(self) -> bool: ...  # noqa: D102 - see the class

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes from the start, in blocks of at most 64 KiB."""
        ...


Body: TypeAlias = Sequence["bytes | Segment"]
"""A request body: bytes and segments, in order."""
