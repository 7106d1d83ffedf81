"""A media item as a piece of a request body: its base64, made in steps while it is being sent. Pure."""

from __future__ import annotations

import contextlib
from binascii import b2a_base64
from collections.abc import Generator, Iterator
from typing import Final

from backstream.errors import InvalidMediaError
from backstream.media.data_uri import render_prefix
from backstream.media.item import MediaItem

__all__ = ["Base64Segment", "DataURISegment", "checked_blocks"]

STEP_BYTES: Final = 48 * 1024
"""How much is encoded at a time: a multiple of three, so that only the last step has padding; 64 KiB of text."""


def checked_blocks(item: MediaItem) -> Generator[bytes, None, None]:
    """Yield an item's blocks, and hold it to the size it announced.

    Args:
        item: Media with bytes of its own.

    Raises:
        InvalidMediaError: The source cannot be read, or has more or fewer bytes than it announced.
    """
    assert item.blocks is not None
    announced, seen = item.size, 0
    source = item.blocks()
    try:
        for block in source:
            seen += len(block)
            if announced is not None and seen > announced:
                raise InvalidMediaError(f"more than the {announced} bytes announced", _CHANGED)
            yield block
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
    if announced is not None and seen < announced:
        raise InvalidMediaError(f"only {seen} of the {announced} bytes announced", _CHANGED)


class Base64Segment:
    """The base64 of a media item, as a segment of a request body.

    Its text needs no escaping inside a JSON string. Memory does not depend on the size of the item.

    Args:
        item: Media with bytes of its own.
        before: What to write before it.
        after: What to write after it.

    Raises:
        InvalidMediaError: The item is a URL.
    """

    __slots__ = ("_after", "_before", "_item")

    def __init__(self, item: MediaItem, *, before: bytes = b"", after: bytes = b"") -> None:
        if item.blocks is None:
            raise InvalidMediaError("a URL has no bytes to encode", "pass it on as it is")
        self._item: Final = item
        self._before: Final = before
        self._after: Final = after

    @property
    def size(self) -> int | None:
        """The exact length of the text in bytes; ``None`` where the item's size is unknown."""
        around = len(self._before) + len(self._after)
        return None if self._item.size is None else around + (self._item.size + 2) // 3 * 4

    @property
    def replayable(self) -> bool:
        """Whether ``blocks`` may be called twice."""
        return self._item.replayable

    def blocks(self) -> Iterator[bytes]:
        """Yield the text from its start, in blocks of at most 64 KiB.

        Raises:
            InvalidMediaError: The source cannot be read, or has more or fewer bytes than it announced.
        """
        yield self._before
        pending = bytearray()
        with contextlib.closing(checked_blocks(self._item)) as source:
            for block in source:
                view = memoryview(block)
                if pending:
                    missing = STEP_BYTES - len(pending)
                    pending += view[:missing]
                    view = view[missing:]
                    if len(pending) < STEP_BYTES:
                        continue
                    yield b2a_base64(pending, newline=False)
                    pending.clear()
                whole = len(view) - len(view) % STEP_BYTES
                for at in range(0, whole, STEP_BYTES):
                    yield b2a_base64(view[at : at + STEP_BYTES], newline=False)
                pending += view[whole:]
        if pending:
            yield b2a_base64(pending, newline=False)
        if self._after:
            yield self._after

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._item!r}>"


class DataURISegment(Base64Segment):
    """The ``data:`` URI of a media item, as a segment of a request body.

    Args:
        item: Media with bytes of its own.
        before: What to write before it.
        after: What to write after it.

    Raises:
        InvalidMediaError: The item is a URL, or its type cannot stand in a URI.
    """

    __slots__ = ()

    def __init__(self, item: MediaItem, *, before: bytes = b"", after: bytes = b"") -> None:
        super().__init__(item, before=before + render_prefix(item.media_type).encode("ascii"), after=after)


_CHANGED: Final = "the file changed while it was being sent; send a copy"
