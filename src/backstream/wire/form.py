"""A ``multipart/form-data`` body as it is sent: fields, and files that are read only while they go out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from backstream.errors import ConfigurationError, InvalidMediaError
from backstream.media.item import MediaItem
from backstream.media.segment import checked_blocks
from backstream.wire.http import Body, Segment
from backstream.wire.json_text import replace_half_pairs

__all__ = ["FileSegment", "FormFile", "render_form"]

BLOCK_BYTES: Final = 64 * 1024

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=?]{1,70}")
_TYPE = re.compile(r"[\x20-\x7e]*")
_ESCAPES = str.maketrans({"\r": "%0D", "\n": "%0A", '"': "%22"})


class FileSegment:
    """The bytes of a media item, as a segment of a request body. Memory does not depend on their number.

    Args:
        item: Media with bytes of its own.

    Raises:
        InvalidMediaError: The item is a URL.
    """

    __slots__ = ("_item",)

    def __init__(self, item: MediaItem) -> None:
        if item.blocks is None:
            raise InvalidMediaError("a URL has no bytes to send", "send the file itself")
        self._item: Final = item

    @property
    def size(self) -> int | None:
        """The size in bytes; ``None`` where it is unknown."""
        return self._item.size

    @property
    def replayable(self) -> bool:
        """Whether ``blocks`` may be called twice."""
        return self._item.replayable

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes from their start, in blocks of at most 64 KiB.

        Raises:
            InvalidMediaError: The source cannot be read, or has more or fewer bytes than it announced.
        """
        with contextlib.closing(checked_blocks(self._item)) as source:
            for block in source:
                if len(block) <= BLOCK_BYTES:
                    yield block
                else:
                    view = memoryview(block)
                    yield from (bytes(view[at : at + BLOCK_BYTES]) for at in range(0, len(view), BLOCK_BYTES))

    def __repr__(self) -> str:
        return f"<FileSegment {self._item!r}>"


class FormFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a form.

    Attributes:
        name: Its field name.
        filename: Its file name, without folders.
        content_type: What it calls itself.
        content: Its content.
    """

    name: str
    filename: str
    content_type: str
    content: Segment | bytes

    def __repr__(self) -> str:
        return f"<FormFile {self.content_type}>"


def render_form(fields: Iterable[tuple[str, str]], files: Iterable[FormFile], boundary: str) -> Body:
    """Render a form; its size is known where the sizes of its files are.

    Args:
        fields: Names and values, in order. Values go out exactly as they are; half characters become U+FFFD.
        files: The files, in order, after the fields.
        boundary: What stands between the parts: 1-70 characters; random, so that no content holds it.

    Returns:
        The body; its content type is ``multipart/form-data; boundary=…``.

    Raises:
        ConfigurationError: A boundary or content type that no head can carry.

    Source: RFC 7578 §4; names are escaped as the HTML standard's multipart/form-data encoding does.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ConfigurationError("the boundary of a form holds characters that none may", "use letters and digits")
    delimiter = f"--{boundary}\r\n"
    text: list[str] = []
    for name, value in fields:
        text.append(f'{delimiter}Content-Disposition: form-data; name="{_escape(name)}"\r\n\r\n{value}\r\n')
    body: list[bytes | Segment] = []
    for file in files:
        if not _TYPE.fullmatch(file.content_type):
            raise ConfigurationError("the content type of a file holds control characters")
        text.append(
            f'{delimiter}Content-Disposition: form-data; name="{_escape(file.name)}"; '
            f'filename="{_escape(file.filename)}"\r\nContent-Type: {file.content_type}\r\n\r\n'
        )
        body += (_encode(text), file.content)
        text = ["\r\n"]
    text.append(f"--{boundary}--\r\n")
    body.append(_encode(text))
    return body


def _escape(name: str) -> str:
    return name.translate(_ESCAPES)


def _encode(text: Iterable[str]) -> bytes:
    return replace_half_pairs("".join(text)).encode("utf-8")
