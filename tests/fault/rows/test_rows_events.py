"""Rows 18 to 20, 28 to 32 and 41: what the events of a stream may hold, and how large they may be."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from backstream import (
    CallOptions,
    DecodeError,
    IncompleteStream,
    ProviderError,
    TooLargeError,
    UnavailableError,
)
from backstream.testing.upstream import ExpectEOF, Send, SendSlowly, Step
from support_rows import (
    BACKEND_API,
    DOORS,
    KINDS,
    LINE_KINDS,
    OLLAMA,
    OPENAI,
    SSE_KINDS,
    Door,
    Fault,
    Kind,
    cases,
    check,
    check_failed,
    check_through,
    check_whole,
    converse,
    doors,
    each,
    one_loop,
    through,
)
from support_transport import chunk

MEBIBYTE = 1024 * 1024
CAP = CallOptions(max_line_bytes=100_000, max_event_bytes=100_000)


def whole(kind: Kind, body: bytes) -> list[Step]:
    return [Send(kind.chunked(body, last=True))]


def damaged(kind: Kind, data: bytes) -> list[Step]:
    """A stream with an event that holds anything, and more after it."""
    return [Send(kind.chunked(kind.first, kind.damage(data), kind.word("lo"), kind.closing)), ExpectEOF()]


def bad_byte(kind: Kind) -> bytes:
    """A whole answer with a byte in its text that is no UTF-8."""
    return kind.whole.replace(b"Hel", b"H\xffl")


def mixed(kind: Kind) -> list[Step]:
    """A whole answer with line ends of every kind, byte by byte."""
    ends = itertools.cycle((b"\r\n", b"\r", b"\n"))
    body = b""
    for line in kind.whole.split(b"\n")[:-1]:
        end = next(ends)
        # an empty line of LF after a CR would be the other half of one line end
        body += line + (b"\r" if not line and end == b"\n" and body.endswith(b"\r") else end)
    return [SendSlowly(kind.chunked(*(bytes([byte]) for byte in body), last=True), 6)]


EVENTS: Sequence[Fault] = (
    Fault(18, "invalid-utf-8", lambda kind: whole(kind, bad_byte(kind)), text="H\ufffdllo"),
    Fault(19, "leading-bom", lambda kind: whole(kind, b"\xef\xbb\xbf" + kind.whole), text="Hello"),
    Fault(
        20,
        "crlf",
        lambda kind: [SendSlowly(kind.chunked(kind.whole.replace(b"\n", b"\r\n"), last=True), 3)],
        text="Hello",
    ),
    Fault(
        20,
        "cr",
        lambda kind: [SendSlowly(kind.chunked(kind.whole.replace(b"\n", b"\r"), last=True), 3)],
        text="Hello",
        kinds=SSE_KINDS,
    ),
    Fault(20, "mixed-and-split", mixed, text="Hello", kinds=SSE_KINDS),
    Fault(
        28,
        "error-in-the-stream",
        lambda kind: [Send(kind.chunked(kind.first, kind.error, kind.word("lo"), kind.closing)), ExpectEOF()],
        UnavailableError,
        "Hel",
        says="overloaded",
        again=True,
        kinds=tuple(kind for kind in KINDS if kind.name != "ollama"),
    ),
    Fault(
        28,
        "error-in-the-stream",
        lambda kind: [Send(kind.chunked(kind.first, kind.error, kind.word("lo"), kind.closing)), ExpectEOF()],
        ProviderError,
        "Hel",
        says="overloaded",
        kinds=tuple(kind for kind in KINDS if kind.name == "ollama"),
    ),
    *(
        Fault(29, name, lambda kind, data=data: damaged(kind, data), DecodeError, "Hel", says="event ")  # type: ignore[misc]
        for name, data in {
            "bad-json": b"{nonsense}",
            "nan": b'{"type": NaN}',
            "depth-100000": b'{"a":' * 100_000,
        }.items()
    ),
    Fault(  # backend-api passes over lines that are of neither of its framings
        29,
        "no-object",
        lambda kind: damaged(kind, b"[1]"),
        DecodeError,
        "Hel",
        says="event ",
        kinds=tuple(kind for kind in KINDS if kind is not BACKEND_API),
    ),
    Fault(
        30,
        "line-without-end",
        lambda kind: [Send(kind.chunked(kind.first) + chunk(kind.damage(b"x" * 200_000)[:-2])), ExpectEOF()],
        TooLargeError,
        "Hel",
        says="max_line_bytes",
        options=CAP,
    ),
    Fault(
        30,
        "event-without-end",
        lambda kind: [Send(kind.chunked(kind.first, *[b"data: " + b"x" * 5000 + b"\n"] * 40)), ExpectEOF()],
        TooLargeError,
        "Hel",
        says="max_",
        options=CAP,
        kinds=SSE_KINDS,
    ),
    Fault(
        31,
        "event-of-14-mb",
        lambda kind: whole(kind, kind.opening + kind.word("x" * 14_000_000) + kind.closing),
        text="x" * 14_000_000,
    ),
)


@pytest.mark.parametrize(**cases(EVENTS))
async def test_events(fault: Fault, kind: Kind) -> None:
    outcome = await converse(kind, fault.script(kind), fault.options)
    check(fault, outcome)
    if isinstance(outcome.error, DecodeError):
        assert outcome.error.index is not None


@one_loop
@pytest.mark.parametrize(**doors([fault for fault in EVENTS if fault.row != 31]))
async def test_events_through_a_gateway(fault: Fault, kind: Kind, door: Door) -> None:
    await check_through(fault, kind, door)


@one_loop
@pytest.mark.parametrize("door", each(28, "error-in-the-stream-for", DOORS))
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_an_error_in_the_stream_reaches_every_client_in_its_words(kind: Kind, door: Door) -> None:
    answer = await through(door, kind, [Send(kind.chunked(kind.first, kind.error)), ExpectEOF()])
    check_failed(door, answer, begun=True)
    assert b"overloaded" in answer.body


@pytest.mark.parametrize("kind", each(29, "duplicate-keys", LINE_KINDS + SSE_KINDS))
async def test_the_last_of_two_members_of_one_name_counts(kind: Kind) -> None:
    """As for Python's own ``json``; what matters is that it is always the same one."""
    twice = kind.whole.replace(b'"Hel"', b'"Hel", "content": "Hel", "text": "Hel"')
    outcome = await converse(kind, whole(kind, twice))
    assert (outcome.error, outcome.text) == (None, "Hello")


@pytest.mark.parametrize("kind", each(19, "second-bom", SSE_KINDS))
async def test_a_second_bom_is_data(kind: Kind) -> None:
    """It makes the name of the field another one, so that the line is passed over, as the standard has it."""
    outcome = await converse(kind, whole(kind, b"\xef\xbb\xbf\xef\xbb\xbfdata: no event\n\n" + kind.whole))
    assert (outcome.error, outcome.text) == (None, "Hello")
    outcome = await converse(kind, whole(kind, kind.whole.replace(b"Hel", b"\xef\xbb\xbfHel")))
    assert (outcome.error, outcome.text) == (None, "\ufeffHello")


@pytest.mark.parametrize("kind", each(30, "line-without-end", KINDS))
async def test_memory_is_bounded_by_the_cap(kind: Kind) -> None:
    """Twice the cap, and what the socket and the test's own server hold of one piece."""
    cap, piece = 8 * MEBIBYTE, b"x" * MEBIBYTE
    lines: list[Step] = [Send(chunk(piece)) for _ in range(64)]
    script = [Send(kind.chunked(kind.first) + chunk(kind.damage(b"{").rstrip(b"\n"))), *lines, ExpectEOF()]
    tracemalloc.start()
    try:
        outcome = await converse(kind, script, CallOptions(max_line_bytes=cap, max_event_bytes=cap))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome.error, TooLargeError)
    assert outcome.text == "Hel"
    assert peak < 2 * cap + 8 * MEBIBYTE


def coded(kind: Kind, coding: str, body: bytes) -> list[Step]:
    return [Send(kind.head(f"Content-Encoding: {coding}", f"Content-Length: {len(body)}") + body), ExpectEOF()]


def bomb(kind: Kind) -> bytes:
    """An answer, then white space that grows to 64 MiB: each kind of stream may hold as much of it as it likes."""
    engine = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    spaces = (engine.compress(b"\n" * MEBIBYTE) for _ in range(64))
    return b"".join((engine.compress(kind.first), *spaces, engine.flush()))


def cut(kind: Kind) -> bytes:
    """The begin of a coded answer, all of which can be decoded."""
    engine = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return engine.compress(kind.first) + engine.flush(zlib.Z_SYNC_FLUSH)


CODINGS: Sequence[Fault] = (
    Fault(32, "gzip-bomb", lambda kind: coded(kind, "gzip", bomb(kind)), TooLargeError, kinds=(OPENAI, OLLAMA)),
    Fault(32, "br-bomb", lambda kind: coded(kind, "br", b"whatever"), DecodeError),
    Fault(32, "truncated-gzip", lambda kind: coded(kind, "gzip", cut(kind)), DecodeError, "Hel"),
    Fault(32, "gzip-in-name-only", lambda kind: coded(kind, "gzip", kind.whole), DecodeError),
    Fault(32, "gzip-nobody-asked-for", lambda kind: coded(kind, "gzip", gzip.compress(kind.whole)), text="Hello"),
    Fault(32, "deflate-nobody-asked-for", lambda kind: coded(kind, "deflate", zlib.compress(kind.whole)), text="Hello"),
)


@pytest.mark.parametrize(**cases(CODINGS))
async def test_codings(fault: Fault, kind: Kind) -> None:
    outcome = await converse(kind, fault.script(kind), fault.options)
    if fault.name == "gzip-bomb":
        assert isinstance(outcome.error, TooLargeError)
    else:
        check(fault, outcome)


# --- numbers of events ------------------------------------------------------------------------------------------------


def numbered(*numbers: int, over: int | None = None) -> bytes:
    """A stream of OpenAI's Responses: each event's text is its number."""
    events: list[dict[str, Any]] = [
        {
            "type": "response.output_text.delta",
            "sequence_number": number,
            "output_index": 0,
            "content_index": 0,
            "delta": f"<{number}>",
        }
        for number in numbers
    ]
    if over is not None:
        response = {"id": "r", "status": "completed", "output": []}
        events.append({"type": "response.completed", "sequence_number": over, "response": response})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


RESPONSES = Kind(
    name="openai_responses",
    content_type="text/event-stream",
    opening=b"",
    word=lambda text: b"",
    closing=b"",
    error=b"",
    ping=b": ping\n\n",
    damage=lambda data: data,
)


def sent(*numbers: int, over: int | None = None) -> list[Step]:
    return [Send(RESPONSES.chunked(numbered(*numbers, over=over), last=True))]


NUMBERS: Sequence[Fault] = (
    Fault(41, "in-order", lambda kind: sent(0, 1, 2, over=3), text="<0><1><2>", kinds=(RESPONSES,)),
    Fault(41, "duplicates", lambda kind: sent(0, 1, 1, 0, 2, 2, over=3), text="<0><1><2>", kinds=(RESPONSES,)),
    Fault(
        41,
        "skipped",
        lambda kind: sent(0, 1, 3, 4, over=5),
        IncompleteStream,
        "<0><1>",
        says="events are missing from the answer: number 2",
        kinds=(RESPONSES,),
        state="incomplete",
    ),
    Fault(
        41,
        "out-of-order",
        lambda kind: sent(0, 1, 3, 2, 4, over=5),
        IncompleteStream,
        "<0><1>",
        says="number 2",
        kinds=(RESPONSES,),
        state="incomplete",
    ),
)


@pytest.mark.parametrize(**cases(NUMBERS))
async def test_numbers(fault: Fault, kind: Kind) -> None:
    check(fault, await converse(kind, fault.script(kind)))


@one_loop
@pytest.mark.parametrize("door", each(41, "skipped-for", DOORS))
async def test_a_gap_through_a_gateway(door: Door) -> None:
    answer = await through(door, RESPONSES, sent(0, 1, 3, over=4))
    for word in door.done:
        assert word not in answer.body
    assert answer.body.count(door.told) == 1
    assert b"events are missing" in answer.body


@one_loop
@pytest.mark.parametrize("door", each(41, "duplicates-for", DOORS))
async def test_duplicates_through_a_gateway(door: Door) -> None:
    answer = await through(door, RESPONSES, sent(0, 1, 1, 2, over=3))
    check_whole(door, answer)
    assert answer.body.count(b"<1>") == answer.body.count(b"<2>") > 0


def lists() -> Iterator[list[int]]:
    """Numbers as a bad way may deliver those from 0 to 7: some twice, some late, some lost."""
    chance = random.Random(41)
    for _ in range(60):
        numbers = [number for number in range(8) if chance.random() > 0.1]
        numbers += [number for number in numbers if chance.random() < 0.2]
        yield sorted(numbers, key=lambda number: number + chance.choice((0, 0, 0, 2)))


@pytest.mark.parametrize("seed", [pytest.param(41, id="row-41-any-way-is-a-prefix-or-an-error")])
async def test_what_arrives_is_a_prefix_and_whole_only_if_it_is(seed: int) -> None:
    for numbers in lists():
        first = numbers[0]
        outcome = await converse(RESPONSES, sent(*numbers, over=8))
        count = len(outcome.chunks)
        expected = [f"<{number}>" for number in range(first, 8)]
        got = [str(piece) for piece in outcome.chunks if str(piece)]
        assert got == expected[: len(got)], (seed, numbers, count)
        assert (outcome.error is None) is (got == expected)
