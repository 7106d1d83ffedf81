"""A server whose models are faults, in every dialect. A test's or a person's tool: for loopback, without keys."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from backstream.dialects.base import Dialect, Envelope
from backstream.errors import BackendRequestError, BackstreamError, ModelNotFoundError
from backstream.models import ModelInfo
from backstream.request import Request
from backstream.testing.chaos.answers import render_answer, render_refusal
from backstream.testing.chaos.asked import read_path
from backstream.testing.chaos.faults import FAULTS, Chosen, find_fault
from backstream.testing.chaos.player import Player
from backstream.testing.chaos.steps import Head
from backstream.wire.http import Headers
from backstream.wire.json_text import decode_json

__all__ = ["ChaosServer", "Played"]

_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Played:
    """One request and what was made of it.

    Attributes:
        method: Its method.
        path: Its path.
        model: The model asked for; ``""`` where none was.
        dialect: The dialect; ``""`` where it was in none.
        headers: Its header fields.
        stream: Whether a stream was asked for.
    """

    method: str
    path: str
    model: str
    dialect: str
    headers: Headers
    stream: bool = False


@dataclasses.dataclass(frozen=True)
class _Reading:
    """A request as it was read."""

    method: str
    target: str
    headers: Headers
    body: bytes


class ChaosServer:
    """Back-ends of every dialect on one port, by their usual paths; the model's name is the fault.

    Args:
        host: Where to listen.
        port: The port; 0 for a free one.
        pace_seconds: How long the faults that are slow wait between two steps.
        on_request: Called with each request, before its fault is played.

    Attributes:
        port: The port, once it is open.
        played: Every request so far, in order.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        pace_seconds: float = 1.0,
        on_request: Callable[[Played], object] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.played: list[Played] = []
        self._pace = pace_seconds
        self._on_request = on_request
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken, or the host is no address of this machine.
        """
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def closed(self) -> None:
        """Wait until every client has closed its connections.

        Raises:
            TimeoutError: One is still open after five seconds.
        """
        async with asyncio.timeout(5):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                found = await _read(reader)
                if not await self._answer(found, reader, writer):
                    break
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # it left, or does not speak HTTP
            pass
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, found: _Reading, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = read_path(found.method, found.target, found.headers)
        if asked is None:
            self._note(found, "", "")
            return await _send(writer, 404, b'{"error":{"message":"nothing here; see /v1/models","type":"not_found"}}')
        dialect = asked.dialect
        if asked.lists:
            self._note(found, "", dialect.name)
            return await _send(writer, 200, _render_list(dialect, found.target))
        try:
            request = dialect.parse_request(_members(found.body), asked.path)
        except BackstreamError as error:
            self._note(found, "", dialect.name)
            status, body = dialect.render_error(BackendRequestError(str(error), status=400, phase="headers"))
            return await _send(writer, status, body)
        self._note(found, request.model, dialect.name, stream=request.stream)
        if not request.model:
            refusal = BackendRequestError("the request names no model", status=400)
            return await _send(writer, *dialect.render_error(refusal))
        chosen = find_fault(request.model)
        if chosen is not None and not chosen.fault.suits(dialect.name):
            refusal = BackendRequestError(f"{chosen.fault.model} has no meaning in this dialect", status=400)
            return await _send(writer, *dialect.render_error(refusal))
        if chosen is None:
            status, body = dialect.render_error(
                ModelNotFoundError("there is no such fault; the list of models has them", status=404, phase="headers")
            )
            return await _send(writer, status, body)
        return await self._play(chosen, dialect, request, reader, writer)

    async def _play(
        self,
        chosen: Chosen,
        dialect: Dialect,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        fault, number = chosen
        envelope = Envelope(
            id=f"chaos{next(self._numbers)}", model=request.model, created=int(time.time()), request=request
        )
        answer = render_answer(dialect, envelope, fault.said(number))
        refusing = next(
            (step for step in fault.script if isinstance(step, Head) and step.status not in (200, 204)), None
        )
        if refusing is not None:
            status = number if refusing.status < 0 else refusing.status
            body = render_refusal(dialect, status)
            answer = dataclasses.replace(answer, content_type="application/json", failure=body)
        return await Player(reader, writer, answer, number, self._pace).play(fault.script)

    def _note(self, found: _Reading, model: str, dialect: str, *, stream: bool = False) -> None:
        path = found.target.partition("?")[0]
        played = Played(found.method, path, model, dialect, found.headers, stream)
        self.played.append(played)
        if self._on_request is not None:
            self._on_request(played)


async def _read(reader: asyncio.StreamReader) -> _Reading:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    fields = (line.partition(":") for line in lines)
    headers = Headers((name, value.strip()) for name, _, value in fields)
    return _Reading(method, target, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        pieces, total = [], 0
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            total += size
            if total > _MOST_BYTES:
                raise ValueError("the request is too large")
            pieces.append((await reader.readexactly(size + 2))[:-2])
        await reader.readuntil(b"\r\n")
        return b"".join(pieces)
    length = headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,9}", length) or int(length) > _MOST_BYTES:
        raise ValueError("the request is too large")
    return await reader.readexactly(int(length))


def _members(body: bytes) -> Mapping[str, Any]:
    members = decode_json(body)
    if not isinstance(members, Mapping):
        raise BackendRequestError("the body is no JSON object", status=400)
    return members


def _render_list(dialect: Dialect, target: str) -> bytes:
    models = [
        ModelInfo(id=fault.model, label=fault.about, owned_by=f"chaos: {fault.about}") for fault in FAULTS.values()
    ]
    return dialect.render_models(models)


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes) -> bool:
    head = f"HTTP/1.1 {status} Chaos\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True
