"""Several processes that serve the same place: forked before any loop or thread exists, replaced when they die.

The parent binds, watches and passes signals on; it serves nothing and runs no loop. A worker takes its orders from a
pipe, so that a signal which the system sends to parent and workers alike counts once; when the parent is gone, the pipe
ends, and the worker stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Self, TypeAlias

from backstream.errors import BackstreamError, ConfigurationError
from backstream.server.app import Gateway
from backstream.server.orders import RELOAD, STOP_SIGNALS
from backstream.server.place import Place, bound
from backstream.server.run import GRACE_SECONDS, Conduct, check_exposure, serve_on

__all__ = ["default_state_path", "serve_with_workers"]

_LOGGER: Final = logging.getLogger("backstream.server")
_HURRIED_SECONDS: Final = 1.0  # a worker that ends sooner after it began to serve has ended at once
_MAX_HURRIED: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.1
_KILL_SECONDS: Final = 10.0  # beyond the grace
_READY: Final = b"+"
_REFUSED: Final = 3


Reload: TypeAlias = Callable[[Gateway], Awaitable[None]]
MakeApp: TypeAlias = Callable[[int], "tuple[Gateway, Reload | None]"]


def serve_with_workers(
    make_app: MakeApp,
    count: int,
    place: Place,
    conduct: Conduct,
    *,
    before_reload: Callable[[], None] | None = None,
) -> signal.Signals | None:
    """Serve with several processes until SIGINT or SIGTERM; call it where neither a loop nor a thread runs.

    Args:
        make_app: Makes the application of one worker, in its process, and what reads its settings again; given its
            number, from 0.
        count: How many workers there are.
        place: Where to listen.
        conduct: ``on_ready`` and ``on_stopping`` are called once, by the parent; ``on_reload`` never.
        before_reload: Called by the parent before its workers are told to read their settings again, so that those
            it makes later have them too.

    Returns:
        The signal that ended it.

    Raises:
        ConfigurationError: A worker cannot serve with these settings, or this system cannot fork.
        BackstreamError: A worker ended five times as soon as it began.
    """
    if not hasattr(os, "fork"):
        raise ConfigurationError("this system cannot fork workers", "serve with one, the default")
    with bound(place, count) as groups, _Signals() as signals:
        return _Parent(make_app, place, conduct, groups, signals, before_reload=before_reload).run()


def default_state_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where workers keep what they have in common, where nothing else is said."""
    folder = environment.get("XDG_STATE_HOME", "")
    return (Path(folder) if folder else Path.home() / ".local" / "state") / "backstream" / "gateway.sqlite"


class _Signals:
    """Signals as bytes of a socket, so that waiting for them and for anything else is one wait."""

    def __init__(self) -> None:
        self._numbers = [*STOP_SIGNALS, signal.SIGCHLD, *([RELOAD] if RELOAD is not None else [])]

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in self._numbers}
        self._descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Take no signal any more; also in a child, where each of them then does what it does by default."""
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Where to wait for the next one."""
        return self._reader.fileno()

    def read(self) -> bytes:
        """Return the signals that have arrived."""
        try:
            return self._reader.recv(4096)
        except BlockingIOError:
            return b""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back while a child is made, so that none of its own wakes its parent."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One worker, as its parent sees it; ``process`` is 0 while there is none."""

    def __init__(self, index: int, sockets: Sequence[socket.socket]) -> None:
        self.index = index
        self.sockets = sockets
        self.process = 0
        self.orders = -1
        self.status = -1
        self.said = b""
        self.ready_at: float | None = None
        self.hurried = 0
        self.due: float | None = None

    @property
    def is_ready(self) -> bool:
        return self.ready_at is not None

    def order(self, number: int) -> None:
        """Pass a signal on."""
        if self.process:
            with contextlib.suppress(OSError):  # it is about to end
                os.write(self.orders, bytes([number]))

    def close(self) -> None:
        """Close its pipes."""
        for descriptor in (self.orders, self.status):
            if descriptor >= 0:
                os.close(descriptor)
        self.orders = self.status = -1

    def note_end(self, now: float) -> None:
        """Take note that its process has ended, and when to make another."""
        lived = self.ready_at is not None and now - self.ready_at >= _HURRIED_SECONDS
        self.hurried = 1 if lived else self.hurried + 1
        self.due = now + _FIRST_PAUSE_SECONDS * 2 ** (self.hurried - 1)
        self.process, self.ready_at = 0, None
        self.close()


class _Parent:
    def __init__(
        self,
        make_app: MakeApp,
        place: Place,
        conduct: Conduct,
        groups: Sequence[Sequence[socket.socket]],
        signals: _Signals,
        *,
        before_reload: Callable[[], None] | None,
    ) -> None:
        self._make_app = make_app
        self._place = place
        self._conduct = conduct
        self._signals = signals
        self._before_reload = before_reload
        self._workers = [_Worker(index, sockets) for index, sockets in enumerate(groups)]
        where = groups[0][0].getsockname()
        self._url = place.url(where[1] if isinstance(where, tuple) else 0)
        self._announced = False
        self._stopped_by: signal.Signals | None = None
        self._failure: BackstreamError | None = None
        self._kill_at: float | None = None

    def run(self) -> signal.Signals | None:
        try:
            for worker in self._workers:
                self._start(worker)
            while any(worker.process or worker.due is not None for worker in self._workers):
                self._wait()
        finally:
            self._kill()
        if self._failure is not None:
            raise self._failure
        return self._stopped_by

    # --- waiting

    def _wait(self) -> None:
        now = time.monotonic()
        times = [worker.due for worker in self._workers if worker.due is not None]
        times += [self._kill_at] if self._kill_at is not None else []
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for worker in self._workers:
                if worker.status >= 0:
                    selector.register(worker.status, selectors.EVENT_READ, worker)
            events = selector.select(max(min(times) - now, 0) if times else None)
        for key, _ in events:
            if isinstance(key.data, _Worker):
                self._hear(key.data)
        for number in self._signals.read():
            self._take(number)
        self._reap()
        self._act()

    def _hear(self, worker: _Worker) -> None:
        """Take what a worker says: that it is ready, or what is wrong with its settings."""
        said = os.read(worker.status, 4096)
        worker.said += said
        if said == _READY:
            worker.ready_at = time.monotonic()
        if not said or worker.is_ready:
            os.close(worker.status)
            worker.status = -1
        if not self._announced and all(each.is_ready for each in self._workers):
            self._announced = True
            if self._conduct.on_ready is not None:
                self._conduct.on_ready(self._url)

    def _take(self, number: int) -> None:
        if number == RELOAD:
            if self._before_reload is not None:
                self._before_reload()
            for worker in self._workers:
                worker.order(number)
        elif number in STOP_SIGNALS:
            if self._stopped_by is None and self._conduct.on_stopping is not None:
                self._conduct.on_stopping(None)
            self._stopped_by = self._stopped_by or signal.Signals(number)
            self._stop(number)

    def _stop(self, number: int) -> None:
        """Have the workers stop; said again, at once."""
        for worker in self._workers:
            worker.due = None
            worker.order(number)
            for each in worker.sockets:
                each.close()  # else what a worker's socket still gets after its end would wait for nobody
        if self._kill_at is None:
            grace = self._conduct.grace_seconds
            self._kill_at = time.monotonic() + (GRACE_SECONDS if grace is None else grace) + _KILL_SECONDS

    def _reap(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.process:
                continue
            process, status = os.waitpid(worker.process, os.WNOHANG)
            if process:
                while worker.status >= 0:  # what it said last
                    self._hear(worker)
                self._note_end(worker, os.waitstatus_to_exitcode(status), now)

    def _note_end(self, worker: _Worker, code: int, now: float) -> None:
        said = worker.said.decode(errors="replace")
        worker.note_end(now)
        if self._kill_at is not None:
            worker.due = None
            return
        if code == _REFUSED and not self._announced:
            self._fail(ConfigurationError(said))
        elif worker.hurried >= _MAX_HURRIED:
            why = f": {said}" if code == _REFUSED else ""
            self._fail(BackstreamError(f"worker {worker.index} ended {_MAX_HURRIED} times as soon as it began{why}"))
        else:
            _LOGGER.warning("worker %d ended with %d; another takes its place", worker.index, code)

    def _fail(self, failure: BackstreamError) -> None:
        self._failure = failure
        self._stop(signal.SIGTERM)

    def _act(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.due is not None and worker.due <= now:
                worker.due = None
                self._start(worker)
        if self._kill_at is not None and self._kill_at <= now:
            self._kill()

    def _kill(self) -> None:
        """End whatever still runs."""
        for worker in self._workers:
            if worker.process:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process, signal.SIGKILL)
                os.waitpid(worker.process, 0)
                worker.process = 0
            worker.due = None
            worker.close()

    # --- making workers

    def _start(self, worker: _Worker) -> None:
        orders, worker.orders = os.pipe()
        worker.status, status = os.pipe()
        worker.said = b""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self._signals.held():
            worker.process = os.fork()
            if not worker.process:
                self._be_worker(worker, orders, status)
        os.close(orders)
        os.close(status)

    def _be_worker(self, worker: _Worker, orders: int, status: int) -> NoReturn:
        code = 1
        try:
            self._leave_parent(worker)
            code = self._work(worker, orders, status)
        except BaseException as error:  # noqa: BLE001 - a process's edge: nothing of the parent's may run in a child
            _LOGGER.error("worker %d failed: %s", worker.index, type(error).__name__)
        finally:
            with contextlib.suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _leave_parent(self, worker: _Worker) -> None:
        """Let go of everything that is the parent's or another worker's."""
        self._signals.leave()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the pipe says so; SIGTERM is taken again once there is a loop
        if RELOAD is not None:
            signal.signal(RELOAD, signal.SIG_IGN)
        for other in self._workers:
            other.close()
            if other is not worker:
                for each in other.sockets:
                    if each not in worker.sockets:
                        each.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _work(self, worker: _Worker, orders: int, status: int) -> int:
        told = False

        def tell(url: str) -> None:
            nonlocal told
            told = True
            os.write(status, _READY)
            os.close(status)

        try:
            app, reload = self._make_app(worker.index)
            conduct = Conduct(
                on_ready=tell,
                on_reload=reload,
                grace_seconds=self._conduct.grace_seconds,
                limits=self._conduct.limits,
            )
            check_exposure(app, self._place)
            asyncio.run(serve_on(app, self._place, worker.sockets, conduct, orders_from=orders))
        except ConfigurationError as error:
            if told:
                raise
            os.write(status, str(error).encode()[:4000])
            return _REFUSED
        return 0
