"""Deadlines of the gateway for providers that are generators: of the server, its configuration, and a request."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.chunks import Content
from backstream.options import Deadlines
from backstream.providers.rows_shape import Row
from backstream.registry.config import load_config
from backstream.registry.registry import Registry
from backstream.server import Settings, create_app
from support_server import CONVERSATION, HELLO, Running, provider_of, running
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")
DOORS = ["backend_api", "whole", "streamed"]


def stalling(*words: str, swallows: bool = False) -> Any:
    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        try:
            for word in words:
                yield Content(content=word)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
            yield Content(content="LATE")

    return provider_of(generate)


async def ask(server: Running, door: str, model: str = "one", **fields: str) -> Any:
    headers = {"X-Backstream-Deadlines": fields["deadlines"]} if fields else {}
    if door == "backend_api":
        return await server.ask("POST", CONVERSATION, {**HELLO, "provider": model.partition("/")[0]}, headers=headers)
    body = {"model": model, "messages": HELLO["messages"], "stream": door == "streamed"}
    return await server.ask("POST", "/v1/chat/completions", body, headers=headers)


@pytest.mark.parametrize("swallows", [False, True], ids=["obeys", "swallows"])
@pytest.mark.parametrize("words", [(), ("Hi",)], ids=["silent", "stalls"])
@pytest.mark.parametrize("door", DOORS)
async def test_the_servers_clocks_hold(
    door: str, words: tuple[str, ...], swallows: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Deadlines(first_content=0.02, between_content=0.02, total=30)
    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running([stalling(*words, swallows=swallows)], deadlines=clocks) as server:
            answer = await ask(server, door, "Scripted" if door == "backend_api" else "one")
    clock = "between_content" if words else "first_content"
    error = "BetweenContentTimeout" if words else "FirstContentTimeout"
    assert f"(deadline '{clock}')" in answer.body.decode()
    assert b"LATE" not in answer.body
    begun = door == "backend_api" or (door == "streamed" and words)
    assert (answer.status, answer.whole) == (200 if begun else 504, True)
    if door == "backend_api":
        assert (answer.events()[-1]["kind"], answer.events()[-1]["status"]) == (error, 504)
    else:
        told = json.loads(answer.body.decode().rstrip().rpartition("data: ")[2])
        assert told["error"]["code"] == "timeout"
    (told,) = [record.request for record in caplog.records if hasattr(record, "request")]
    cut = bool(words)
    assert (told["end"], told["error"]) == ("incomplete" if cut else "failed", error)


@pytest.mark.parametrize("door", DOORS)
async def test_a_requests_clocks_hold(door: str) -> None:
    async with running([stalling("Hi")]) as server:
        answer = await ask(server, door, "Scripted" if door == "backend_api" else "one", deadlines="total=0.05")
    assert "within 0.05 s (deadline 'total')" in answer.body.decode()


@pytest.mark.parametrize("door", DOORS)
async def test_configured_clocks_hold(tmp_path: Path, door: str) -> None:
    async def nobody(rows: Sequence[Row]) -> Sequence[Any]:
        return ()

    path = tmp_path / "backstream.toml"
    path.write_text("[providers.slow.deadlines]\nbetween_content = 0.02\n")
    row = Row(name="slow", label="Slow", url="http://127.0.0.1:9", dialect="openai_chat", documentation="x")
    registry = Registry(
        load_config(path, environ={}),
        {"HOME": str(tmp_path)},
        table={"slow": msgspec.structs.replace(row, key_needed=False, models_path=None)},
        probe=nobody,
        make=lambda row, key: stalling("Hi"),
    )
    app = create_app([provider_of(stalling)], Settings(keys_file=None), registry=registry)
    async with running(app=app) as server:
        answer = await ask(server, door, "slow/any")
    assert "(deadline 'between_content')" in answer.body.decode()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("begun", [False, True])
async def test_a_provider_that_cancels_itself_has_failed(door: str, begun: bool, caplog: Any) -> None:
    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        if begun:
            yield Content(content="Hi")
        raise asyncio.CancelledError

    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running([provider_of(generate)]) as server:
            answer = await ask(server, door, "Scripted" if door == "backend_api" else "one")
    assert answer.whole
    assert answer.status == (200 if door == "backend_api" or (begun and door == "streamed") else 502)
    assert b"the provider failed (CancelledError)" in answer.body
    (told,) = [record.request for record in caplog.records if hasattr(record, "request")]
    assert (told["end"], told["error"]) == ("failed", "ProviderError")
