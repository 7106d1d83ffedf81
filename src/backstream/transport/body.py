"""Request bodies going out: counted, chunked where their size is unknown, in small steps. Knows no media, no JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

from backstream.errors import InvalidMediaError
from backstream.options import Progress
from backstream.transport.answer import Answer
from backstream.transport.connection import Connection
from backstream.wire.http import Body, Segment

__all__ = ["STEP_BYTES", "body_size", "is_replayable", "send_body"]

STEP_BYTES = 64 * 1024
_SLICE_SECONDS = 0.002
"""How long sending may hold the loop before others get their turn."""


def body_size(body: Body) -> int | None:
    """Return the size of a body in bytes; ``None`` where a segment does not know its own."""
    total = 0
    for part in body:
        size = len(part) if isinstance(part, bytes) else part.size
        if size is None:
            return None
        total += size
    return total


def is_replayable(body: Body) -> bool:
    """Tell whether a body can be sent a second time."""
    return all(isinstance(part, bytes) or part.replayable for part in body)


async def send_body(
    connection: Connection, answer: Answer, head: bytes, body: Body, on_progress: Progress | None = None
) -> bool:
    """Write the head and the body of a request.

    Stops when the connection is lost, or when a refusal (status 300 and above, or any whole answer) comes early.

    Returns:
        Whether everything was written. If not, the connection must not be used again.

    Raises:
        InvalidMediaError: A segment cannot be read, or has another size than it said. The request is cut off.
    """
    total = body_size(body)
    if len(body) <= 1 and (not body or isinstance(body[0], bytes)) and (total or 0) <= STEP_BYTES:
        whole = head + body[0] if body and isinstance(body[0], bytes) else head
        connection.write(whole)
        if on_progress is not None:
            on_progress(total or 0, total)
        return not connection.lost
    sender = _Sender(connection, answer, total, on_progress)
    return await sender.run(head, body)


class _Sender:
    def __init__(self, connection: Connection, answer: Answer, total: int | None, on_progress: Progress | None) -> None:
        self._connection = connection
        self._answer = answer
        self._total = total
        self._on_progress = on_progress
        self._sent = 0
        self._yielded_at = connection.loop.time()

    async def run(self, head: bytes, body: Body) -> bool:
        self._connection.write(head)
        pieces = _pieces(body)
        try:
            async for piece in pieces:
                if self._total is not None and self._sent + len(piece) > self._total:
                    raise InvalidMediaError("media grew while they were being sent")
                if not await self._write(piece):
                    return False
        finally:
            await pieces.aclose()
        if self._total is None:
            self._connection.write(b"0\r\n\r\n")
        elif self._sent != self._total:
            raise InvalidMediaError("media shrank while they were being sent")
        return not self._connection.lost

    async def _write(self, piece: memoryview) -> bool:
        """Write one piece; return whether to go on."""
        connection = self._connection
        size = len(piece)
        if self._total is None:
            connection.write(b"%x\r\n" % size)
            connection.write(piece)
            more = connection.write(b"\r\n")
        else:
            more = connection.write(piece)
        self._sent += size
        if not more:
            await connection.writable()
            self._yielded_at = connection.loop.time()
        elif connection.loop.time() - self._yielded_at > _SLICE_SECONDS:
            await asyncio.sleep(0)
            self._yielded_at = connection.loop.time()
        if connection.lost or connection.ended or self._answer.status >= 300:
            return False
        if self._on_progress is not None:
            self._on_progress(self._sent, self._total)
        return True


async def _pieces(body: Body) -> AsyncGenerator[memoryview, None]:
    """Yield the body in steps of at most 64 KiB; none is empty."""
    for part in body:
        if isinstance(part, bytes):
            for step in _steps(part):
                yield step
            continue
        blocks = part.blocks()
        reading = False
        try:
            while True:
                reading = True
                block = await _next_block(part, blocks)
                reading = False
                if block is None:
                    break
                for step in _steps(block):
                    yield step
        finally:
            close = getattr(blocks, "close", None)
            # While a thread still reads (a pipe that gives nothing), the iterator cannot be closed.
            if close is not None and not (reading and part.size is None):
                close()


def _steps(block: bytes) -> Iterator[memoryview]:
    view = memoryview(block)
    for start in range(0, len(view), STEP_BYTES):
        yield view[start : start + STEP_BYTES]


async def _next_block(segment: Segment, blocks: Iterator[bytes]) -> bytes | None:
    if segment.size is not None:
        return next(blocks, None)
    # A source of unknown size is a pipe or the like, which may block for ever: not on the loop.
    return await asyncio.get_running_loop().run_in_executor(None, next, blocks, None)
