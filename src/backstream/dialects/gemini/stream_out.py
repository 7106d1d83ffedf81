"""The stream of an answer as Google's servers send it: server-sent events, or a JSON array that comes bit by bit."""

from __future__ import annotations

from typing import Final

from backstream.dialects.base import Envelope
from backstream.dialects.gemini.quirks import Quirks
from backstream.dialects.gemini.writing import Writer
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["GeminiRenderer"]

_SSE: Final = b"data: %b\r\n\r\n"


class GeminiRenderer:
    """Render one streamed answer.

    Google's own client libraries choke on comments and blank events of an event stream; an event without a member they
    pass over.

    Args:
        envelope: What the server says of the answer.
        quirks: Its ``framing`` counts.

    Attributes:
        content_type: What the answer calls itself.
        keep_alive: What to send while there is nothing to say.
    """

    __slots__ = ("_array", "_begun", "_writer", "content_type", "keep_alive")

    def __init__(self, envelope: Envelope, quirks: Quirks) -> None:
        self._writer = Writer(envelope)
        self._array = quirks.framing == "array"
        self._begun = False
        self.content_type = "application/json" if self._array else "text/event-stream"
        self.keep_alive = b"\n" if self._array else _SSE % b"{}"

    def render(self, block: Block) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`."""
        events = [encode_json(event) for event in self._writer.write(block)]
        if not self._array:
            return b"".join([_SSE % event for event in events])
        pieces: list[bytes] = []
        for event in events:
            pieces.append(b",\r\n" if self._begun else b"[")
            pieces.append(event)
            self._begun = True
        if any(isinstance(chunk, End) for chunk in block):
            pieces.append(b"\n]\n")
        return b"".join(pieces)
