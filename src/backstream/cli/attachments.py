"""What is sent along: file names become media, and what is wrong with one is told by its name. Sends nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from backstream.cli.exits import readable
from backstream.errors import InvalidMediaError
from backstream.media import HEAD_BYTES, is_data_uri, sniff
from backstream.messages import ImageType

__all__ = ["check_piped", "name_error", "parse_media"]

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
