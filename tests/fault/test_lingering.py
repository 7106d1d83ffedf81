"""A back-end that has said its finish marker, and does not end its body: the answer is whole after a short while."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from backstream import DialectProvider, IncompleteStream
from backstream.chunks import Usage
from backstream.dialects.names import DIALECTS
from backstream.errors import IdleTimeout, TotalTimeout
from backstream.options import CallOptions, Deadlines
from backstream.providers.recorder import FlightRecorder, recorded_by
from backstream.providers.recorder_file import find_recording, read
from backstream.providers.replay import replay
from backstream.registry.rows import row_at
from backstream.reply import End
from backstream.testing.chaos import ChaosServer
from backstream.testing.upstream import ExpectEOF, ReadRequest, Reset, ScriptedUpstream, Send, Step, Wait
from backstream.transport import timeouts
from backstream.transport.connection import Connection
from backstream.transport.pool import aclose_pools
from support_rows import BACKEND_API, GEMINI, HI, LAST_CHUNK, OPENAI, Kind, ask, converse, provider
from support_transport import chunk

SHORT = 0.02
BASES = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": "/v1", "gemini": "/v1beta"}
MARKED = OPENAI.whole.removesuffix(b"data: [DONE]\n\n")
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "LINGER_SECONDS", SHORT)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_done_then_open(dialect: str) -> None:
    async with ChaosServer(pace_seconds=0.001) as chaos:
        row = row_at(chaos.url + BASES.get(dialect, ""), name="chaos", dialect=dialect)
        answer = DialectProvider(row).create_async_generator("chaos/done-then-open", HI, stream=True)
        async with asyncio.timeout(30):  # a guard against hanging, not a measure
            assert "".join([str(chunk) async for chunk in answer])
        assert answer.end is not None
        assert answer.end.state == "complete"
        await aclose_pools()


async def test_what_follows_the_marker_is_given() -> None:
    script = [Send(OPENAI.chunked(MARKED)), Send(chunk(USAGE)), Send(LAST_CHUNK)]
    outcome = await converse(OPENAI, script)
    (usage,) = [each for each in outcome.chunks if isinstance(each, Usage)]
    assert (usage.usage or {})["completion_tokens"] == 2
    assert outcome.end is not None
    assert outcome.end.state == "complete"


@pytest.mark.usefixtures("short")
async def test_what_followed_it_is_given_where_the_body_stays_open() -> None:
    outcome = await converse(OPENAI, [Send(OPENAI.chunked(MARKED, USAGE)), ExpectEOF()])
    assert any(isinstance(each, Usage) for each in outcome.chunks)
    assert outcome.end is not None
    assert (outcome.text, outcome.end.state, outcome.end.evidence) == ("Hello", "complete", ("finish_reason",))


@pytest.mark.usefixtures("short")
async def test_a_piece_of_an_event_after_it_is_an_answer_cut_short() -> None:
    outcome = await converse(BACKEND_API, [Send(BACKEND_API.chunked(BACKEND_API.whole, b'{"type":"con')), ExpectEOF()])
    assert isinstance(outcome.error, IncompleteStream)
    assert outcome.text == "Hello"
    assert outcome.end is not None
    assert outcome.end.state == "incomplete"


@pytest.mark.usefixtures("short")
async def test_a_coded_body_that_stays_open() -> None:
    coded = gzip.compress(MARKED)[:-8]  # less its check sum and size
    head = OPENAI.head("Transfer-Encoding: chunked", "Content-Encoding: gzip")
    outcome = await converse(OPENAI, [Send(head + chunk(coded)), ExpectEOF()])
    assert outcome.end is not None
    assert (outcome.text, outcome.end.state) == ("Hello", "complete")


async def test_an_earlier_clock_of_silence_means_only_that_the_wait_is_over() -> None:
    options = CallOptions(deadlines=Deadlines(idle=SHORT))
    outcome = await converse(OPENAI, [Send(OPENAI.chunked(MARKED)), ExpectEOF()], options)
    assert outcome.end is not None
    assert (outcome.text, outcome.end.state) == ("Hello", "complete")


@pytest.mark.parametrize("framed", [True, False], ids=["length", "close"])
@pytest.mark.usefixtures("short")
async def test_a_whole_document_whose_body_stays_open(framed: bool) -> None:
    body = b'{"choices":[{"message":{"role":"assistant","content":"He{llo\\""},"finish_reason":"stop"}]}'
    field = f"Content-Length: {len(body) + 9}\r\n" if framed else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{field}\r\n".encode()
    outcome = await converse(OPENAI, [Send(head + body[:60]), Send(body[60:]), ExpectEOF()])
    assert outcome.end is not None
    assert (outcome.text, outcome.end.state) == ('He{llo"', "complete")


async def read_until(kind: Kind, script: list[Step], seen: dict[str, asyncio.Event]) -> tuple[str, Any]:
    """Ask, and set events when their text has been read; return the text, and the error or the end."""
    text = ""
    async with ScriptedUpstream([ReadRequest(), *script]) as upstream:
        answer = provider(kind, upstream.url).create_async_generator("m", HI, stream=True)
        try:
            async with asyncio.timeout(30):
                async for piece in answer:
                    text += str(piece)
                    for word, event in seen.items():
                        if text == word:
                            event.set()
        except IncompleteStream as error:
            return text, error
        finally:
            await aclose_pools()
        await upstream.closed()
    return text, answer.end


async def test_a_reset_after_the_marker_is_damage_as_ever() -> None:
    read = asyncio.Event()
    script: list[Step] = [Send(GEMINI.chunked(GEMINI.whole)), Wait(read), Reset()]
    text, error = await read_until(GEMINI, script, {"Hello": read})
    assert (text, type(error)) == ("Hello", IncompleteStream)


async def test_content_behind_the_marker_in_one_read_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(Connection, "linger", lambda self, *, on: told.append(on))
    word = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    marker = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    first = asyncio.Event()
    script: list[Step] = [Send(OPENAI.chunked(word % b"a" + marker + word % b"b")), Wait(first), Send(LAST_CHUNK)]
    text, end = await read_until(OPENAI, script, {"ab": first})
    assert (text, end.state, told) == ("ab", "complete", [])


async def test_an_unread_rest_is_not_passed_over_for_a_whole_answer() -> None:
    """The reader comes back when the whole time is over; what came meanwhile shows that the answer went on."""
    word = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    marker = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    read, sent = asyncio.Event(), asyncio.Event()
    script = [
        ReadRequest(),
        Send(OPENAI.chunked(word % b"a" + marker)),
        Wait(read),
        Send(chunk(word % b"b")),
        Wait(sent),
    ]
    async with ScriptedUpstream(script) as upstream:
        options = CallOptions(deadlines=Deadlines(total=1.0))
        answer = provider(OPENAI, upstream.url, options).create_async_generator("m", HI, stream=True)
        try:
            assert str(await anext(answer)) == "a"
            read.set()
            over = asyncio.get_running_loop().time() + 1.1
            while asyncio.get_running_loop().time() < over:  # past the whole time, without a look at the answer
                await asyncio.sleep(0.02)
            with pytest.raises(TotalTimeout):
                async for _ in answer:
                    pass
        finally:
            read.set()
            sent.set()
    assert answer.end is not None
    assert answer.end.state == "incomplete"


async def test_content_after_the_marker_takes_the_wait_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    linger = Connection.linger

    def note(self: Connection, *, on: bool) -> None:
        told.append(on)
        linger(self, on=on)

    monkeypatch.setattr(Connection, "linger", note)
    marker = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    words = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n%b' % (word, marker) for word in (b"a", b"b")]
    first = asyncio.Event()
    script: list[Step] = [Send(OPENAI.chunked(words[0])), Wait(first), Send(chunk(words[1]) + LAST_CHUNK)]
    text, end = await read_until(OPENAI, script, {"a": first})
    assert (text, end.state) == ("ab", "complete")
    assert told == [True, False]


async def test_a_word_that_was_not_the_last_leaves_the_clocks_as_they_were() -> None:
    marker = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    words = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n%b' % (word, marker) for word in (b"a", b"b")]
    first = asyncio.Event()
    script: list[Step] = [
        ReadRequest(),
        Send(OPENAI.chunked(words[0])),
        Wait(first),
        Send(chunk(words[1])),
        ExpectEOF(),
    ]
    async with ScriptedUpstream(script) as upstream:
        options = CallOptions(deadlines=Deadlines(idle=0.04))
        answer = provider(OPENAI, upstream.url, options).create_async_generator("m", HI, stream=True)
        with pytest.raises(IdleTimeout):
            async for _ in answer:
                first.set()
        await upstream.closed()


@pytest.mark.usefixtures("short")
async def test_it_is_recorded_as_a_body_without_an_end(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "records")
    async with ScriptedUpstream([ReadRequest(), Send(OPENAI.chunked(MARKED)), ExpectEOF()]) as upstream:
        with recorded_by(recorder):
            outcome = await ask(provider(OPENAI, upstream.url))
        await upstream.closed()
    assert outcome.end is not None
    recorder.flush()
    recording, body = read(find_recording(recorder.folder))
    assert (recording.framing, recording.ended) == ("close", "end")
    *_, (_, block) = replay(recording, body)
    assert isinstance(block[-1], End)
    assert block[-1] == outcome.end
