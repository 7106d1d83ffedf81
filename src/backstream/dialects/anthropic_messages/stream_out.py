"""The stream of an answer as a client of the Messages API takes it: blocks of chunks to server-sent events.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from typing import Any

from backstream.dialects.anthropic_messages.answer_out import AnswerRenderer
from backstream.dialects.anthropic_messages.failures import render_failure
from backstream.dialects.base import Envelope
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["AnthropicRenderer"]


class AnthropicRenderer:
    """Render one streamed answer; see :class:`backstream.dialects.base.StreamRenderer`.

    Args:
        envelope: What the server says of the answer.

    Attributes:
        content_type: What the answer calls itself.
        keep_alive: The API's own ``ping``.
    """

    content_type = "text/event-stream; charset=utf-8"
    keep_alive = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, envelope: Envelope) -> None:
        self._answer = AnswerRenderer(envelope)
        self._over = False

    def render(self, block: Block) -> bytes:
        """Render a block; behind an ``End`` nothing follows."""
        pieces: list[bytes] = []
        for chunk in block:
            if self._over:
                break
            if not isinstance(chunk, End):
                pieces.extend(map(_encode, self._answer.take(chunk)))
                continue
            self._over = True
            if chunk.state == "complete":
                pieces.extend(map(_encode, self._answer.finish()))
            else:
                pieces.append(_encode(render_failure(chunk.error)))
        return b"".join(pieces)


def _encode(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode("ascii"), encode_json(event))
