from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import InvalidRequestError
from backstream.wire.multipart import FormEvent, MultipartDecoder, PartBegin, PartData, PartEnd

# Content made of what delimiters are made of finds their edges.
contents = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--b", b"\r\n--b", b"x", b" ", b"--"]), max_size=12).map(
    b"".join
)
names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='"\\%'), max_size=8)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def decode(blocks: list[bytes], boundary: bytes = b"bound") -> list[FormEvent]:
    decoder = MultipartDecoder(boundary)
    events: list[FormEvent] = []
    for block in blocks:
        for event in decoder.feed(block):
            if isinstance(event, PartData) and isinstance(events[-1], PartData):
                events[-1] = PartData(events[-1].data + event.data)
            else:
                events.append(event)
    decoder.finish()
    return events


@given(st.lists(st.tuples(names, contents), max_size=4), st.lists(st.integers(0, 4000), max_size=20))
def test_what_was_written_is_read_under_any_cut(parts: list[tuple[str, bytes]], places: list[int]) -> None:
    message = b""
    expected: list[FormEvent] = []
    for name, content in parts:
        message += (
            b'--bound\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + content + b"\r\n"
        )
        expected += [PartBegin(name), *([PartData(content)] if content else []), PartEnd()]
    assert decode(cut(message + b"--bound--\r\n", places)) == expected


tokens = st.sampled_from(
    [
        b"--b",
        b"--b--",
        b"\r\n",
        b"\r",
        b'Content-Disposition: form-data; name="a"',
        b"; filename=x",
        b": ",
        b"\r\n\r\n",
        b"\xff",
    ]
)


@given(st.lists(tokens | st.binary(max_size=4), max_size=20).map(b"".join), st.lists(st.integers(0, 500), max_size=8))
def test_rubbish_is_read_alike_under_any_cut_or_refused(message: bytes, places: list[int]) -> None:
    outcomes = []
    for blocks in ([message], cut(message, places)):
        try:
            outcomes.append(decode(blocks, b"b"))
        except InvalidRequestError:
            outcomes.append([])
    assert outcomes[0] == outcomes[1]
