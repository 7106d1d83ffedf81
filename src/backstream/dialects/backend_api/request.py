"""A conversation request as the backend-api has it: one JSON object, media inside it as data URIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.credentials import Secret
from backstream.errors import InvalidRequestError
from backstream.media import DataURISegment
from backstream.media.item import MediaItem
from backstream.messages import Messages
from backstream.wire.http import Body, Segment

__all__ = ["CONVERSATION_PATH", "EVENTS_FIELD", "ApiKey", "KeySegment", "render_request"]

CONVERSATION_PATH: Final = "/backend-api/v2/conversation"

EVENTS_FIELD: Final[Mapping[str, str]] = {"X-Backstream-Events": "all"}
"""The header field that asks a server of ours for the event types that only backstream knows."""

ApiKey = Secret | Mapping[str, Secret]
"""The key for the back-end's own provider, or one key per provider name."""


def render_request(
    model: str | None,
    messages: Messages,
    media: Sequence[MediaItem] = (),
    api_key: ApiKey | None = None,
    members: Mapping[str, Any] | None = None,
) -> Body:
    """Render a request body: ``model``, ``messages``, then ``media`` and ``api_key`` where set, then ``members``.

    Media and key are segments: the media's bytes are read, and the key is revealed, only while the body is sent.

    Args:
        model: The model's name; ``None`` or ``""`` asks for the server's default.
        messages: The conversation.
        media: What to send with it.
        api_key: See :data:`ApiKey`.
        members: Every further member, JSON values; they win over nothing above.

    Raises:
        InvalidRequestError: Something is no JSON value, or text holds a lone surrogate.
    """
    body: list[bytes | Segment] = [b'{"model":', encode(model, "model"), b',"messages":', encode(messages, "messages")]
    if media:
        body.append(b',"media":[')
        for index, item in enumerate(media):
            body.append(b"[" if index == 0 else b",[")
            body.extend(_render_media(item))
            body += (b",", encode(item.filename, "a file name"), b"]")
        body.append(b"]")
    if api_key is not None:
        body += (b',"api_key":', KeySegment(api_key))
    for name, value in (members or {}).items():
        body += (b",", encode(name, "a member's name"), b":", encode(value, name))
    body.append(b"}")
    return _join(body)


def _render_media(item: MediaItem) -> Sequence[bytes | Segment]:
    if item.url is not None:
        return [encode(item.url, "a media URL")]
    return [b'"', DataURISegment(item), b'"']


def _join(pieces: Sequence[bytes | Segment]) -> Body:
    """Join neighbouring bytes, so that a body without media is written at once."""
    joined: list[bytes | Segment] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            run.append(piece)
            continue
        joined += (b"".join(run), piece)
        run = []
    joined.append(b"".join(run))
    return joined


def encode(value: object, what: str) -> bytes:
    """Encode one JSON value of a request.

    Raises:
        InvalidRequestError: It is none.
    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        problem = type(error).__name__
    # outside the handler: the encoder's own error quotes the value, and would hang on ours as its context
    raise InvalidRequestError(f"{what} cannot be written as JSON ({problem})", "use text, numbers, lists and dicts")


class KeySegment:
    """A key, as a piece of a JSON body; revealed only while the body goes out."""

    __slots__ = ("_encoded", "_key")

    def __init__(self, key: ApiKey) -> None:
        self._key = key
        self._encoded: bytes | None = None

    @property
    def replayable(self) -> bool:
        """Always: the key can be revealed again."""
        return True

    @property
    def size(self) -> int:
        """The size of the JSON text; a rotating key keeps this value until it was written."""
        self._encoded = self._encode()
        return len(self._encoded)

    def blocks(self) -> Iterator[bytes]:
        """Yield the key as JSON text."""
        encoded, self._encoded = self._encoded or self._encode(), None
        yield encoded

    def _encode(self) -> bytes:
        if isinstance(self._key, Secret):
            return encode(self._key.reveal(), "api_key")
        return encode({name: key.reveal() for name, key in self._key.items()}, "api_key")

    def __repr__(self) -> str:
        return "<KeySegment>"
