import json
import pathlib

import pytest

from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.errors import MisuseError, TooLargeError
from backstream.testing.chop import check_cuts, chop
from backstream.wire.sse import SSEDecoder

CAPTURES = pathlib.Path(__file__).parents[2] / "data" / "backend-api-captures"
BODIES = sorted(CAPTURES.glob("*/*.body"))
SSE_VERSIONS = ("6.7.5", "8.8.6")
NOT_STREAMS = ("invalid_json", "unknown_provider", "models_provider")


def run(pieces, **caps):
    decoder = TolerantDecoder(**caps)
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    frames += decoder.finish()
    return frames, (decoder.done, decoder.truncated, decoder.stray_lines)


def run_all(stream):
    """Run under every cut; all must agree."""
    results = [run(pieces) for pieces in chop(stream)]
    assert all(result == results[0] for result in results)
    return results[0]


def test_captures_are_there():
    assert len(BODIES) == 56
    assert {body.parent.name for body in BODIES} >= set(SSE_VERSIONS)


@pytest.mark.parametrize("path", BODIES, ids=[f"{path.parent.name}-{path.stem}" for path in BODIES])
def test_what_real_servers_sent(path):
    body = path.read_bytes()
    frames, (done, truncated, stray) = run_all(body)
    if path.stem not in NOT_STREAMS:
        assert frames or not body
        assert all("type" in json.loads(frame) for frame in frames)
        assert (done, truncated, stray) == (False, False, 0)
        assert len(frames) == body.count(b"data: {" if path.parent.name in SSE_VERSIONS else b"\n")
    if path.parent.name in SSE_VERSIONS and path.stem not in NOT_STREAMS:
        strict = check_cuts(SSEDecoder, body)
        assert [event.data.encode() for event in strict] == frames
        assert [event.type for event in strict] == [json.loads(frame)["type"] for frame in frames]


FRAMINGS = [
    # stream, frames, (done, truncated, stray lines)
    (b"", [], (False, False, 0)),
    (b'event: a\ndata: {"a":1}\n\nevent: b\ndata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'event: a\ndata: {"a":1}\n\nevent: a\ndata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'event: a\r\ndata: {"a":1}\r\n\r\nevent: a\r\ndata: {}\r\n\r\n', [b'{"a":1}', b"{}"], (False, False, 0)),
    (b"data: {}\r\r\n\r\ndata: {}\n\n", [b"{}\r", b"{}"], (False, False, 0)),
    (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'{"a":1}\r\n\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'\xef\xbb\xbf{"a":1}\n', [b'{"a":1}'], (False, False, 0)),
    (b'data:{"a":1}\n\ndata:  {"b":2}\n\n', [b'{"a":1}', b' {"b":2}'], (False, False, 0)),
    (b'data: {"a":\ndata: 1}\n\n', [b'{"a":\n1}'], (False, False, 0)),
    (b'data: {"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'{"b":2}\ndata: {"a":1}\n\n', [b'{"b":2}', b'{"a":1}'], (False, False, 0)),
    (b": hi\nid: 1\nretry: 2\nevent: a\ndata: {}\n\n", [b"{}"], (False, False, 0)),
    (b"data: \n\ndata: {}\n\ndata:\n\n", [b"{}"], (False, False, 0)),
    (b"event: a\n\ndata: {}\n\n", [b"{}"], (False, False, 0)),
    # the end marker
    (b"data: {}\n\ndata: [DONE]\n\ndata: {}\n\n", [b"{}"], (True, False, 0)),
    (b"{}\n[DONE]\n{}\nstray\n{", [b"{}"], (True, False, 0)),
    (b"data: {}\n[DONE]", [b"{}"], (True, False, 0)),
    (b"data: {}\ndata: [DONE]", [b"{}"], (True, False, 0)),
    (b'data: {"a":"[DONE]"}\n\n', [b'{"a":"[DONE]"}'], (False, False, 0)),
    # what is no event
    (b"<html>\n<p>no</p>\n\n</html>", [], (False, False, 3)),
    (b'[\n  "a"\n]\n', [], (False, False, 3)),
    (b'{"error": {"message": "no"}}\n', [b'{"error": {"message": "no"}}'], (False, False, 0)),
    (b'{\n  "error": 1\n}\n', [b"{"], (False, False, 2)),
    (b"data\n\n", [], (False, False, 1)),
    # a record that the end makes whole, or cuts
    (b"data: {}\n", [b"{}"], (False, False, 0)),
    (b"data: {}\n\ndata: {}\r", [b"{}", b"{}"], (False, False, 0)),
    (b'event: a\ndata: {"a":1}', [b'{"a":1}'], (False, False, 0)),
    (b'{"a":1}', [b'{"a":1}'], (False, False, 0)),
    (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}'], (False, False, 0)),
    (b'data: {"a":1}\n{"b":2', [b'{"a":1}'], (False, True, 0)),
    (b'{"a":"\\ud83d"}', [b'{"a":"\\ud83d"}'], (False, False, 0)),
    (b'{"a":"\xff"}', [b'{"a":"\xff"}'], (False, False, 0)),
    (b'data: {"a":1', [], (False, True, 0)),
    (b'data: {"a":1\n', [], (False, True, 0)),
    (b"data: 12", [], (False, True, 0)),
    (b"data:", [], (False, True, 0)),
    (b"dat", [], (False, True, 0)),
    (b"{}\n[DO", [b"{}"], (False, True, 0)),
    (b"event: a", [], (False, True, 0)),
    (b"event: a\n", [], (False, True, 0)),
    (b": hi", [], (False, False, 0)),
    (b"{}\nstray", [b"{}"], (False, False, 1)),
    (b'{"a":' + b"[" * 100_000, [], (False, True, 0)),
]


@pytest.mark.parametrize(("stream", "frames", "state"), FRAMINGS, ids=range(len(FRAMINGS)))
def test_framings_under_every_cut(stream, frames, state):
    if len(stream) > 4096:
        assert run([stream]) == run([stream[:5000], stream[5000:]]) == (frames, state)
    else:
        assert run_all(stream) == (frames, state)


def test_a_long_stream_in_blocks_of_any_size():
    types = ["provider", "parameters", *["reasoning"] * 9, *["content"] * 80, "finish", "usage"]
    texts = [json.dumps({"type": name, name: "x" * (at % 50)}).encode() for at, name in enumerate(types)]
    events = b"".join(
        b"event: %b\ndata: %b\n\n" % (name.encode(), text) for name, text in zip(types, texts, strict=True)
    )
    for stream in (events, events.replace(b"\n", b"\r\n"), b"".join(text + b"\n" for text in texts)):
        for size in (1, 7, 64, 100, 1448, 8192, 65536):
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            assert run(pieces) == (texts, (False, False, 0))


@pytest.mark.parametrize("size", [1024, 65536, 16 * 1024 * 1024])
@pytest.mark.parametrize("wrap", [b"data: %b\n\n", b"%b\n"])
def test_an_event_of_14_mb(size, wrap):
    text = b'{"a":"' + b"x" * 14_000_000 + b'"}'
    stream = wrap % text
    frames, _ = run(stream[at : at + size] for at in range(0, len(stream), size))
    assert [frame == text for frame in frames] == [True]


def test_an_event_of_very_many_lines():
    lines = [b"data: 12345"] * 200_000
    frames, _ = run([b"\n".join([*lines, b"", b""])], max_line_bytes=16)
    assert frames == [b"\n".join([b"12345"] * 200_000)]


@pytest.mark.parametrize(
    ("stream", "before", "what"),
    [
        (b"{}\n" + b"{" * 21 + b"}\n", [b"{}"], "line"),
        (b"data: {}\n\ndata: " + b"x" * 40, [b"{}"], "line"),
        (b"{}\n" + b"data: 123456789\n" * 4 + b"\n", [b"{}"], "event"),
        (b"data: 123456789\n" * 3 + b": a long comment", [], "event"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_over_a_cap_the_frames_before_it_come_first_then_the_error(stream, before, what, size):
    decoder = TolerantDecoder(max_line_bytes=20, max_event_bytes=40)
    seen = []

    def feed_all():
        for at in range(0, len(stream), size):
            seen.extend(decoder.feed(stream[at : at + size]))
        decoder.finish()

    with pytest.raises(TooLargeError) as caught:
        feed_all()
    assert seen == before
    assert (caught.value.what, caught.value.setting) == (what, f"max_{what}_bytes")
    with pytest.raises(MisuseError):
        decoder.feed(b"{}\n")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_nothing_after_the_end_marker_is_too_large(size):
    stream = b"{}\n[DONE]\n" + b"x" * 100 + b"\n" + b"x" * 100
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert run(pieces, max_line_bytes=10) == ([b"{}"], (True, False, 0))


def test_feeding_after_the_end_is_misuse():
    decoder = TolerantDecoder()
    decoder.finish()
    for again in (lambda: decoder.feed(b""), decoder.finish):
        with pytest.raises(MisuseError):
            again()
