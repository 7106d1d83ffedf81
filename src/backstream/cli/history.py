"""The lines typed in interactive sessions, kept in a file that only its owner may read."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from backstream.cli.exits import say

__all__ = ["History", "history_path"]

_KEPT_LINES: Final = 1000


def history_path(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the lines are kept: ``$XDG_STATE_HOME/backstream/history``, or below ``~/.local/state``."""
    known = os.environ if environment is None else environment
    folder = known.get("XDG_STATE_HOME", "")
    return (Path(folder) if Path(folder).is_absolute() else Path.home() / ".local" / "state") / "backstream" / "history"


class History:
    """Line editing and history, where this Python has readline; a context manager. Never fails a session."""

    def __init__(self) -> None:
        self._readline: Any = None
        self._path = history_path()
        self._known = 0

    def __enter__(self) -> Self:
        if importlib.util.find_spec("readline") is None:
            return self
        import readline

        readline.clear_history()
        readline.set_history_length(_KEPT_LINES)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._path.chmod(0o600)
            with contextlib.suppress(UnicodeDecodeError):
                readline.read_history_file(self._path)
        except OSError as error:
            say(f"history is not kept: {error.strerror}")
            return self
        self._readline = readline
        self._known = readline.get_current_history_length()
        return self

    def save(self) -> None:
        """Add the lines typed since the last time to the file; other sessions' lines stay."""
        if self._readline is None:
            return
        length = self._readline.get_current_history_length()
        if length > self._known:
            with contextlib.suppress(OSError):
                self._readline.append_history_file(length - self._known, self._path)
            self._known = length

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()
