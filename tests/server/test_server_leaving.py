"""A client that goes away closes the connection to the back-end, on every route and however it is connected."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import trustme

from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.table import row
from backstream.server import Settings, create_app
from backstream.server.place import Place, bound
from backstream.server.run import Conduct, serve_on
from backstream.server.tls import TLSFiles
from backstream.testing.upstream import Do, ExpectEOF, ReadRequest, ScriptedUpstream, Send
from backstream.transport.pool import aclose_pools
from support_answering_routes import STREAMS, WHOLE
from support_server import CONVERSATION, Journal, head_and_body

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"data: " + json.dumps({"model": "one", "choices": [{"delta": {"content": "word"}}]}).encode() + b"\n\n"
FIRST = HEAD + b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
SILENT = {"none": b"", "head": HEAD}


class Door(NamedTuple):
    """A way to the server."""

    place: Place
    client: Any  # the TLS settings of a client

    async def open(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.place.socket_path is not None:
            return await asyncio.open_unix_connection(self.place.socket_path)
        port, name = int(url.rpartition(":")[2]), "localhost" if self.client is not None else None
        return await asyncio.open_connection("127.0.0.1", port, ssl=self.client, server_hostname=name)


@pytest.fixture(params=["tcp", "tls", "unix"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    if request.param == "unix":
        return Door(Place(socket_path=tmp_path / "a.sock"), None)
    if request.param == "tcp":
        return Door(Place(port=0), None)
    import ssl

    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    files = TLSFiles(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(files.certificate)
    leaf.private_key_pem.write_to_path(files.key)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Door(Place(port=0, tls=files), client)


@contextlib.asynccontextmanager
async def serving(place: Place, upstream: ScriptedUpstream) -> AsyncIterator[str]:
    known = msgspec.structs.replace(row("openai"), url=upstream.url + "/v1", default_model="one")
    app = create_app([DialectProvider(known, "key-of-nobody")], Settings(keys_file=None))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with bound(place) as groups:
        task = asyncio.create_task(serve_on(app, place, groups[0], Conduct(on_ready=ready.set_result)))
        try:
            yield await ready
        finally:
            task.cancel()
            await asyncio.wait([task])
            await aclose_pools()


def script(journal: Journal, answer: bytes) -> list[Any]:
    return [
        ReadRequest(),
        *([Send(answer)] if answer else []),
        Do(lambda: journal.note("answering")),
        ExpectEOF(),
        Do(lambda: journal.note("left")),
    ]


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize(("path", "body"), [*STREAMS, *WHOLE])
async def test_before_the_first_chunk(path: str, body: Any, answer: bytes) -> None:
    journal = Journal()
    door = Door(Place(port=0), None)
    async with ScriptedUpstream(script(journal, answer)) as upstream, serving(door.place, upstream) as url:
        _, writer = await door.open(url)
        writer.write(head_and_body("POST", path, body))
        await journal.wait_for("answering")
        writer.close()
        await journal.wait_for("left")


@pytest.mark.parametrize(("path", "body"), STREAMS)
async def test_during_the_stream(path: str, body: Any) -> None:
    journal = Journal()
    door = Door(Place(port=0), None)
    async with ScriptedUpstream(script(journal, FIRST)) as upstream, serving(door.place, upstream) as url:
        reader, writer = await door.open(url)
        writer.write(head_and_body("POST", path, body))
        await reader.readuntil(b"word")
        writer.close()
        await journal.wait_for("left")


@pytest.mark.parametrize(("path", "body"), WHOLE)
async def test_while_a_whole_answer_is_made(path: str, body: Any) -> None:
    journal = Journal()
    door = Door(Place(port=0), None)
    async with ScriptedUpstream(script(journal, FIRST)) as upstream, serving(door.place, upstream) as url:
        _, writer = await door.open(url)
        writer.write(head_and_body("POST", path, body))
        await journal.wait_for("answering")
        writer.transport.abort()
        await journal.wait_for("left")


@pytest.mark.parametrize("answer", [b"", FIRST], ids=["before", "during"])
@pytest.mark.parametrize(("path", "body"), [STREAMS[0], STREAMS[2], STREAMS[4]])
async def test_through_every_door(door: Door, path: str, body: Any, answer: bytes) -> None:
    journal = Journal()
    async with ScriptedUpstream(script(journal, answer)) as upstream, serving(door.place, upstream) as url:
        reader, writer = await door.open(url)
        writer.write(head_and_body("POST", path, body))
        await journal.wait_for("answering")
        if answer:
            await reader.readuntil(b"word")
        writer.close()
        await journal.wait_for("left")


async def test_the_back_end_is_left_when_the_server_stops() -> None:
    journal = Journal()
    place = Place(port=0)
    async with ScriptedUpstream(script(journal, FIRST)) as upstream:
        async with serving(place, upstream) as url:
            reader, writer = await Door(place, None).open(url)
            writer.write(head_and_body("POST", CONVERSATION, dict(STREAMS[0][1])))
            await reader.readuntil(b"word")
        await journal.wait_for("left")
        writer.close()
