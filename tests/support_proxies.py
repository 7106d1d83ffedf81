"""Small proxies: they answer as told, then carry bytes between the client and the target."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from typing import Self


class Proxy:
    """A proxy on 127.0.0.1.

    It speaks HTTP (CONNECT and the absolute form) or SOCKS5, sends everybody to ``target``, and notes whom it was
    asked for.
    """

    def __init__(
        self, target: int, *, speaks: str = "http", login: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.target = target
        self.speaks = speaks
        self.login = login
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.refuse_with = b""
        self.port = 0
        self.connections = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until every connection is over."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        speak: Callable[..., Awaitable[None]] = self._speak_http if self.speaks == "http" else self._speak_socks
        self._tasks.add(asyncio.get_running_loop().create_task(self._serve(speak, reader, writer)))

    async def _serve(
        self,
        speak: Callable[..., Awaitable[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            await speak(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    async def _speak_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(target)
        logins = [line for line in head.decode().split("\r\n") if line.lower().startswith("proxy-authorization: ")]
        self.logins += [base64.b64decode(line.split(" ")[2]).decode() for line in logins]
        if self.refuse_with or (self.login and self.login not in self.logins):
            writer.write(self.refuse_with or b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            await self._carry(reader, writer, b"")
        else:
            await self._carry(reader, writer, head)

    async def _speak_socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if self.login:
            writer.write(b"\x05\x02" if 2 in methods else b"\x05\xff")
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            self.logins.append(f"{user.decode()}:{password.decode()}")
            writer.write(b"\x01\x00" if self.login in self.logins else b"\x01\x01")
        else:
            writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        host = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(f"{host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
        if self.refuse_with:
            writer.write(self.refuse_with)
            await reader.read()
            return
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        await self._carry(reader, writer, b"")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        far_writer.write(first)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            finally:
                sink.transport.abort()

        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)
        finally:
            far_writer.transport.abort()
