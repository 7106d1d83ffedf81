"""The application inside other people's applications, and spoken to by other people's clients."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from backstream.server import Settings, create_app
from backstream.server.keys import add_key
from support_server import HELLO, Journal, head_and_body, provider_of, running, saying

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


def in_starlette(app: Any) -> Any:
    return Starlette(routes=[Mount("/gateway", app=app)])


def in_starlette_behind_middleware(app: Any) -> Any:
    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    return Starlette(routes=[Mount("/gateway", app=app)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)])


def in_fastapi(app: Any) -> Any:
    outer = FastAPI()
    outer.mount("/gateway", app)
    return outer


def nested(app: Any) -> Any:
    return Starlette(routes=[Mount("/gateway", routes=[Mount("/", app=app)])])


MOUNTS = [in_starlette, in_starlette_behind_middleware, in_fastapi, nested]


@pytest.mark.parametrize("mount", MOUNTS)
async def test_mounted(mount: Any, tmp_path: Any) -> None:
    app = create_app([saying()], Settings(keys_file=None))
    async with running(app=mount(app)) as server:
        answer = await server.converse(path="/gateway/backend-api/v2/conversation")
        lines = await server.converse(path="/gateway/jsonl/backend-api/v2/conversation")
        health = await server.ask("GET", "/gateway/healthz")
        unknown = await server.ask("GET", "/gateway/backend-api")
        unmounted = await server.ask("GET", "/healthz")
        evil = await server.ask("GET", "/gateway/healthz", host="evil.example")
    assert [told["type"] for told in answer.events()] == ["provider", "parameters", "content", "finish"]
    assert lines.events() == answer.events()
    assert (health.json(), unknown.status, evil.status) == ({"status": "ok"}, 404, 403)
    assert unmounted.status == 404


@pytest.mark.parametrize("mount", MOUNTS)
async def test_mounted_with_keys(mount: Any, tmp_path: Any) -> None:
    key = add_key(tmp_path / "keys.json", "a")
    app = create_app([saying()], Settings(keys_file=tmp_path / "keys.json"))
    path = "/gateway/backend-api/v2/version"
    async with running(app=mount(app)) as server:
        assert (await server.ask("GET", path)).status == 401
        assert (await server.ask("GET", path, headers={"x-api-key": key})).status == 200
        assert (await server.ask("GET", "/gateway/healthz")).status == 200


@pytest.mark.parametrize("mount", MOUNTS)
async def test_mounted_and_left(mount: Any) -> None:
    """The provider is closed when the client goes away, whatever lies between."""
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            yield "one"
            journal.note("waiting")
            await asyncio.Event().wait()
        finally:
            journal.note("closed")

    app = create_app([provider_of(generate)], Settings(keys_file=None))
    async with running(app=mount(app)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", "/gateway/backend-api/v2/conversation", HELLO))
        await reader.readuntil(b"one")
        await journal.wait_for("waiting")
        writer.transport.abort()
        await journal.wait_for("closed")


async def asgi_answer(app: Any, scope: dict[str, Any], messages: list[Any] | None = None) -> list[Any]:
    sent: list[Any] = []
    waiting = [*(messages or [{"type": "http.request", "body": b"", "more_body": False}])]

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def scope_of(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/backend-api/v2/version",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        **changes,
    }


async def status_of(app: Any, scope: dict[str, Any]) -> int:
    status: int = (await asgi_answer(app, scope))[0]["status"]
    return status


async def test_without_keys_other_machines_are_refused() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    behind = create_app([saying()], Settings(keys_file=None, behind_own_auth=True))
    assert await status_of(app, scope_of()) == 200
    assert await status_of(app, scope_of(client=("::1", 1))) == 200
    assert await status_of(app, scope_of(client=None)) == 200  # a Unix socket
    assert await status_of(app, scope_of(client=("192.168.1.9", 1))) == 403
    assert await status_of(app, scope_of(client=("192.168.1.9", 1), path="/healthz")) == 200
    assert await status_of(behind, scope_of(client=("192.168.1.9", 1))) == 200


async def test_mount_prefixes() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    assert await status_of(app, scope_of(root_path="/a", path="/a/healthz")) == 200
    assert await status_of(app, scope_of(root_path="/a/", path="/a/healthz")) == 200
    assert await status_of(app, scope_of(root_path="/a", path="/healthz")) == 200  # as old frameworks do
    assert await status_of(app, scope_of(root_path="/a", path="/ahealthz")) == 404
    assert await status_of(app, scope_of(root_path="/healthz", path="/healthz/healthy")) == 404


async def test_websockets_are_refused() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    sent = await asgi_answer(app, {"type": "websocket"}, [{"type": "websocket.connect"}])
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_lifespan() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    sent = await asgi_answer(app, {"type": "lifespan"}, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(RuntimeError):
        await asgi_answer(app, {"type": "gopher"})


async def test_a_send_that_fails_is_a_client_that_left() -> None:
    """As the ASGI specification has it since 2.4."""
    closed = []

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            while True:
                yield "word"
        finally:
            closed.append(True)

    app = create_app([provider_of(generate)], Settings(keys_file=None))
    waiting = [{"type": "http.request", "body": b'{"messages":[]}', "more_body": False}]
    sent = 0

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > 4:
            raise OSError

    await app(scope_of(method="POST", path="/backend-api/v2/conversation"), receive, send)
    assert closed == [True]
    assert sent == 5


@contextlib.asynccontextmanager
async def spoken_to() -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    async with running() as server, aiohttp.ClientSession() as session:
        yield server.url + "/backend-api/v2/", session


async def test_multipart_from_another_client() -> None:
    form = aiohttp.FormData()
    form.add_field("json", '{"model": "echo", "messages": [{"role": "user", "content": "What is this?"}]}')
    form.add_field("files", PIXEL, filename="pixel.png", content_type="image/png")
    form.add_field("media_url", "https://pictures.example/cat.png")
    async with spoken_to() as (url, session), session.post(url + "conversation", data=form) as response:
        text = await response.text()
    assert response.status == 200
    assert hashlib.sha256(PIXEL).hexdigest() in text
    assert "1 × 1 pixels" in text.replace('"}\n\nevent: content\ndata: {"type":"content","content":"', "")
    assert "2 media" in text.replace('"}\n\nevent: content\ndata: {"type":"content","content":"', "")


async def test_the_lines_another_client_expects() -> None:
    """A client of the first years: parses every line as JSON, sends these members, and this User-Agent."""
    import json

    members = {"model": "echo", "messages": HELLO["messages"], "media": None, "api_key": None}
    async with spoken_to() as (url, session), session.post(url + "conversation", json=members) as response:
        events = [json.loads(line) async for line in response.content]
    assert [event["type"] for event in events][-2:] == ["finish", "usage"]
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"


async def test_files_of_no_known_kind_are_refused_aloud() -> None:
    form = aiohttp.FormData()
    form.add_field("json", '{"messages": []}')
    form.add_field("files", b"\x00\x01\x02", filename="what.xyz")
    async with spoken_to() as (url, session), session.post(url + "conversation", data=form) as response:
        answer = await response.json()
    assert response.status in (415, 422)
    assert "what.xyz" in answer["error"]["message"]
