"""What tests of discovery share: a server that answers paths with documents, as model servers on loopback do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

__all__ = ["DocumentServer"]


class DocumentServer:
    """An HTTP server on 127.0.0.1 that answers each GET by its path.

    Args:
        documents: Path → what to answer as JSON; ``bytes`` are sent as HTML; a path that is missing gets 404; ``None``
            is never answered.

    Attributes:
        asked: The targets asked for, in order.
        heads: The heads of the requests.
    """

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.documents = dict(documents)
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ")[1]
                self.asked.append(target)
                self.heads.append(head)
                found = self.documents.get(target.partition("?")[0], 404)
                if found is None:
                    continue
                status = "404 Not Found" if found == 404 else "200 OK"
                kind = "text/html" if isinstance(found, bytes) else "application/json"
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()
