"""What the tests of the fault rows share: four kinds of back-end, one answer said by each, and who asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import pytest

from backstream import (
    AsyncResult,
    BackstreamError,
    CallOptions,
    DeadlineError,
    Deadlines,
    DialectProvider,
    DisconnectedError,
    IncompleteStream,
    ProtocolError,
    RawResponse,
    Recovery,
)
from backstream.providers.result import BlockSource
from backstream.providers.rows_shape import Row
from backstream.reply import End
from backstream.request import Request
from backstream.resilience.route import Ask, ask_with
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates
from backstream.server import Settings, create_app
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Step
from backstream.transport.pool import aclose_pools
from support_routes import Sleeps
from support_server import Answer, Running, running
from support_transport import chunk

HI: Final = [{"role": "user", "content": "Hi"}]
KEY: Final = "sk-canary-of-the-rows-0123456789"
LAST_CHUNK: Final = b"0\r\n\r\n"

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])
"""For what differs from a test on both loops only in a gateway around it."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of back-end, and how it says an answer.

    Attributes:
        name: The name of its dialect.
        content_type: What its streams call themselves.
        opening: What comes before the first word.
        word: Makes the event of a piece of text.
        closing: Its words for done.
        error: An event that says it is overloaded.
        ping: Bytes that say only that it is there.
        damage: Makes an event of any data.
    """

    name: str
    content_type: str
    opening: bytes
    word: Callable[[str], bytes]
    closing: bytes
    error: bytes
    ping: bytes
    damage: Callable[[bytes], bytes]

    def __str__(self) -> str:
        return self.name

    @property
    def first(self) -> bytes:
        """The opening and the first word, ``Hel``."""
        return self.opening + self.word("Hel")

    @property
    def whole(self) -> bytes:
        """A whole answer, ``Hello``."""
        return self.first + self.word("lo") + self.closing

    def head(self, *fields: str, status: str = "200 OK", version: str = "1.1") -> bytes:
        """The head of a stream."""
        lines = [f"HTTP/{version} {status}", f"Content-Type: {self.content_type}", *fields, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def chunked(self, *pieces: bytes, last: bool = False) -> bytes:
        """The head of a chunked stream, and pieces of it."""
        body = b"".join(chunk(piece) for piece in pieces if piece)
        return self.head("Transfer-Encoding: chunked") + body + (LAST_CHUNK if last else b"")


def _sse(data: object, event: str = "") -> bytes:
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + raw + b"\n\n"


def _line(data: object) -> bytes:
    return (data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()) + b"\n"


def _choice(delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def _anthropic(kind: str, **members: Any) -> bytes:
    return _sse({"type": kind, **members}, kind)


OPENAI: Final = Kind(
    name="openai_chat",
    content_type="text/event-stream",
    opening=_sse(_choice({"role": "assistant", "content": ""})),
    word=lambda text: _sse(_choice({"content": text})),
    closing=_sse(_choice({}, "stop")) + b"data: [DONE]\n\n",
    error=_sse({"error": {"message": "overloaded", "type": "server_error", "code": 503}}),
    ping=b": ping\n\n",
    damage=_sse,
)
ANTHROPIC: Final = Kind(
    name="anthropic_messages",
    content_type="text/event-stream",
    opening=_anthropic(
        "message_start",
        message={"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}},
    )
    + _anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    word=lambda text: _anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    closing=_anthropic("content_block_stop", index=0)
    + _anthropic("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
    + _anthropic("message_stop"),
    error=_anthropic("error", error={"type": "overloaded_error", "message": "overloaded"}),
    ping=_anthropic("ping"),
    damage=lambda data: _sse(data, "content_block_delta"),
)
BACKEND_API: Final = Kind(
    name="backend_api",
    content_type="application/x-ndjson",
    opening=_line({"type": "provider", "provider": {"name": "Work", "url": None, "label": "Work", "model": "m"}}),
    word=lambda text: _line({"type": "content", "content": text}),
    closing=_line({"type": "finish", "finish": {"reason": "stop"}}),
    error=_line({"type": "error", "error": "UnavailableError", "message": "overloaded"}),
    ping=b"\n",
    damage=_line,
)
OLLAMA: Final = Kind(
    name="ollama",
    content_type="application/x-ndjson",
    opening=b"",
    word=lambda text: _line({"model": "m", "message": {"role": "assistant", "content": text}, "done": False}),
    closing=_line({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}),
    error=_line({"error": "overloaded"}),
    ping=b"\n",
    damage=_line,
)
GEMINI: Final = Kind(
    name="gemini",
    content_type="text/event-stream",
    opening=b"",
    word=lambda text: _sse({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]}),
    closing=_sse({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]}),
    error=_sse({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}),
    ping=b": ping\n\n",
    damage=_sse,
)
KINDS: Final = (OPENAI, ANTHROPIC, BACKEND_API, OLLAMA)
SSE_KINDS: Final = (OPENAI, ANTHROPIC)
LINE_KINDS: Final = (BACKEND_API, OLLAMA)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault, and what must come of it.

    Attributes:
        row: Its number in the table of faults.
        name: What it is, in the words of the table.
        script: What the server does after it has read the request.
        error: What must be raised; ``None`` for a whole answer.
        text: What must have been given before.
        says: What the error's text must hold.
        phase: Where in the life of the request it must have happened.
        again: Whether the error must say that asking again may help.
        options: The local options of the call.
        kinds: The kinds of back-end that can do it.
        state: How the answer must have ended. By default cut, where anything came before a cut, a clock or damage.
    """

    row: int
    name: str
    script: Callable[[Kind], list[Step]]
    error: type[Exception] | None = None
    text: str = ""
    says: str = ""
    phase: str | None = None
    again: bool = False
    options: CallOptions | None = None
    kinds: tuple[Kind, ...] = KINDS
    state: str = ""

    @property
    def id(self) -> str:
        """Its name as a test."""
        return f"row-{self.row:02}-{self.name}"


def cases(faults: Sequence[Fault]) -> Mapping[str, Any]:
    """Return the arguments of ``parametrize`` for each fault with each kind of back-end that can have it."""
    pairs = [(fault, kind) for fault in faults for kind in fault.kinds]
    ids = [fault.id if fault.kinds == (kind,) else f"{fault.id}-{kind}" for fault, kind in pairs]
    return {"argnames": ("fault", "kind"), "argvalues": pairs, "ids": ids}


@dataclasses.dataclass
class Outcome:
    """What came of a conversation."""

    chunks: list[RawResponse]
    error: Any
    end: End | None

    @property
    def text(self) -> str:
        """The text that was given."""
        return "".join(map(str, self.chunks))


class WithOptions(DialectProvider):
    """A provider whose calls have clocks and caps of their own, however they are made."""

    own: CallOptions | None = None

    def answer(self, request: Request, *, options: CallOptions | None = None, **given: Any) -> AsyncResult:
        """Answer with clocks and caps of its own."""
        if self.own is not None:
            fields = {name: getattr(self.own, name) for name in ("deadlines", "max_line_bytes", "max_event_bytes")}
            options = msgspec.structs.replace(options or CallOptions(), **fields)
        return super().answer(request, options=options, **given)


def provider(kind: Kind, url: str, options: CallOptions | None = None, **settings: Any) -> DialectProvider:
    """Return a provider of a kind."""
    row = Row(
        name="work", label="Work", url=url, dialect=kind.name, documentation="here", key_needed=False, default_model="m"
    )
    found = WithOptions(row, KEY, **settings)
    found.own = options
    return found


async def ask(asked: DialectProvider) -> Outcome:
    """Ask, and read to the end."""
    answer = asked.create_async_generator("m", HI, stream=True)
    chunks: list[RawResponse] = []
    error: Exception | None = None
    try:
        async with asyncio.timeout(30):  # a guard against hanging, not a measure
            async for piece in answer:
                chunks.append(piece)
    except Exception as raised:
        error = raised
    return Outcome(chunks, error, answer.end)


async def converse(kind: Kind, script: Sequence[Step], options: CallOptions | None = None) -> Outcome:
    """Ask a server that plays a script on each connection; see that every connection is closed."""
    async with ScriptedUpstream([ReadRequest(), *script]) as upstream:
        outcome = await ask(provider(kind, upstream.url, options))
        await aclose_pools()  # an answer read to its end leaves its connection to the pool
        await upstream.closed()
    return outcome


def check(fault: Fault, outcome: Outcome) -> None:
    """Check that of a fault came what must."""
    error = outcome.error
    assert outcome.text == fault.text
    if fault.error is None:
        assert error is None, error
        assert outcome.end is not None
        assert outcome.end.state == "complete"
        return
    assert isinstance(error, fault.error), repr(error)
    assert fault.says in str(error)
    assert KEY not in str(error) + repr(error)
    assert "\n" not in str(error)
    assert error.retryable is fault.again
    assert fault.phase in (None, error.phase)
    assert list(error.received) == outcome.chunks
    assert outcome.end is not None
    cut = outcome.chunks and isinstance(error, (IncompleteStream, DisconnectedError, DeadlineError, ProtocolError))
    assert outcome.end.state == (fault.state or ("incomplete" if cut else "failed"))


# --- asked again ------------------------------------------------------------------------------------------------------


class ProviderRoute:
    """A provider as a route; a :class:`backstream.resilience.route.Route` that counts how often it was asked."""

    name = "work/m"
    takes_prefix = False

    def __init__(self, asked: DialectProvider) -> None:
        self._asked = asked
        self.count = 0

    async def open(self, ask: Ask) -> BlockSource:
        """Ask the provider."""
        self.count += 1
        return await self._asked.create_async_generator("m", HI, stream=True, options=ask.options).open_source()


@dataclasses.dataclass
class Attempts:
    """What came of asking for as long as that made sense: text, error, how often, and the waits."""

    text: str
    error: Any
    count: int
    waits: Sequence[float]


async def ask_again(asked: DialectProvider, *, chance: float = 1.0, total: float | None = None) -> Attempts:
    """Ask as the client and the gateway do, with what they do by default; waits take no time."""
    route, sleeps = ProviderRoute(asked), Sleeps()
    stack = build_stack([route], Recovery(), RouteStates(), sleep=sleeps, random=lambda: chance)
    said: list[str] = []
    error: BackstreamError | None = None
    try:
        async with asyncio.timeout(30):  # a guard against hanging, not a measure
            await _read(await stack.open(ask_with(CallOptions(deadlines=Deadlines(total=total)))), said)
    except BackstreamError as raised:
        error = raised
    return Attempts("".join(said), error, route.count, sleeps.seconds)


async def _read(source: BlockSource, said: list[str]) -> None:
    try:
        while True:
            for item in await source.read_block():
                if not isinstance(item, End):
                    said.append(str(item))
                elif item.error is not None:
                    raise item.error
                else:
                    return
    finally:
        await source.aclose()


# --- through a gateway ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Door:
    """A way for clients to ask the gateway.

    Attributes:
        name: The client's dialect, and its framing where there are two.
        path: Where it asks.
        body: What it asks.
        done: What stands in every answer that is told to be whole.
        told: What stands in every error inside a stream.
    """

    name: str
    path: str
    body: Mapping[str, Any]
    done: tuple[bytes, ...]
    told: bytes

    def __str__(self) -> str:
        return self.name


_GEMINI: Final = {"contents": [{"parts": [{"text": "Hi"}]}]}
DOORS: Final = (
    Door(
        "openai_chat",
        "/v1/chat/completions",
        {"model": "", "messages": HI, "stream": True},
        (b"data: [DONE]", b'"finish_reason":"'),
        b'data: {"error":',
    ),
    Door(
        "openai_responses",
        "/v1/responses",
        {"model": "", "input": "Hi", "stream": True},
        (b"response.completed", b"response.incomplete", b'"status":"completed"'),
        b"event: response.failed",
    ),
    Door(
        "anthropic_messages",
        "/v1/messages",
        {"model": "m", "messages": HI, "max_tokens": 9, "stream": True},
        (b"message_stop", b'"stop_reason":"'),
        b"event: error",
    ),
    Door("gemini", "/v1beta/models/m:streamGenerateContent?alt=sse", _GEMINI, (b'"finishReason"',), b'"error":'),
    Door("gemini_array", "/v1beta/models/m:streamGenerateContent", _GEMINI, (b'"finishReason"',), b'"error":'),
    Door("ollama", "/api/chat", {"model": "m", "messages": HI}, (b'"done":true', b'"done_reason"'), b'{"error":'),
    Door(
        "backend_api",
        "/backend-api/v2/conversation",
        {"model": "", "messages": HI},
        (b'"type":"finish"',),
        b'"type":"error"',
    ),
    Door(
        "backend_api_lines",
        "/jsonl/backend-api/v2/conversation",
        {"model": "", "messages": HI},
        (b'"type":"finish"',),
        b'"type":"error"',
    ),
)


ASKING_AGAIN: Final = tuple(door for door in DOORS if not door.name.startswith("backend_api"))
"""Those behind which a provider of the application is a route; the backend-api's asks it once, as its own class."""


@contextlib.asynccontextmanager
async def serving(asked: DialectProvider, **settings: Any) -> AsyncIterator[Running]:
    """Run a gateway before a provider."""
    app = create_app({"work": asked}, Settings(**{"keys_file": None, **settings}))
    app.back_ends.random = lambda: 0.0  # it asks again at once
    async with running(app=app) as server:
        yield server
        await aclose_pools()


async def through(door: Door, kind: Kind, script: Sequence[Step], options: CallOptions | None = None) -> Answer:
    """Ask a gateway before a server that plays a script; see that every connection is closed."""
    async with (
        ScriptedUpstream([ReadRequest(), *script]) as upstream,
        serving(provider(kind, upstream.url, options)) as server,
    ):
        answer = await server.ask("POST", door.path, door.body)
        await aclose_pools()
        await upstream.closed()
    return answer


def doors(faults: Sequence[Fault]) -> Mapping[str, Any]:
    """Return the arguments of ``parametrize`` for each fault with each kind of back-end, through some doors.

    Through all doors each fault would take long. Each kind is asked by a client of its own dialect, whose frames may be
    passed on, and by one of another, by turns.
    """
    argvalues, ids, turn = [], [], 0
    for fault in faults:
        for kind in fault.kinds:
            others = [door for door in DOORS if door.name != kind.name]
            for door in (*(door for door in DOORS if door.name == kind.name), others[turn % len(others)]):
                argvalues.append((fault, kind, door))
                ids.append(f"{fault.id}-{kind}-for-{door}")
            turn += 1
    return {"argnames": ("fault", "kind", "door"), "argvalues": argvalues, "ids": ids}


def each(row: int, name: str, values: Sequence[Any]) -> list[Any]:
    """Return parameters for ``parametrize``, named for a row."""
    return [pytest.param(value, id=f"row-{row:02}-{name}-{value}") for value in values]


async def check_through(fault: Fault, kind: Kind, door: Door) -> None:
    """Ask through a gateway, and check what its client is told."""
    answer = await through(door, kind, fault.script(kind), fault.options)
    if fault.error is None:
        check_whole(door, answer)
    else:
        check_failed(door, answer, begun=bool(fault.text))


def _unspaced(body: bytes) -> bytes:
    """JSON of a back-end that is passed on has spaces where ours has none."""
    return body.replace(b'": ', b'":')


def check_whole(door: Door, answer: Answer) -> None:
    """Check that a client was told a whole answer."""
    assert (answer.status, answer.whole) == (200, True)
    body = _unspaced(answer.body)
    # the end of a backend-api answer is its body's, where the back-end had no word for it either
    assert door.name.startswith("backend_api") or any(word in body for word in door.done)
    assert door.told not in body


def check_failed(door: Door, answer: Answer, *, begun: bool) -> None:
    """Check that a client was told of a failure, in its dialect, and no end.

    Args:
        door: How the client asked.
        answer: What it got.
        begun: Whether content had come: then the error is inside the stream.
    """
    body = _unspaced(answer.body)
    for word in door.done:
        assert word not in body
    assert KEY.encode() not in answer.body
    assert answer.whole  # its own framing is in order: what failed is said inside it
    if begun or door.name.startswith("backend_api"):
        assert answer.status == 200
        assert body.count(door.told) + body.count(b'"type":"auth"') == 1
        assert (b'Hel"' in answer.body) is begun
    else:
        assert answer.status >= 400
        assert "error" in answer.json()
