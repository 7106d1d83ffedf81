"""How many tokens an answer took: what its provider said, and an estimate of what it did not say. Pure.

The estimate is a quarter of the bytes of text, so that a budget is not evaded by going away before the end, nor with a
provider that reports nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.chunks import Content, Media, Reasoning, Refusal, ToolCallDelta, ToolCalls, Usage

__all__ = ["Tally"]

_BYTES_PER_TOKEN: Final = 4
_MEDIA_SHARE: Final = 64  # pictures and sounds take far fewer tokens than their base64 has letters
_MEDIA: Final = re.compile(rb"[A-Za-z0-9+/=_-]{256,}")
_TEXT_OF: Final[Mapping[type, str]] = {
    Content: "content",
    Reasoning: "token",
    ToolCallDelta: "arguments",
    Refusal: "refusal",
}


class Tally:
    """The text of one request and its answer, counted while it passes.

    Args:
        is_form: Whether the request's body is a form, whose bytes are media.
    """

    __slots__ = ("_asked", "_is_form", "_said")

    def __init__(self, *, is_form: bool = False) -> None:
        self._is_form = is_form
        self._asked = 0
        self._said = 0

    def note_body(self, data: bytes) -> None:
        """Count a piece of the request's body; media, and long runs of base64, by a small share."""
        media = len(data) if self._is_form else sum(len(found[0]) for found in _MEDIA.finditer(data))
        self._asked += len(data) - media + media // _MEDIA_SHARE

    def note_block(self, block: Sequence[object]) -> None:
        """Count the chunks of a block of the answer."""
        for chunk in block:
            member = _TEXT_OF.get(type(chunk))
            if member is not None:
                self._said += len((getattr(chunk, member) or "").encode("utf-8", "replace"))
            elif isinstance(chunk, ToolCalls):
                self._said += sum(len(str(call)) for call in chunk.tool_calls or ())
            elif isinstance(chunk, Media):
                self._said += len(chunk.data or "") // _MEDIA_SHARE

    def tokens(self, usage: Usage | None, *, whole: bool) -> int:
        """Return how many tokens were used.

        Args:
            usage: What the provider said; ``None`` where it said nothing.
            whole: Whether the answer came to its end: then what the provider said of its length counts alone.
        """
        known: Any = usage if usage is not None else _NOTHING
        said = _tokens(self._said)
        read = known.input_tokens if known.input_tokens is not None else _tokens(self._asked)
        written = known.output_tokens
        if written is None or not whole:
            written = max(written or 0, said)
        if whole and known.total_tokens is not None and None in (known.input_tokens, known.output_tokens):
            return int(known.total_tokens)
        return int(max(read + written, known.total_tokens or 0))

    @property
    def has_spoken(self) -> bool:
        """Whether any of the answer was seen."""
        return self._said > 0


_NOTHING: Final = Usage()


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)
