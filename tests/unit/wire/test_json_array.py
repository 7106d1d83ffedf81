"""A JSON array that comes bit by bit: its elements at every cut, damage, caps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import DecodeError, MisuseError, TooLargeError
from backstream.testing.chop import check_cuts, chop
from backstream.wire.json_array import JSONArrayDecoder

GOOGLE = b'[{"a": "x]},\\"y\\\\"}\n,\r\n{"b": [1, {"c": {}}]}\n]\n'


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (GOOGLE, [b'{"a": "x]},\\"y\\\\"}', b'{"b": [1, {"c": {}}]}']),
        (b"[]", []),
        (b" \xef\xbb\xbf"[1:] + b" [ ] trailing {", []),
        (b'[1, "two" , null,[3],{"four":4},5 ]', [b"1", b'"two"', b"null", b"[3]", b'{"four":4}', b"5"]),
        (b" \r\n[1]", [b"1"]),
        (b"[{},{}]", [b"{}", b"{}"]),
        (b"[{},]", [b"{}"]),
        (b'["\\\\","\\""]', [b'"\\\\"', b'"\\""']),
        (b"[{]", [b"{]"]),  # brackets are counted, not matched: whether a frame is JSON is not asked here
    ],
)
def test_elements_are_the_same_at_every_cut(data: bytes, frames: list[bytes]) -> None:
    assert check_cuts(JSONArrayDecoder, data) == frames


def test_an_object_is_given_out_with_its_last_bracket() -> None:
    decoder = JSONArrayDecoder()
    assert decoder.feed(b'[{"a":1') == []
    assert (decoder.pending, decoder.done) == (True, False)
    assert decoder.feed(b"}") == [b'{"a":1}']
    assert (decoder.pending, decoder.done) == (True, False)
    assert decoder.feed(b"]") == []
    assert (decoder.pending, decoder.done) == (False, True)
    assert decoder.feed(b"anything") == []
    assert decoder.finish() == []


@pytest.mark.parametrize(
    "data", [b"{}", b"x", b'"', b"\xef[", b"\xef\xbb\xbfx[", b"[,]", b"[1,,2]", b"[{}{}]", b"[{} 1]", b"[}", b'[{}"']
)
def test_what_is_no_array_is_refused(data: bytes) -> None:
    for pieces in chop(data):
        decoder = JSONArrayDecoder()
        with pytest.raises(DecodeError):
            for piece in (*pieces, b""):
                decoder.feed(piece)
        with pytest.raises(MisuseError):
            decoder.feed(b"")


def test_elements_before_damage_are_given_out_first() -> None:
    decoder = JSONArrayDecoder()
    assert decoder.feed(b"[1,{}x") == [b"1", b"{}"]
    assert isinstance(decoder.failure, DecodeError)
    with pytest.raises(DecodeError):
        decoder.finish()


def test_an_element_over_its_cap_is_refused() -> None:
    for pieces in chop(b'["' + b"a" * 10 + b'"]'):
        decoder = JSONArrayDecoder(max_event_bytes=11)
        with pytest.raises(TooLargeError, match="max_event_bytes"):
            for piece in (*pieces, b""):
                decoder.feed(piece)
    assert check_cuts(lambda: JSONArrayDecoder(max_event_bytes=12), b'[   "' + b"a" * 10 + b'"]') == [b'"aaaaaaaaaa"']
    with pytest.raises(MisuseError):
        JSONArrayDecoder(max_event_bytes=0)


def test_a_large_element_in_small_pieces_is_whole() -> None:
    element = json.dumps({"data": "a" * 4_000_000}).encode()
    stream = b"[" + element + b"]"
    decoder = JSONArrayDecoder()
    frames = [frame for at in range(0, len(stream), 1024) for frame in decoder.feed(stream[at : at + 1024])]
    assert frames == [element]


@given(
    st.lists(
        st.recursive(
            st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        )
    )
)
def test_elements_of_any_array_decode_to_what_they_were(values: list[object]) -> None:
    decoder = JSONArrayDecoder()
    data = json.dumps(values, indent=1).encode()
    frames = [frame for at in range(0, len(data), 3) for frame in decoder.feed(data[at : at + 3])]
    assert [json.loads(frame) for frame in frames] == values
    assert decoder.done
