"""The data of events, as bytes: the same events as the strict decoder finds, at every cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import TooLargeError
from backstream.testing.chop import check_cuts, chop
from backstream.wire.sse import SSEDecoder
from backstream.wire.sse_data import EventDataDecoder

STREAMS = [
    (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data: a\r\n\r\ndata: b\r\r", [b"a", b"b"]),
    (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    (b"event: x\ndata: a\n\nevent: x\ndata: b\n\n", [b"a", b"b"]),
    (b"data: a\ndata: b\n\n", [b"a\nb"]),
    (b": hello\n\ndata: a\n\n: again\n\n", [b"a"]),
    (b"data: \n\ndata: a\n\ndata\n\n", [b"a"]),
    (b"id: 1\nretry: 5\ndata: a\n\n", [b"a"]),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b"data: \xff\n\n", [b"\xff"]),
    (b"data: a\n\ndata: b\n", [b"a"]),
    (b"", []),
]


@pytest.mark.parametrize(("stream", "data"), STREAMS)
def test_events_at_every_cut(stream: bytes, data: list[bytes]) -> None:
    assert check_cuts(EventDataDecoder, stream) == data


@given(
    st.lists(st.sampled_from([b"data: a", b"data:", b"data", b"event: e", b": c", b"id: 1", b"", b"\n", b"\r", b"b"]))
)
def test_it_finds_what_the_strict_decoder_finds(lines: list[bytes]) -> None:
    stream = b"\n".join(lines)
    strict = SSEDecoder()
    expected = [event.data.encode() for event in strict.feed(stream) if event.data.strip("\n")]
    found = [data for data in check_cuts(EventDataDecoder, stream) if data.strip(b"\n")]
    assert found == expected


@pytest.mark.parametrize(
    ("stream", "unfinished"),
    [
        (b"data: a\n\ndata: b", b"b"),
        (b"data: a\n\ndata: b\n", b"b"),
        (b"data: a\ndata: b\n", b"a\nb"),
        (b"data: a\n\ndat", b""),
        (b"data: a\n\n", b""),
    ],
)
def test_an_event_that_was_not_closed_is_kept_apart(stream: bytes, unfinished: bytes) -> None:
    for pieces in chop(stream):
        decoder = EventDataDecoder()
        for piece in pieces:
            decoder.feed(piece)
        assert decoder.finish() == []
        assert decoder.unfinished == unfinished


def test_lines_that_are_no_field_are_counted() -> None:
    decoder = EventDataDecoder()
    assert decoder.feed(b"<html>\n<body>\n") == []
    assert decoder.stray_lines == 2


def test_caps_hold_for_lines_and_events() -> None:
    decoder = EventDataDecoder(max_line_bytes=20)
    assert decoder.feed(b"data: a\n\n: " + b"x" * 30 + b"\n\n") == [b"a"]
    assert isinstance(decoder.failure, TooLargeError)
    with pytest.raises(TooLargeError, match="line larger than the limit of 20 bytes"):
        decoder.feed(b"")
    decoder = EventDataDecoder(max_event_bytes=20)
    with pytest.raises(TooLargeError, match="event larger than the limit of 20 bytes"):
        decoder.feed(b"data: 0123456789\ndata: 0123456789\n")
