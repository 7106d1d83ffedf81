"""What must hold for any bytes: round trips, any cut, and no surprise on rubbish."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import InvalidMediaError
from backstream.media import (
    DataURISegment,
    MediaItem,
    decode_data_uri,
    encode_data_uri,
    extension_of,
    media_type_of,
    pixel_size,
    sniff,
)
from backstream.media.mime import parse_mime_type

TYPES = st.sampled_from(["image/png", "image/svg+xml", "audio/x-a.b", "text/plain;charset=utf-8"])
MARKS = st.sampled_from(
    (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF", b"WEBP", b"VP8X", b"BM", b"ID3", b"\xff\xfb", b"<!--",
     b"OggS\x00", b"ftyp", b"\x1a\x45\xdf\xa3", b"\x42\x82", b"<svg", b"<?", b"IHDR", b"\xff\xf1")
)  # fmt: skip
RUBBISH = st.lists(st.one_of(st.binary(max_size=12), MARKS), max_size=12).map(b"".join)
SHAPE = re.compile(r"data:[a-z0-9.+-]+/[a-z0-9.+-]+(;[a-z]+=[^;,]+)?;base64,[A-Za-z0-9+/]*={0,2}\Z")


@given(st.binary(), TYPES, st.booleans())
def test_decoding_gives_back_what_was_encoded(data, media_type, strict):
    uri = encode_data_uri(data, media_type)
    assert SHAPE.match(uri)
    assert decode_data_uri(uri, strict=strict) == (media_type, data)
    assert decode_data_uri(uri, strict=strict, max_bytes=len(data)).data == data


@given(st.lists(st.binary(max_size=9), max_size=20), st.integers(1, 12000))
def test_any_cut_gives_the_same_uri(parts, stretch):
    blocks = [part * stretch for part in parts]
    data = b"".join(blocks)
    segment = DataURISegment(MediaItem("a/b", size=len(data), blocks=lambda: iter(blocks)))
    text = b"".join(segment.blocks())
    assert text.decode() == encode_data_uri(data, "a/b")
    assert len(text) == segment.size


@given(RUBBISH, st.sampled_from([None, "a.png", "a.txt", "a.m4a", "a"]))
def test_sniffing_accepts_anything(data, name):
    media_type = sniff(data, name)
    assert media_type is None or extension_of(media_type) is not None
    assert sniff(data[:4096], name) == media_type


@given(RUBBISH)
def test_measuring_accepts_anything(data):
    size = pixel_size(data)
    assert size is None or min(size) > 0


@given(st.text(), st.booleans())
def test_decoding_accepts_or_refuses_anything(text, strict):
    for uri in (text, "data:" + text, "data:a/b," + text, "data:a/b;base64," + text):
        try:
            decoded = decode_data_uri(uri, strict=strict)
        except InvalidMediaError:
            continue
        assert len(decoded.data) <= len(uri.encode())


@given(st.text())
def test_what_strict_reading_accepts_browsers_read_alike(text):
    uri = "data:a/b;base64," + text
    try:
        strictly = decode_data_uri(uri, strict=True)
    except InvalidMediaError:
        return
    assert decode_data_uri(uri) == strictly


@given(st.text(max_size=40))
def test_a_mime_type_once_written_stays_as_it_is(text):
    parsed = parse_mime_type("a/b;" + text)
    assert parsed is not None
    assert parse_mime_type(str(parsed)) == parsed


@given(st.text())
def test_any_name_has_a_type_or_none(name):
    media_type = media_type_of(name)
    assert media_type is None or extension_of(media_type) is not None


@pytest.mark.parametrize("filler", ["A", "%41", " ", "=", "\t", "%", "é"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("head", ["data:a/b;base64,", "data:a/b,", "data:a/b;x=", "data:"])
def test_three_megabytes_of_anything_come_to_an_end(filler, strict, head):
    try:
        decode_data_uri(head + filler * (3 * 2**20 // len(filler)), strict=strict)
    except InvalidMediaError:
        return
