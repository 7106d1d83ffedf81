"""What workers have in common: what keys have used, stored responses, measured values. Knows no request.

One SQLite file, used by one thread of each worker, so that the event loop never waits for a disk. Where the file fails
while the server runs, this worker counts in memory, and tries the file again half a minute later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from backstream.errors import ConfigurationError
from backstream.registry.server_config import KeyLimits
from backstream.server.ledger_file import LedgerFile, Wait

__all__ = ["RESPONSE_SECONDS", "Lease", "Ledger", "Wait"]

RESPONSE_SECONDS: Final = 86400.0
"""How long a stored response is kept: a day."""

_LOGGER: Final = logging.getLogger("backstream.server")
_BEAT_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 30.0

T = TypeVar("T")


class Lease(msgspec.Struct, frozen=True):
    """The right to one answer, to be given back with :meth:`Ledger.release`.

    Attributes:
        id: Its number.
        key: The name of the client key.
        in_memory: Whether it was counted in memory, because the file failed or there is none.
    """

    id: int
    key: str
    in_memory: bool


class Ledger:
    """What the workers of one server share; to be used in one event loop.

    Nothing is held open before the first call, so that one made before a fork serves every child.

    Args:
        path: The file, made with mode 0600 where it does not exist; ``None`` for the memory of this process.
        response_seconds: How long a stored response is kept. Default a day.

    Raises:
        ConfigurationError: The file cannot be opened or written, others may read it, or it is no ledger.
    """

    def __init__(self, path: Path | None = None, *, response_seconds: float = RESPONSE_SECONDS) -> None:
        self.path = path
        self._response_seconds = response_seconds
        self._worker = (0, "")
        self._thread: ThreadPoolExecutor | None = None
        self._file: LedgerFile | None = None
        self._memory: LedgerFile | None = None
        self._retry_at = 0.0
        self._warned = False
        self._leases = 0
        self._owed: list[Lease] = []  # leases of the file that ended while it failed
        self._beating: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        if path is not None:
            LedgerFile(path, response_seconds).close()

    @property
    def worker(self) -> str:
        """The name of this process among those that share the file."""
        process, name = self._worker
        if process != os.getpid():
            process, name = self._worker = os.getpid(), secrets.token_hex(8)
        return name

    async def admit(self, key: str, limits: KeyLimits, now: float | None = None) -> Lease | Wait:
        """Count a request in, if every limit of its key allows it.

        Args:
            key: The name of the client key.
            limits: Its limits; ``models`` is not looked at.
            now: Seconds since the epoch. Default the clock.

        Returns:
            A lease, to be released; or which limit was met and how long to wait, and then nothing was counted.
        """
        worker = self.worker

        def take(file: LedgerFile, at: float) -> Lease | Wait:
            taken = file.take(worker, key, limits, at)
            return taken if isinstance(taken, Wait) else Lease(taken, key, file is self._memory)

        pending = self._submit(take, now)
        try:
            admitted = await asyncio.wrap_future(pending)
        except asyncio.CancelledError:
            pending.add_done_callback(self._give_back_unused)
            raise
        if isinstance(admitted, Lease):
            self._leases += 1
            self._beat_on()
        return admitted

    def _give_back_unused(self, pending: Future[Lease | Wait]) -> None:
        """End a lease that nobody waits for any more; called in either thread."""
        admitted = None if pending.cancelled() or pending.exception() else pending.result()
        if isinstance(admitted, Lease) and self._thread is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile, and so forgotten
                self._thread.submit(self._guard, self._giving_back(admitted, 0), None)

    def release(self, lease: Lease, tokens: int, now: float | None = None) -> Future[None]:
        """End a lease and count what was used; returns at once, and is done before whatever is asked here next.

        Args:
            lease: What :meth:`admit` returned.
            tokens: How many tokens the answer took, request and answer together.
            now: Seconds since the epoch. Default the clock.

        Returns:
            Done once the other workers know too.
        """
        self._leases -= 1
        return self._submit(self._giving_back(lease, tokens), now)

    def _giving_back(self, lease: Lease, tokens: int) -> Callable[[LedgerFile, float], None]:
        """The tokens count where counting goes on; the lease ends where it began."""
        worker = self.worker

        def give_back(file: LedgerFile, at: float) -> None:
            is_there = lease.in_memory == (file is self._memory)
            file.give_back(worker, lease.id if is_there else None, lease.key, tokens, at)
            if not is_there and not lease.in_memory:
                self._owed.append(lease)

        return give_back

    async def tokens_today(self, key: str, now: float | None = None) -> int:
        """Return how many tokens a key has used since midnight, UTC."""
        return await self._call(lambda file, at: file.tokens_today(key, at), now)

    async def put_response(
        self, response_id: str, key: str | None, body: bytes, created: float, now: float | None = None
    ) -> bool:
        """Store a response for the client key that asked for it.

        At most 1,000 responses and 64 MiB are kept, of all keys together; the oldest of whoever has most go first.

        Args:
            response_id: Its id, one that cannot be guessed.
            key: The name of the client key; ``None`` on a server without keys.
            body: What to store.
            created: When it was made, in seconds since the epoch.
            now: Seconds since the epoch. Default the clock.

        Returns:
            Whether it is stored: not where it is larger than all may be, or the id is another key's.
        """
        return await self._call(lambda file, at: file.put_response(response_id, key or "", body, created, at), now)

    async def get_response(self, response_id: str, key: str | None, now: float | None = None) -> bytes | None:
        """Return a stored response; ``None`` where this key has none of that id, whoever else has."""
        return await self._call(lambda file, at: file.get_response(response_id, key or "", at), now)

    async def delete_response(self, response_id: str, key: str | None, now: float | None = None) -> bool:
        """Remove a stored response; tell whether this key had one of that id."""
        return await self._call(lambda file, at: file.delete_response(response_id, key or "", at), now)

    async def put_snapshot(self, worker: str, body: bytes, now: float | None = None) -> None:
        """Keep a worker's latest measured values, as long as this ledger is open.

        Args:
            worker: Its name among those that share the file.
            body: The values, in whatever form.
            now: Seconds since the epoch. Default the clock.
        """
        self._beating.add(worker)
        await self._call(lambda file, at: file.put_snapshot(worker, body, at), now)
        self._beat_on()

    async def snapshots(self, *, without: str = "", now: float | None = None) -> list[bytes]:
        """Return the snapshots of the workers that live.

        Args:
            without: The name of one to leave out: of the one who asks.
            now: Seconds since the epoch. Default the clock.
        """
        return await self._call(lambda file, at: file.snapshots(without, at), now)

    async def aclose(self) -> None:
        """Close the file, and forget this worker's leases and snapshots; harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        names = {self.worker, *self._beating}
        self._beating.clear()
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._close, names)
        finally:
            thread.shutdown(wait=False)

    def _close(self, names: set[str]) -> None:
        for name in names:
            self._guard(lambda file, _, name=name: file.forget(name), None)  # type: ignore[misc]
        for file in (self._file, self._memory):
            if file is not None:
                file.close()
        self._file = self._memory = None

    # --- the thread

    async def _call(self, work: Callable[[LedgerFile, float], T], now: float | None) -> T:
        return await asyncio.wrap_future(self._submit(work, now))

    def _submit(self, work: Callable[[LedgerFile, float], T], now: float | None) -> Future[T]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstream-ledger")
        return self._thread.submit(self._guard, work, now)

    def _guard(self, work: Callable[[LedgerFile, float], T], now: float | None) -> T:
        """Do some work with the file; where that fails, with memory."""
        at = time.time() if now is None else now
        if self.path is not None and time.monotonic() >= self._retry_at:
            try:
                if self._file is None:
                    self._file = LedgerFile(self.path, self._response_seconds)
                while self._owed:
                    self._file.give_back(self.worker, self._owed[-1].id, "", 0, at)
                    self._owed.pop()
                return work(self._file, at)
            except (sqlite3.Error, ConfigurationError) as error:
                self._give_up(error)
        if self._memory is None:
            self._memory = LedgerFile(None, self._response_seconds)
        return work(self._memory, at)

    def _give_up(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self._warned:
            self._warned = True
            _LOGGER.warning("limits are held in memory, by each worker alone: the state file fails: %s", error)

    # --- signs of life

    def _beat_on(self) -> None:
        """While something of ours is to be believed, say every two seconds that we live."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._timer = None
        if self._thread is None or not (self._leases or self._beating):
            return
        for name in {self.worker, *self._beating}:
            self._submit(lambda file, now, name=name: file.beat(name, now), None)  # type: ignore[misc]
        self._beat_on()
