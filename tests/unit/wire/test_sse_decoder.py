import pytest

from backstream.errors import MisuseError, TooLargeError
from backstream.testing.chop import check_cuts
from backstream.wire.sse import MAX_RETRY_MS, ServerSentEvent, SSEDecoder


def decode(stream, **options):
    decoder = SSEDecoder(**options)
    return decoder.feed(stream) + decoder.finish(), decoder


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: 1\n\ndata: 2\n\ndata: 3\n\n", [("message", "1"), ("message", "2"), ("message", "3")]),
        (b"event: a\ndata: 1\n\nevent: a\ndata: 2\n\n", [("a", "1"), ("a", "2")]),
        (b"event:a\ndata: 1\n\nevent:a\ndata: 2\n\n", [("a", "1"), ("a", "2")]),
        (b"event:\ndata: 1\n\nevent:\ndata: 2\n\n", [("message", "1"), ("message", "2")]),
        (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", [("a", "1"), ("b", "2")]),
        (b"event: a\ndata: 1\n\nevent: a\ndata: 2\ndata: 3\n\n", [("a", "1"), ("a", "2\n3")]),
        (b"data: 1\n\n\ndata: 2\n\n", [("message", "1"), ("message", "2")]),
        (b"data: \n\ndata: \n\n", [("message", ""), ("message", "")]),
        (
            b"data: 1\n\ndata:  event: a\n\ndata: [DONE]\n\n",
            [("message", "1"), ("message", " event: a"), ("message", "[DONE]")],
        ),
        (b"\n\n\n", []),
        (b"event: a\n\ndata: 1\n\n", [("message", "1")]),
        (b"event: \xff\ndata: \xfe\n\n", [("\ufffd", "\ufffd")]),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_events_are_the_same_under_every_cut(stream, events):
    frames = check_cuts(SSEDecoder, stream)
    assert [(event.type, event.data) for event in frames] == events


def test_an_event_begun_in_an_earlier_piece_does_not_lend_its_type_to_others():
    decoder = SSEDecoder()
    assert decoder.feed(b"event: a\n") == []
    events = decoder.feed(b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    assert [(event.type, event.data) for event in events] == [("a", "1"), ("message", "2"), ("message", "3")]


def test_retry_belongs_to_its_event_and_stays_on_the_decoder():
    events, decoder = decode(b"retry: 5\ndata: 1\n\ndata: 2\n\nretry: x\n\nretry: -1\n\n")
    assert [event.retry for event in events] == [5, None]
    assert decoder.retry_ms == 5


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("9223372036854775807", MAX_RETRY_MS),
        ("9223372036854775808", MAX_RETRY_MS),
        ("9" * 5000, MAX_RETRY_MS),
        ("0" * 5000 + "7", 7),
        ("000", 0),
    ],
)
def test_a_huge_retry_is_clamped(digits, expected):
    assert decode(f"retry: {digits}\n".encode())[1].retry_ms == expected


@pytest.mark.parametrize(
    ("stream", "pending"),
    [
        (b"", False),
        (b"\xef\xbb\xbf", False),
        (b"\xef\xbb", True),
        (b"data: 1\n\n", False),
        (b"data: 1\n\n: still here\n", False),
        (b"data: 1\n\ncolour: blue\n", False),
        (b"data: 1\n", True),
        (b"data", True),
        (b"data\n", True),
        (b"event: a\n", True),
        (b"id\n", True),
        (b"retry: 1\n", True),
        (b"data: 1\n\ndata: 2", True),
    ],
)
def test_pending_tells_of_what_the_end_cut_off(stream, pending):
    events, decoder = decode(stream)
    assert decoder.pending is pending
    assert len(events) == (b"1\n\n" in stream)


def test_comments_are_counted_without_a_listener():
    assert decode(b": one\n:two\n:\n")[1].comments == 3


CAPS = [
    # stream, line cap, event cap, data of the events before the error, what is too large
    (b"data: 12\n\n" + b"data: 123456789\n\n", 10, 99, ["12"], "line"),
    (b"data: 12\n\n" + b"x" * 30, 10, 99, ["12"], "line"),
    (b"data: 12\n\n" + b"data: 1\ndata: 2\ndata: 3\ndata: 4\n\n", 99, 11, ["12"], "event"),
    (b"data: 12\n\n" + b"data: 1\n:" + b"." * 30 + b"\n\n", 99, 12, ["12"], "event"),
    (b"event: 123456789\ndata: 1\n\n", 15, 99, [], "line"),
    (b":" + b"." * 99, 10, 10, [], "line"),
    (b"data: 123456789\n\n", 99, 10, [], "event"),
]


@pytest.mark.parametrize(("stream", "line", "event", "before", "what"), CAPS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
def test_over_a_cap_the_events_before_it_come_first_then_the_error(stream, line, event, before, what, size):
    decoder = SSEDecoder(max_line_bytes=line, max_event_bytes=event)
    seen = []

    def run():
        for at in range(0, len(stream), size):
            seen.extend(decoder.feed(stream[at : at + size]))
        decoder.finish()

    with pytest.raises(TooLargeError) as caught:
        run()
    assert [event.data for event in seen] == before
    assert (caught.value.what, caught.value.setting) == (what, f"max_{what}_bytes")
    assert caught.value.limit_bytes == {"line": line, "event": event}[what]
    with pytest.raises(MisuseError):
        decoder.feed(b"")
    with pytest.raises(MisuseError):
        decoder.finish()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_at_the_cap_all_is_well(size):
    stream = b"\xef\xbb\xbfdata: 1234\r\n\r\ndata: 12\r\ndata: 1\r\n\r\n"
    decoder = SSEDecoder(max_line_bytes=10, max_event_bytes=10)
    events = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]
    assert [event.data for event in events] == ["1234", "12\n1"]


def test_feeding_after_the_end_is_misuse():
    decoder = decode(b"data: 1\n\n")[1]
    with pytest.raises(MisuseError):
        decoder.feed(b"data: 2\n\n")
    with pytest.raises(MisuseError):
        decoder.finish()


@pytest.mark.parametrize("caps", [{"max_line_bytes": 0}, {"max_event_bytes": -1}])
def test_a_cap_below_one_is_misuse(caps):
    with pytest.raises(MisuseError):
        SSEDecoder(**caps)


def test_an_event_is_a_value():
    event = ServerSentEvent("a", "b", "c", 1)
    assert event == ServerSentEvent(type="a", data="b", id="c", retry=1)
    with pytest.raises(AttributeError):
        event.data = "x"


def test_a_byte_order_mark_in_pieces_is_no_line_over_the_cap():
    decoder = SSEDecoder(max_line_bytes=1)
    assert [decoder.feed(piece) for piece in (b"\xef", b"\xbb", b"\xbf", b":\n")] == [[], [], [], []]
    assert decoder.comments == 1
