"""Rows 11, 12, 14 to 17 and 21 to 27: what a body may do, from its first byte to long after its last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from backstream import (
    BetweenContentTimeout,
    CallOptions,
    Deadlines,
    FirstContentTimeout,
    FramingError,
    IdleTimeout,
    IncompleteStream,
)
from backstream.testing.upstream import (
    Close,
    ExpectEOF,
    HalfClose,
    ReadRequest,
    Reset,
    ScriptedUpstream,
    Send,
    SendSlowly,
    Step,
    Wait,
)
from backstream.transport import timeouts
from support_rows import (
    ANTHROPIC,
    BACKEND_API,
    DOORS,
    GEMINI,
    HI,
    KINDS,
    LAST_CHUNK,
    OPENAI,
    SSE_KINDS,
    Door,
    Fault,
    Kind,
    cases,
    check,
    check_failed,
    check_through,
    converse,
    doors,
    each,
    one_loop,
    provider,
    serving,
)
from support_server import close, head_and_body, parse_answers
from support_transport import chunk

SHORT = 0.04
FAMILY = "👨‍👩‍👧 é €"


def length(kind: Kind, size: int, body: bytes) -> bytes:
    return kind.head(f"Content-Length: {size}") + body


def in_pieces(kind: Kind, text: str) -> bytes:
    """A whole answer in chunks of one byte."""
    body = kind.opening + kind.word(text) + kind.closing
    return kind.head("Transfer-Encoding: chunked") + b"".join(chunk(bytes([byte])) for byte in body) + LAST_CHUNK


def extended(kind: Kind) -> bytes:
    """A chunk with extensions, and trailers after the last."""
    body = b'%x;name=value;q="x"\r\n%b\r\n' % (len(kind.whole), kind.whole)
    return kind.head("Transfer-Encoding: chunked") + body + b"0;last\r\nTrailer: x\r\nOther: y\r\n\r\n"


def cut_event(kind: Kind) -> bytes:
    """A piece of an event."""
    return kind.word("lo")[:-6]


def marked(kind: Kind) -> bytes:
    """A whole answer up to its finish marker, without the word that repeats it."""
    repeats = {OPENAI: b"data: [DONE]\n\n", ANTHROPIC: b'event: message_stop\ndata: {"type": "message_stop"}\n\n'}
    if kind not in repeats:
        return kind.whole
    assert kind.whole.endswith(repeats[kind])
    return kind.whole.removesuffix(repeats[kind])


@pytest.fixture(autouse=True)
def _shortly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the body stays open on purpose, it is not waited for long."""
    if getattr(request.node.callspec.params.get("fault"), "row", 0) == 26:
        monkeypatch.setattr(timeouts, "LINGER_SECONDS", SHORT)


BODIES: Sequence[Fault] = (
    Fault(
        11,
        "http-1.0-closed-after-the-last-word",
        lambda kind: [Send(kind.head(version="1.0") + kind.whole), Close()],
        text="Hello",
    ),
    Fault(
        11,
        "http-1.0-closed-without-the-last-word",
        lambda kind: [Send(kind.head(version="1.0") + kind.first), Close()],
        IncompleteStream,
        "Hel",
        state="incomplete",
    ),
    Fault(
        12,
        "body-shorter-than-its-length",
        lambda kind: [Send(length(kind, 9999, kind.first)), Close()],
        IncompleteStream,
        "Hel",
        says="before the announced end",
        state="incomplete",
    ),
    Fault(
        12,
        "body-longer-than-its-length",
        lambda kind: [Send(length(kind, len(kind.whole), kind.whole + b"surplus"))],
        text="Hello",
    ),
    Fault(14, "chunk-extensions-and-trailers", lambda kind: [Send(extended(kind))], text="Hello"),
    *(
        Fault(
            15,
            f"chunk-{name}",
            lambda kind, framing=framing: [Send(kind.chunked(kind.first) + framing)],  # type: ignore[misc]
            FramingError,
            "Hel",
            says="malformed HTTP",
        )
        for name, framing in {
            "size-no-number": b"zz\r\nhello\r\n",
            "without-line-end": b"5\r\nhelloX\r\n",
            "size-huge": b"fffffffffffffffff\r\n",
        }.items()
    ),
    Fault(16, "one-byte-at-a-time", lambda kind: [SendSlowly(kind.chunked(kind.whole, last=True))], text="Hello"),
    Fault(16, "a-chunk-for-each-byte", lambda kind: [SendSlowly(in_pieces(kind, "Hello"), 6)], text="Hello"),
    Fault(17, "characters-split-over-chunks", lambda kind: [SendSlowly(in_pieces(kind, FAMILY), 6)], text=FAMILY),
    Fault(
        22,
        "silence-mid-stream",
        lambda kind: [Send(kind.chunked(kind.first)), ExpectEOF()],
        IdleTimeout,
        "Hel",
        options=CallOptions(deadlines=Deadlines(idle=SHORT)),
    ),
    Fault(
        24,
        "fin-mid-event",
        lambda kind: [Send(kind.chunked(kind.first, cut_event(kind))), Close()],
        IncompleteStream,
        "Hel",
        state="incomplete",
    ),
    Fault(
        24,
        "fin-mid-event-of-a-body-without-length",
        lambda kind: [Send(kind.head() + kind.first + cut_event(kind)), HalfClose()],
        IncompleteStream,
        "Hel",
        state="incomplete",
    ),
    Fault(
        25,
        "fin-without-the-last-word",
        lambda kind: [Send(kind.chunked(kind.first)), Close()],
        IncompleteStream,
        "Hel",
        state="incomplete",
    ),
    Fault(
        25,
        "body-framed-to-its-end-without-the-last-word",
        lambda kind: [Send(kind.chunked(kind.first, last=True))],
        IncompleteStream,
        "Hel",
        kinds=tuple(kind for kind in KINDS if kind is not BACKEND_API),
        state="incomplete",
    ),
    Fault(  # this protocol has no last word that every server sends: its end is the body's
        25,
        "body-framed-to-its-end",
        lambda kind: [Send(kind.chunked(kind.first, last=True))],
        text="Hel",
        kinds=(BACKEND_API,),
    ),
    Fault(
        26,
        "socket-open-after-the-last-word",
        lambda kind: [Send(kind.chunked(kind.whole)), ExpectEOF()],
        text="Hello",
        kinds=(*KINDS, GEMINI),
    ),
    Fault(
        26,
        "socket-open-after-the-finish-marker",
        lambda kind: [Send(kind.chunked(marked(kind))), ExpectEOF()],
        text="Hello",
        kinds=SSE_KINDS,
    ),
    Fault(
        26,
        "only-pings-after-the-finish-marker",
        lambda kind: [
            Send(kind.chunked(marked(kind))),
            SendSlowly(chunk(kind.ping) * 1000, len(chunk(kind.ping))),
            ExpectEOF(),
        ],
        text="Hello",
        kinds=(OPENAI, ANTHROPIC, BACKEND_API, GEMINI),
    ),
    Fault(
        27,
        "data-after-the-last-word",
        lambda kind: [Send(kind.chunked(kind.whole, kind.word("more")))],
        text="Hello",
        kinds=tuple(kind for kind in KINDS if kind is not BACKEND_API),
    ),
)


@pytest.mark.parametrize(**cases(BODIES))
async def test_body(fault: Fault, kind: Kind) -> None:
    check(fault, await converse(kind, fault.script(kind), fault.options))


@one_loop
@pytest.mark.parametrize(**doors(BODIES))
async def test_body_through_a_gateway(fault: Fault, kind: Kind, door: Door) -> None:
    await check_through(fault, kind, door)


PINGED: Sequence[Fault] = (
    Fault(
        21,
        "only-pings-before-content",
        lambda kind: [
            Send(kind.chunked(kind.opening)),
            SendSlowly(chunk(kind.ping) * 1000, len(chunk(kind.ping))),
            ExpectEOF(),
        ],
        FirstContentTimeout,
        options=CallOptions(deadlines=Deadlines(idle=30, first_content=SHORT)),
    ),
    Fault(
        21,
        "only-pings-after-content",
        lambda kind: [
            Send(kind.chunked(kind.first)),
            SendSlowly(chunk(kind.ping) * 1000, len(chunk(kind.ping))),
            ExpectEOF(),
        ],
        BetweenContentTimeout,
        "Hel",
        options=CallOptions(deadlines=Deadlines(idle=30, between_content=SHORT)),
    ),
)


@pytest.mark.parametrize(**cases(PINGED))
async def test_pings_feed_no_clock_of_content(fault: Fault, kind: Kind) -> None:
    check(fault, await converse(kind, fault.script(kind), fault.options))


@pytest.mark.parametrize("kind", each(23, "reset-mid-stream", KINDS))
async def test_a_reset(kind: Kind) -> None:
    """What came before it is given first; and nobody asks again."""
    read = asyncio.Event()
    script: list[Step] = [ReadRequest(), Send(kind.chunked(kind.first)), Wait(read), Reset()]
    async with ScriptedUpstream(script) as upstream:
        answer = provider(kind, upstream.url).create_async_generator("m", HI, stream=True)
        seen = ""
        with pytest.raises(IncompleteStream, match="was reset") as caught:
            async for piece in answer:
                seen += str(piece)
                if seen == "Hel":
                    read.set()
        await upstream.closed()
        assert upstream.connections == 1
    assert seen == "Hel" == caught.value.text
    assert not caught.value.retryable
    assert answer.end is not None
    assert answer.end.state == "incomplete"


@one_loop
@pytest.mark.parametrize("door", each(23, "reset-mid-stream-for", DOORS))
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_reset_through_a_gateway(kind: Kind, door: Door) -> None:
    read = asyncio.Event()
    script: list[Step] = [ReadRequest(), Send(kind.chunked(kind.first)), Wait(read), Reset()]
    async with ScriptedUpstream(script) as upstream, serving(provider(kind, upstream.url)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", door.path, door.body))
        received = await reader.readuntil(b'Hel"')
        read.set()
        received += await reader.read()
        await close(writer)
        await upstream.closed()
        assert upstream.connections == 1
    (answer,) = parse_answers(received)
    check_failed(door, answer, begun=True)
