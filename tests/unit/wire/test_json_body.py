"""JSON bodies with media in them: written once, in order, and never with a value in an error."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from backstream import InvalidMediaError, InvalidRequestError
from backstream.media import MediaItem
from backstream.wire.http import Segment
from backstream.wire.json_body import encode_body, json_base64, json_data_uri

DATA = bytes(range(256)) * 3


def item(data: bytes = DATA) -> MediaItem:
    return MediaItem("image/png", None, size=len(data), blocks=lambda: iter((data[:100], data[100:])))


def written(body: Any) -> bytes:
    """All of a body, as it would be sent."""
    if isinstance(body, bytes):
        return body
    return b"".join(b"".join(piece.blocks()) if isinstance(piece, Segment) else piece for piece in body)


def test_a_body_without_media() -> None:
    assert written(encode_body({"a": [1, "ä"]})) == '{"a":[1,"ä"]}'.encode()


def test_media_stand_where_they_were_put() -> None:
    tree = {"first": json_base64(item()), "text": "between", "then": [json_data_uri(item()), 1]}
    text = base64.b64encode(DATA).decode()
    assert json.loads(written(encode_body(tree))) == {
        "first": text,
        "text": "between",
        "then": [f"data:image/png;base64,{text}", 1],
    }


def test_halves_of_characters_become_marks_and_media_stand_once() -> None:
    body = encode_body({"text": "a\ud83d", "media": json_base64(item()), "more": ["\ude42"]})
    assert len([piece for piece in body if isinstance(piece, Segment)]) == 1
    decoded = json.loads(written(body))
    assert (decoded["text"], decoded["more"]) == ("a\ufffd", ["\ufffd"])
    assert base64.b64decode(decoded["media"]) == DATA


def nested() -> list[Any]:
    tree: list[Any] = []
    for _ in range(100_000):
        tree = [tree]
    return tree


@pytest.mark.parametrize("value", [object(), {1.5j: "secret"}, "nested"], ids=["object", "key", "deep"])
def test_what_has_no_json_form_is_told_without_being_shown(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON") as caught:
        encode_body({"secret": nested() if value == "nested" else value})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("write", [json_base64, json_data_uri])
def test_a_url_is_no_media_of_a_body(write: Any) -> None:
    with pytest.raises(InvalidMediaError, match="no bytes"):
        write(MediaItem("image/png", url="https://example.org/a.png"))
