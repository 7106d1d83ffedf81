"""The plain routes: shapes, methods, errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstream._version import __version__
from backstream.errors import ConfigurationError
from backstream.providers.echo import Echo
from backstream.server import create_app
from backstream.server.catalog import Catalog
from support_server import CONVERSATION, Running, provider_of, running, saying

RICH: dict[str, Any] = {
    "url": "http://127.0.0.1:9",
    "label": "Rich one",
    "models": ["small", "large"],
    "default_model": "large",
    "vision_models": ["large"],
    "image_models": ["draw", "paint"],
    "audio_models": {"small": ["voice"]},
    "models_tags": {"small": ["fast"]},
    "needs_auth": True,
    "login_url": "https://login.example",
}


UNWRITABLE = object()


async def _echo(*args: Any, **kwargs: Any) -> Any:
    yield "ok"


def rich(**changes: Any) -> Any:
    return provider_of(_echo, **{**RICH, **changes})


@pytest.mark.parametrize("prefix", ["", "/jsonl"])
async def test_version(prefix: str) -> None:
    async with running([saying()]) as server:
        answer = await server.ask("GET", prefix + "/backend-api/v2/version?cache=true")
    assert answer.body == f'{{"latest_version":null,"version":"{__version__}"}}\n'.encode()
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("set-cookie") is None


async def test_models_of_all_providers() -> None:
    async with running({"Rich": rich(), "Plain": saying()}) as server:
        answer = await server.ask("GET", "/backend-api/v2/models")
    assert answer.json() == {"Rich": ["small", "large"], "Plain": ["one"]}


async def test_models_of_one_provider() -> None:
    async with running([rich()]) as server:
        by_name = await server.ask("GET", "/backend-api/v2/models/Scripted")
        by_label = await server.ask("GET", "/jsonl/backend-api/v2/models/Rich%20one")
        unknown = await server.ask("GET", "/backend-api/v2/models/Nobody")
        slash = await server.ask("GET", "/backend-api/v2/models/")
    kinds = {"video": False, "image": False, "count": None}
    assert by_name.json() == [
        {"id": "small", "model": "small", "label": "small", "default": False, "vision": False, "audio": True}
        | {"tags": ["fast"], **kinds},
        {"id": "large", "model": "large", "label": "large", "default": True, "vision": True, "audio": False}
        | {"tags": [], **kinds},
    ]
    assert by_label.json() == by_name.json()
    assert (unknown.status, unknown.body) == (200, b"[]\n")
    assert slash.status == 404


async def test_providers() -> None:
    async with running([rich()]) as server:
        answer = await server.ask("GET", "/backend-api/v2/providers")
    assert answer.json() == [
        {
            "name": "Scripted",
            "label": "Rich one",
            "parent": None,
            "image": 2,
            "audio": 1,
            "video": 0,
            "vision": True,
            "nodriver": False,
            "hf_space": False,
            "active_by_default": True,
            "auth": True,
            "login_url": "https://login.example",
            "live": 1,
            "login": False,
        }
    ]


async def test_a_provider_that_cannot_list_its_models() -> None:
    def broken() -> Any:
        raise OSError("secret path")

    async def later() -> Any:
        return ["async"]

    providers = {
        "Broken": rich(get_models=staticmethod(broken)),
        "Async": rich(get_models=staticmethod(later)),
        "Number": rich(get_models=staticmethod(lambda: 5)),
        "Thread": rich(get_models=staticmethod(lambda: ["threaded"])),
    }
    async with running(providers) as server:
        answer = await server.ask("GET", "/backend-api/v2/models")
        again = await server.ask("GET", "/backend-api/v2/models/Thread")
    assert answer.json() == {"Broken": [], "Async": ["async"], "Number": [], "Thread": ["threaded"]}
    assert again.json()[0]["id"] == "threaded"


async def test_a_slow_listing_does_not_hold_the_loop() -> None:
    """It runs in a thread: the server answers others meanwhile."""
    import threading

    go = threading.Event()

    def slow() -> Any:
        assert go.wait(20)
        return ["slow"]

    async with running([rich(get_models=staticmethod(slow))]) as server:
        waiting = asyncio.create_task(server.ask("GET", "/backend-api/v2/models"))
        assert (await server.ask("GET", "/backend-api/v2/version")).status == 200
        go.set()
        assert (await waiting).json() == {"Scripted": ["slow"]}


async def test_providers_of_any_make() -> None:
    class Bare:
        """No mixin, no description: only the one method that counts."""

        def create_async_generator(self, model: str, messages: Any, **kwargs: Any) -> Any:
            async def words() -> Any:
                yield f"model={model!r}"

            return words()

    class Hidden(Bare):
        url = "http://user:password@back.example"
        label = "Hidden"

    class Crooked(Bare):
        url = "http://[broken"

    async with running([Bare(), Hidden(), Crooked()]) as server:
        answer = await server.converse()
        hidden = await server.converse({"messages": [], "provider": "Hidden", "model": "m"})
        crooked = await server.converse({"messages": [], "provider": "Crooked"})
        models = await server.ask("GET", "/backend-api/v2/models/Bare")
    card = {"name": "Bare", "url": None, "label": "Bare", "model": ""}
    assert answer.events() == [{"type": "provider", "provider": card}, {"type": "content", "content": "model=''"}]
    assert "password" not in hidden.body.decode()
    assert hidden.events()[1]["content"] == "model='m'"
    assert crooked.events()[0]["provider"]["url"] is None
    assert models.json() == []


async def test_odd_defaults_are_left_out_of_parameters() -> None:
    async def generate(
        model: str,
        messages: Any,
        media: Any = None,
        api_key: Any = "k",
        odd: Any = UNWRITABLE,
        even: int = 2,
        **more: Any,
    ) -> Any:
        yield "ok"

    async with running([provider_of(generate)]) as server:
        answer = await server.converse()
    assert set(answer.events()[1]["parameters"]) == {"model", "messages", "media", "even", "provider"}


def test_catalogs_that_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="two providers"):
        create_app([saying(), saying()])
    with pytest.raises(ConfigurationError, match="without providers"):
        create_app([])


def test_the_default_provider_is_echo() -> None:
    assert list(Catalog().entries) == ["Echo"]


async def test_head_and_options_and_other_methods() -> None:
    async with running([saying()]) as server:
        for path, allow in (
            ("/healthz", "GET, HEAD, OPTIONS"),
            ("/backend-api/v2/models", "GET, HEAD, OPTIONS"),
            (CONVERSATION, "POST, OPTIONS"),
            ("/jsonl" + CONVERSATION, "POST, OPTIONS"),
        ):
            options = await server.ask("OPTIONS", path)
            assert (options.status, options.header("allow"), options.body) == (200, allow, b"")
            assert options.header("access-control-allow-origin") is None
            for method in ("PUT", "DELETE", "PATCH", "TRACE", *(["POST"] if "GET" in allow else ["GET", "HEAD"])):
                answer = await server.ask(method, path)
                assert (answer.status, answer.header("allow")) == (405, allow)
        got = await server.ask("GET", "/healthz")
        head = await _head(server, "/healthz")
    assert (got.status, got.json()) == (200, {"status": "ok"})
    assert b"content-length: 16" in head.lower()
    assert head.endswith(b"\r\n\r\n")


async def _head(server: Running, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/backend-api",
        "/backend-api/v2/conversation/",
        "/jsonl",
        "/jsonl/healthz",
        "//backend-api/v2/version",
        "/backend-api/v2/../v2/version",
        "/backend-api/v2/public-key",
        "/%00",
        "/%ff",
    ],
)
async def test_unknown_paths(path: str) -> None:
    async with running([saying()]) as server:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await server.ask(method, path)
            assert (answer.status, answer.json()) == (404, {"error": {"message": "Not found"}})


def test_one_provider_without_a_list_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match=r"providers is one Echo; put it into a list"):
        create_app(Echo)  # type: ignore[arg-type]
