"""Code of providers that the server runs beside the answer itself: it may fail, hang, or be missing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from backstream.errors import UnknownModelError
from backstream.server.catalog import Entry
from support_server import HELLO, provider_of, running


async def _echo(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
    yield f"model={model} key={api_key}"


def _refuse_model(model: str) -> str:
    raise UnknownModelError(model, ["other"])


def _break(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("canary-secret")


def _take_nothing() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("get_model", "told"),
    [
        (_refuse_model, {"error": "ModelNotFoundError", "kind": "UnknownModelError"}),
        (_break, {"error": "ValueError", "kind": "ProviderError"}),
    ],
)
async def test_a_provider_that_refuses_a_model_is_heard_in_the_stream(get_model: Any, told: dict[str, Any]) -> None:
    async with running([provider_of(_echo, get_model=staticmethod(get_model))]) as server:
        answer = await server.converse({**HELLO, "model": "mine"})
    assert (answer.status, answer.whole) == (200, True)
    assert [event["type"] for event in answer.events()] == ["provider", "parameters", "error"]
    assert answer.events()[-1] | told == answer.events()[-1]
    assert b"canary-secret" not in answer.body


@pytest.mark.parametrize("get_parameters", [_break, _take_nothing, lambda *, as_json: None])
async def test_a_provider_that_cannot_tell_its_parameters_answers(get_parameters: Any) -> None:
    async with running([provider_of(_echo, get_parameters=staticmethod(get_parameters))]) as server:
        answer = await server.converse()
    assert [event["type"] for event in answer.events()] == ["provider", "content"]


async def test_none_stands_for_no_models_and_no_aliases() -> None:
    nothing = dict.fromkeys(["models", "model_aliases", "default_model", "vision_models", "models_tags"])
    async with running([provider_of(_echo, **nothing)]) as server:
        answer = await server.converse({**HELLO, "model": "any"})
        models = await server.ask("GET", "/backend-api/v2/models")
    assert answer.events()[-1]["content"] == "model=any key=None"
    assert models.json() == {"Scripted": []}


async def test_who_waits_for_a_list_has_it_though_the_one_that_asked_went_away() -> None:
    asked, go = threading.Semaphore(0), threading.Event()

    def listing() -> list[str]:
        asked.release()
        go.wait(10)
        return ["mine"]

    entry = Entry("slow", provider_of(_echo, get_models=staticmethod(listing)))
    first = asyncio.create_task(entry.models())
    await asyncio.to_thread(asked.acquire)
    others = [asyncio.create_task(entry.models()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    go.set()
    assert await asyncio.gather(*others) == [["mine"]] * 3


async def test_models_that_are_no_list_leave_the_rest_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with running([provider_of(_echo, models=5)]) as server:
        answer = await server.converse({**HELLO, "model": "any"})
        models = await server.ask("GET", "/backend-api/v2/models")
    assert answer.events()[-1]["type"] == "content"
    assert models.json() == {"Scripted": []}
    assert "provider Scripted lists no models: TypeError" in caplog.text


async def test_a_named_provider_answers_while_its_listing_hangs() -> None:
    go = threading.Event()
    asked = []

    def hang() -> list[str]:
        asked.append("asked")
        assert go.wait(20)
        return ["late"]

    async with running([provider_of(_echo, get_models=staticmethod(hang))]) as server:
        listing = [asyncio.create_task(server.ask("GET", "/backend-api/v2/models")) for _ in range(20)]
        while not asked:
            await asyncio.sleep(0.001)
        answer = await server.converse({**HELLO, "provider": "Scripted", "model": "m"})
        free = await asyncio.to_thread(lambda: "a thread is free")
        go.set()
        listed = await asyncio.gather(*listing)
    assert answer.events()[-1]["content"] == "model=m key=None"
    assert free
    assert [one.json() for one in listed] == [{"Scripted": ["late"]}] * 20
    assert asked == ["asked"]


async def test_a_listing_that_failed_is_not_asked_again_at_once() -> None:
    asked = []

    def fail() -> list[str]:
        asked.append("asked")
        raise OSError("no")

    async with running([provider_of(_echo, get_models=staticmethod(fail))]) as server:
        for _ in range(3):
            assert (await server.converse({**HELLO, "model": "m"})).events()[-1]["type"] == "content"
    assert asked == ["asked"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://back.example/v1?key=canary-secret#part", "https://back.example/v1"),
        ("https://user:canary-secret@back.example/", None),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://[broken", None),
        (None, None),
    ],
)
def test_what_is_shown_of_a_url(url: str | None, shown: str | None) -> None:
    assert Entry("name", provider_of(_echo, url=url)).url == shown


@pytest.mark.parametrize(
    ("authorization", "key"), [("Bearer of-the-host", None), ("Bearer of-the-host of-the-back-end", "of-the-back-end")]
)
async def test_the_token_of_the_application_around_is_no_back_ends_key(authorization: str, key: str | None) -> None:
    async with running([provider_of(_echo)], behind_own_auth=True) as server:
        answer = await server.converse(headers={"Authorization": authorization})
    assert answer.events()[-1]["content"] == f"model=one key={key}"


async def test_half_characters_of_a_provider_do_not_end_its_answer() -> None:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        yield "one\ud83d"
        yield {"type": "unknown", "half\ude00": ["\ud83d\ude00"]}
        yield "two"

    async with running([provider_of(generate)]) as server:
        answer = await server.converse()
    assert answer.events()[2:] == [
        {"type": "content", "content": "one\ufffd"},
        {"type": "unknown", "half\ufffd": ["\N{GRINNING FACE}"]},
        {"type": "content", "content": "two"},
    ]
