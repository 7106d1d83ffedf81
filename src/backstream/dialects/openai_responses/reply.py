"""Whole answers, both ways: a response object to chunks, and chunks to one.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses.members import text_of
from backstream.dialects.openai_responses.reading import ResponseReader
from backstream.dialects.openai_responses.writing import ResponseWriter
from backstream.errors import DecodeError
from backstream.reply import Block, End
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_reply", "render_reply"]


def parse_reply(body: bytes) -> Block:
    """See :class:`backstream.dialects.base.Dialect`."""
    response = decode_json(body.decode("utf-8", "replace"))
    if not isinstance(response, dict):
        raise DecodeError(f"the answer is a JSON {type(response).__name__}, not an object")
    reader = ResponseReader()
    if not isinstance(response.get("output"), list):
        if isinstance(response.get("error"), dict | str) and response["error"]:
            return reader.read({"error": response["error"]})
        raise DecodeError("the answer has no member 'output' that is a list")
    block = reader.read_start(response) + reader.read_end(response, "")
    if block and isinstance(block[-1], End):
        return block
    return [*block, End("complete", (text_of(response, "status") or "",))]


def render_reply(chunks: Block, envelope: Envelope) -> bytes:
    """See :class:`backstream.dialects.base.Dialect`."""
    writer = ResponseWriter(envelope, streams=False)
    end = End("complete")
    for chunk in chunks:
        if isinstance(chunk, End):
            end = chunk
        else:
            writer.write(chunk)
    return encode_json(writer.end(end)[-1]["response"])
