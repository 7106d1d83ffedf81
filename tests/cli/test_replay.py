"""``backstream replay``: what was recorded by one command is played back by another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from backstream.providers.recorder_file import Recording, write

EVENTS = (
    b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hel\\u001b[1m"}}]}\n\n',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    folder = tmp_path / "flights"
    folder.mkdir()
    head = Recording(
        id="20261122T000000000-000001",
        recorded_at="2026-11-22T00:00:00.000+00:00",
        provider="box",
        dialect="openai_chat",
        model="m1",
        headers=[("Content-Type", "text/event-stream")],
        reads=[(20_000 * at, len(event)) for at, event in enumerate(EVENTS)],
    )
    write(folder, head, b"".join(EVENTS))
    broken = msgspec.structs.replace(
        head,
        id="20261122T000001000-000002",
        reads=[(0, len(EVENTS[0]))],
        ended="failed",
        error="IncompleteStream",
        problem="the connection was reset",
    )
    write(folder, broken, EVENTS[0])
    return folder


def test_a_conversation_is_recorded_and_played_back(run, serve, tmp_path: Path) -> None:
    url = serve()
    said = run("chat", "-m", "echo", "Secret words", BACKSTREAM_URL=url, BACKSTREAM_RECORD="flights")
    assert said.returncode == 0, said.stderr
    listed = run("replay", "--list", BACKSTREAM_RECORD="flights")
    assert listed.stdout.splitlines()[0].split() == ["ID", "PROVIDER", "MODEL", "READS", "BYTES", "SECONDS", "ENDED"]
    assert len(listed.stdout.splitlines()) == 2
    played = run("replay", "--folder", "flights")
    assert played.returncode == 0
    assert " content " in played.stdout
    assert " finish " in played.stdout
    assert played.stdout.splitlines()[-1].split()[1] == "complete"
    assert "Secret" not in played.stdout
    (path,) = (tmp_path / "flights").iterdir()
    assert b"Secret" not in path.read_bytes()


def test_a_recording_is_played_with_its_times(run, flights: Path) -> None:
    played = run("replay", "20261122T000000", "--folder", flights)
    assert played.returncode == 0
    lines = played.stdout.splitlines()
    assert lines[0] == (f"2026-11-22T00:00:00.000+00:00 box m1 (openai_chat), {sum(map(len, EVENTS))} bytes in 3 reads")
    assert [line.split()[:2] for line in lines[1:]] == [
        ["0.000", "start"],
        ["0.000", "content"],
        ["0.020", "content"],
        ["0.040", "finish"],
        ["0.040", "complete"],
    ]
    assert "\x1b" not in played.stdout


def test_the_last_one_is_played_by_default(run, flights: Path) -> None:
    played = run("replay", "--folder", flights)
    assert played.returncode == 3
    last = played.stdout.splitlines()[-1]
    assert last.endswith("incomplete (IncompleteStream): the connection was reset")


def test_json(run, flights: Path) -> None:
    played = run("replay", "20261122T000000", "--folder", flights, "--json", "--speed", "1000")
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert lines[2] == {"seconds": 0.02, "chunk": {"type": "content", "content": "lo"}}
    assert lines[-1]["end"]["state"] == "complete"
    listed = json.loads(run("replay", "--list", "--json", "--folder", flights).stdout)
    assert [each["id"][-1] for each in listed] == ["2", "1"]


def test_a_fixture_is_a_test_that_passes(run, flights: Path, tmp_path: Path) -> None:
    made = run("replay", "20261122T000000", "--folder", flights, "--fixture", tmp_path / "made")
    assert made.returncode == 0, made.stderr
    files = [Path(line) for line in made.stdout.splitlines()]
    assert [path.suffix for path in files] == [".bin", ".json", ".py"]
    assert files[0].read_bytes() == b"".join(EVENTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", files[2]]
    done = subprocess.run(command, cwd=tmp_path / "made", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    files[0].write_bytes(b"".join(EVENTS[1:]).ljust(len(b"".join(EVENTS)), b"\n"))
    done = subprocess.run(command, cwd=tmp_path / "made", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    again = run("replay", "20261122T000000", "--folder", flights, "--fixture", tmp_path / "made")
    assert again.returncode == 2
    assert "cannot take the fixture" in again.stderr


def test_where_nothing_is_recorded_it_says_how(run, tmp_path: Path) -> None:
    played = run("replay")
    assert played.returncode == 2
    assert "set BACKSTREAM_RECORD to a folder" in played.stderr
    empty = run("replay", "--folder", tmp_path)
    assert empty.returncode == 2
    assert "no recordings" in empty.stderr
