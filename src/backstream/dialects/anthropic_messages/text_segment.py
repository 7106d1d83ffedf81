"""A text file as a JSON string in a request body, made while it is being sent. Pure."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator

import msgspec

from backstream.errors import InvalidMediaError
from backstream.media.item import MediaItem

__all__ = ["TextSegment"]

_STEP_CHARACTERS = 8 * 1024  # at most six bytes a character, so 48 KiB of JSON


class TextSegment:
    """The text of a media item as a JSON string; a beginning byte order mark is dropped.

    Args:
        item: Text in UTF-8, with bytes of its own.

    Raises:
        InvalidMediaError: The item is a URL.
    """

    __slots__ = ("_item",)

    def __init__(self, item: MediaItem) -> None:
        if item.blocks is None:
            raise InvalidMediaError("a URL has no bytes to encode", "pass it on as it is")
        self._item = item

    @property
    def size(self) -> int | None:
        """Unknown: how much must be escaped shows while it is read."""
        return None

    @property
    def replayable(self) -> bool:
        """Whether ``blocks`` may be called twice."""
        return self._item.replayable

    def blocks(self) -> Iterator[bytes]:
        """Yield the string from its start, in blocks of at most 64 KiB.

        Raises:
            InvalidMediaError: The source cannot be read, or is no UTF-8.
        """
        assert self._item.blocks is not None
        decoder = codecs.getincrementaldecoder("utf-8-sig")("strict")
        yield b'"'
        source = self._item.blocks()
        with contextlib.ExitStack() as leaving:
            close = getattr(source, "close", None)
            if close is not None:
                leaving.callback(close)
            for block in source:
                yield from _escape(_decode(decoder, block, final=False))
        yield from _escape(_decode(decoder, b"", final=True))
        yield b'"'

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._item!r}>"


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError:
        pass
    raise InvalidMediaError("a text document that is no text in UTF-8", "send it as UTF-8")


def _escape(text: str) -> Iterator[bytes]:
    for at in range(0, len(text), _STEP_CHARACTERS):
        yield msgspec.json.encode(text[at : at + _STEP_CHARACTERS])[1:-1]
