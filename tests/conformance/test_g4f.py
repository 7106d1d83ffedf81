"""Against the real programs: every generation of g4f's client and server, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest

from backstream import BackendApi, Client, Content, DialectProvider, Finish, RefusedError, fold
from backstream.providers.table import row
from backstream.server import Settings, create_app
from backstream.server.listener import Listener, bind

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x02\x00\x00\x00\x03\x08\x02\x00\x00\x00"
Run = Callable[..., Awaitable[str]]


@contextlib.asynccontextmanager
async def our_server(settings: Settings | None = None) -> AsyncIterator[str]:
    listener = Listener(create_app(settings=settings or Settings(keys_file=None)))
    listener.adopt(bind("127.0.0.1", 0))
    await listener.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.aclose()


@contextlib.asynccontextmanager
async def their_server(python: Path, home: Path) -> AsyncIterator[type[BackendApi]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python,
            Path(__file__).parent / "g4f_server.py",
            str(port),
            stdout=log,
            stderr=log,
            cwd=home,
            env={**os.environ, "HOME": str(home)},
        )

    class Theirs(BackendApi):
        url = f"http://127.0.0.1:{port}"

    try:
        async with asyncio.timeout(60):
            while True:
                assert process.returncode is None, (home / "server.log").read_text()[-2000:]
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:  # not listening yet
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                await writer.wait_closed()
                break
        yield Theirs
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_their_client_reads_our_server(foreign: Run) -> None:
    """The automatic framing finds what the client can read: its own reads JSON lines, whatever its version."""
    async with our_server() as url:
        events = [json.loads(line) for line in (await foreign("g4f_client.py", url, "echo")).splitlines()]
    text = "".join(event["content"] for event in events if event["type"] == "content")
    assert "“Grüße 😀”" in text
    assert [event["type"] for event in events][:1] == ["provider"]
    assert [event["type"] for event in events][-2:] == ["finish", "usage"]


async def test_their_client_sends_a_picture_that_arrives_whole(foreign: Run) -> None:
    async with our_server() as url:
        events = [json.loads(line) for line in (await foreign("g4f_client.py", url, "echo", "media")).splitlines()]
    text = "".join(event["content"] for event in events if event["type"] == "content")
    assert hashlib.sha256(PNG).hexdigest() in text
    assert f"image/png, {len(PNG)} bytes, 2 × 3 pixels" in text


async def test_our_client_reads_their_server(g4f_python: Path, tmp_path: Path) -> None:
    async with their_server(g4f_python, tmp_path) as theirs:
        answer = theirs.create_async_generator(
            "echo",
            [{"role": "user", "content": "Grüße 😀"}],
            media=[(PNG, "tiny.png")],
            api_key="not-a-real-key",
            provider="LabEcho",
            temperature=0.5,
        )
        chunks = [chunk async for chunk in answer]
        reply = fold(chunks)
        assert "You said: Grüße 😀" in reply.text
        assert "tiny.png" in reply.text
        assert "data:image/png;base64," in reply.text
        assert "key=not-a-real-key temperature=0.5" in reply.text
        assert reply.reasoning == "hm"
        assert reply.finish_reason == "stop"
        assert any(isinstance(chunk, Finish) for chunk in chunks)
        assert answer.end is not None
        assert answer.end.state == "complete"


@pytest.mark.parametrize(("model", "before"), [("fail", ""), ("failmid", "You said: Hi")])
async def test_their_servers_errors_are_raised(g4f_python: Path, tmp_path: Path, model: str, before: str) -> None:
    async with their_server(g4f_python, tmp_path) as theirs:
        answer = theirs.create_async_generator(model, [{"role": "user", "content": "Hi"}], provider="LabEcho")
        seen = ""
        with pytest.raises(RefusedError, match=r"said no|broke in the middle"):
            async for chunk in answer:
                seen += str(chunk) if isinstance(chunk, Content) else ""
        assert seen == before


async def test_their_model_list_is_read(g4f_python: Path, tmp_path: Path) -> None:
    async with their_server(g4f_python, tmp_path) as theirs:
        models = await theirs.fetch_models("LabEcho")
        # the newest lists nothing for a provider it was given from outside
        expected = [] if "8.8.6" in str(g4f_python) else ["echo"]
        assert [model.get("id", model.get("model")) for model in models][:1] == expected


async def test_the_row_of_the_table_talks_to_their_server(g4f_python: Path, tmp_path: Path) -> None:
    """The same server through the client: as a back-end like any other."""
    async with their_server(g4f_python, tmp_path) as theirs, Client(environ={"HOME": str(tmp_path)}) as client:
        there = DialectProvider(msgspec.structs.replace(row("g4f"), url=str(theirs.url)))
        asked = [{"role": "user", "content": "Grüße 😀"}]
        reply = await client.chat("echo", asked, provider=there, extra_body={"provider": "LabEcho"}, temperature=0.5)
        assert "You said: Grüße 😀" in reply.text
        assert (reply.reasoning, reply.finish_reason) == ("hm", "stop")
        assert [str(receipt) for receipt in reply.receipts if receipt.what == "temperature"] == ["temperature kept"]
        assert all(model.id for model in await there.list_models())
        with pytest.raises(RefusedError, match="said no"):
            await client.chat("fail", "Hi", provider=there, extra_body={"provider": "LabEcho"})


async def test_a_browser_page_gets_events() -> None:
    """What a page sends: an Origin, Sec-Fetch fields and a multipart form; it reads server-sent events."""
    async with our_server(Settings(keys_file=None, allow_origins=("http://page.example",))) as url:
        form = aiohttp.FormData()
        form.add_field("json", json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}))
        form.add_field("files", PNG, filename="tiny.png", content_type="image/png")
        headers = {"Origin": "http://page.example", "Sec-Fetch-Mode": "cors"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{url}/backend-api/v2/conversation", data=form) as response,
        ):
            text = await response.text()
            assert response.headers["Access-Control-Allow-Origin"] == "http://page.example"
    assert text.startswith("event: provider\ndata: {")
    assert hashlib.sha256(PNG).hexdigest() in text
