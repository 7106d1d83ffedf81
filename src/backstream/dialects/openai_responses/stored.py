"""Responses that a server keeps: what is stored of one, how a conversation goes on from it, what is said of it; pure.

Source: https://platform.openai.com/docs/api-reference/responses; OpenAI's OpenAPI description 2.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses.writing import ResponseWriter
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json

__all__ = ["StoredResponse", "continued", "items_of", "render_deleted", "write_response"]


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one response.

    Attributes:
        response: The response object, as its client saw it.
        history: The items of the conversation up to it, its own output with them.
        own: The provider that knows the response by the same id, where it keeps its answers itself; ``""`` for none.
    """

    response: msgspec.Raw
    history: list[dict[str, Any]] = []
    own: str = ""

    def __repr__(self) -> str:
        return f"<StoredResponse of {len(self.history)} items>"


def items_of(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the input of a request, whose shape was checked, as items."""
    given = members.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [dict(item) for item in given or ()]


def continued(members: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the members of a request that says the whole conversation by itself."""
    rest = {name: value for name, value in members.items() if name not in ("previous_response_id", "store")}
    return {**rest, "input": [*history, *items_of(members)]}


def write_response(chunks: Block, envelope: Envelope, *, streamed: bool) -> dict[str, Any]:
    """Return the response object that chunks add up to; the last one is a complete ``End``.

    Args:
        chunks: What the provider said.
        envelope: What the server says of it; the same that the answer was rendered with.
        streamed: Whether the client got it in pieces: then its items have the ids that were streamed.
    """
    writer = ResponseWriter(envelope, streams=streamed)
    end = End("complete")
    for chunk in chunks:
        if isinstance(chunk, End):
            end = chunk
        else:
            writer.write(chunk)
    response: dict[str, Any] = writer.end(end)[-1]["response"]
    return response


def render_deleted(response_id: str) -> bytes:
    """Render the answer to a deletion."""
    return encode_json({"id": response_id, "object": "response", "deleted": True})
