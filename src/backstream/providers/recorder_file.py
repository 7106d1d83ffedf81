"""Recordings as files: one for each stream, a line of JSON and behind it the bytes. Knows nothing of what they say."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from backstream.errors import ConfigurationError

__all__ = ["SUFFIX", "Ended", "Recording", "find_recording", "list_recordings", "make_folder", "prune", "read", "write"]

SUFFIX: Final = ".flight"
"""What the name of a recording's file ends with."""

Ended = Literal["end", "failed", "left"]
"""How a body was over for its reader: it ended, its connection failed, or nobody read on."""

_VERSION: Final = 1


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recorded stream, but for its bytes.

    Attributes:
        id: Its name; ids sort by time.
        recorded_at: When its head came, UTC, as ISO 8601.
        provider: Who answered.
        dialect: How.
        quirks: What is odd about that back-end, as its dialect takes it.
        model: The model that was asked for; ``None`` where that was not known.
        streamed: Whether a stream was asked for.
        method: The request's method.
        path: Its path, without the base URL and the query.
        status: The answer's status.
        headers: Its header fields; the values only where they are harmless.
        framing: How HTTP told the end of the body.
        reads: For each read: microseconds since the head, and bytes.
        ended: How it was over.
        error: The class of the error it failed with.
        problem: That error's text.
        content: Whether the bytes are what was said; else the text in them is filler.
        truncated: Whether more came than was kept.
        version: Of this form.
    """

    id: str
    recorded_at: str
    provider: str
    dialect: str
    quirks: Mapping[str, Any] = {}
    model: str | None = None
    streamed: bool = True
    method: str = "POST"
    path: str = ""
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    framing: str = "chunked"
    reads: Sequence[tuple[int, int]] = ()
    ended: Ended = "end"
    error: str | None = None
    problem: str | None = None
    content: bool = False
    truncated: bool = False
    version: int = _VERSION

    @property
    def size(self) -> int:
        """How many bytes were kept."""
        return sum(size for _, size in self.reads)

    def header(self, name: str) -> str:
        """Return the value of a header field, by its lower-case name; ``""`` where it has none."""
        return next((value for each, value in self.headers if each.lower() == name), "")

    def pieces(self, body: bytes) -> Sequence[tuple[float, bytes]]:
        """Cut the bytes as they came: the seconds since the head, and what was read."""
        found, at = [], 0
        for microseconds, size in self.reads:
            found.append((microseconds / 1e6, body[at : at + size]))
            at += size
        return found


def make_folder(folder: Path) -> None:
    """Make the folder, for this user only, where there is none.

    Raises:
        OSError: It cannot be made, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
        raise PermissionError(1, "the folder belongs to another user")


def write(folder: Path, recording: Recording, body: bytes) -> None:
    """Write a recording that only this user can read; it is there whole, or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / (recording.id + SUFFIX)
    part = path.with_suffix(".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(recording) + b"\n")
            file.write(body)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def prune(folder: Path, keep: int, max_bytes: int) -> None:
    """Delete the oldest recordings, and only recordings, until there are no more than allowed.

    Raises:
        OSError: The folder cannot be read.
    """
    count = total = 0
    for path in sorted(folder.glob("*" + SUFFIX), reverse=True):
        with contextlib.suppress(FileNotFoundError):  # another process has deleted it
            found = path.lstat()
            count += 1
            total += found.st_size
            if stat.S_ISREG(found.st_mode) and (count > keep or total > max_bytes):
                path.unlink()


def list_recordings(folder: Path) -> Sequence[Recording]:
    """Return the recordings of a folder, the newest first; files that are none are passed over."""
    found = []
    for path in sorted(folder.glob("*" + SUFFIX), reverse=True):
        with contextlib.suppress(OSError, ConfigurationError):
            found.append(read(path)[0])
    return found


def find_recording(folder: Path, name: str = "last") -> Path:
    """Find a recording by its id, the begin of it, or ``last``.

    Raises:
        ConfigurationError: There is none, or there are several.
    """
    paths = sorted(folder.glob("*" + SUFFIX))
    if not paths:
        raise ConfigurationError(f"no recordings in {folder}", "set BACKSTREAM_RECORD to a folder, and ask something")
    if name == "last":
        return paths[-1]
    exact = [path for path in paths if path.stem == name]
    found = exact or [path for path in paths if path.stem.startswith(name)]
    if len(found) != 1:
        several = "several recordings begin" if found else "no recording begins"
        raise ConfigurationError(f"{several} with {name[:40]!r}", "see: backstream replay --list")
    return found[0]


def read(path: Path) -> tuple[Recording, bytes]:
    """Read a recording.

    Raises:
        ConfigurationError: It cannot be read, or is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    head, _, body = data.partition(b"\n")
    try:
        recording = msgspec.json.decode(head, type=Recording)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ConfigurationError(f"{path} is no recording") from None
    if recording.version != _VERSION or recording.size != len(body):
        raise ConfigurationError(f"{path} is damaged, or of another version")
    return recording, body
