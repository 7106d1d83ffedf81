"""Whether a finish marker is the last word of an answer, though its stream goes on. Knows no protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from backstream.reply import has_content

__all__ = ["LastWord"]


class LastWord:
    """Looks for a finish marker that can be believed.

    Some servers say a reason with each event, from the first on, or go on after one. So a marker counts only where
    content came before it in events without one, and until content comes after it; one that turned out to be wrong is
    never believed again.

    Args:
        beside: Whether the marker may stand in an event with content.

    Attributes:
        is_said: Whether it has come, and nothing but usage and the like since.
        is_settled: Whether content without a marker would change nothing, so that it need not be noted.
    """

    __slots__ = ("_beside", "_state", "is_said", "is_settled")

    def __init__(self, *, beside: bool = False) -> None:
        self._beside = beside
        self._state: Literal["nothing", "content", "marker", "wrong"] = "nothing"
        self.is_said = False
        self.is_settled = False

    def note(self, chunks: Sequence[object], *, marker: bool) -> None:
        """Note an event, or several without a marker.

        Args:
            chunks: What it brought.
            marker: Whether it says that the answer is finished.
        """
        content = has_content(chunks)
        if marker and (self._state == "marker" or (self._state == "content" and (self._beside or not content))):
            self._state = "wrong" if self._state == "marker" and content else "marker"
        elif marker or (content and self._state == "marker"):
            self._state = "wrong"
        elif content and self._state == "nothing":
            self._state = "content"
        self.is_said = self._state == "marker"
        self.is_settled = self._state in ("content", "wrong")
