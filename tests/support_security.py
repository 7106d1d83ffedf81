"""What the tests of the security table share: every route as a request, and back-ends of every dialect behind it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from backstream import DialectProvider
from backstream.providers.table import row
from backstream.server import Settings, create_app
from backstream.server.routes import ROUTES
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send, Step
from backstream.transport.pool import aclose_pools
from support_server import CONVERSATION, Running, provider_of, running

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
TURN = {"messages": [{"role": "user", "content": "Hi"}]}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "backend_api": (CONVERSATION, {"model": "one", **TURN}),
    "openai_chat": ("/v1/chat/completions", {"model": "one", **TURN}),
    "openai_responses": ("/v1/responses", {"model": "one", "input": "Hi"}),
    "anthropic_messages": ("/v1/messages", {"model": "one", "max_tokens": 9, **TURN}),
    "gemini": ("/v1beta/models/one:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
    "ollama": ("/api/chat", {"model": "one", "stream": False, **TURN}),
}
"""A whole conversation in each dialect: path, body."""

ROWS = {
    "openai_chat": ("openai", "/v1"),
    "openai_responses": ("openai-responses", "/v1"),
    "anthropic_messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
    "ollama": ("ollama", ""),
}


def with_model(name: str, model: str, **members: Any) -> tuple[str, dict[str, Any]]:
    """A conversation with a model, in a dialect; the path is not percent-encoded."""
    path, body = BODIES[name]
    if name == "gemini":
        return path.replace("/one:", f"/{model}:"), {**body, **members}
    return path, {**body, "model": model, **members}


def paths(value: str = "one") -> list[str]:
    """Every path of the table, once, with its names filled in."""
    found = {}
    for route in ROUTES:
        path = route.path
        while "{" in path:
            begin, _, rest = path.partition("{")
            path = begin + value + rest.partition("}")[2]
        found[path] = route
    return list(found)


def open_paths() -> set[str]:
    """The paths that need no key."""
    return {route.path for route in ROUTES if route.open}


class Counting:
    """A provider that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        ours = self

        async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **keywords: Any) -> Any:
            ours.asked.append((model, messages, media, api_key, keywords))
            yield "Hi"

        self.provider = provider_of(generate)


def json_answer(body: Any, *fields: str, status: str = "200 OK") -> bytes:
    """A whole HTTP answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = (
        [] if any(field.lower().startswith("content-type") for field in fields) else ["Content-Type: application/json"]
    )
    lines = [f"HTTP/1.1 {status}", *kind, *fields, f"Content-Length: {len(raw)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + raw


KEY = "sk-canary-upstream-55d1c2"


@contextlib.asynccontextmanager
async def before(dialect: str, *steps: Step, **settings: Any) -> AsyncIterator[tuple[Running, ScriptedUpstream]]:
    """A gateway before a scripted back-end of a dialect."""
    named, path = ROWS[dialect]
    async with ScriptedUpstream([ReadRequest(), *steps]) as upstream:
        provider = DialectProvider(msgspec.structs.replace(row(named), url=upstream.url + path), KEY)
        app = create_app({"work": provider}, Settings(**{"keys_file": None, **settings}))
        async with running(app=app) as server:
            yield server, upstream
            await aclose_pools()


def refusing(dialect: str, body: Any = None, status: str = "400 Bad Request", *fields: str) -> list[Step]:
    """What a back-end does that refuses."""
    return [Send(json_answer({"error": {"message": "no"}} if body is None else body, *fields, status=status))]


def strings_in(value: Any) -> Iterator[str]:
    """Every text of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from strings_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings_in(each)


def form_of(field: str, disposition: bytes, content: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with a file, as bytes, and the field of its type."""
    begin = b"--b\r\nContent-Disposition: form-data; name="
    texts = b"".join(
        begin + b'"%b"\r\n\r\n%b\r\n' % (name, value)
        for name, value in ((b"json", b'{"model":"","messages":[]}'), (b"model", b"one"), (b"prompt", b"Hi"))
    )
    file = begin + b'"%b"; %b\r\n\r\n%b\r\n--b--\r\n' % (field.encode(), disposition, content)
    return texts + file, {"Content-Type": "multipart/form-data; boundary=b"}
