"""What is sent along: file names become media, and what is wrong with one is told by its name. Sends nothing."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from backstream.cli.exits import readable, say
from backstream.errors import BackstreamError, InvalidMediaError
from backstream.media import HEAD_BYTES, MediaItem, is_data_uri, sniff
from backstream.messages import ImageType
from backstream.request import MediaPart, Part, TextPart, Turn

__all__ = ["check_piped", "keep_media", "name_error", "parse_media"]

_MOST_KEPT_BYTES = 16 * 1024 * 1024
_EXTENSION = "give it an extension that tells, such as .jpg or .pdf"


def parse_media(names: Sequence[str], option: str = "--media") -> list[ImageType]:
    """Read file names, http(s) URLs and data URIs; files are looked at, but not yet read.

    Args:
        names: What the user wrote.
        option: Where it was written, for errors.

    Raises:
        InvalidMediaError: A file is not there, cannot be read, or is of no known type.
    """
    return [_parse(name, option) for name in names]


def _parse(name: str, option: str) -> ImageType:
    if name.lower().startswith(("http://", "https://", "data:")):
        return name
    try:
        problem, remedy = _look_at(name)
    except FileNotFoundError:
        problem, remedy = "there is no such file", "check the name"
    except OSError as error:
        problem, remedy = f"it cannot be read: {error.strerror or type(error).__name__}", "check who may read it"
    except ValueError:  # a NUL, which no argument can hold but a line can
        problem, remedy = "that is no file name", "check it"
    if problem:
        raise InvalidMediaError(f"{option} {readable(name)}: {problem}", remedy)
    return Path(name)


def _look_at(name: str) -> tuple[str, str]:
    """Return what is wrong with a file, and the remedy; two empty texts where nothing is."""
    mode = os.stat(name).st_mode  # noqa: PTH116 - "" is a name too, and not the working directory
    if stat.S_ISDIR(mode):
        return "it is a directory", "name a file"
    if not stat.S_ISREG(mode):
        return "", ""  # what a pipe has given once it does not give again
    with open(name, "rb") as file:  # noqa: PTH123
        head = file.read(HEAD_BYTES)
    if not head:
        return "it is empty", "name another, or leave it out"
    if not os.path.basename(name).isprintable() and not _is_bytes_only(name):  # noqa: PTH119
        return "its name holds a control character", "rename it"
    return ("", "") if sniff(head, name) else ("its type is unknown", _EXTENSION)


def _is_bytes_only(name: str) -> bool:
    """Whether nothing but bytes that are no text makes a name unprintable."""
    return "".join(c for c in name if not "\udc80" <= c <= "\udcff").isprintable()


def check_piped(file: IO[bytes]) -> None:
    """Check that what was piped in is of a known type.

    Raises:
        InvalidMediaError: It is not.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not sniff(head, None):
        raise InvalidMediaError(
            "standard input is neither text in UTF-8 nor media of a known type",
            "save it under a name whose extension tells the type, and send that with --media FILE",
        )


def keep_media(text: str, media: Sequence[ImageType]) -> dict[str, Any]:
    """Return a message with what was sent along with it, so that it goes along with later turns too.

    Args:
        text: The message's text.
        media: What was sent along; together more than 16 MiB, or what cannot be read again, stays behind.
    """
    from backstream.request.messages import kind_of, render_messages
    from backstream.transport.media import load_media

    parts: list[Part] = [TextPart(text=text)]
    room = _MOST_KEPT_BYTES
    try:
        for item in load_media(media):
            data = _read(item, room)
            room -= len(data)
            parts.append(
                MediaPart(
                    kind=kind_of(item.media_type),
                    media_type=item.media_type,
                    filename=item.filename,
                    url=item.url,
                    data=b64encode(data).decode() if item.url is None else None,
                )
            )
    except (BackstreamError, OSError) as error:
        say(f"what was sent along does not go along with later messages: {error}")
        return {"role": "user", "content": text}
    return render_messages((Turn(role="user", parts=tuple(parts)),))[0]


def _read(item: MediaItem, room: int) -> bytes:
    if item.blocks is None:
        return b""  # a URL
    if not item.replayable:
        raise InvalidMediaError("a pipe cannot be read again")
    data = bytearray()
    too_much = (item.size or 0) > room
    for block in () if too_much else item.blocks():
        data += block
        too_much = len(data) > room  # a file that grew
        if too_much:
            break
    if too_much:
        raise InvalidMediaError("more than 16 MiB")
    return bytes(data)


def name_error(error: InvalidMediaError, media: Sequence[ImageType]) -> InvalidMediaError:
    """Return an error of a list's item as one that names the item as the user did."""
    if error.index is None:
        return error
    item = media[error.index]
    if isinstance(item, str):
        label = "--media data:…" if is_data_uri(item) else "--media URL"
    else:
        label = f"--media {readable(str(item))}" if isinstance(item, Path) else "standard input"
    return InvalidMediaError(f"{label}: {error.problem}", error.remedy)
