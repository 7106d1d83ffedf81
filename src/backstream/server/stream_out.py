"""The way of an answer from a provider to a client: block by block, each one write, nothing kept.

The status is sent before the provider is asked, so that silence can be filled with keep-alives; whatever goes wrong
from then on is an event, and the body ends after it. An ending that the provider did not give is never made up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

from backstream.chunks import RawResponse
from backstream.dialects.backend_api.stream_out import BackendApiRenderer
from backstream.errors import IncompleteStream
from backstream.providers.base import blocks_of
from backstream.server.asgi import Field, Push, Receive, Send
from backstream.server.given import GivenAnswer
from backstream.server.places import hide_place
from backstream.server.presence import ClientWatch
from backstream.server.records import RequestRecord
from backstream.server.refusals import ClientGone
from backstream.server.running import Interruption

__all__ = ["Outlet", "stream_answer"]


class Outlet:
    """The body of one streamed answer.

    Args:
        send: ASGI's.
        keepalive_seconds: Silence after which a keep-alive is sent; ``None`` where the framing has none.
        keep_alive: What to send then.
        push: Sends at once, where the server can; see :data:`backstream.server.asgi.Push`.

    Attributes:
        is_open: Whether status and header fields are sent.
    """

    def __init__(
        self, send: Send, keepalive_seconds: float | None, keep_alive: bytes, push: Push | None = None
    ) -> None:
        self.is_open = False
        self._send = send
        self._push = push
        self._keep_alive = keep_alive
        self._seconds = keepalive_seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Task[None] | None = None

    async def open(self, fields: Sequence[Field], first: bytes) -> None:
        """Send status 200, the header fields and the first bytes."""
        await self._pass_on({"type": "http.response.start", "status": 200, "headers": list(fields)})
        self.is_open = True
        await self.write(first)
        if self._seconds is not None:
            self._timer = self._loop.call_later(self._seconds, self._tick)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes, waiting until the client takes them.

        Args:
            data: What to send.
            last: Whether the body ends with it.

        Raises:
            ClientGone: The server says that nobody reads any more.
        """
        if self._ping is not None:
            await asyncio.wait([self._ping])
        self._writing = True
        try:
            await self._pass_on({"type": "http.response.body", "body": data, "more_body": not last})
        finally:
            self._writing = False
            self._last = self._loop.time()

    @property
    def can_push(self) -> bool:
        """Whether :meth:`push` can be used."""
        return self._push is not None

    def push(self, data: bytes) -> bool:
        """Send bytes at once; return whether the client takes more without waiting."""
        assert self._push is not None
        self._last = self._loop.time()
        return self._push(data)

    async def _pass_on(self, message: dict[str, object]) -> None:
        try:
            await self._send(message)
        except OSError:  # the ASGI specification, 2.4: send() raises it once the client is gone
            raise ClientGone from None

    def _tick(self) -> None:
        """Send a keep-alive where nothing was sent for long; look again when that can be true next."""
        if self._seconds is None:
            return
        due = self._last + self._seconds
        now = self._loop.time()
        if now >= due and not self._writing and self._ping is None:
            if self._push is not None:
                self.push(self._keep_alive)
            else:
                self._ping = asyncio.create_task(self._send_ping())
        self._timer = self._loop.call_later(max(due - now, 0) or self._seconds, self._tick)

    async def _send_ping(self) -> None:
        try:
            with contextlib.suppress(ClientGone):
                await self._pass_on({"type": "http.response.body", "body": self._keep_alive, "more_body": True})
            self._last = self._loop.time()
        finally:
            self._ping = None

    async def aclose(self) -> None:
        """Stop the keep-alives."""
        self._seconds = None
        if self._timer is not None:
            self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()
            await asyncio.wait([self._ping])


async def stream_answer(
    start: Callable[[], object],
    *,
    intro: Sequence[RawResponse],
    fields: Sequence[Field],
    renderer: BackendApiRenderer,
    keepalive_seconds: float,
    receive: Receive,
    send: Send,
    record: RequestRecord,
    interruption: Interruption,
) -> None:
    """Stream one answer.

    Args:
        start: Asks the provider; returns what ``create_async_generator`` returned.
        intro: Events that come before the provider's.
        fields: The header fields of the answer.
        renderer: Writes the events.
        keepalive_seconds: See :class:`Outlet`.
        receive: ASGI's; the request body was read.
        send: ASGI's.
        record: Is told how it ended.
        interruption: What the answer ends with when the server stops.

    Raises:
        ClientGone: The client went away; by then the provider is closed.
    """
    outlet = Outlet(send, keepalive_seconds if renderer.keep_alive else None, renderer.keep_alive)
    try:
        async with ClientWatch(receive) as watch:
            record.status = 200
            await outlet.open(fields, renderer.render(intro))
            failure = await _relay(start, outlet, renderer, record, watch, interruption=interruption)
            last = renderer.finish() if failure is None else renderer.fail(failure)
            watch.finishing()
            await outlet.write(last, last=True)
    finally:
        await outlet.aclose()


def _blocks_of(result: object) -> AsyncGenerator[list[RawResponse], None]:
    return result.blocks() if isinstance(result, GivenAnswer) else blocks_of(result)


async def _relay(
    start: Callable[[], object],
    outlet: Outlet,
    renderer: BackendApiRenderer,
    record: RequestRecord,
    watch: ClientWatch,
    *,
    interruption: Interruption,
) -> BaseException | None:
    """Send every block of an answer, and return what broke it."""
    try:
        async with contextlib.aclosing(_blocks_of(start())) as blocks:
            async for block in blocks:
                data = renderer.render(block)
                if watch.gone:
                    raise ClientGone
                if interruption.error is not None:  # the provider went on nevertheless
                    raise asyncio.CancelledError
                if data:  # nothing, while the pieces of a tool call are held
                    await outlet.write(data)
                record.note_block(block)
        if not record.chunks:
            raise IncompleteStream("the provider ended without an answer")
    except ClientGone:
        raise
    except asyncio.CancelledError as error:
        stopped = interruption.take()
        if watch.cancelled:
            raise
        failure: BaseException = stopped or error  # the provider's own
    except Exception as error:
        stopped = interruption.take()
        if watch.cancelled:
            raise asyncio.CancelledError from error
        failure = stopped or error
    else:
        return None
    hide_place(failure)
    record.note_failure(failure, "incomplete" if failure is stopped and record.chunks else None)
    return failure
