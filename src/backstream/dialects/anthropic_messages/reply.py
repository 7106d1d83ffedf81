"""Whole answers, both ways; their blocks are those of a stream, each in one piece.

Source: https://platform.claude.com/docs/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.dialects.anthropic_messages.answer_in import AnswerState
from backstream.dialects.anthropic_messages.answer_out import AnswerRenderer, Event
from backstream.dialects.anthropic_messages.failures import parse_error
from backstream.dialects.base import Envelope
from backstream.errors import DecodeError, IncompleteStream
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_reply", "render_reply"]


def parse_reply(body: bytes) -> Block:
    """Parse a whole answer; see :meth:`backstream.dialects.base.Dialect.parse_reply`.

    Raises:
        DecodeError: It is no JSON, or no message.
    """
    message = decode_json(body)
    if not isinstance(message, Mapping):
        raise DecodeError(f"the answer is a JSON {type(message).__name__}, not an object")
    if message.get("type") == "error" or isinstance(message.get("error"), Mapping):
        return [End("failed", ("error",), parse_error(None, {}, body))]
    content = message.get("content")
    if not isinstance(content, list):
        raise DecodeError("the answer is no message: it has no list of content")
    state = AnswerState()
    block: Block = [state.start(message)]
    for index, part in enumerate(content):
        if isinstance(part, Mapping):
            block.extend(state.start_block(index, part))
            block.extend(state.stop_block(index))
    state.count()
    state.end({name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details", "container")})
    block.extend(state.close())
    if not state.evidence:
        return [*block, End("incomplete", (), IncompleteStream("the answer has no stop reason"))]
    block.append(End("complete", state.evidence))
    return block


def render_reply(chunks: Block, envelope: Envelope) -> bytes:
    """Render a whole answer; see :meth:`backstream.dialects.base.Dialect.render_reply`."""
    renderer = AnswerRenderer(envelope)
    message: Event = {}
    pieces: list[str] = []
    for chunk in chunks:
        if not isinstance(chunk, End):
            for event in renderer.take(chunk):
                message = _add(message, event, pieces)
    for event in renderer.finish():
        message = _add(message, event, pieces)
    return encode_json(message)


def _add(message: Event, event: Event, pieces: list[str]) -> Event:
    """Add an event to the message that the events add up to."""
    kind = event["type"]
    if kind == "message_start":
        return dict(event["message"])
    if kind == "content_block_start":
        pieces.clear()
        message["content"].append(dict(event["content_block"]))
    elif kind == "content_block_delta":
        _add_delta(message["content"][-1], event["delta"], pieces)
    elif kind == "content_block_stop":
        block = message["content"][-1]
        if pieces and block["type"] in ("text", "thinking"):
            block[block["type"]] = "".join(pieces)
        elif pieces:
            block["input"] = _decode_input("".join(pieces))
        pieces.clear()
    elif kind == "message_delta":
        known = {name: count for name, count in event["usage"].items() if count is not None}
        message = {**message, **event["delta"], "usage": {**message["usage"], **known}}
    return message


def _add_delta(block: Event, delta: Event, pieces: list[str]) -> None:
    if delta["type"] == "citations_delta":
        block.setdefault("citations", []).append(delta["citation"])
    elif delta["type"] == "signature_delta":
        block["signature"] = delta["signature"]
    else:
        pieces.append(next(value for name, value in delta.items() if name != "type"))


def _decode_input(text: str) -> Any:
    """The input of a tool must be an object; what a model wrote instead goes along as text."""
    try:
        decoded = decode_json(text)
    except DecodeError:
        decoded = None
    return decoded if isinstance(decoded, dict) else {"INVALID_JSON": text}
