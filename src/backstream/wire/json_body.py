"""A JSON request body with media in it: a tree of values, some of them segments that are made while they are sent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from backstream.errors import InvalidRequestError
from backstream.media.item import MediaItem
from backstream.media.segment import Base64Segment, DataURISegment
from backstream.wire.http import Body, Segment
from backstream.wire.json_text import replace_halves

__all__ = ["encode_body", "json_base64", "json_data_uri"]

_MARK: Final = b"\xff"  # in no UTF-8 text, and so nowhere else in the JSON


def json_base64(item: MediaItem) -> Base64Segment:
    """Make the JSON string that holds an item's base64."""
    return Base64Segment(item, before=b'"', after=b'"')


def json_data_uri(item: MediaItem) -> DataURISegment:
    """Make the JSON string that holds an item's ``data:`` URI."""
    return DataURISegment(item, before=b'"', after=b'"')


def encode_body(tree: object) -> Body:
    """Encode a tree of JSON values and segments; half characters in its text become U+FFFD.

    Args:
        tree: Dicts, lists, texts, numbers; a segment yields one JSON value, its quotes with it.

    Returns:
        Bytes and segments by turns; only bytes where there is no segment.

    Raises:
        InvalidRequestError: Something in it has no JSON form. The text does not show it.
    """
    text, problem = b"", ""
    segments: list[Segment] = []

    def mark(value: Any) -> msgspec.Raw:
        if isinstance(value, Segment):
            segments.append(value)
            return msgspec.Raw(_MARK)
        raise NotImplementedError

    try:
        try:
            text = msgspec.json.encode(tree, enc_hook=mark)
        except UnicodeEncodeError:
            segments.clear()
            text = msgspec.json.encode(replace_halves(tree), enc_hook=mark)
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError, msgspec.MsgspecError) as error:
        problem = type(error).__name__
    if problem:  # outside the handler: the encoder's own error quotes the value
        raise InvalidRequestError(
            f"the request cannot be written as JSON ({problem})", "use text, numbers, lists and dicts"
        )
    body: list[bytes | Segment] = []
    for index, piece in enumerate(text.split(_MARK)):
        body += (segments[index - 1], piece) if index else (piece,)
    return body
