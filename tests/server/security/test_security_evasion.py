"""Ways round the limits of a key: other names, further models, other keys' room, and answers that report nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Content, Finish
from backstream.errors import ConfigurationError
from backstream.providers.rows_shape import Row
from backstream.registry.config import Config, load_config
from backstream.registry.registry import Registry
from backstream.registry.server_config import KeyLimits
from backstream.server import Settings, create_app, ledger_file
from backstream.server.keys import add_key
from backstream.server.ledger import Ledger
from backstream.server.metrics import Metrics, render_snapshot
from backstream.server.records import RequestRecord, render_line
from backstream.testing.upstream import ReadRequest, ScriptedUpstream
from backstream.transport.pool import aclose_pools
from support_security import BODIES, Counting, before, paths, refusing, with_model
from support_server import Running, head_and_body, provider_of, running, saying

NOW = 1_800_000_000.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


# --- models -----------------------------------------------------------------------------------------------------------


def recording(name: str, models: tuple[str, ...], asked: list[str]) -> Any:
    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        asked.append(f"{name}/{model}")
        yield Content(content="Hi")

    async def embed(model: str, texts: Any, **keywords: Any) -> Any:
        asked.append(f"{name}/{model}")

    return provider_of(generate, models=list(models), default_model=models[0], embed=staticmethod(embed))


NAMES = [
    "", "dear", "Dear", "DEAR", "b", "B", "b/", "B/", "b/dear", "B/DEAR", "b/cheap", "a/dear", "a/../b/dear", "a//dear",
    "a/cheap/../dear", "cheap/", "cheap ", " cheap", "cheap\n", "cheap\0", "*", "a/*", "?heap", "[c]heap",
    "models/dear", "models/b/dear", "route/dear", "a/cheap,b/dear", "a",
    "A/dear", "b%2fdear", "ｄear", "dear:latest",
]  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("allowed", ["a/cheap", "cheap", "a/ch*"])
async def test_no_name_leads_to_a_model_that_the_key_may_not_use(name: str, allowed: str, keys: Path) -> None:
    """``a/cheap`` is allowed; the provider b has a model of that name too, which the bare name means as well."""
    asked: list[str] = []
    providers = {"b": recording("b", ("dear",), asked), "a": recording("a", ("dear", "cheap"), asked)}
    key = {"x-api-key": add_key(keys, "laptop", KeyLimits(models=(allowed,)))}
    async with running(providers, keys_file=keys) as server:
        for model in NAMES:
            path, body = with_model(name, model.replace("/", "%2F") if name == "gemini" else model)
            if not all(33 <= ord(character) < 127 for character in path):
                continue
            for more in ({}, {"provider": "b"}, {"provider": "a"}, {"provider": "B"}, {"model_name": "dear"}):
                answer = await server.ask("POST", path, {**body, **more}, headers=key)
                assert answer.status in (200, 400, 403, 404, 405), (model, answer.body)
    assert not [each for each in asked if each in ("a/dear", "b/dear")], asked


@pytest.mark.parametrize("member", ["models", "fallbacks", "fallback_models"])
async def test_further_models_of_a_request_are_no_way_round(member: str, keys: Path) -> None:
    """Some back-ends, OpenRouter first, take a list of models to go on with: no key checked those."""
    key = {"x-api-key": add_key(keys, "laptop", KeyLimits(models=("work/one",)))}
    other = {"x-api-key": add_key(keys, "free")}
    body = {**BODIES["openai_chat"][1], "model": "work/one", member: ["dear"]}
    async with before("openai_chat", *refusing("openai_chat"), keys_file=keys) as (server, upstream):
        for path in (
            "/v1/chat/completions",
            "/v1/embeddings",
            "/v1/images/generations",
            "/backend-api/v2/conversation",
        ):
            answer = await server.ask("POST", path, {**body, "input": "Hi", "prompt": "Hi"}, headers=key)
            assert answer.status == 403, (path, answer.body)
        assert upstream.requests == []
        await server.ask("POST", "/v1/chat/completions", body, headers=other)
        assert json.loads(upstream.requests[0].body)[member] == ["dear"]


# --- counting ---------------------------------------------------------------------------------------------------------


async def test_requests_at_the_same_time_are_counted_one_by_one(keys: Path) -> None:
    key = {"x-api-key": add_key(keys, "laptop", KeyLimits(requests_per_minute=5))}
    counting = Counting()
    async with running([counting.provider], keys_file=keys) as server:
        path, body = BODIES["openai_chat"]
        answers = await asyncio.gather(*(server.ask("POST", path, body, headers=key) for _ in range(40)))
    assert sorted({answer.status for answer in answers}) == [200, 429]
    assert len(counting.asked) == 5
    assert all(answer.header("retry-after") for answer in answers if answer.status == 429)


async def test_routes_and_spellings_of_the_key_share_one_count(keys: Path) -> None:
    """By whichever route, field and dialect: it is one key."""
    key = add_key(keys, "laptop", KeyLimits(requests_per_minute=6))
    fields = [
        {"x-api-key": key},
        {"g4f-api-key": key},
        {"Authorization": f"Bearer {key} more"},
        {"x-goog-api-key": key},
    ]
    counting = Counting()
    async with running([counting.provider], keys_file=keys) as server:
        statuses = [
            (await server.ask("POST", path, body, headers=each)).status
            for path, body in BODIES.values()
            for each in fields
        ]
    assert statuses == [200] * 6 + [429] * (len(statuses) - 6)
    assert len(counting.asked) == 6


async def test_every_route_that_takes_a_body_passes_the_door(keys: Path) -> None:
    """A key that may have no more answers has no body of any route read."""
    key = add_key(keys, "laptop", KeyLimits(requests_per_minute=1))
    async with running([saying()], keys_file=keys, body_idle_seconds=0.05) as server:
        path, body = BODIES["openai_chat"]
        assert (await server.ask("POST", path, body, headers={"x-api-key": key})).status == 200
        for path in paths():
            if path.startswith("/v1/responses/"):  # asks nobody, reads no body
                continue
            raw = head_and_body("POST", path, b"", headers={"x-api-key": key, "Content-Type": "application/json"})
            answer = await server.send(raw.replace(b"Content-Length: 0", b"Content-Length: 1000000"))
            assert answer.status in (404, 405, 429), (path, answer.status)


async def test_one_more_than_allowed_is_refused_and_others_are_served(keys: Path) -> None:
    """Streams of one key are capped; the next key's are not, and every refusal says when to come back."""
    going = asyncio.Event()
    mine, other = ({"x-api-key": add_key(keys, name)} for name in ("mine", "other"))

    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        yield Content(content="Hi")
        await going.wait()
        yield Finish(finish={"reason": "stop"})

    async with running([provider_of(generate)], keys_file=keys, max_streams_per_key=2, max_streams=3) as server:
        path, body = with_model("openai_chat", "one", stream=True)
        open_ones = [await streaming(server, path, body, mine) for _ in range(2)]
        for name in BODIES:
            refused = await server.ask("POST", *BODIES[name], headers=mine)
            assert (refused.status, refused.header("retry-after")) == (429, "1"), name
        open_ones.append(await streaming(server, path, body, other))
        for name in BODIES:
            refused = await server.ask("POST", *BODIES[name], headers=other)
            assert (refused.status, refused.header("retry-after")) == (503, "1"), name
        going.set()
        for reader, writer in open_ones:
            assert b"[DONE]" in await reader.read()
            writer.close()
        assert (await server.ask("POST", path, body, headers=mine)).status == 200


async def streaming(
    server: Running, path: str, body: Any, headers: dict[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head_and_body("POST", path, body, headers=headers))
    await reader.readuntil(b"Hi")
    return reader, writer


async def test_what_a_response_goes_on_from_is_charged_too(keys: Path) -> None:
    """Where the provider reports nothing, the conversation that the server adds is estimated with the rest."""
    key = {"x-api-key": add_key(keys, "laptop", KeyLimits(tokens_per_day=10**9))}
    app = create_app([saying("Hi")], Settings(keys_file=keys))
    async with running(app=app) as server:
        first = await server.ask("POST", "/v1/responses", {"model": "one", "input": "word " * 20_000}, headers=key)
        used = await app.ledger.tokens_today("laptop")
        body = {"model": "one", "input": "go on", "previous_response_id": first.json()["id"]}
        assert (await server.ask("POST", "/v1/responses", body, headers=key)).status == 200
        assert await app.ledger.tokens_today("laptop") > used * 1.9


async def test_a_chain_of_responses_is_no_longer_than_what_it_says(keys: Path) -> None:
    """Each is kept whole, so that none needs those before it: no chain to follow, and no circle."""
    async with running([saying("Hi")]) as server:
        previous = None
        ids: list[str] = []
        for _ in range(60):
            body = {"model": "one", "input": "x", **({"previous_response_id": previous} if previous else {})}
            answer = await server.ask("POST", "/v1/responses", body)
            assert answer.status == 200
            previous = answer.json()["id"]
            ids.append(previous)
        for each in ids[:-1]:
            await server.ask("DELETE", f"/v1/responses/{each}")
        body = {"model": "one", "input": "x", "previous_response_id": previous}
        assert (await server.ask("POST", "/v1/responses", body)).status == 200
        for own in (
            body["previous_response_id"],
            "resp_" + "0" * 32,
            "../" + ids[0],
            "' OR 1=1 --",
            ["a"],
            {"a": 1},
            5,
        ):
            answer = await server.ask("POST", "/v1/responses", {**body, "id": own, "previous_response_id": own})
            assert answer.status in (200, 400)


# --- the room of others -----------------------------------------------------------------------------------------------


async def test_one_key_cannot_push_out_the_responses_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "MAX_RESPONSES", 10)
    monkeypatch.setattr(ledger_file, "MAX_RESPONSE_BYTES", 10_000)
    ledger = Ledger()
    for number in range(3):
        assert await ledger.put_response(f"mine{number}", "mine", b"x" * 100, NOW + number, NOW)
    for number in range(50):
        assert await ledger.put_response(f"other{number}", "other", b"y" * 100, NOW + 10 + number, NOW)
    assert await ledger.put_response("large", "other", b"y" * 9_000, NOW + 100, NOW)
    for number in range(3):
        assert await ledger.get_response(f"mine{number}", "mine", NOW) == b"x" * 100
    assert await ledger.get_response("large", "other", NOW) is not None
    await ledger.aclose()


async def test_names_that_clients_make_up_fill_no_table_of_metrics(keys: Path) -> None:
    app = create_app([saying()], Settings(keys_file=None))
    async with running(app=app) as server:
        for number in range(300):
            for name in ("openai_chat", "ollama"):
                path, body = with_model(name, f"made-up-{number}")
                await server.ask("POST", path, body)
            await server.ask("GET", f"/nowhere/{number}")
            await server.ask("GET", f"/v1/models/made-up-{number}")
        page = (await server.ask("GET", "/metrics")).body
    assert b"made-up" not in page
    assert b"nowhere" not in page
    assert len(page) < 20_000


@pytest.mark.parametrize("model", ["work/made-up {0}", "work/sk-made-up-0123456789abcdef{0}", "ollama/made-up{0}"])
async def test_a_model_that_its_provider_does_not_know_is_not_logged(model: str, caplog: Any, tmp_path: Path) -> None:
    """The registry passes any name on behind its provider's; such a name may be anything, until it has answered."""
    caplog.set_level(logging.DEBUG)
    async with registry_before(tmp_path, "404 Not Found") as server:
        for number in range(3):
            path, body = with_model("openai_chat", model.format(number))
            assert (await server.ask("POST", path, body)).status >= 400
        page = (await server.ask("GET", "/metrics")).body
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("backstream.server")]
    assert len(lines) >= 3
    assert "made-up" not in "\n".join(lines)
    assert b"made-up" not in page


@contextlib.asynccontextmanager
async def registry_before(folder: Path, status: str) -> AsyncIterator[Running]:
    """A gateway that finds its back-end, work, in the registry."""

    async def nobody(rows: Sequence[Row]) -> Sequence[Any]:
        return ()

    async with ScriptedUpstream([ReadRequest(), *refusing("openai_chat", None, status)]) as upstream:
        url = f"{upstream.url}/v1"
        work = Row(name="work", label="W", url=url, dialect="openai_chat", documentation="d", key_needed=False)
        registry = Registry(Config(), {"HOME": str(folder)}, table={"work": work}, probe=nobody)
        async with running(app=create_app(None, Settings(keys_file=None), registry=registry)) as server:
            yield server
            await aclose_pools()


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a\nid=1 status=200", "a\r\n", "a b=c", "\x1b[2J", "a\u2028b", "\0", '"', "x" * 999])
def test_a_line_of_the_log_is_one_line_whatever_a_name_is(text: str) -> None:
    record = RequestRecord("GET")
    record.key = record.provider = record.model = record.client_request_id = text
    line = render_line(record.values())
    assert line.isprintable()
    assert text.isprintable() or text not in line
    metrics = Metrics()
    record.seconds = 1.0
    metrics.note(record)
    page = render_snapshot(metrics.snapshot({})).decode()
    for each in page.removesuffix("\n").split("\n"):
        assert each.startswith(("# ", "backstream_"))


def test_a_hostile_file_of_settings_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "backstream.toml"
    for raw in (
        b"\xff\xfe",
        b"a = " + b"[" * 100_000,
        b"[server]\nmodels = 1\n\x00",
        b"a" * 1_000_000,
        b"[[[",
        b"x = {" * 9999,
    ):
        path.write_bytes(raw)
        with pytest.raises(ConfigurationError) as caught:
            load_config(path, environ={})
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1000
