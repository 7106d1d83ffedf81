"""Tool calls and media that come in pieces, joined to whole ones, for dialects that can only say them whole.

Several may come interleaved, by number; each is given once it is over, in the order in which they are over.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from backstream.chunks import Content, Media, PartEnd, RawResponse, Reasoning, Refusal, ToolCallDelta, ToolCalls
from backstream.reply import fold
from backstream.request import MediaPart, ToolCallPart

__all__ = ["PartJoiner", "join_base64"]

_Key: TypeAlias = "tuple[str, int | None]"
_KINDS: dict[type, str] = {ToolCallDelta: "tool_call", Media: "media"}


class PartJoiner:
    """Joins the pieces of one answer."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[_Key, list[RawResponse]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is held."""
        return not self._open

    def add(self, chunk: RawResponse) -> list[ToolCallPart | MediaPart]:
        """Take the next chunk of the answer, of any kind.

        Args:
            chunk: A piece is kept; another part beginning, or an end, makes the one before whole.

        Returns:
            The parts that are whole by now.
        """
        kind = _KINDS.get(type(chunk))
        if kind is not None:
            return self._add_piece(kind, chunk)
        if isinstance(chunk, PartEnd):
            return self._end(chunk)
        if isinstance(chunk, ToolCalls):
            return [*self._close_unnumbered(), *_whole((chunk,))]
        if isinstance(chunk, Content | Reasoning | Refusal):
            return self._close_unnumbered()
        return []

    def _add_piece(self, kind: str, chunk: RawResponse) -> list[ToolCallPart | MediaPart]:
        number: int | None = chunk.get_dict().get("part")
        key = (kind, number)
        whole: list[ToolCallPart | MediaPart] = []
        if number is None and (key not in self._open or self._is_another_call(chunk)):
            whole = self._close_unnumbered()
        self._open.setdefault(key, []).append(chunk)
        return whole

    def _is_another_call(self, chunk: RawResponse) -> bool:
        """Tell whether an unnumbered piece begins a call of its own: it has an id, and not that of the one before."""
        if not isinstance(chunk, ToolCallDelta) or not chunk.id:
            return False
        before = (piece.id for piece in self._open["tool_call", None] if isinstance(piece, ToolCallDelta) and piece.id)
        return next(before, None) != chunk.id

    def _end(self, chunk: PartEnd) -> list[ToolCallPart | MediaPart]:
        kinds = tuple(_KINDS.values()) if chunk.kind is None else (chunk.kind,)
        if chunk.part is not None:
            keys = [key for key in self._open if key[0] in kinds and key[1] == chunk.part]
        else:
            keys = [key for key in self._open if key[0] in kinds][-1:]
        for key in keys:
            self._open[key].append(chunk)
        return self._close(keys[:1])

    def _close_unnumbered(self) -> list[ToolCallPart | MediaPart]:
        return self._close([key for key in self._open if key[1] is None])

    def _close(self, keys: Iterable[_Key]) -> list[ToolCallPart | MediaPart]:
        return [part for key in keys for part in _whole(self._open.pop(key))]

    def flush(self) -> list[ToolCallPart | MediaPart]:
        """Say that the answer is over; give what is still open, in the order in which it began."""
        return self._close(list(self._open))


def _whole(chunks: Iterable[RawResponse]) -> list[ToolCallPart | MediaPart]:
    return [part for part in fold(chunks).parts if isinstance(part, ToolCallPart | MediaPart)]


def join_base64(pieces: Sequence[str]) -> str:
    """Join texts of base64 that are whole each; of what is no base64 the text, as it is not ours to mend."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return b64encode(b"".join(map(b64decode, pieces))).decode("ascii")
    except ValueError:  # one text cut anywhere, or none at all
        return "".join(pieces)
