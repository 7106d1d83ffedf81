"""One connection: bytes out with flow control, answers in through the parser. Knows no URL, pool or redirect."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import weakref
from collections.abc import Callable
from typing import cast

from backstream.errors import DisconnectedError, IncompleteStream, ProviderError
from backstream.transport.answer import Answer
from backstream.transport.timeouts import Watchdog

__all__ = ["HIGH_WATER_BYTES", "Connection"]

HIGH_WATER_BYTES = 256 * 1024
"""Unread bytes of an answer above which the socket is not read any more."""

READ_BYTES = 256 * 1024
"""How much is read at once."""

LEAVE_SECONDS = 1.0
"""How long the end of a body is waited for, nobody reading it any more, so that the connection can be kept."""

# There the loop lends the buffer out until the system has filled it.
_LENDS_BUFFERS = sys.platform == "win32"


_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = weakref.WeakKeyDictionary()


def _read_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    """Return the one buffer that the connections of a loop read into, by turns.

    A loop asks for the buffer, fills it and hands it over in one go, so that connections cannot meet in it. Reading
    into fresh memory each time costs more than all the parsing of a small piece.
    """
    if _LENDS_BUFFERS:
        return memoryview(bytearray(READ_BYTES))
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(READ_BYTES))
    return buffer


class Connection(asyncio.BufferedProtocol):
    """A connection that carries one exchange after another.

    All but :meth:`abort_soon` must be called in the connection's loop. At most one task waits at a time.

    Attributes:
        answer: The answer of the exchange going on, or ``None`` while idle.
        error: Why the exchange failed, if it did; bytes received before it are on ``answer.blocks``.
        lost: The connection is gone.
        idle_since: When the pool got it, by the loop's clock.
        request_done: The whole request has been written.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_buffered",
        "_closed",
        "_ended",
        "_leaving",
        "_on_end",
        "_reading_paused",
        "_take",
        "_time",
        "_transport",
        "_waiter",
        "_watch",
        "_write_waiter",
        "_writing_paused",
        "answer",
        "error",
        "idle_since",
        "loop",
        "lost",
        "request_done",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._time = loop.time
        self._transport: asyncio.Transport | None = None
        self._buffer = _read_buffer(loop)
        self._closed: asyncio.Future[None] = loop.create_future()
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._reading_paused = False
        self._buffered = 0
        self._ended = False
        self._watch: Watchdog | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._on_end: Callable[[], None] | None = None
        self._take: Callable[[], bool] | None = None
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.lost = False
        self.request_done = False
        self.idle_since = 0.0

    # --- one exchange -----------------------------------------------------------------------------------------------

    def begin(self, method: str, watch: Watchdog) -> Answer:
        """Start an exchange; what is received from now on belongs to the answer returned."""
        self.answer = Answer(method)
        self.error = None
        self.request_done = False
        self._ended = False
        self._buffered = 0
        self._watch = watch
        return self.answer

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: the answer is complete, or has failed."""
        return self._ended

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: this one is complete on both sides and left nothing behind."""
        answer = self.answer
        return (
            answer is not None
            and answer.complete
            and answer.keep_alive
            and not answer.surplus
            and self.request_done
            and self.error is None
            and not self.lost
        )

    def finish(self) -> None:
        """End an exchange on a connection that is kept."""
        self._stop_watch()
        self.answer = None
        self.taken()

    def leave(self, on_end: Callable[[], None]) -> None:
        """Let an exchange end by itself that nobody reads any more; close the connection if that takes a second.

        Args:
            on_end: Called when the body has ended, and not before this returns.
        """
        self._stop_watch()
        self._on_end = on_end
        self._leaving = self.loop.call_later(LEAVE_SECONDS, self.abort)
        self.taken()

    @property
    def is_left(self) -> bool:
        """Whether nobody reads the rest of the exchange."""
        return self._on_end is not None

    def arrival(self) -> asyncio.Future[None]:
        """Return a future that is done when the head, a piece of the body or the end has come."""
        waiter = self._waiter = self.loop.create_future()
        return waiter

    def pump(self, take: Callable[[], bool]) -> asyncio.Future[None]:
        """Have pieces of the body taken as they arrive, in the loop's own callback, without waking a task for each.

        Args:
            take: Takes all of ``answer.blocks``; ``False`` ends this. It must not raise.

        Returns:
            A future that is done when ``take`` has had enough, or the end has come.
        """
        self._take = take
        return self.arrival()

    def is_read(self) -> bool:
        """Whether a task waits in :meth:`arrival`."""
        return self._waiter is not None and not self._waiter.done()

    def taken(self) -> None:
        """Note that the reader took all blocks; goes on reading the socket where that was stopped."""
        self._buffered = 0
        if self._reading_paused:
            self._reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def is_waiting(self) -> bool:
        """Whether somebody waits for this connection, reading or writing."""
        return any(waiter is not None and not waiter.done() for waiter in (self._waiter, self._write_waiter))

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> bool:
        """Write; return whether more may be written at once. On a lost connection this does nothing."""
        if self.lost or self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return not self._writing_paused

    async def writable(self) -> None:
        """Wait until more can be written, the answer's head has come, or the connection is gone."""
        while self._writing_paused or (self._transport is not None and self._transport.is_closing() and not self.lost):
            if self.lost or (self.answer is not None and self.answer.status):
                return
            self._write_waiter = self.loop.create_future()
            try:
                await self._write_waiter
            finally:
                self._write_waiter = None

    # --- ending -----------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """End the exchange with an error and close the connection at once; the reader gets what came before it."""
        if not self._ended:
            self._end(error)
        self.abort()

    def abort(self) -> None:
        """Close the connection at once; whoever waits is woken."""
        if not self._ended:
            self._end(DisconnectedError("the connection was closed on this side", phase="body"))
        self._stop_watch()
        if self._transport is not None:
            self._transport.abort()

    def abort_soon(self) -> None:
        """Close the connection from any thread, also from a finalizer; does nothing when the loop is closed."""
        if self.loop.is_closed():  # asked first: at the interpreter's end there may be no asyncio left to ask more
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            self.abort()
        else:
            try:
                self.loop.call_soon_threadsafe(self.abort)
            except RuntimeError:  # the loop was closed by its own thread meanwhile
                return

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._closed)

    def note_content(self) -> None:
        """Note for the clocks that real content came."""
        if self._watch is not None:
            self._watch.note_content()

    def linger(self, *, on: bool) -> None:
        """Wait but a short while for the end of the body, or as long as ever again.

        When that is over, the exchange ends without an error, its answer not complete, and the connection is closed.
        """
        if self._watch is not None:
            self._watch.linger(self._end_early if on else None)

    def keep_probing(self) -> None:
        """Have the system probe a silent connection (TCP keep-alive), so that a vanished peer is noticed."""
        sock = self._socket()
        if sock is None:
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        except OSError:  # the peer is gone already, which the next read will tell
            return

    def is_stale(self) -> bool:
        """Look whether the server closed, or wrote to, an idle connection that the loop has not read yet."""
        sock = self._socket()
        if sock is None or self.lost or self._transport is None or self._transport.is_closing():
            return True
        return _has_input(sock.fileno())

    # --- called by the loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no asyncio class

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the parser; wake the reader once, with all that has arrived."""
        data = self._buffer[:nbytes]
        answer = self.answer
        if answer is None or self._ended:
            self._surplus(answer)
            return
        watch = self._watch
        if watch is not None:
            watch.last_bytes = self._time()
        try:
            answer.feed(data)
        except ProviderError as error:
            self.fail(error)
            return
        if self._on_end is not None and any(block.strip() for block in answer.blocks):  # more after the end
            self.abort()
            return
        if answer.complete:
            self._end(None)
            return
        if not answer.status:
            return
        if self._take is not None and answer.blocks:
            if self._take():
                return
            self._wake()
        elif self._waiter is not None and self._take is None:
            self._wake()
        if self._write_waiter is not None:
            self._wake_writer()
        self._buffered += nbytes
        if self._buffered > HIGH_WATER_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The server sends no more."""
        self._end_of_input(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed."""
        self.lost = True
        self._writing_paused = False
        if exc is not None and not self._ended:
            self._salvage()
        self._end_of_input(exc)
        self._transport = None
        self._wake_writer()
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has emptied: the server took bytes."""
        self._writing_paused = False
        if self._watch is not None:
            self._watch.note_bytes()
        self._wake_writer()

    # --- within -----------------------------------------------------------------------------------------------------

    def _socket(self) -> socket.socket | None:
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def _surplus(self, answer: Answer | None) -> None:
        if answer is not None:
            answer.surplus = True
        if self._transport is not None:
            self._transport.abort()

    def _end_of_input(self, cause: Exception | None) -> None:
        answer = self.answer
        if answer is None or self._ended:
            if answer is not None:
                answer.keep_alive = False
            if self._transport is not None and not self.lost:
                self._transport.abort()
            return
        if answer.status and answer.framing == "close" and cause is None:
            answer.complete = True
            self._end(None)
            return
        how = "was reset" if cause is not None else "closed"
        error: ProviderError
        if answer.status:
            error = IncompleteStream(f"the connection {how} before the announced end of the answer")
        elif self.request_done:
            error = DisconnectedError(f"the connection {how} before a whole answer head had arrived")
            error.retryable = not answer.begun  # a back-end that began to answer has acted on the request
        else:
            error = DisconnectedError(f"the connection {how} while the request was being sent", phase="send")
        error.__cause__ = cause
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        self.error = error
        if self.answer is not None:
            self.answer.release()
        self._stop_watch()
        self._wake()
        self._wake_writer()
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def _end_early(self) -> bool:
        """End an answer whose end is not waited for any longer, unless there is something unread."""
        if self.answer is not None and self.answer.blocks:
            return False
        self._end(None)
        self.abort()
        return True

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        self._take = None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wake_writer(self) -> None:
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def _salvage(self) -> None:
        """Read what the server sent before a failed write made the loop give the socket up (an early refusal)."""
        transport, answer = self._transport, self.answer
        if transport is None or answer is None or answer.status or transport.get_extra_info("ssl_object") is not None:
            return
        try:
            with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
                sock.setblocking(False)
                data = sock.recv(HIGH_WATER_BYTES)
            if data:
                answer.feed(data)
        except (OSError, ProviderError):
            return
        if answer.complete:
            self._end(None)


def _has_input(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
