"""Open what a caller attaches: paths, bytes, files, pictures, URIs become media items. The one place that reads files.

Reading here is blocking and small: at most 4 KiB of each item before it is sent, then blocks of 48 KiB. Opening a
named pipe waits for its writer. Knows no dialect and no network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final

from backstream.errors import InvalidMediaError
from backstream.media import (
    HEAD_BYTES,
    DataURISegment,
    MediaItem,
    base_name,
    decode_data_uri,
    is_data_uri,
    sniff,
)
from backstream.media.data_uri import render_prefix
from backstream.messages import ImageType, MediaListType

__all__ = ["load_media", "to_data_uri"]

_BLOCK_BYTES: Final = 48 * 1024
_URL: Final = re.compile(r"https?://[^\s/?#\\\x00-\x20\x7f][^\s\\\x00-\x20\x7f]*\Z", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def load_media(media: MediaListType, *, max_item_bytes: int | None = None) -> list[MediaItem]:
    """Make the media of a call ready to be sent. The list and its items are not changed.

    Args:
        media: Items, bare or as ``(item, file name)``. A path object is opened now to see what it is, and again each
            time it is sent. Bytes are used as they are; a ``bytearray`` or ``memoryview`` is copied now, so that it
            may be changed afterwards. A binary file is sent from its start, and is not closed; one that cannot seek
            is read once. A Pillow picture is written now, in its own format or as PNG. A ``data:`` URI is checked and
            decoded. An http(s) URL is passed on, and so is a ``MediaItem``, as a server hands one to a provider.
        max_item_bytes: Cap on the size of one item; ``None`` for no cap. Where a size is not known before, it is held
            while the item is being sent.

    Returns:
        One item each, in order; none for ``None``.

    Raises:
        InvalidMediaError: An item cannot be read or typed, is empty or over the cap, or is a plain string. Names the
            item's position.
    """
    if media is None:
        return []
    if isinstance(media, str | bytes | bytearray | memoryview) or not isinstance(media, Sequence):
        raise InvalidMediaError(f"media is a {type(media).__name__}", 'pass a list such as [(Path("cat.jpg"), None)]')
    return [_load_numbered(entry, index, max_item_bytes) for index, entry in enumerate(media)]


def to_data_uri(image: ImageType, filename: str | None = None) -> str:
    """Return a media item as a ``data:`` URI.

    Args:
        image: A path object, bytes, a binary file, a Pillow picture. A ``data:`` URI, once checked, and an http(s)
            URL come back unchanged.
        filename: A name that tells the type where the bytes do not.

    Raises:
        InvalidMediaError: The item cannot be read or typed, is empty, or is a plain string.
    """
    item = _load(image, filename, None)
    if isinstance(image, str):
        return image
    return b"".join(DataURISegment(item).blocks()).decode("ascii")


def _load_numbered(entry: object, index: int, max_bytes: int | None) -> MediaItem:
    try:
        item, filename = _split_entry(entry)
        loaded = _load(item, filename, max_bytes)
    except InvalidMediaError as error:
        raise InvalidMediaError(error.problem, error.remedy, index=index) from error.__cause__
    return loaded


def _split_entry(entry: object) -> tuple[object, str | None]:
    if not isinstance(entry, tuple | list):
        return entry, None
    if len(entry) not in (1, 2):
        raise InvalidMediaError(f"a {type(entry).__name__} of {len(entry)}", "write (item, file name)")
    filename = entry[1] if len(entry) == 2 else None
    if not isinstance(filename, str | None):
        raise InvalidMediaError(f"its file name is a {type(filename).__name__}", "write a string or None")
    return entry[0], filename


def _load(item: object, filename: str | None, max_bytes: int | None) -> MediaItem:
    name = _check_name(filename)
    if isinstance(item, MediaItem):
        return item if name is None else dataclasses.replace(item, filename=name)
    if isinstance(item, str):
        return _load_text(item, name, max_bytes)
    if isinstance(item, bytes | bytearray | memoryview):
        return _from_bytes(bytes(item), name, max_bytes)
    if isinstance(item, os.PathLike):
        return _load_path(os.fsdecode(item), name, max_bytes)
    pillow: Any = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(item, pillow.Image):
        return _from_bytes(_render_picture(item), name, max_bytes)
    if callable(getattr(item, "read", None)):
        return _load_file(item, name, max_bytes)
    raise InvalidMediaError(f"a {type(item).__name__} is no media", "pass a Path, bytes, a binary file or a picture")


def _check_name(filename: str | None) -> str | None:
    """Reduce a name to its last part, in characters that JSON and header fields can carry."""
    if filename is None:
        return None
    if _CONTROL.search(filename):
        raise InvalidMediaError("its file name holds a line end or control character", "give another: (item, name)")
    name = base_name(filename)
    return name.encode("utf-8", "replace").decode("utf-8") if name is not None else None


def _load_text(text: str, name: str | None, max_bytes: int | None) -> MediaItem:
    if is_data_uri(text):
        uri = decode_data_uri(text, max_bytes=max_bytes)
        known = sniff(uri.data, name) if uri.essence == "application/octet-stream" else None
        return _of_bytes(uri.data, known or uri.essence, name, max_bytes)
    if _URL.match(text):
        return MediaItem("", filename=name, url=text)
    raise InvalidMediaError(
        "a plain string is neither a data: URI nor an http(s) URL", "to send a file, write Path(…) around its name"
    )


def _from_bytes(data: bytes, name: str | None, max_bytes: int | None) -> MediaItem:
    return _of_bytes(data, _sniff(data, name) if data else "", name, max_bytes)


def _of_bytes(data: bytes, media_type: str, name: str | None, max_bytes: int | None) -> MediaItem:
    _check_size(len(data), max_bytes)
    render_prefix(media_type)
    return MediaItem(media_type, name, size=len(data), blocks=lambda: iter((data,)))


def _check_size(size: int, max_bytes: int | None) -> None:
    if not size:
        raise InvalidMediaError("it is empty", "attach something, or leave it out")
    if max_bytes is not None and size > max_bytes:
        raise InvalidMediaError(f"its {size} bytes are over the limit of {max_bytes} bytes", "send a smaller file")


def _sniff(head: bytes, *names: str | None) -> str:
    for name in names:
        media_type = sniff(head, name)
        if media_type is not None:
            return media_type
    known = next(filter(None, names), None)
    what = f"the type of {known[:80]!r} is unknown" if known else "its type is unknown"
    raise InvalidMediaError(what, "give it a file name whose extension tells, such as 'name.pdf'")


def _render_picture(picture: Any) -> bytes:
    """Write a Pillow picture: in the format it came in, where that keeps it whole, else as PNG."""
    target = io.BytesIO()
    kind = picture.format if picture.format in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF") else "PNG"
    keep: dict[str, Any] = {"quality": "keep"} if kind == "JPEG" else {}
    if getattr(picture, "n_frames", 1) > 1 and kind != "BMP":
        keep["save_all"] = True
    try:
        if kind == "PNG" and picture.mode not in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"):
            picture = picture.convert({"I": "I;16", "RGBa": "RGBA", "PA": "RGBA", "La": "LA"}.get(picture.mode, "RGB"))
        picture.save(target, format=kind, **keep)
    except Exception as error:
        raise InvalidMediaError(f"Pillow cannot write this picture ({type(error).__name__})") from error
    return target.getvalue()


# --- files ------------------------------------------------------------------------------------------------------------


def _load_path(path: str, name: str | None, max_bytes: int | None) -> MediaItem:
    own_name = base_name(path)
    shown = name if name is not None else _check_name(own_name)
    label = repr((own_name or path)[-80:])
    with contextlib.ExitStack() as stack:
        with _Errors(label):
            file = stack.enter_context(open(path, "rb", buffering=0))  # noqa: PTH123 - a path may be bytes within
            status = os.fstat(file.fileno())
            head = _read_head(file)
        if not head:
            raise InvalidMediaError(f"{label} is empty", "attach something, or leave it out")
        media_type = _sniff(head, shown, own_name)
        if not stat.S_ISREG(status.st_mode):
            stack.pop_all()
            source = _Once(file, head, label, max_bytes, owned=True)
            return MediaItem(media_type, shown, size=None, blocks=source.blocks, replayable=False)
    # Files of /proc have contents, and the size 0.
    size = status.st_size or None
    if size is not None:
        _check_size(size, max_bytes)
    return MediaItem(media_type, shown, size=size, blocks=lambda: _read_path(path, label, max_bytes))


def _read_path(path: str, label: str, max_bytes: int | None) -> Iterator[bytes]:
    with _Errors(label), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a path may be a Path of another kind
        yield from _capped(lambda: _read(file, _BLOCK_BYTES, label), max_bytes)


def _load_file(file: Any, name: str | None, max_bytes: int | None) -> MediaItem:
    own_name = getattr(file, "name", None)
    own_name = base_name(own_name) if isinstance(own_name, str) and not own_name.startswith("<") else None
    shown = name if name is not None else _check_name(own_name)
    label = repr(shown[-80:]) if shown else "the file"
    if isinstance(file, io.TextIOBase):
        raise InvalidMediaError(f"{label} is open as text", 'open it with mode "rb"')
    with _Errors(label):
        size = _rewind(file)
        head = _read_head(file)
    if not head:
        raise InvalidMediaError(f"{label} is empty", "attach something, or leave it out")
    media_type = _sniff(head, shown, own_name)
    if size is None:
        source = _Once(file, head, label, max_bytes, owned=False)
        return MediaItem(media_type, shown, size=None, blocks=source.blocks, replayable=False)
    _check_size(size, max_bytes)
    return MediaItem(media_type, shown, size=size, blocks=lambda: _read_seekable(file, label, max_bytes))


def _rewind(file: IO[bytes]) -> int | None:
    """Go to the start of a file, and return its size; ``None`` where it cannot seek."""
    seek = getattr(file, "seek", None)
    try:
        if seek is None:
            return None
        seek(0, os.SEEK_END)
        size = file.tell()
        seek(0)
    except OSError:  # also io.UnsupportedOperation
        return None
    return size


def _read_seekable(file: IO[bytes], label: str, max_bytes: int | None) -> Iterator[bytes]:
    """Read a caller's file from its start; somebody else may move its position between two reads."""
    position = 0

    def read() -> bytes:
        nonlocal position
        file.seek(position)
        block = _read(file, _BLOCK_BYTES, label)
        position += len(block)
        return block

    with _Errors(label):
        yield from _capped(read, max_bytes)


class _Once:
    """What is left of a source that cannot be read twice: its head, and the file behind it."""

    __slots__ = ("_file", "_head", "_label", "_max_bytes", "_owned", "_started")

    def __init__(self, file: Any, head: bytes, label: str, max_bytes: int | None, *, owned: bool) -> None:
        self._file = file
        self._head = head
        self._label = label
        self._max_bytes = max_bytes
        self._owned = owned
        self._started = False

    def blocks(self) -> Iterator[bytes]:
        """Yield the head, then the rest; a second call is an error."""
        if self._started:
            raise InvalidMediaError(f"{self._label} can be read only once", "pass a Path or bytes to send it again")
        self._started = True
        try:
            with _Errors(self._label):
                yield from _capped(self._read, self._max_bytes)
        finally:
            self._close()

    def _read(self) -> bytes:
        head, self._head = self._head, b""
        return head or _read(self._file, _BLOCK_BYTES, self._label)

    def _close(self) -> None:
        if self._owned:
            self._file.close()

    def __del__(self) -> None:
        self._close()


class _Errors:
    """Turn the errors of reading into :class:`InvalidMediaError`."""

    __slots__ = ("_label",)

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise InvalidMediaError(f"there is no file {self._label}", "check the path") from error
        if isinstance(error, IsADirectoryError):
            raise InvalidMediaError(f"{self._label} is a directory", "attach a file") from error
        if isinstance(error, OSError):
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise InvalidMediaError(f"{self._label} cannot be read: {reason}") from error
        if isinstance(error, ValueError) and not isinstance(error, InvalidMediaError):
            # A closed file, or a path with a NUL in it.
            raise InvalidMediaError(f"{self._label} cannot be read") from error


def _capped(read: Callable[[], bytes], max_bytes: int | None) -> Iterator[bytes]:
    seen = 0
    while block := read():
        seen += len(block)
        if max_bytes is not None and seen > max_bytes:
            raise InvalidMediaError(f"it has more than the limit of {max_bytes} bytes", "send a smaller file")
        yield block


def _read_head(file: Any) -> bytes:
    """Read the first bytes, also where they come in pieces."""
    head = b""
    while len(head) < HEAD_BYTES and (block := _read(file, HEAD_BYTES - len(head), "the file")):
        head += block
    return head


def _read(file: Any, size: int, label: str) -> bytes:
    block = file.read(size)
    if isinstance(block, str):
        raise InvalidMediaError(f"{label} is open as text", 'open it with mode "rb"')
    if not isinstance(block, bytes | bytearray | memoryview):
        # None is a non-blocking file without data; anything else is no file.
        raise InvalidMediaError(f"{label} gave no bytes when read", "open it as an ordinary binary file")
    return bytes(block)
