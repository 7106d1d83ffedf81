from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backstream import BackendApi, Client, DisconnectedError, IncompleteStream, Secret
from backstream.errors import BackstreamError, ConfigurationError, DecodeError
from backstream.providers import recorder as recorder_module
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.recorder import FlightRecorder, current_recorder, recorded_by, recorder_at
from backstream.providers.recorder_file import Recording, find_recording, list_recordings, prune, read, write
from backstream.providers.replay import replay
from backstream.providers.rows_shape import Row
from backstream.reply import End
from backstream.testing.upstream import Close, ReadRequest, Reset, ScriptedUpstream, Send, Step, Wait

KEY = "sk-proj-verysecret0123456789"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nx-request-id: req_1\r\n"
    b"X-RateLimit-Remaining: 3\r\nX-Echo: " + KEY.encode() + b"\r\n\r\n"
)
EVENTS = (
    b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hello "}}]}\n\n',
    'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"grüße '.encode() + KEY.encode() + b'"}}]}\n\n',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":12}}\n\n',
    b"data: [DONE]\n\n",
)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(events: tuple[bytes, ...] = EVENTS) -> list[Step]:
    return [ReadRequest(), Send(HEAD), *(Send(chunked(event)) for event in events), Send(b"0\r\n\r\n")]


def provider(url: str) -> DialectProvider:
    return DialectProvider(Row(name="box", label="Box", url=url, dialect="openai_chat", documentation="test"), KEY)


async def ask(url: str) -> list[Any]:
    answer = provider(url).create_async_generator("m1", [{"role": "user", "content": "My own question"}])
    return [chunk async for chunk in answer]


def only(folder: Path) -> tuple[Recording, bytes]:
    (path,) = folder.iterdir()
    return read(path)


async def test_a_stream_is_kept_without_what_was_said(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "kept")
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder):
            chunks = await ask(upstream.url)
    recorder.flush()
    recording, body = only(tmp_path / "kept")
    assert "".join(chunk.content for chunk in chunks if hasattr(chunk, "content")) == f"Hello grüße {KEY}"
    assert (recording.provider, recording.dialect, recording.model, recording.status) == (
        "box",
        "openai_chat",
        "m1",
        200,
    )
    assert (recording.path, recording.ended, recording.framing) == ("/chat/completions", "end", "chunked")
    assert recording.header("content-type") == "text/event-stream"
    assert recording.header("x-ratelimit-remaining") == "3"
    assert recording.header("x-request-id") == "…"
    assert len(body) == recording.size == sum(map(len, EVENTS))
    for secret in (b"Hello", b"own question", KEY.encode(), "grüße".encode()):
        assert secret not in (tmp_path / "kept" / (recording.id + ".flight")).read_bytes()


async def test_it_plays_back_as_it_was(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, content=True)
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder):
            chunks = await ask(upstream.url)
    recorder.flush()
    recording, body = only(tmp_path)
    assert KEY.encode() not in body
    played = [item for _, block in replay(recording, body) for item in block]
    assert isinstance(played[-1], End)
    assert played[-1].state == "complete"
    shown = "".join(chunk.content for chunk in played[:-1] if hasattr(chunk, "content"))
    assert shown == "Hello grüße " + "x" * len(KEY)
    assert [type(chunk) for chunk in played[:-1]] == [type(chunk) for chunk in chunks]
    assert [seconds for seconds, _ in replay(recording, body)] == sorted(s for s, _ in replay(recording, body))


async def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "a" / "kept")
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder):
            await ask(upstream.url)
    recorder.flush()
    (path,) = (tmp_path / "a" / "kept").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_broken_stream_says_how_it_broke(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    script = [ReadRequest(), Send(HEAD + chunked(EVENTS[0])), Close()]
    async with ScriptedUpstream(script) as upstream:
        with recorded_by(recorder), pytest.raises(IncompleteStream):
            await ask(upstream.url)
    recorder.flush()
    recording, body = only(tmp_path)
    assert (recording.ended, recording.error) == ("failed", "IncompleteStream")
    *_, (_, block) = replay(recording, body)
    assert isinstance(block[-1], End)
    assert (block[-1].state, block[-1].evidence) == ("incomplete", ("IncompleteStream",))


async def test_damage_is_played_back_as_it_was_told(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    async with ScriptedUpstream([ReadRequest(), Send(HEAD + chunked(EVENTS[0] + b"data: {nonsense}\n\n"))]) as upstream:
        with recorded_by(recorder), pytest.raises(DecodeError) as caught:
            await ask(upstream.url)
    assert caught.value.left == "incomplete"
    recorder.flush()
    *_, (_, block) = replay(*only(tmp_path))
    assert isinstance(block[-1], End)
    assert block[-1].state == "incomplete"


async def test_a_stream_that_was_left_says_so(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    go_on = asyncio.Event()
    async with ScriptedUpstream([ReadRequest(), Send(HEAD + chunked(EVENTS[0])), Wait(go_on)]) as upstream:
        with recorded_by(recorder):
            answer = provider(upstream.url).create_async_generator("m1", [{"role": "user", "content": "x"}])
            async for _ in answer:
                break
            await answer.aclose()
        go_on.set()
    recorder.flush()
    recording, body = only(tmp_path)
    assert recording.ended == "left"
    *_, (_, block) = replay(recording, body)
    assert block[-1].state == "cancelled"  # type: ignore[union-attr]


async def test_a_stream_that_is_forgotten_is_kept_too(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    go_on = asyncio.Event()
    async with ScriptedUpstream([ReadRequest(), Send(HEAD + chunked(EVENTS[0])), Wait(go_on)]) as upstream:
        with recorded_by(recorder):
            source = (
                await provider(upstream.url)
                .create_async_generator("m", [{"role": "user", "content": "x"}])
                .open_source()
            )
            await source.read_block()
            del source
        go_on.set()
    recorder.flush()
    assert only(tmp_path)[0].ended == "left"


async def test_what_is_passed_through_is_kept_too(tmp_path: Path) -> None:
    """A gateway takes blocks in the loop's callback; these reads count as all others."""
    recorder = FlightRecorder(tmp_path)
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder):
            source: Any = (
                await provider(upstream.url)
                .create_async_generator("m", [{"role": "user", "content": "x"}])
                .open_source()
            )
            block: list[Any] = []
            while not (block and isinstance(block[-1], End)):
                await source.pump(lambda more, block=block: block.extend(more) or True)
                block += await source.read_block()
            await source.aclose()
    recorder.flush()
    assert only(tmp_path)[0].size == sum(map(len, EVENTS))


async def test_the_backend_api_is_recorded(tmp_path: Path) -> None:
    class Home(BackendApi):
        pass

    recorder = FlightRecorder(tmp_path, content=True)
    lines = b'{"type": "content", "content": "Hi"}\n{"type": "finish", "finish": {"reason": "stop"}}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(lines)
    async with ScriptedUpstream([ReadRequest(), Send(head + lines)]) as upstream:
        made = type("Home", (Home,), {"url": upstream.url})
        with recorded_by(recorder):
            async for _ in made.create_async_generator("m", [{"role": "user", "content": "x"}], api_key=KEY):
                pass
    recorder.flush()
    recording, body = only(tmp_path)
    assert (recording.dialect, body) == ("backend_api", lines)
    *_, (_, block) = replay(recording, body)
    assert block[-1].state == "complete"  # type: ignore[union-attr]


async def test_nothing_is_recorded_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_recorder() is None
    monkeypatch.setenv("BACKSTREAM_RECORD", str(tmp_path))
    assert current_recorder() is recorder_at(tmp_path)
    with recorded_by(None):
        assert current_recorder() is None


async def test_refusals_are_not_recorded(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}"
    async with ScriptedUpstream([ReadRequest(), Send(refusal)]) as upstream:
        with recorded_by(recorder), pytest.raises(BackstreamError):
            await ask(upstream.url)
    async with ScriptedUpstream([ReadRequest(), Reset()]) as upstream:
        with recorded_by(recorder), pytest.raises(DisconnectedError):
            await ask(upstream.url)
    recorder.flush()
    assert list(tmp_path.iterdir()) == []


async def test_the_oldest_go_first(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, keep=2)
    (tmp_path / "notes.txt").write_text("mine")
    async with ScriptedUpstream(whole() * 3) as upstream:
        with recorded_by(recorder):
            for _ in range(3):
                await ask(upstream.url)
    recorder.flush()
    kept = list_recordings(tmp_path)
    assert len(kept) == 2
    assert kept[0].id > kept[1].id
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_ring_is_by_bytes_too(tmp_path: Path) -> None:
    for number in range(4):
        write(
            tmp_path, Recording(id=f"{number}", recorded_at="", provider="p", dialect="d", reads=[(0, 100)]), b"x" * 100
        )
    (size,) = {path.stat().st_size for path in tmp_path.iterdir()}
    prune(tmp_path, 50, 2 * size)
    assert [each.id for each in list_recordings(tmp_path)] == ["3", "2"]
    prune(tmp_path, 50, 1)
    assert list_recordings(tmp_path) == []


async def test_a_full_disk_turns_it_off_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recorder_module, "write", full)
    recorder = FlightRecorder(tmp_path)
    async with ScriptedUpstream(whole() * 2) as upstream:
        with recorded_by(recorder), caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert await ask(upstream.url)
                recorder.flush()
            assert current_recorder() is None
    assert not recorder.on
    (record,) = caplog.records
    assert record.getMessage() == f"recording is off: {tmp_path} cannot be written (No space left on device)"


async def test_a_folder_that_cannot_be_made_turns_it_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    recorder = FlightRecorder(tmp_path / "file" / "folder")
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder), caplog.at_level(logging.WARNING):
            assert await ask(upstream.url)
    recorder.flush()
    assert repr(recorder).endswith("off>")


async def test_a_token_that_changes_is_taken_out_as_it_was(tmp_path: Path) -> None:
    tokens = iter([KEY] * 3)
    recorder = FlightRecorder(tmp_path, content=True)
    async with ScriptedUpstream(whole()) as upstream:
        row = Row(name="box", label="Box", url=upstream.url, dialect="openai_chat", documentation="test")
        rotating = DialectProvider(row, Secret(lambda: next(tokens, "another")))
        with recorded_by(recorder):
            async for _ in rotating.create_async_generator("m", [{"role": "user", "content": "x"}]):
                tokens = iter(())
    recorder.flush()
    assert KEY.encode() not in only(tmp_path)[1]


async def test_a_recording_that_cannot_be_made_turns_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "write", None)
    recorder = FlightRecorder(tmp_path)
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder), caplog.at_level(logging.WARNING):
            assert await ask(upstream.url)
            recorder.flush()
    assert not recorder.on
    assert "(TypeError)" in caplog.text


async def test_of_a_long_stream_the_begin_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_STREAM_BYTES", len(EVENTS[0]) + 5)
    recorder = FlightRecorder(tmp_path)
    seen = asyncio.Event()
    script = [
        ReadRequest(),
        Send(HEAD + chunked(EVENTS[0])),
        Wait(seen),
        Send(b"".join(map(chunked, EVENTS[1:]))),
        Close(),
    ]
    async with ScriptedUpstream(script) as upstream:
        with recorded_by(recorder):
            answer = provider(upstream.url).create_async_generator("m1", [{"role": "user", "content": "x"}])
            async for _ in answer:
                seen.set()
    recorder.flush()
    recording, body = only(tmp_path)
    assert recording.truncated
    assert len(body) == len(EVENTS[0])
    *_, (_, block) = replay(recording, body)
    assert block[-1].evidence == ("recorded no further",)  # type: ignore[union-attr]


async def test_when_too_many_wait_to_be_written_the_newest_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_WAITING", 0)
    recorder = FlightRecorder(tmp_path)
    async with ScriptedUpstream(whole()) as upstream:
        with recorded_by(recorder):
            assert await ask(upstream.url)
    recorder.flush()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    async with ScriptedUpstream(whole()) as upstream:
        yield upstream.url


async def test_a_client_records(tmp_path: Path, endpoint: str) -> None:
    recorder = FlightRecorder(tmp_path)
    async with Client(environ={}, recorder=recorder) as client:
        await client.chat("m1", "Hi", url=endpoint, api_key=KEY)
    recorder.flush()
    assert only(tmp_path)[0].model == "m1"


async def test_a_client_records_where_that_is_configured(tmp_path: Path, endpoint: str) -> None:
    file = tmp_path / "backstream.toml"
    file.write_text('[recorder]\nfolder = "flights"\nkeep = 3\nmax_mib = 1\ncontent = true\n')
    async with Client(file, environ={}) as client:
        await client.chat("m1", "Hi", url=endpoint, api_key=KEY)
    recorder_at(tmp_path / "flights", 3, 1024 * 1024, content=True).flush()
    assert only(tmp_path / "flights")[0].content


async def test_a_client_records_where_the_environment_says(tmp_path: Path, endpoint: str) -> None:
    async with Client(environ={"BACKSTREAM_RECORD": str(tmp_path / "env")}) as client:
        await client.chat("m1", "Hi", url=endpoint, api_key=KEY)
    recorder_at(tmp_path / "env").flush()
    assert not only(tmp_path / "env")[0].content


def test_a_recorder_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        FlightRecorder(tmp_path, keep=0)


def test_finding(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recordings"):
        find_recording(tmp_path)
    for name in ("2026a", "2026b", "2027"):
        write(tmp_path, Recording(id=name, recorded_at="", provider="p", dialect="d"), b"")
    assert find_recording(tmp_path).stem == "2027"
    assert find_recording(tmp_path, "2026b").stem == "2026b"
    assert find_recording(tmp_path, "2027").stem == "2027"
    with pytest.raises(ConfigurationError, match="several"):
        find_recording(tmp_path, "2026")
    with pytest.raises(ConfigurationError, match="no recording begins"):
        find_recording(tmp_path, "x")


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b"[1]\nx", b'{"id": "1", "recorded_at": "", "provider": "", "dialect": ""}\nx']
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "1.flight").write_bytes(data)
    with pytest.raises(ConfigurationError):
        read(tmp_path / "1.flight")
    assert list_recordings(tmp_path) == []


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path / "1.flight")


def test_an_unknown_dialect_is_refused() -> None:
    recording = Recording(id="1", recorded_at="", provider="p", dialect="klingon")
    with pytest.raises(ConfigurationError, match="klingon"):
        list(replay(recording, b""))
