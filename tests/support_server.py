"""Support for tests of the server: run an application on a real socket, and speak raw HTTP to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from backstream.chunks import Content, Finish, RawResponse
from backstream.options import Recovery
from backstream.server import Settings, create_app
from backstream.server.app import Gateway
from backstream.server.listener import Listener, bind
from backstream.server.protocol import ConnectionLimits

CONVERSATION = "/backend-api/v2/conversation"
HELLO = {"model": "", "messages": [{"role": "user", "content": "Hi"}]}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool  # whether the body was framed to its end

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json()["error"]["message"]

    def events(self) -> list[dict[str, Any]]:
        lines = self.body.decode().split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith(("data: ", "{"))]


class Running(NamedTuple):
    port: int
    listener: Listener

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, body: bytes | Any = b"", **fields: Any) -> Answer:
        """Make one request on a connection of its own; see :func:`head_and_body`."""
        return await self.send(head_and_body(method, path, body, **fields))

    async def send(self, raw: bytes) -> Answer:
        answers = await self.send_all(raw)
        assert len(answers) == 1, answers
        return answers[0]

    async def send_all(self, raw: bytes) -> list[Answer]:
        """Send bytes and parse whatever comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(raw)
                await writer.drain()
            received = b""
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    received += data
            return parse_answers(received)
        finally:
            await close(writer)

    async def converse(self, members: Any = None, path: str = CONVERSATION, **fields: Any) -> Answer:
        return await self.ask("POST", path, HELLO if members is None else members, **fields)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def head_and_body(
    method: str,
    path: str,
    body: Any = b"",
    *,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    host: str | None = "localhost",
    keep: bool = False,
) -> bytes:
    """Render a request; a body that is no bytes is JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"{name}: {value}" for name, value in (headers.items() if isinstance(headers, Mapping) else headers)]
    lines += [f"Content-Length: {len(raw)}"] if raw or method == "POST" else []
    lines += [] if keep else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def parse_answers(received: bytes) -> list[Answer]:
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *fields = head.decode("latin-1").split("\r\n")
        status = int(status_line.split()[1])
        headers = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        known = dict(headers)
        if known.get("transfer-encoding") == "chunked":
            body, whole, received = _dechunk(rest)
        else:
            size = int(known.get("content-length", "0"))
            body, received = rest[:size], rest[size:]
            whole = len(body) == size
        if status >= 200:
            answers.append(Answer(status, headers, body, whole))
    return answers


def _dechunk(rest: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found:
            return body, False, b""
        size = int(line, 16)
        if size == 0:
            return body, True, after[2:]
        if len(after) < size + 2:
            return body + after[:size], False, b""
        body, rest = body + after[:size], after[size + 2 :]


@contextlib.asynccontextmanager
async def running(
    providers: Any = None, *, limits: ConnectionLimits | None = None, app: Any = None, **settings: Any
) -> AsyncIterator[Running]:
    """Run a server on a free port; check that nothing of it is left."""
    before = asyncio.all_tasks()
    if app is None:
        once = Recovery(retries=0)  # what asks again has tests of its own, and waits
        app = create_app(providers, Settings(**{"keys_file": None, "recovery": once, **settings}))
    listener = Listener(app, limits)
    listener.adopt(bind("127.0.0.1", 0))
    try:
        await listener.start()
        yield Running(listener.port, listener)
    finally:
        await listener.aclose()
        if isinstance(app, Gateway):
            await app.aclose()
    assert asyncio.all_tasks() <= before


class Journal:
    """What happened, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._changed = asyncio.Event()

    def note(self, entry: str) -> None:
        self.entries.append(entry)
        self._changed.set()

    async def wait_for(self, entry: str) -> None:
        async with asyncio.timeout(20):  # a guard against hanging, not a measure
            while entry not in self.entries:
                self._changed.clear()
                await self._changed.wait()


def provider_of(generate: Callable[..., Any], **attributes: Any) -> Any:
    """Make a provider class from an async generator function ``(model, messages, media, api_key, **kwargs)``."""
    from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin

    members = {"create_async_generator": staticmethod(generate), "default_model": "one", **attributes}
    return type("Scripted", (AsyncGeneratorProvider, ProviderModelMixin), members)


def saying(*chunks: RawResponse | str) -> Any:
    """Make a provider that says this."""

    async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
        for chunk in chunks or (Content(content="Hi"), Finish(finish={"reason": "stop"})):
            yield chunk

    return provider_of(generate)
