"""Standard input as prompt or attachment. Reads it to its end before anything is sent."""

from __future__ import annotations

import select
import shutil
import sys
import tempfile
from typing import IO, Final

from backstream.cli.exits import say
from backstream.cli.terminal import is_terminal

__all__ = ["join_prompt", "read_piped"]

_IN_MEMORY_BYTES: Final = 8 * 1024 * 1024
_LONGEST_TEXT_BYTES: Final = 32 * 1024 * 1024
_HINT_AFTER_SECONDS: Final = 2.0


def read_piped() -> str | IO[bytes] | None:
    """Read what was piped in.

    Returns:
        Text; for anything else a binary file of it; ``None`` where nothing was piped in.
    """
    if sys.stdin is None or is_terminal(sys.stdin):
        return None
    _hint_while_waiting()
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller sends it
    shutil.copyfileobj(sys.stdin.buffer, file)
    size = file.tell()
    file.seek(0)
    text = _as_text(file.read()) if size <= _LONGEST_TEXT_BYTES else None
    file.seek(0)
    if text is None:
        return file
    file.close()
    return text or None


def _hint_while_waiting() -> None:
    """Say what the program waits for, where the other side of a pipe says nothing."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], _HINT_AFTER_SECONDS)
    except (OSError, ValueError):  # no descriptor to wait on
        return
    if not ready:
        say("waiting for standard input to end; add </dev/null where there is nothing to read")


def _as_text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def join_prompt(prompt: str, piped: str | None) -> str:
    """Put piped text below a prompt, a blank line between; one of them alone stays as it is."""
    if piped is None or not piped.strip():
        return prompt
    return f"{prompt}\n\n{piped}" if prompt else piped
