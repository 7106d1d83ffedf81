"""The stream of a response, as a server sends it: blocks of chunks to bytes."""

from __future__ import annotations

from collections.abc import Iterable

from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses.writing import ResponseWriter
from backstream.dialects.openai_responses.writing_items import Event
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["ResponsesRenderer"]


class ResponsesRenderer:
    """Render one streamed answer; see :class:`backstream.dialects.base.StreamRenderer`.

    Args:
        envelope: What the server says of the answer.
    """

    __slots__ = ("_number", "_over", "_writer")

    content_type = "text/event-stream"
    keep_alive = b": keep-alive\n\n"

    def __init__(self, envelope: Envelope) -> None:
        self._writer = ResponseWriter(envelope, streams=True)
        self._number = 0
        self._over = False

    def render(self, block: Block) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`."""
        pieces: list[bytes] = []
        for chunk in block:
            if self._over:
                break
            if isinstance(chunk, End):
                self._over = True
                pieces += self._encode(self._writer.end(chunk))
            else:
                pieces += self._encode(self._writer.write(chunk))
        return b"".join(pieces)

    def _encode(self, events: Iterable[Event]) -> Iterable[bytes]:
        for event in events:
            data = encode_json({"type": event["type"], "sequence_number": self._number, **event})
            self._number += 1
            yield b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data)
