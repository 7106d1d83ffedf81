"""A media item as a piece of a body: exact size, small memory, and an error when the source changes."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from backstream.errors import InvalidMediaError
from backstream.media import DataURISegment, MediaItem, encode_data_uri
from backstream.wire.http import Segment


def item(*blocks: bytes, size: int | None = -1, **options: object) -> MediaItem:
    announced = sum(map(len, blocks)) if size == -1 else size
    return MediaItem("image/png", size=announced, blocks=lambda: iter(blocks), **options)


def send(segment: DataURISegment, out: bytearray) -> None:
    for block in segment.blocks():
        out += block


def test_it_is_a_segment():
    assert isinstance(DataURISegment(item(b"x")), Segment)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 49151, 49152, 49153, 49154, 98304, 100001])
@pytest.mark.parametrize("cut", [1, 5, 1000, 49152, 65536, 10**6])
def test_its_text_is_the_uri_of_the_whole_whatever_the_blocks(size, cut):
    data = (bytes(range(256)) * 400)[:size]
    if size > 5000 and cut == 1:
        cut = 777
    segment = DataURISegment(item(*(data[at : at + cut] for at in range(0, size, cut))))
    blocks = list(segment.blocks())
    assert b"".join(blocks).decode() == encode_data_uri(data, "image/png")
    assert segment.size == len(b"".join(blocks))
    assert max(map(len, blocks)) <= 64 * 1024
    assert b"".join(segment.blocks()) == b"".join(blocks)


def test_its_text_needs_no_escaping_in_json():
    text = b"".join(DataURISegment(item(bytes(range(256)))).blocks()).decode()
    assert json.loads(f'"{text}"') == text
    assert json.dumps(text) == f'"{text}"'


@pytest.mark.parametrize("sent", [(b"1234",), (b"12", b"3", b"4"), (b"x" * 60000,)])
def test_more_bytes_than_announced_are_an_error_and_not_sent(sent):
    segment = DataURISegment(item(*sent, size=3))
    out = bytearray()
    with pytest.raises(InvalidMediaError, match="more than the 3 bytes announced"):
        send(segment, out)
    assert len(out) <= segment.size


def test_fewer_bytes_than_announced_are_an_error_before_the_last_of_them_goes_out():
    segment = DataURISegment(item(b"12", size=3))
    out = bytearray()
    with pytest.raises(InvalidMediaError, match="only 2 of the 3 bytes announced"):
        send(segment, out)
    assert out == b"data:image/png;base64,"


def test_an_unknown_size_stays_unknown():
    segment = DataURISegment(item(b"12", size=None, replayable=False))
    assert segment.size is None
    assert segment.replayable is False
    assert base64.b64decode(b"".join(segment.blocks()).partition(b",")[2]) == b"12"


def test_a_url_has_no_bytes():
    with pytest.raises(InvalidMediaError):
        DataURISegment(MediaItem("", url="http://127.0.0.1/secret"))


def test_a_type_that_would_break_the_json_around_it_is_refused():
    with pytest.raises(InvalidMediaError):
        DataURISegment(MediaItem('image/png","x":"', size=0, blocks=lambda: iter(())))


def test_leaving_early_closes_the_source():
    events = []

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(48 * 1024)
        finally:
            events.append("closed")

    blocks = DataURISegment(MediaItem("a/b", size=None, blocks=source)).blocks()
    next(blocks)
    next(blocks)
    blocks.close()
    assert events == ["closed"]


def test_nothing_of_the_content_is_in_its_repr():
    assert repr(DataURISegment(item(b"canary"))) == "<DataURISegment <MediaItem image/png, 6 bytes>>"


def test_one_block_of_64_megabytes_is_encoded_without_a_copy():
    data = bytes(64 * 2**20)
    segment = DataURISegment(item(data))
    tracemalloc.start()
    try:
        size = sum(map(len, segment.blocks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == segment.size
    assert peak < 2 * 2**20
