"""Whole answers, both ways."""

from __future__ import annotations

from backstream.dialects.base import Envelope
from backstream.dialects.gemini.reading import Reader
from backstream.dialects.gemini.writing import Writer
from backstream.errors import DecodeError
from backstream.reply import Block
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_reply", "render_reply"]


def parse_reply(body: bytes) -> Block:
    """See :class:`backstream.dialects.base.Dialect`; the JSON array of a streamed answer is read too."""
    found = decode_json(body)
    reader = Reader()
    block: Block = []
    for event in found if isinstance(found, list) else [found]:
        if not isinstance(event, dict):
            raise DecodeError(f"the answer is a JSON {type(event).__name__}, not an object")
        reader.read(event, block)
        if reader.failed:
            return block
    reader.finish(block, whole=True)
    return block


def render_reply(chunks: Block, envelope: Envelope) -> bytes:
    """See :class:`backstream.dialects.base.Dialect`."""
    return encode_json(Writer(envelope).whole(chunks))
