import pytest

from backstream.errors import MisuseError
from backstream.wire.sse import MAX_RETRY_MS, ServerSentEvent, SSEDecoder, encode_sse


@pytest.mark.parametrize(
    ("values", "wire"),
    [
        ({"data": "hi"}, b"data: hi\n\n"),
        ({"data": b"{}", "type": "content"}, b"event: content\ndata: {}\n\n"),
        ({"data": "a\nb\r\nc\rd"}, b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ({"data": ""}, b"data: \n\n"),
        ({"data": " x"}, b"data:  x\n\n"),
        ({"data": "x", "type": "", "id": ""}, b"id: \ndata: x\n\n"),
        ({"data": "x", "id": "7", "retry": 0}, b"id: 7\nretry: 0\ndata: x\n\n"),
        ({"data": None, "comment": "still\nhere"}, b": still\n: here\n\n"),
        ({"data": "\u2713"}, b"data: \xe2\x9c\x93\n\n"),
        ({"data": "\ud83d!"}, b"data: \xef\xbf\xbd!\n\n"),
        ({"data": "\ud83d\ude00\ud83d"}, b"data: \xf0\x9f\x98\x80\xef\xbf\xbd\n\n"),
    ],
)
def test_values_and_bytes(values, wire):
    assert encode_sse(**values) == wire


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n", "x\r\ndata: evil"])
@pytest.mark.parametrize("field", ["type", "id"])
def test_a_field_cannot_be_broken_out_of(field, bad):
    with pytest.raises(MisuseError) as caught:
        encode_sse("x", **{field: bad})
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("retry", [-1, MAX_RETRY_MS + 1])
def test_a_retry_out_of_range_is_misuse(retry):
    with pytest.raises(MisuseError):
        encode_sse("x", retry=retry)


def test_what_is_encoded_is_decoded():
    decoder = SSEDecoder()
    wire = encode_sse("1\n2", type="t", id="i", retry=MAX_RETRY_MS, comment="c")
    assert decoder.feed(wire) == [ServerSentEvent("t", "1\n2", "i", MAX_RETRY_MS)]
    assert decoder.feed(encode_sse(None, id="j")) == []
    assert decoder.last_event_id == "j"
