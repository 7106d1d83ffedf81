"""A media item as a piece of a request body: its ``data:`` URI, made in steps while it is being sent. Pure."""

from __future__ import annotations

import contextlib
from binascii import b2a_base64
from collections.abc import Generator, Iterator
from typing import Final

from backstream.errors import InvalidMediaError
from backstream.media.data_uri import render_prefix
from backstream.media.item import MediaItem

__all__ = ["DataURISegment"]

STEP_BYTES: Final = 48 * 1024
"""How much is encoded at a time: a multiple of three, so that only the last step has padding; 64 KiB of text."""


class DataURISegment:
    """The ``data:`` URI of a media item, as a segment of a request body.

    Its text needs no escaping inside a JSON string. Memory does not depend on the size of the item.

    Args:
        item: Media with bytes of its own.

    Raises:
        InvalidMediaError: The item is a URL, or its type cannot stand in a URI.
    """

    __slots__ = ("_item", "_prefix")

    def __init__(self, item: MediaItem) -> None:
        if item.blocks is None:
            raise InvalidMediaError("a URL has no bytes to encode", "pass it on as it is")
        self._item: Final = item
        self._prefix: Final = render_prefix(item.media_type).encode("ascii")

    @property
    def size(self) -> int | None:
        """The exact length of the URI in bytes; ``None`` where the item's size is unknown."""
        return None if self._item.size is None else len(self._prefix) + (self._item.size + 2) // 3 * 4

    @property
    def replayable(self) -> bool:
        """Whether ``blocks`` may be called twice."""
        return self._item.replayable

    def blocks(self) -> Iterator[bytes]:
        """Yield the URI from its start, in blocks of at most 64 KiB.

        Raises:
            InvalidMediaError: The source cannot be read, or has more or fewer bytes than it announced.
        """
        yield self._prefix
        pending = bytearray()
        with contextlib.closing(self._checked()) as source:
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

    def _checked(self) -> Generator[bytes, None, None]:
        """Yield the item's blocks, and hold it to the size it announced."""
        assert self._item.blocks is not None
        announced, seen = self._item.size, 0
        source = self._item.blocks()
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

    def __repr__(self) -> str:
        return f"<DataURISegment {self._item!r}>"


_CHANGED: Final = "the file changed while it was being sent; send a copy"
