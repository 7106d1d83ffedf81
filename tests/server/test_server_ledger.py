"""The ledger: what workers count together, in a real file; and what becomes of counting when the file fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.registry.server_config import KeyLimits
from backstream.server import ledger as ledger_module
from backstream.server import ledger_file
from backstream.server.ledger import Lease, Ledger, Wait
from backstream.server.ledger_file import LAPSE_SECONDS, LedgerFile

NOW = 1_700_000_000.0
DAY = 86400
ONE_STREAM = KeyLimits(concurrent_streams=1)
THREE_A_MINUTE = KeyLimits(requests_per_minute=3)
BUDGET = KeyLimits(tokens_per_day=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.sqlite"


@contextlib.asynccontextmanager
async def two(path: Path) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Two workers with one file; in one process they have to be told apart by hand."""
    one, other = Ledger(path), Ledger(path)
    other._worker = (os.getpid(), "other")
    try:
        yield one, other
    finally:
        await one.aclose()
        await other.aclose()


async def lease_of(ledger: Ledger, limits: KeyLimits, now: float = NOW, key: str = "k") -> Lease:
    lease = await ledger.admit(key, limits, now)
    assert isinstance(lease, Lease)
    return lease


async def test_a_window_slides(path: Path) -> None:
    async with two(path) as (one, other):
        for ledger, at in ((one, 0), (other, 10), (one, 20)):
            await lease_of(ledger, THREE_A_MINUTE, NOW + at)
        assert await other.admit("k", THREE_A_MINUTE, NOW + 30) == Wait("requests_per_minute", 30.0)
        assert await one.admit("k", THREE_A_MINUTE, NOW + 59.5) == Wait("requests_per_minute", 0.5)
        await lease_of(one, THREE_A_MINUTE, NOW + 60)
        assert await other.admit("k", THREE_A_MINUTE, NOW + 60) == Wait("requests_per_minute", 10.0)
        assert await other.admit("k", KeyLimits(requests_per_minute=1), NOW + 60) == Wait("requests_per_minute", 60.0)
        await lease_of(other, THREE_A_MINUTE, NOW + 30, key="another")


async def test_workers_that_waited_for_the_file_count_those_that_did_not(path: Path) -> None:
    async with two(path) as (one, other):
        for _ in range(3):
            await lease_of(one, THREE_A_MINUTE, NOW + 2)
        assert await other.admit("k", THREE_A_MINUTE, NOW) == Wait("requests_per_minute", 60.0)


async def test_refused_requests_are_not_counted() -> None:
    ledger = Ledger()
    for _ in range(3):
        await lease_of(ledger, THREE_A_MINUTE)
    for second in range(1, 59):
        assert isinstance(await ledger.admit("k", THREE_A_MINUTE, NOW + second), Wait)
    await lease_of(ledger, THREE_A_MINUTE, NOW + 60)
    await ledger.aclose()


async def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    ledger = Ledger()
    for _ in range(3):
        await lease_of(ledger, THREE_A_MINUTE, NOW)
    await lease_of(ledger, THREE_A_MINUTE, NOW - 3600)
    await ledger.aclose()


async def test_streams_are_counted_over_workers(path: Path) -> None:
    async with two(path) as (one, other):
        lease = await lease_of(one, ONE_STREAM)
        assert await other.admit("k", ONE_STREAM, NOW) == Wait("concurrent_streams", 1.0)
        await lease_of(other, ONE_STREAM, key="another")
        one.release(lease, 0, NOW)
        assert await one.tokens_today("k", NOW) == 0  # released by then
        await lease_of(other, ONE_STREAM)


async def test_the_leases_of_a_dead_worker_lapse(path: Path) -> None:
    async with two(path) as (one, other):
        await lease_of(one, ONE_STREAM)
        assert isinstance(await other.admit("k", ONE_STREAM, NOW + LAPSE_SECONDS), Wait)
        await lease_of(other, ONE_STREAM, NOW + LAPSE_SECONDS + 0.1)
        await lease_of(other, ONE_STREAM, NOW + 200, key="another")  # sweeps
        rows = sqlite3.connect(path).execute("SELECT worker, key FROM leases").fetchall()
        assert rows == [("other", "k"), ("other", "another")]


async def test_a_worker_that_lives_keeps_its_leases(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_BEAT_SECONDS", 0.001)
    monkeypatch.setattr(ledger_file, "LAPSE_SECONDS", 10.0)
    async with two(path) as (one, other):
        lease = await lease_of(one, ONE_STREAM, 1000.0)  # long ago, but it beats by the clock
        seen = 1000.0
        async with asyncio.timeout(20):  # a guard against hanging, not a measure
            while seen == 1000.0:
                await asyncio.sleep(0.002)
                seen = sqlite3.connect(path).execute("SELECT seen FROM workers").fetchone()[0]
        assert isinstance(await other.admit("k", ONE_STREAM), Wait)
        one.release(lease, 0)
        await asyncio.sleep(0.01)
        assert one._timer is None  # nothing to be believed any more


async def test_a_worker_that_ends_leaves_nothing(path: Path) -> None:
    async with two(path) as (one, other):
        await lease_of(one, ONE_STREAM)
        await one.put_snapshot(one.worker, b"mine", NOW)
        await one.aclose()
        await lease_of(other, ONE_STREAM)
        assert await other.snapshots(now=NOW) == []
        assert await one.tokens_today("k", NOW) == 0  # it may be used again


async def test_a_budget_of_tokens(path: Path) -> None:
    start = NOW - NOW % DAY
    async with two(path) as (one, other):
        one.release(await lease_of(one, BUDGET, start + 10), 99, start + 20)
        lease = await lease_of(one, BUDGET, start + 30)
        one.release(lease, 1, start + 40)
        assert await one.tokens_today("k", start + 50) == 100
        assert await other.admit("k", BUDGET, start + DAY - 100) == Wait("tokens_per_day", 100.0)
        assert await other.admit("k", BUDGET, start) == Wait("tokens_per_day", float(DAY))
        lease = await lease_of(other, BUDGET, start + DAY)  # the next day
        other.release(lease, 0, start + DAY)
        assert await other.tokens_today("k", start + DAY) == 0


async def test_tables_stay_small(path: Path) -> None:
    async with two(path) as (one, _):
        for number in range(50):
            at = NOW + number * DAY
            one.release(await lease_of(one, KeyLimits(requests_per_minute=5, tokens_per_day=9), at), 5, at)
        await one.tokens_today("k", NOW)
        database = sqlite3.connect(path)
        for table, most in (("hits", 1), ("spent", 2), ("leases", 0), ("workers", 1)):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= most, table


async def test_a_cancelled_request_leaves_no_lease() -> None:
    ledger = Ledger()
    await ledger.tokens_today("k")
    gate = threading.Event()
    assert ledger._thread is not None
    ledger._thread.submit(gate.wait)
    for _ in range(2):  # one is cancelled while it waits for the thread, one while it may run
        asking = asyncio.create_task(ledger.admit("k", ONE_STREAM))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        gate.set()
    await lease_of(ledger, ONE_STREAM)
    await ledger.aclose()


async def test_a_lease_that_nobody_waits_for_is_given_back() -> None:
    ledger = Ledger()

    def take(file: LedgerFile, now: float) -> Lease:
        number = file.take(ledger.worker, "k", ONE_STREAM, now)
        assert isinstance(number, int)
        return Lease(number, "k", True)

    pending = ledger._submit(take, None)
    pending.add_done_callback(ledger._give_back_unused)
    pending.result()
    await ledger.tokens_today("k")
    await lease_of(ledger, ONE_STREAM)
    await ledger.aclose()
    ledger._give_back_unused(pending)  # closed meanwhile: forgotten with the rest


# --- stored responses


async def test_responses_belong_to_a_key(path: Path) -> None:
    async with two(path) as (one, other):
        assert await one.put_response("r", "k", b"one", NOW, NOW)
        assert await other.get_response("r", "k", NOW) == b"one"
        assert await one.get_response("r", "another", NOW) is None
        assert await one.get_response("r", None, NOW) is None
        assert not await one.put_response("r", "another", b"two", NOW, NOW)
        assert not await one.delete_response("r", "another", NOW)
        assert await one.put_response("r", "k", b"three", NOW, NOW)
        assert await other.get_response("r", "k", NOW) == b"three"
        assert await other.delete_response("r", "k", NOW)
        assert not await one.delete_response("r", "k", NOW)
        assert await one.put_response("open", None, b"four", NOW, NOW)
        assert await one.get_response("open", None, NOW) == b"four"


async def test_responses_age() -> None:
    ledger = Ledger(response_seconds=100)
    await ledger.put_response("r", "k", b"one", NOW, NOW)
    assert await ledger.get_response("r", "k", NOW + 99) == b"one"
    assert await ledger.get_response("r", "k", NOW + 100) is None
    assert not await ledger.delete_response("r", "k", NOW + 100)
    await ledger.aclose()


async def test_the_oldest_responses_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "MAX_RESPONSES", 3)
    monkeypatch.setattr(ledger_file, "MAX_RESPONSE_BYTES", 100)
    ledger = Ledger()

    async def kept() -> str:
        return "".join([name for name in "abcdefg" if await ledger.get_response(name, "k", NOW + 9)])

    for age, name in enumerate("abcd"):
        assert await ledger.put_response(name, "k", b"x", NOW + age, NOW)
    assert await kept() == "bcd"
    assert await ledger.put_response("e", "k", b"x" * 99, NOW + 5, NOW)
    assert await kept() == "de"
    assert not await ledger.put_response("f", "k", b"x" * 101, NOW + 6, NOW)
    assert await ledger.put_response("g", "k", b"x" * 100, NOW - 50, NOW)  # just stored, however old
    assert await kept() == "g"
    await ledger.aclose()


async def test_what_was_removed_is_overwritten(path: Path) -> None:
    ledger = Ledger(path)
    await ledger.put_response("r", "k", b"a prompt nobody else may read" * 50, NOW, NOW)
    await ledger.delete_response("r", "k", NOW)
    await ledger.aclose()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert b"a prompt nobody else may read" not in path.read_bytes()


async def test_odd_ids_are_values() -> None:
    ledger = Ledger()
    odd = "'; DROP TABLE responses; --"
    assert await ledger.put_response(odd, odd, b"one", NOW, NOW)
    assert await ledger.get_response(odd, odd, NOW) == b"one"
    assert await ledger.get_response("' OR 1=1 --", odd, NOW) is None
    await ledger.aclose()


# --- snapshots


async def test_snapshots_of_workers_that_live(path: Path) -> None:
    async with two(path) as (one, other):
        await one.put_snapshot(one.worker, b"one", NOW)
        await other.put_snapshot(other.worker, b"two", NOW)
        await other.put_snapshot(other.worker, b"three", NOW + 5)
        assert sorted(await one.snapshots(now=NOW + 5)) == [b"one", b"three"]
        assert await one.snapshots(without=one.worker, now=NOW + 5) == [b"three"]
        assert await one.snapshots(now=NOW + 5 + LAPSE_SECONDS) == [b"three"]


# --- the file


async def test_nothing_runs_on_the_loop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    take = LedgerFile.take

    def spy(*arguments: object) -> object:
        threads.add(threading.get_ident())
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LedgerFile, "take", spy)
    async with two(path) as (one, _):
        for _ in range(5):
            one.release(await lease_of(one, THREE_A_MINUTE, NOW + 100 * _), 1)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX idea")
async def test_modes(path: Path) -> None:
    async with two(path) as (one, _):
        await one.tokens_today("k")
        await one.put_response("r", "k", b"x", NOW, NOW)
        files = list(path.parent.iterdir())
        assert len(files) == 3
        assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Ledger(path)


def other_program(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE notes (text)")


def other_version(path: Path) -> None:
    Ledger(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("no database at all" * 100), "cannot be used"),
        (other_program, "is no state file"),
        (other_version, "is no state file"),
        (lambda path: path.mkdir(), "cannot be used"),
    ],
)
def test_files_that_do_not_start_a_server(path: Path, spoil: Callable[[Path], None], said: str) -> None:
    path.parent.mkdir()
    spoil(path)
    if path.is_file():
        path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=said):
        Ledger(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Ledger(tmp_path / "file" / "state.sqlite")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_device() -> None:
    with pytest.raises(ConfigurationError):
        Ledger(Path("/dev/full"))


def test_a_file_that_another_program_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "_BUSY_SECONDS", 0.001)
    Ledger(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigurationError, match="locked"):
            Ledger(path)


async def test_a_disk_that_fills_while_the_server_runs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with two(path) as (one, _):
        await one.tokens_today("k")
        one._submit(lambda file, now: file._database.execute("PRAGMA max_page_count = 1"), None)
        assert await one.put_response("r", "k", b"x" * 100_000, NOW, NOW)
        assert await one.get_response("r", "k", NOW) == b"x" * 100_000
        assert "the state file fails: database or disk is full" in caplog.text
        await lease_of(one, THREE_A_MINUTE)


def test_many_workers_start_at_once(path: Path) -> None:
    path.parent.mkdir()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: Ledger(path), range(24)))


async def test_no_request_fails_when_the_file_does(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with two(path) as (one, _):
        held = await lease_of(one, THREE_A_MINUTE, NOW)
        assert not held.in_memory
        await one.put_response("r", "k", b"x", NOW, NOW)
        assert one._file is not None
        one._file.close()  # what any failure of it comes to: every statement raises
        for at in range(3):
            lease = await lease_of(one, THREE_A_MINUTE, NOW + at)
            assert lease.in_memory
            one.release(lease, 10, NOW)
        assert isinstance(await one.admit("k", THREE_A_MINUTE, NOW + 4), Wait)
        assert await one.tokens_today("k", NOW) == 30
        assert await one.get_response("r", "k", NOW) is None
        one.release(held, 7, NOW)  # of the file, which is not there
        assert await one.tokens_today("k", NOW) == 37
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "limits are held in memory" in warnings[0].getMessage()

        one._retry_at = 0.0
        assert await one.get_response("r", "k", NOW) == b"x"  # it works again
        rows = sqlite3.connect(path).execute("SELECT count(*) FROM leases").fetchone()
        assert rows == (0,)  # what had ended meanwhile is given back
        one.release(lease, 0, NOW)  # of memory, while the file works: nothing to give back there


async def test_a_file_that_is_spoiled_while_the_server_runs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with two(path) as (one, other):
        await lease_of(one, THREE_A_MINUTE, NOW)
        path.write_bytes(b"\xff" * path.stat().st_size)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink()
        await lease_of(other, THREE_A_MINUTE, NOW)
        assert "limits are held in memory" in caplog.text


COUNTING = """
import asyncio, sys
from pathlib import Path
from backstream.registry.server_config import KeyLimits
from backstream.server.ledger import Ledger, Wait

async def main():
    ledger = Ledger(Path(sys.argv[1]))
    limits = KeyLimits(requests_per_minute=50)
    print(sum([not isinstance(await ledger.admit("k", limits), Wait) for _ in range(40)]))
    await ledger.aclose()

asyncio.run(main())
"""


def test_processes_never_count_past_each_other(path: Path) -> None:
    arguments = [sys.executable, "-c", COUNTING, str(path)]
    running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(process.communicate(timeout=60)[0]) for process in running) == 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_one_ledger_serves_children_that_are_forked_later(path: Path) -> None:
    code = """
import asyncio, os, sys
from pathlib import Path
from backstream.server.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))

async def work():
    await ledger.put_snapshot(ledger.worker, ledger.worker.encode())
    os.write(1, b"ok ")
    sys.stdin.read()

child = os.fork()
asyncio.run(work())
if child:
    os.waitpid(child, 0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(6) == "ok ok "
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(DISTINCT body) FROM snapshots").fetchone() == (2,)
    process.communicate("", timeout=60)
    assert process.returncode == 0
