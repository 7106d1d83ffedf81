"""Plays a fault's script on one connection, byte by byte. Knows nothing of who asks, or for what."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from backstream.testing.chaos.answers import Answer
from backstream.testing.chaos.steps import (
    ALL,
    Begin,
    Compressed,
    Drip,
    Ending,
    Event,
    Failure,
    Framing,
    Half,
    Head,
    Hold,
    Junk,
    KeepAlive,
    LastChunk,
    N,
    Pause,
    Pieces,
    Raw,
    Repeat,
    Reset,
    Rewrite,
    Step,
)

__all__ = ["Player"]

_MEBIBYTE: Final = 1024 * 1024
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_NO_BODY: Final = frozenset({204, 205, 304})


class Player:
    """One script on one connection.

    Args:
        reader: What the client still sends is read there, to see it leave.
        writer: Where to play.
        answer: What would be said.
        number: The number in the fault's name.
        pace_seconds: How long one pace is.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Answer,
        number: int,
        pace_seconds: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._number = number
        self._pace = pace_seconds
        self._framing: Framing = "plain"
        self._left = list(answer.pieces)
        self._rewritten: tuple[bytes, bytes] | None = None
        self._drip = 0
        self._promised = 0
        self._open = True

    async def play(self, script: Sequence[Step]) -> bool:
        """Play a script.

        Returns:
            Whether the connection can take another request.

        Raises:
            OSError: The client left.
        """
        for step in script:
            await self._take(step)
        return self._open and self._framing in ("chunked", "plain")

    async def _take(self, step: Step) -> None:  # noqa: C901 - one line for each step of the language
        answer = self._answer
        match step:
            case Head():
                await self._write(self._head(step))
            case Begin():
                await self._send(answer.begin)
            case Pieces():
                await self._send_pieces(step)
            case Half():
                event = self._left.pop(0)
                await self._send(event[: len(event) * 2 // 3])
            case Ending():
                await self._send(answer.ending.removesuffix(answer.last) if step.without_last else answer.ending)
            case Failure():
                await self._send(answer.failure)
            case Event():
                await self._send(answer.event(step.data))
            case Junk():
                await self._send(answer.pieces[0] if answer.pieces else answer.ending)
            case KeepAlive():
                await self._send(answer.keep_alive)
            case Rewrite():
                self._rewritten = step.old, step.new
            case Drip():
                self._drip = step.size
            case Raw():
                await self._write(step.data)
            case Compressed():
                for block in _bomb(self._count(step.mebibytes)):
                    await self._send(block)
            case Pause():
                await asyncio.sleep(self._pace)
            case Repeat():
                while True:
                    for inner in step.steps:
                        await self._take(inner)
            case LastChunk():
                await self._write(b"0\r\n\r\n" if self._framing == "chunked" else b"")
            case _:
                await self._end(step)

    async def _end(self, step: Step) -> None:
        self._open = False
        match step:
            case Hold():
                while await self._reader.read(65536):
                    pass
            case Reset():
                connection = self._writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            case _:
                self._writer.close()
                await self._writer.wait_closed()

    def _count(self, count: int) -> int:
        return {N: self._number, ALL: len(self._left)}.get(count, count)

    def _head(self, head: Head) -> bytes:
        status = self._count(head.status)
        self._framing = head.framing
        fields = [("Content-Type", head.content_type or self._answer.content_type)] if status not in _NO_BODY else []
        fields += [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]
        whole = len(self._answer.begin) + sum(map(len, self._answer.pieces)) + len(self._answer.ending)
        match head.framing:
            case "chunked":
                fields.append(("Transfer-Encoding", "chunked"))
            case "close":
                fields.append(("Connection", "close"))
            case "short":
                fields.append(("Content-Length", str(whole - len(self._answer.ending) - 5)))
            case "long":
                fields.append(("Content-Length", str(whole + 1000)))
            case "plain":
                pass
        lines = [
            f"HTTP/{head.version} {status} Chaos",
            *(f"{name}: {value}" for name, value in (*fields, *head.fields)),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _send_pieces(self, step: Pieces) -> None:
        for _ in range(min(self._count(step.count), len(self._left))):
            event = self._left.pop(0)
            cut = _inside_character(event) if step.split else 0
            await self._send(event[:cut])
            await self._send(event[cut:])
            if step.between:
                await self._send(self._answer.keep_alive)

    async def _send(self, data: bytes) -> None:
        """Send a piece of the body, framed; the loop runs after each, so that the client may read it alone."""
        if self._rewritten is not None:
            old, new = self._rewritten
            data = (data.replace(b"\r\n", b"\n") if old == b"\n" else data).replace(old, new)
        size = self._drip or len(data) or 1
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._framing == "chunked" else piece)

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the client left")
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)


def _inside_character(event: bytes) -> int:
    """Where to cut: inside the last character of several bytes, else in the middle."""
    last = max((index for index, byte in enumerate(event) if byte >= 0xC0), default=None)
    return len(event) // 2 if last is None else last + 1


def _bomb(mebibytes: int) -> Iterator[bytes]:
    """Compress zeros; once flushed, a compressed block means the same wherever it stands."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(_MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield _GZIP_HEAD
    for _ in range(mebibytes):
        yield block
