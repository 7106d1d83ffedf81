"""The tables of the ledger, in one SQLite database: a file, or memory. Knows no loop, no thread and no request.

Every call is one transaction, so that workers which share the file never count past each other. Times are seconds since
the epoch, given by the caller.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from backstream.errors import ConfigurationError
from backstream.registry.server_config import KeyLimits

__all__ = ["LAPSE_SECONDS", "MAX_RESPONSES", "MAX_RESPONSE_BYTES", "LedgerFile", "Limit", "Wait"]

MAX_RESPONSES: Final = 1000
"""How many responses are stored; the oldest go first."""

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""How many bytes they have in all."""

LAPSE_SECONDS: Final = 10.0
"""A worker that has not been heard of for so long is dead."""

_APPLICATION: Final = 0x6273_6C67
_VERSION: Final = 1
_MINUTE: Final = 60.0
_DAY: Final = 86400
_BUSY_SECONDS: Final = 5.0

_TABLES: Final = """
CREATE TABLE workers (name TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE hits (key TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX hits_by_key ON hits (key, at);
CREATE TABLE leases (id INTEGER PRIMARY KEY, key TEXT NOT NULL, worker TEXT NOT NULL);
CREATE INDEX leases_by_key ON leases (key);
CREATE TABLE spent (key TEXT NOT NULL, day INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (key, day))
    WITHOUT ROWID;
CREATE TABLE responses (id TEXT PRIMARY KEY, key TEXT NOT NULL, created REAL NOT NULL, size INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX responses_by_age ON responses (created);
CREATE TABLE snapshots (worker TEXT PRIMARY KEY, body BLOB NOT NULL);
"""

_SETTINGS: Final = (
    "journal_mode = WAL",
    "journal_size_limit = 16777216",
    "synchronous = NORMAL",  # a crash of the machine may lose the last counts, never the file
    "secure_delete = ON",  # what was removed held prompts and answers
)

Limit = Literal["requests_per_minute", "concurrent_streams", "tokens_per_day"]


class Wait(msgspec.Struct, frozen=True):
    """A refusal: which limit was met, and when it is worth asking again.

    Attributes:
        limit: The limit's name.
        seconds: How long to wait.
    """

    limit: Limit
    seconds: float


class _Run(Protocol):
    """Runs one statement."""

    def __call__(self, statement: str, values: tuple[object, ...] = (), /) -> sqlite3.Cursor: ...


class LedgerFile:
    """One open database.

    Args:
        path: The file, made with mode 0600 where it does not exist; ``None`` for memory.
        response_seconds: How long a response is kept.

    Raises:
        ConfigurationError: The file cannot be opened or written, others may read it, or it is no ledger.
    """

    def __init__(self, path: Path | None, response_seconds: float) -> None:
        self._response_seconds = response_seconds
        self._swept = 0.0
        if path is None:
            self._database = _connect(":memory:")
            self._prepare()
            return
        try:
            _make(path)
            self._database = _connect(str(path))
        except (OSError, sqlite3.Error) as error:
            raise _cannot(path, error) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise _cannot(path, error) from None
        except _NotOurs:
            self.close()
            raise ConfigurationError(f"{path} is no state file of this version", "name another file") from None

    def _prepare(self) -> None:
        for setting in _SETTINGS:
            self._database.execute(f"PRAGMA {setting}")
        with self._transaction() as run:
            version = run("PRAGMA user_version").fetchone()[0]
            owner = run("PRAGMA application_id").fetchone()[0]
            if version == 0 and run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                for statement in _TABLES.split(";"):
                    run(statement)
                run(f"PRAGMA application_id = {_APPLICATION}")
                run(f"PRAGMA user_version = {_VERSION}")
            elif (owner, version) != (_APPLICATION, _VERSION):
                raise _NotOurs

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_Run]:
        run: _Run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            yield run
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first failure counts
                run("ROLLBACK")
            raise
        run("COMMIT")

    # --- what keys use

    def take(self, worker: str, key: str, limits: KeyLimits, now: float) -> int | Wait:
        """Count one request in, if every limit allows it.

        Returns:
            The number of its lease; or which limit does not allow it, and then nothing was counted.
        """
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker, now))
            self._sweep(run, now)
            wait = (
                self._check_budget(run, key, limits.tokens_per_day, now)
                or self._check_streams(run, key, limits.concurrent_streams, now)
                or self._check_rate(run, key, limits.requests_per_minute, now)
            )
            if wait is not None:
                return wait
            if limits.requests_per_minute is not None:
                run("INSERT INTO hits VALUES (?, ?)", (key, now))
            lease = run("INSERT INTO leases (key, worker) VALUES (?, ?)", (key, worker)).lastrowid
        assert lease is not None
        return lease

    def _check_budget(self, run: _Run, key: str, budget: int | None, now: float) -> Wait | None:
        if budget is None or self._spent(run, key, now) < budget:
            return None
        return Wait("tokens_per_day", _DAY - now % _DAY)

    def _spent(self, run: _Run, key: str, now: float) -> int:
        row = run("SELECT tokens FROM spent WHERE key = ? AND day = ?", (key, int(now // _DAY))).fetchone()
        return 0 if row is None else int(row[0])

    def _check_streams(self, run: _Run, key: str, most: int | None, now: float) -> Wait | None:
        if most is None:
            return None
        count = run(
            "SELECT count(*) FROM leases JOIN workers ON worker = name WHERE key = ? AND abs(? - seen) <= ?",
            (key, now, LAPSE_SECONDS),
        ).fetchone()[0]
        return Wait("concurrent_streams", 1.0) if count >= most else None

    def _check_rate(self, run: _Run, key: str, most: int | None, now: float) -> Wait | None:
        """A sliding window: the times of the last minute's requests are kept, so that no minute has more than allowed.

        Times that lie a little ahead are of workers that did not wait as long for the file; those that lie far ahead
        are of a clock that was set back since, and do not count.
        """
        if most is None:
            return None
        window = (key, now - _MINUTE, now + _MINUTE)
        count = run("SELECT count(*) FROM hits WHERE key = ? AND at > ? AND at <= ?", window).fetchone()[0]
        if count < most:
            return None
        query = "SELECT at FROM hits WHERE key = ? AND at > ? AND at <= ? ORDER BY at LIMIT 1 OFFSET ?"
        decisive = run(query, (*window, count - most)).fetchone()[0]
        return Wait("requests_per_minute", min(decisive - now, 0) + _MINUTE)

    def give_back(self, worker: str, lease: int | None, key: str, tokens: int, now: float) -> None:
        """End a lease of a worker, and count what it used to the day that is."""
        with self._transaction() as run:
            if lease is not None:
                run("DELETE FROM leases WHERE id = ? AND worker = ?", (lease, worker))
            if tokens > 0:
                run(
                    "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens",
                    (key, int(now // _DAY), tokens),
                )

    def tokens_today(self, key: str, now: float) -> int:
        """Return how many tokens a key has used since midnight, UTC."""
        return self._spent(self._database.execute, key, now)

    # --- workers

    def beat(self, worker: str, now: float) -> None:
        """Note that a worker lives."""
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker, now))
            self._sweep(run, now)

    def forget(self, worker: str) -> None:
        """Remove a worker that ends, with all it holds."""
        with self._transaction() as run:
            run("DELETE FROM workers WHERE name = ?", (worker,))
            run("DELETE FROM leases WHERE worker = ?", (worker,))
            run("DELETE FROM snapshots WHERE worker = ?", (worker,))

    def put_snapshot(self, worker: str, body: bytes, now: float) -> None:
        """Keep a worker's latest measured values."""
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker, now))
            run("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", (worker, body))

    def snapshots(self, without: str, now: float) -> list[bytes]:
        """Return the snapshots of the workers that live, but one."""
        rows = self._database.execute(
            "SELECT body FROM snapshots JOIN workers ON worker = name WHERE name != ? AND abs(? - seen) <= ?"
            " ORDER BY name",
            (without, now, LAPSE_SECONDS),
        )
        return [row[0] for row in rows]

    # --- stored responses

    def put_response(self, response_id: str, key: str, body: bytes, created: float, now: float) -> bool:
        """Store a response, at the expense of the oldest.

        Returns:
            Whether it is stored: not where it is larger than all may be, or its id is another key's.
        """
        if len(body) > MAX_RESPONSE_BYTES:
            return False
        with self._transaction() as run:
            self._sweep(run, now)
            stored = run(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET created = excluded.created,"
                " size = excluded.size, body = excluded.body WHERE key = excluded.key",
                (response_id, key, created, len(body), body),
            ).rowcount
            if not stored:
                return False
            while self._drop_surplus(run, response_id):
                pass
        return True

    @staticmethod
    def _drop_surplus(run: _Run, new: str) -> bool:
        """Remove the oldest response of the key that holds the most, where there are too many; tell whether there were.

        Whoever stores much pushes out what is its own, and not what is another's.
        """
        count, size = run("SELECT count(*), sum(size) FROM responses").fetchone()
        if count <= MAX_RESPONSES and size <= MAX_RESPONSE_BYTES:
            return False
        measure = "count(*)" if count > MAX_RESPONSES else "sum(size)"
        greediest = f"SELECT key FROM responses GROUP BY key HAVING max(id != ?1) ORDER BY {measure} DESC LIMIT 1"  # noqa: S608
        run(
            f"DELETE FROM responses WHERE id = (SELECT id FROM responses WHERE id != ?1 AND key = ({greediest})"  # noqa: S608
            " ORDER BY created, rowid LIMIT 1)",
            (new,),
        )
        return True

    def get_response(self, response_id: str, key: str, now: float) -> bytes | None:
        """Return a stored response of a key; ``None`` where it has none of that id."""
        row = self._database.execute(
            "SELECT body FROM responses WHERE id = ? AND key = ? AND created > ?",
            (response_id, key, now - self._response_seconds),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def delete_response(self, response_id: str, key: str, now: float) -> bool:
        """Remove a stored response of a key; tell whether it was there."""
        with self._transaction() as run:
            self._drop_old_responses(run, now)
            return run("DELETE FROM responses WHERE id = ? AND key = ?", (response_id, key)).rowcount > 0

    # --- keeping it small

    def _sweep(self, run: _Run, now: float) -> None:
        """Once a minute, remove what no longer counts."""
        if abs(now - self._swept) < _MINUTE:
            return
        self._swept = now
        run("DELETE FROM hits WHERE at <= ? OR at > ?", (now - _MINUTE, now + _MINUTE))
        run("DELETE FROM spent WHERE day < ?", (int(now // _DAY) - 1,))
        run("DELETE FROM workers WHERE abs(? - seen) > ?", (now, LAPSE_SECONDS))
        run("DELETE FROM leases WHERE worker NOT IN (SELECT name FROM workers)")
        run("DELETE FROM snapshots WHERE worker NOT IN (SELECT name FROM workers)")
        self._drop_old_responses(run, now)

    def _drop_old_responses(self, run: _Run, now: float) -> None:
        run("DELETE FROM responses WHERE created <= ?", (now - self._response_seconds,))


class _NotOurs(Exception):
    """A database of another program, or of another version of this one."""


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # SQLite gives the files beside it the same mode
    try:
        mode = os.fstat(handle).st_mode
    finally:
        os.close(handle)
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(f"others may read the state file {path}", f"run: chmod 600 {path}")


def _connect(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _cannot(path: Path, error: OSError | sqlite3.Error) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(f"the state file {path} cannot be used: {reason}", "name another file")
