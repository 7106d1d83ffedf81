"""Routing lists: one name, several models that answer for it one after the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Content, Start
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    ConnectError,
    ContentRefusedError,
    ModelNotFoundError,
    RateLimitError,
    UnavailableError,
)
from backstream.options import Recovery
from backstream.providers.echo import Echo
from backstream.providers.rows_shape import Row
from backstream.registry.config import Config, load_config
from backstream.registry.registry import Registry
from backstream.registry.server_config import KeyLimits
from backstream.server import Settings, create_app
from backstream.server.keys import digest_of
from support_server import provider_of, running

MESSAGES = [{"role": "user", "content": "Hi"}]
ROUTES = '[routes]\nsmart = ["first/a", "second/b", "third/c"]\n[aliases]\nbest = "smart"\n'


async def nobody(rows: Sequence[Row]) -> Sequence[Any]:
    """Find no server on this machine."""
    return ()


class Asked:
    """Three providers, by name: what each says, or raises; and which were asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.closed: list[str] = []

    def make(self, row: Row, key: Any) -> Any:
        return provider_of(self._speaker(row.name), default_model="")

    def _speaker(self, name: str) -> Any:
        async def generate(model: str, messages: Any, **options: Any) -> AsyncIterator[Any]:
            self.asked.append(f"{name}/{model}")
            try:
                for item in self.answers[name]:
                    if isinstance(item, Exception):
                        raise item
                    yield item
            finally:
                self.closed.append(name)

        return generate


def application(folder: Path, providers: Asked, text: str = ROUTES, **settings: Any) -> Any:
    path = folder / "backstream.toml"
    path.write_text(text)
    known: dict[str, Any] = {"url": "http://127.0.0.1:9", "dialect": "openai_chat", "documentation": "x"}
    names = ("first", "second", "third")
    rows = {name: Row(name=name, label=name, key_needed=False, models_path=None, **known) for name in names}
    rows["keyless"] = Row(name="keyless", label="Keyless", key_variables=("NO_SUCH_KEY",), **known)
    registry = Registry(
        load_config(path, environ={}), {"HOME": str(folder)}, table=rows, probe=nobody, make=providers.make
    )
    settings = {"recovery": Recovery(retries=0), **settings}
    return create_app([Echo], Settings(keys_file=None, **settings), registry=registry)


def said(answer: Any) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    "failure",
    [
        UnavailableError("down", status=503),
        RateLimitError("slow down", status=429),
        AuthenticationError("wrong key", status=401),
        ModelNotFoundError("no such model", status=404),
        ConnectError("refused"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("asked_for", ["smart", "best"])
async def test_the_next_one_answers_where_the_first_cannot(tmp_path: Path, failure: Exception, asked_for: str) -> None:
    providers = Asked(first=[failure], second=["Hello"])
    app = application(tmp_path, providers)
    records: list[Any] = []
    app.observers.append(records.append)
    async with running(app=app) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": asked_for, "messages": MESSAGES})
    assert (answer.status, said(answer)) == (200, "Hello")
    assert answer.json()["model"] == "second/b"
    assert answer.header("x-backstream-route") == "smart"
    assert providers.asked == ["first/a", "second/b"]
    assert providers.closed == ["first", "second"]
    assert (records[0].provider, records[0].model) == ("second", "b")


async def test_a_stream_names_who_answers_too(tmp_path: Path) -> None:
    providers = Asked(first=[UnavailableError("down")], second=[Start(id="x"), Content(content="Hello")])
    async with running(app=application(tmp_path, providers)) as server:
        answer = await server.ask(
            "POST", "/v1/messages", {"model": "smart", "messages": MESSAGES, "max_tokens": 9, "stream": True}
        )
    assert answer.header("x-backstream-route") == "smart"
    assert b'"second/b"' in answer.body
    assert b"Hello" in answer.body
    assert b"message_stop" in answer.body


async def test_what_the_provider_calls_its_model_wins(tmp_path: Path) -> None:
    providers = Asked(first=[Start(model="a-2026"), "Hello"])
    async with running(app=application(tmp_path, providers)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES})
    assert answer.json()["model"] == "a-2026"


@pytest.mark.parametrize("failure", [ContentRefusedError("no"), BackendRequestError("wrong", status=400)])
async def test_what_another_would_refuse_too_is_final(tmp_path: Path, failure: Exception) -> None:
    providers = Asked(first=[failure], second=["Hello"])
    async with running(app=application(tmp_path, providers)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES})
    assert answer.status == 400
    assert providers.asked == ["first/a"]


async def test_after_content_nobody_else_is_asked(tmp_path: Path) -> None:
    providers = Asked(first=["Hel", UnavailableError("down")], second=["Hello"])
    async with running(app=application(tmp_path, providers)) as server:
        answer = await server.ask(
            "POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES, "stream": True}
        )
    assert b"Hel" in answer.body
    assert b"[DONE]" not in answer.body
    assert providers.asked == ["first/a"]


async def test_where_all_fail_the_preferred_one_says_how(tmp_path: Path) -> None:
    down = UnavailableError("down")
    providers = Asked(first=[RateLimitError("slow down")], second=[down], third=[down])
    async with running(app=application(tmp_path, providers)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES})
    assert answer.status == 429
    assert providers.asked == ["first/a", "second/b", "third/c"]


async def test_entries_that_cannot_be_asked_are_passed_over(tmp_path: Path) -> None:
    providers = Asked(first=[UnavailableError("down")], second=["Hello"])
    text = '[routes]\nsmart = ["keyless/x", "first/a", "nowhere/y", "keyless/z", "second/b"]\n'
    async with running(app=application(tmp_path, providers, text)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES})
    assert said(answer) == "Hello"
    assert providers.asked == ["first/a", "second/b"]


async def test_a_list_of_which_nothing_can_be_asked(tmp_path: Path) -> None:
    text = '[routes]\nsmart = ["keyless/x", "nowhere/y"]\n'
    async with running(app=application(tmp_path, Asked(), text)) as server:
        answer = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES})
    assert answer.status == 503
    assert "route smart" in json.dumps(answer.json())


async def test_routing_lists_and_aliases_are_models(tmp_path: Path) -> None:
    async with running(app=application(tmp_path, Asked())) as server:
        listed = [entry["id"] for entry in (await server.ask("GET", "/v1/models")).json()["data"]]
        one = await server.ask("GET", "/v1/models/smart")
    assert listed.count("smart") == listed.count("best") == 1
    assert (one.status, one.json()["id"]) == (200, "smart")


@pytest.mark.parametrize(
    ("allowed", "status", "asked"),
    [
        ("smart", 200, ["first/a", "second/b"]),
        ("second/*", 200, ["second/b"]),
        ("first/*", 503, ["first/a"]),
        ("echo", 403, []),
    ],
)
async def test_a_key_reaches_no_model_through_a_list_that_it_may_not_use(
    tmp_path: Path, allowed: str, status: int, asked: list[str]
) -> None:
    providers = Asked(first=[UnavailableError("down")], second=["Hello"])
    app = application(
        tmp_path,
        providers,
        '[routes]\nsmart = ["first/a", "second/b"]\n',
        key_digests={"laptop": digest_of(b"k" * 43)},
        key_limits={"laptop": KeyLimits(models=(allowed,))},
    )
    async with running(app=app) as server:
        fields = {"Authorization": f"Bearer {'k' * 43}"}
        answer = await server.ask(
            "POST", "/v1/chat/completions", {"model": "smart", "messages": MESSAGES}, headers=fields
        )
    assert answer.status == status
    assert providers.asked == asked


async def test_other_names_are_found_as_ever(tmp_path: Path) -> None:
    providers = Asked(second=["Hello"])
    async with running(app=application(tmp_path, providers)) as server:
        direct = await server.ask("POST", "/v1/chat/completions", {"model": "second/b", "messages": MESSAGES})
        echo = await server.ask("POST", "/v1/chat/completions", {"model": "Echo", "messages": MESSAGES})
    assert said(direct) == "Hello"
    assert echo.status == 200
    assert direct.header("x-backstream-route") is None
    assert Config().routes == {}
