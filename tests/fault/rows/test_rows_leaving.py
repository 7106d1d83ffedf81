"""Rows 42 to 44: callers that leave, callers that are slow, and a disk that is full."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from backstream import CallOptions, ConfigurationError, Deadlines, DialectProvider, Recovery, TotalTimeout
from backstream.providers.recorder import FlightRecorder, recorded_by
from backstream.providers.recorder_file import find_recording, list_recordings
from backstream.providers.recorder_file import read as read_recording
from backstream.registry.server_config import KeyLimits
from backstream.resilience.route import Ask
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates
from backstream.server import Settings, create_app
from backstream.server.keys import digest_of
from backstream.testing.upstream import Do, ExpectEOF, ReadRequest, ScriptedUpstream, Send, Step
from backstream.transport.pool import aclose_pools
from support_rows import (
    DOORS,
    HI,
    KINDS,
    OPENAI,
    Door,
    Kind,
    ProviderRoute,
    ask,
    check_whole,
    each,
    one_loop,
    provider,
    serving,
)
from support_server import Journal, close, head_and_body, running
from support_transport import chunk, ok

SHORT = 0.04
STAGES = ("before-headers", "between-chunks")


def begun(kind: Kind, stage: str, *after: Step) -> list[Step]:
    """A server that has come as far as a stage, and waits for its client to leave."""
    answer = [Send(kind.chunked(kind.first))] if stage == "between-chunks" else []
    return [ReadRequest(), *answer, ExpectEOF(), *after]


def start(kind: Kind, upstream: ScriptedUpstream, **keywords: Any) -> Any:
    return provider(kind, upstream.url).create_async_generator("m", HI, stream=True, **keywords)


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", each(42, "break", KINDS))
async def test_a_caller_that_breaks_out_of_its_loop(kind: Kind) -> None:
    async with ScriptedUpstream(begun(kind, "between-chunks")) as upstream:
        async for piece in start(kind, upstream):
            if str(piece):
                break
        await upstream.closed()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("stage", each(42, "cancelled", STAGES))
async def test_a_caller_that_is_cancelled(stage: str, kind: Kind) -> None:
    """What it gets is its own cancellation; the connection closes though somebody still holds the answer."""
    journal = Journal()

    async def read(answer: Any) -> None:
        async for piece in answer:
            if str(piece):
                journal.note("read")

    async with ScriptedUpstream(begun(kind, stage)) as upstream:
        answer = start(kind, upstream)
        task = asyncio.create_task(read(answer))
        while not upstream.requests:
            await asyncio.sleep(0)
        if stage == "between-chunks":
            await journal.wait_for("read")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await upstream.closed()
        assert answer.end is not None
        assert answer.end.state == "cancelled"


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("stage", each(42, "deadline", STAGES))
async def test_a_call_whose_time_is_over(stage: str, kind: Kind) -> None:
    async with ScriptedUpstream(begun(kind, stage)) as upstream:
        outcome = await ask(provider(kind, upstream.url, CallOptions(deadlines=Deadlines(total=SHORT))))
        await upstream.closed()
    assert isinstance(outcome.error, TotalTimeout)
    assert outcome.text == ("Hel" if stage == "between-chunks" else "")


@pytest.mark.parametrize("kind", each(42, "cancelled-while-waiting-to-ask-again", KINDS))
async def test_a_caller_that_is_cancelled_between_two_attempts(kind: Kind) -> None:
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.sleep(seconds)

    refusal = Send(ok(b"{}", "Retry-After: 50", status="503 No"))
    async with ScriptedUpstream([ReadRequest(), refusal, ExpectEOF()]) as upstream:
        route = ProviderRoute(provider(kind, upstream.url))
        stack = build_stack([route], Recovery(), RouteStates(), sleep=sleep)
        task = asyncio.create_task(stack.open(Ask()))  # type: ignore[arg-type]
        await asleep.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await aclose_pools()
        await upstream.closed()
        assert (route.count, len(upstream.requests)) == (1, 1)


@one_loop
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("door", each(42, "client-leaves", DOORS))
async def test_a_client_that_leaves_a_gateway(door: Door, stage: str, kind: Kind) -> None:
    """The back-end is left before anything else is written to it."""
    journal = Journal()
    script = begun(kind, stage, Do(lambda: journal.note("left")))
    async with ScriptedUpstream(script) as upstream, serving(provider(kind, upstream.url)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", door.path, door.body))
        while not upstream.requests:
            await asyncio.sleep(0)
        if stage == "between-chunks":
            await reader.readuntil(b'Hel"')
        writer.close()
        await journal.wait_for("left")
        await upstream.closed()


# --- slow readers -----------------------------------------------------------------------------------------------------

PIECE = 256 * 1024
PIECES = 256


def flood(kind: Kind, sent: list[None]) -> list[Step]:
    """64 MiB of answer, as fast as its reader takes it; a second connection gets a short one."""
    word = chunk(kind.word("x" * PIECE))
    pieces: list[Step] = [step for _ in range(PIECES) for step in (Send(word), Do(lambda: sent.append(None)))]
    return [ReadRequest(), Send(kind.chunked(kind.opening)), *pieces, Send(chunk(kind.closing) + b"0\r\n\r\n")]


async def stands_still(sent: list[None]) -> int:
    """Wait until a server writes no more; return how much it had written by then."""
    before = -1
    while before != len(sent) or not sent:
        before = len(sent)
        for _ in range(20):
            await asyncio.sleep(0.002)
    return before


@pytest.mark.parametrize("kind", each(43, "slow-reader", KINDS))
async def test_a_slow_reader_stops_the_server(kind: Kind) -> None:
    sent: list[None] = []
    whole = [ReadRequest(), Send(kind.chunked(kind.whole, last=True))]
    async with ScriptedUpstream(flood(kind, sent), whole) as upstream:
        answer = start(kind, upstream)
        size = 0
        async for piece in answer:
            if str(piece):
                size += len(str(piece))
                break
        assert await stands_still(sent) < PIECES
        assert (await ask(provider(kind, upstream.url))).text == "Hello"  # another one is not held up
        async for piece in answer:
            size += len(str(piece))
        assert size == PIECE * PIECES
        assert len(sent) == PIECES
        await aclose_pools()
        await upstream.closed()


@one_loop
@pytest.mark.parametrize("door", each(43, "slow-client", [DOORS[0], DOORS[2], *DOORS[-2:]]))
async def test_a_slow_client_stops_the_back_end(door: Door) -> None:
    sent: list[None] = []
    whole = [ReadRequest(), Send(OPENAI.chunked(OPENAI.whole, last=True))]
    async with (
        ScriptedUpstream(flood(OPENAI, sent), whole) as upstream,
        serving(provider(OPENAI, upstream.url)) as server,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=PIECE)
        writer.write(head_and_body("POST", door.path, door.body))
        assert await stands_still(sent) < PIECES
        check_whole(door, await server.ask("POST", door.path, door.body))  # another one is not held up
        size = 0
        while data := await reader.read(PIECE * 4):
            size += data.count(b"x")
        assert size >= PIECE * PIECES
        assert len(sent) == PIECES
        await close(writer)
        await aclose_pools()
        await upstream.closed()


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("kind", each(44, "disk-full", KINDS))
async def test_a_recorder_whose_disk_is_full_harms_no_stream(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open

    def full(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        return really_open("/dev/full" if str(path).endswith(".part") else path, flags & ~os.O_EXCL, mode, **more)

    monkeypatch.setattr(os, "open", full)
    recorder = FlightRecorder(tmp_path / "flights")
    with recorded_by(recorder), caplog.at_level(logging.WARNING):
        async with ScriptedUpstream([ReadRequest(), Send(kind.chunked(kind.whole, last=True))]) as upstream:
            outcome = await ask(provider(kind, upstream.url))
            await aclose_pools()
            await upstream.closed()
    await asyncio.to_thread(recorder.flush)
    assert (outcome.error, outcome.text) == (None, "Hello")
    assert [record.getMessage() for record in caplog.records] == [
        f"recording is off: {recorder.folder} cannot be written (No space left on device)"
    ]
    assert not recorder.on
    assert list_recordings(recorder.folder) == []


@pytest.mark.parametrize("kind", each(44, "torn-recording", KINDS))
async def test_a_torn_recording_is_never_played(kind: Kind, tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    with recorded_by(recorder):
        async with ScriptedUpstream([ReadRequest(), Send(kind.chunked(kind.whole, last=True))]) as upstream:
            await ask(provider(kind, upstream.url))
            await aclose_pools()
            await upstream.closed()
    await asyncio.to_thread(recorder.flush)
    path = find_recording(tmp_path)
    data = path.read_bytes()
    assert len(list_recordings(tmp_path)) == 1
    for size in {*range(0, len(data), 41), len(data) - 1}:
        path.write_bytes(data[:size])
        with pytest.raises(ConfigurationError):
            read_recording(path)
        assert list_recordings(tmp_path) == []


@one_loop
@pytest.mark.parametrize("door", each(44, "full-ledger-for", DOORS))
async def test_a_ledger_whose_disk_is_full_harms_no_stream(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Limits are counted in memory then, and the log says so, once."""
    secret = "k" * 43
    settings = Settings(
        keys_file=None,
        state_file=tmp_path / "state.sqlite",
        key_digests={"laptop": digest_of(secret.encode())},
        key_limits={"laptop": KeyLimits(requests_per_minute=2)},
    )
    script = [ReadRequest(), Send(OPENAI.chunked(OPENAI.whole, last=True))]
    async with ScriptedUpstream(script * 2) as upstream:
        asked: DialectProvider = provider(OPENAI, upstream.url)
        app = create_app({"work": asked}, settings)
        async with running(app=app) as server:
            await app.ledger.tokens_today("laptop")  # it is open now
            pages = app.ledger._submit(lambda file, now: file._database.execute("PRAGMA max_page_count = 1"), None)
            await asyncio.wrap_future(pages)
            fields = {"Authorization": f"Bearer {secret}"}
            await app.ledger.put_response("r", "laptop", b"x" * 100_000, 0.0, 0.0)  # what finds the disk full
            answers = [await server.ask("POST", door.path, door.body, headers=fields) for _ in range(3)]
            await aclose_pools()
    for answer in answers[:2]:
        check_whole(door, answer)
    assert answers[2].status == 429
    warnings = [record.getMessage() for record in caplog.records if "state file fails" in record.getMessage()]
    assert len(warnings) == 1
    assert "disk is full" in warnings[0]
