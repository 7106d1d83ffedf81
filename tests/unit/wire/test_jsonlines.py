import pytest

from backstream.errors import MisuseError, TooLargeError
from backstream.testing.chop import check_cuts
from backstream.wire.jsonlines import JSONLinesDecoder, encode_line


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'\xef\xbb\xbf{"a":1}\n', [b'{"a":1}']),
        (b'\n\n{"a":1}\n\r\n \t\n', [b'{"a":1}']),
        (b"1\r2\n", [b"1\r2"]),
        (b"1\n2", [b"1", b"2"]),
        (b"1\n2\r", [b"1", b"2"]),
        (b"\xef\xbb", [b"\xef\xbb"]),
        (b"", []),
    ],
)
def test_frames_are_the_same_under_every_cut(stream, frames):
    assert check_cuts(JSONLinesDecoder, stream) == frames


@pytest.mark.parametrize(("stream", "pending"), [(b"", False), (b"1\n", False), (b"1\n ", False), (b"1\n2", True)])
def test_pending_tells_of_a_line_without_its_end(stream, pending):
    decoder = JSONLinesDecoder()
    decoder.feed(stream)
    assert decoder.pending is pending
    decoder.finish()
    assert decoder.pending is pending


@pytest.mark.parametrize("tail", [b"12345678\n", b"12345678", b"1234567\r\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_over_the_cap_the_frames_before_it_come_first_then_the_error(tail, size):
    decoder = JSONLinesDecoder(max_line_bytes=7)
    stream = b"1234567\n123456\r\n" + tail
    seen = []

    def run():
        for at in range(0, len(stream), size):
            seen.extend(decoder.feed(stream[at : at + size]))
        decoder.finish()

    with pytest.raises(TooLargeError) as caught:
        run()
    assert seen == [b"1234567", b"123456"]
    assert (caught.value.what, caught.value.limit_bytes, caught.value.setting) == ("line", 7, "max_line_bytes")
    with pytest.raises(MisuseError):
        decoder.feed(b"1\n")


def test_feeding_after_the_end_is_misuse():
    decoder = JSONLinesDecoder()
    decoder.finish()
    with pytest.raises(MisuseError):
        decoder.feed(b"")


def test_encode_line():
    assert encode_line(b'{"a":1}') == b'{"a":1}\n'


@pytest.mark.parametrize("bad", [b"", b"  ", b"1\n2", b"1\r"])
def test_encode_line_refuses_what_is_not_one_line(bad):
    with pytest.raises(MisuseError):
        encode_line(bad)
