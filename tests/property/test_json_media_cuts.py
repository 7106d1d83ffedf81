from __future__ import annotations

import base64
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import InvalidRequestError
from backstream.wire.json_media import JSONMediaDecoder, MediaBegin, MediaData

TOKEN = "5e2c1d7a"

uris = st.binary(max_size=90).map(lambda data: "data:image/png;base64," + base64.b64encode(data).decode())
strings = st.text(max_size=30) | uris | st.sampled_from(["media", "data:", '"', "\\", "[", "{"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=12,
)
bodies = st.fixed_dictionaries(
    {"messages": values, "media": st.lists(st.lists(strings, max_size=3) | values, max_size=4)},
    optional={"x": values},
)
places = st.lists(st.integers(0, 4000), max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def take(blocks: list[bytes]) -> tuple[bytes, dict[str, tuple[str, bytes]]]:
    decoder = JSONMediaDecoder(TOKEN, min_divert_bytes=40)
    media: dict[str, tuple[str, bytes]] = {}
    name = ""
    for block in blocks:
        for event in decoder.feed(block):
            if isinstance(event, MediaBegin):
                name = event.placeholder
                media[name] = (event.header, b"")
            elif isinstance(event, MediaData):
                media[name] = (media[name][0], media[name][1] + event.data)
    return bytes(decoder.finish()), media


def put_back(value: Any, media: dict[str, tuple[str, bytes]]) -> Any:
    if isinstance(value, list):
        return [put_back(item, media) for item in value]
    if isinstance(value, dict):
        return {key: put_back(item, media) for key, item in value.items()}
    if isinstance(value, str) and value in media:
        header, data = media[value]
        return f"data:{header};base64,{base64.b64encode(data).decode()}"
    return value


@given(bodies, places, st.booleans(), st.booleans())
def test_what_is_taken_out_and_put_back_is_what_was(
    body: dict[str, Any], places: list[int], ascii_only: bool, php: bool
) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only, indent=1 if php else None)
    encoded = (text.replace("/", "\\/") if php else text).encode("utf-8", "surrogatepass")
    rest, media = take(cut(encoded, places))
    assert put_back(json.loads(rest.decode("utf-8", "surrogatepass")), media) == body
    if not php:
        strings = [
            item for entry in body["media"] if isinstance(entry, list) for item in entry if isinstance(item, str)
        ]
        assert len(media) == sum(item.startswith("data:image/png;base64,") and len(item) >= 40 for item in strings)


tokens = st.sampled_from(
    [
        b'"',
        b"\\",
        b"[",
        b"]",
        b"{",
        b"}",
        b'{"media":[["',
        b"data:a/b;base64,",
        b"AAAA" * 10,
        b"=",
        b"\\/",
        b"\\u002b",
        b",",
    ]
)


@given(st.lists(tokens | st.binary(max_size=3), max_size=25).map(b"".join), places)
def test_rubbish_is_taken_alike_under_any_cut_or_refused(text: bytes, places: list[int]) -> None:
    outcomes: list[Any] = []
    for blocks in ([text], cut(text, places)):
        try:
            outcomes.append(take(blocks))
        except InvalidRequestError as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]
