r"""A server that answers from a script, byte by byte, with every fault a network has. Knows nothing of what it serves.

::

    async with ScriptedUpstream([ReadRequest(), Send(b"HTTP/1.1 200 OK\r\n\r\n"), Reset()]) as upstream:
        ...  # a client talks to upstream.url
        await upstream.closed()  # every connection of the client is gone
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Self

from backstream.wire.http import Headers

__all__ = [
    "Close",
    "Do",
    "ExpectEOF",
    "HalfClose",
    "ReadHead",
    "ReadRequest",
    "RecordedRequest",
    "Reset",
    "ScriptedUpstream",
    "Send",
    "SendSlowly",
    "Stall",
    "Step",
    "Wait",
]


@dataclasses.dataclass(frozen=True)
class ReadRequest:
    """Read a whole request, with its body, and record it."""


@dataclasses.dataclass(frozen=True)
class ReadHead:
    """Read and record the head of a request; leave its body unread."""


@dataclasses.dataclass(frozen=True)
class Send:
    """Send bytes at once."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class SendSlowly:
    """Send bytes in pieces, letting the loop run between them."""

    data: bytes
    piece: int = 1


@dataclasses.dataclass(frozen=True)
class Stall:
    """Do nothing, and read nothing, until the server is closed."""


@dataclasses.dataclass(frozen=True)
class Wait:
    """Wait for an event of the test."""

    event: asyncio.Event


@dataclasses.dataclass(frozen=True)
class Do:
    """Call something of the test, to note that the script has come this far."""

    call: Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Reset:
    """Close with a reset (RST)."""


@dataclasses.dataclass(frozen=True)
class Close:
    """Close, as far as the system can, in good order (FIN)."""


@dataclasses.dataclass(frozen=True)
class HalfClose:
    """Send no more (FIN), but go on reading."""


@dataclasses.dataclass(frozen=True)
class ExpectEOF:
    """Wait until the client has closed; what it still sends is dropped."""


Step = ReadRequest | ReadHead | Send | SendSlowly | Stall | Wait | Do | Reset | Close | HalfClose | ExpectEOF
"""What a script is made of."""


@dataclasses.dataclass(frozen=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: Its method.
        target: Its target.
        headers: Its header fields.
        head: Its head, byte for byte.
        body: Its body, without chunk framing.
        connection: The number of its connection, from 0.
    """

    method: str
    target: str
    headers: Headers
    head: bytes
    body: bytes
    connection: int


class ScriptedUpstream:
    """A TCP server on 127.0.0.1 that plays a script on each connection.

    Args:
        *scripts: The first connection plays the first script and so on; the last script is played by all further ones.
            At the end of its script a connection waits for the client to close.
        tls: Makes it a TLS server.

    Attributes:
        requests: What was read, in order.
        connections: How many connections were accepted.
        port: The port, once it is open.
    """

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts or ((),)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.Event] = []
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``; for a TLS server ``https://localhost:port``."""
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, limit=1 << 26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, and end every script and connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def closed(self) -> None:
        """Wait until every connection made so far is closed.

        Raises:
            TimeoutError: One is still open after five seconds.
        """
        async with asyncio.timeout(5):
            for end in list(self._ends):
                await end.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        end = asyncio.Event()
        self._ends.append(end)
        script = self._scripts[min(number, len(self._scripts) - 1)]
        task = asyncio.get_running_loop().create_task(_Player(self, number, reader, writer).play(script, end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Player:
    """Plays one script on one connection."""

    def __init__(
        self, upstream: ScriptedUpstream, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._upstream = upstream
        self._number = number
        self._reader = reader
        self._writer = writer

    async def play(self, script: Sequence[Step], end: asyncio.Event) -> None:
        try:
            for step in script:
                await self._take(step)
            await self._drop_rest()
        except (OSError, asyncio.IncompleteReadError):  # the client went away: a script cannot go on without it
            pass
        finally:
            # Seen closed by the client, or closed by the script: either way this connection is over.
            self._writer.transport.abort()
            end.set()

    async def _take(self, step: Step) -> None:
        match step:
            case ReadRequest():
                self._record(*await self._read_head(), await self._read_body())
            case ReadHead():
                self._record(*await self._read_head(), b"")
            case Send(data):
                self._writer.write(data)
                await self._writer.drain()
            case SendSlowly(data, piece):
                for start in range(0, len(data), piece):
                    self._writer.write(data[start : start + piece])
                    await self._writer.drain()
                    await asyncio.sleep(0)
            case Wait(event):
                await event.wait()
            case Do(call):
                call()
            case _:
                await self._end(step)

    async def _end(self, step: Step) -> None:
        match step:
            case Stall():
                self._writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.Event().wait()
            case Reset():
                sock = self._writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            case Close():
                self._writer.close()
                await self._writer.wait_closed()
            case HalfClose():
                self._writer.write_eof()
            case _:
                await self._drop_rest()

    async def _drop_rest(self) -> None:
        while await self._reader.read(65536):
            pass

    async def _read_head(self) -> tuple[bytes, list[bytes], Headers]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        self._headers = Headers((name, value.strip(" ")) for name, _, value in pairs)
        return head, first.split(b" "), self._headers

    async def _read_body(self) -> bytes:
        if self._headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await self._reader.readuntil(b"\r\n"))[:-2], 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            return body
        size_text = self._headers.get("content-length", "0")
        return await self._reader.readexactly(int(size_text) if re.fullmatch("[0-9]+", size_text) else 0)

    def _record(self, head: bytes, first: list[bytes], headers: Headers, body: bytes) -> None:
        self._upstream.requests.append(
            RecordedRequest(first[0].decode(), first[1].decode("latin-1"), headers, head, body, self._number)
        )
