"""Whatever comes and however it is cut: the same frames, by the fast path and by a plain reading of the rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.errors import MisuseError, TooLargeError
from backstream.wire.jsonlines import JSONLinesDecoder, encode_line
from backstream.wire.sse import ServerSentEvent, SSEDecoder, encode_sse

LINES = st.sampled_from(
    [
        b"data: {}",
        b'data: {"a":1}',
        b"data:{}",
        b"data: ",
        b"data:",
        b"data",
        b"data: [DONE]",
        b"data: x",
        b"event: content",
        b"event:content",
        b"event: other",
        b"event:",
        b"id: 1",
        b"id",
        b"id: \0",
        b"retry: 5",
        b"retry: x",
        b": comment",
        b"{}",
        b'{"b":2}',
        b"[DONE]",
        b"<p>",
        b"",
        b"",
        b"",
    ]
)
CANONICAL = st.sampled_from(
    [b"event: content\ndata: {}\n\n", b'event: content\ndata: {"a":1}\n\n', b'data: {"b":2}\n\n', b"{}\n"]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\r\r\n"])
LINED = st.lists(st.builds(bytes.__add__, LINES, ENDS), max_size=12).map(b"".join)
RUNS = st.builds(lambda event, times: event * times, CANONICAL, st.integers(1, 5))
STREAMS = st.builds(
    lambda bom, parts, rest: bom + b"".join(parts) + rest,
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef"]),
    st.lists(RUNS | LINED | st.binary(max_size=8), max_size=6),
    LINES,
)


@st.composite
def cut(draw):
    stream = draw(STREAMS)
    ats = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return stream, [stream[a:b] for a, b in zip([0, *ats], [*ats, len(stream)], strict=True)]


def run(decoder, pieces):
    frames, error = [], None
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
        frames += decoder.finish()
    except TooLargeError as problem:
        error = str(problem)
    return frames, error


def plain_tolerant(stream):
    """Read an answer line by line, as the rules are written; the last line is one without its end."""
    frames, data = [], []

    def end():
        if any(data):
            frames.append(b"\n".join(data))
        data.clear()

    *lines, _ = stream.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in (line.removesuffix(b"\r") for line in lines):
        value = line[5:].removeprefix(b" ") if line.startswith(b"data:") else None
        if b"[DONE]" in (line, value):
            end()
            break
        if value is not None:
            data.append(value)
        elif line.startswith(b"{"):
            end()
            frames.append(line)
        elif not line:
            end()
    return frames


def plain_sse(stream):
    """Read an event stream as the standard is written: characters, then lines, then fields."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events, data, kind, last_id, next_id, retry = [], "", "", "", "", None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            last_id = next_id
            if data:
                events.append(ServerSentEvent(kind or "message", data[:-1], last_id, retry))
            data, kind, retry = "", "", None
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            next_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            retry = int(value)
    return events


@settings(max_examples=600)
@given(cut())
def test_the_tolerant_decoder_reads_whole_lines_by_the_rules(case):
    stream, pieces = case
    decoder = TolerantDecoder()
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == plain_tolerant(stream)


@settings(max_examples=600)
@given(cut(), st.integers(1, 40), st.integers(1, 40))
def test_the_tolerant_decoder_does_not_care_for_cuts(case, line, event):
    stream, pieces = case
    for caps in ({}, {"max_line_bytes": line, "max_event_bytes": event}):
        one, two = TolerantDecoder(**caps), TolerantDecoder(**caps)
        assert run(one, [stream]) == run(two, pieces)
        assert (one.done, one.truncated, one.stray_lines) == (two.done, two.truncated, two.stray_lines)


@settings(max_examples=600)
@given(cut())
def test_the_strict_decoder_reads_by_the_standard(case):
    stream, pieces = case
    assert run(SSEDecoder(), pieces) == (plain_sse(stream), None)


@settings(max_examples=600)
@given(cut(), st.integers(1, 40), st.integers(1, 40))
def test_the_strict_decoder_does_not_care_for_cuts(case, line, event):
    stream, pieces = case
    for caps in ({}, {"max_line_bytes": line, "max_event_bytes": event}):
        one, two = SSEDecoder(**caps), SSEDecoder(**caps)
        assert run(one, [stream]) == run(two, pieces)
        assert (one.retry_ms, one.last_event_id, one.comments) == (two.retry_ms, two.last_event_id, two.comments)
        assert one.pending == two.pending or one._failure


@given(cut(), st.integers(1, 40))
def test_the_lines_decoder_does_not_care_for_cuts(case, line):
    stream, pieces = case
    for caps in ({}, {"max_line_bytes": line}):
        assert run(JSONLinesDecoder(**caps), [stream]) == run(JSONLinesDecoder(**caps), pieces)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.lists(
    st.sampled_from(["\r", "\n", ":", " ", "data: x", "\0", "é"])
).map("".join)
FIELDS = TEXTS.filter(lambda text: not set("\r\n\0") & set(text))


def folded(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(TEXTS, st.none() | FIELDS, st.none() | FIELDS, st.none() | st.integers(0, 2**63 - 1), st.none() | TEXTS)
def test_an_encoded_event_decodes_to_itself(data, kind, event_id, retry, comment):
    comments = []
    wire = encode_sse(data, type=kind, id=event_id, retry=retry, comment=comment)
    events = SSEDecoder(on_comment=comments.append).feed(wire)
    assert events == [ServerSentEvent(kind or "message", folded(data), event_id or "", retry)]
    assert comments == ([] if comment is None else folded(comment).split("\n"))


@given(st.text(), st.text())
def test_encoding_raises_documented_errors_only(data, field):
    try:
        wire = encode_sse(data, type=field, id=field, comment=field)
    except MisuseError:
        assert set("\r\n\0") & set(field)
    else:
        assert len(SSEDecoder().feed(wire)) == 1


@given(st.lists(st.binary(min_size=1).filter(lambda line: line.strip() and not set(b"\r\n") & set(line))))
def test_encoded_lines_decode_to_themselves(lines):
    wire = b"".join(map(encode_line, lines))
    first = wire.startswith(b"\xef\xbb\xbf")
    if not first:
        assert JSONLinesDecoder().feed(wire) == lines
