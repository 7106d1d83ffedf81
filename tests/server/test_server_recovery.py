"""Sixteen routing lists of one file, and clients of every dialect: what breaks is repaired, or told; nothing twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Content, Finish
from backstream.errors import UnavailableError
from backstream.options import Recovery
from backstream.server import Settings, create_app
from backstream.server.keys import digest_of
from backstream.testing.chaos import FAULTS
from support_doors import DOORS, HI, Door, serving_routes
from support_server import provider_of, running
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")
TEXT = "".join(FAULTS["ok"].said())
THREE = "".join(FAULTS["ok"].said()[:3])
BEFORE = {
    "a-closed": "chat/close-at-once",
    "b-503": "responses/error-503",
    "c-529": "claude/error-529",
    "d-429": "gem/error-429",
    "e-401": "llama/error-401",
    "f-event": "g4f/error-only",
    "g-page": "chat/html",
    "h-204": "responses/204",
    "i-keepalives": "claude/keepalive-only",
    "j-slow": "gem/slow-headers",
    "k-silent": "llama/no-headers",
    "l-reset": "g4f/reset-at-once",
    "m-redirect": "chat/redirect",
    "n-404": "responses/error-404",
    "o-no-http": "claude/no-http",
    "p-empty": "gem/empty",
}
OTHERS = ("claude/ok", "chat/ok", "gem/ok", "llama/ok", "g4f/ok")
LISTS = "[routes]\n" + "\n".join(
    f"{name} = {json.dumps([first, OTHERS[index % len(OTHERS)]])}" for index, (name, first) in enumerate(BEFORE.items())
)
QUICK = "[defaults.recovery]\nswitch_after = 0.15\nbreaker_failures = 0\n"


@pytest.mark.parametrize("rests", [False, True], ids=["asked each time", "resting"])
async def test_sixteen_lists_repair_what_fails_before_content_unseen(tmp_path: Path, rests: bool) -> None:
    patient = QUICK.replace("0.15", "0.6")  # sixteen at once, on a busy machine: one that is only late is not silent
    text = patient.replace("breaker_failures = 0", "") if rests else patient
    async with serving_routes(tmp_path, text + LISTS) as (server, chaos, app):

        async def ask(name: str, door: Door) -> None:
            answer = await door.ask(server, name)
            door.check_whole(answer, TEXT)
            if not door.name.startswith("backend_api"):
                assert answer.header("x-backstream-route") == name

        for door in DOORS:
            await asyncio.gather(*(ask(name, door) for name in BEFORE))
        asked = [played.model for played in chaos.played]
        states = {each.name: each.state for each in app.seen.tell()}
    assert asked.count("ok") == len(BEFORE) * len(DOORS)
    assert {first.partition("/")[2] for first in BEFORE.values()} <= set(asked)
    assert set(states) == {*BEFORE.values(), *OTHERS}
    resting = {name for name, state in states.items() if state == "open"}
    assert ({"chat/close-at-once", "claude/keepalive-only", "responses/204"} <= resting) is rests
    assert resting.isdisjoint({*OTHERS, "llama/error-401", "responses/error-404", "gem/error-429"})


BROKEN = ("chat/cut-after-3", "claude/error-mid-3", "gem/bad-json", "llama/keepalive-after-3", "g4f/cut-inside-event")
CLOCKS = "[server.deadlines]\nbetween_content = 0.15\n"


def mid_lists(policy: str) -> str:
    rows = (f'{{ to = ["{each}", "claude/ok"], mid_stream = "{policy}" }}' for each in BROKEN)
    return QUICK + CLOCKS + "[routes]\n" + "\n".join(f"list-{number} = {row}" for number, row in enumerate(rows))


@pytest.mark.parametrize("policy", ["fail", "continue", "whole"])
async def test_after_content_the_declared_policy_holds(tmp_path: Path, policy: str) -> None:
    async with serving_routes(tmp_path, mid_lists(policy)) as (server, chaos, _):

        async def ask(number: int, door: Door) -> None:
            answer = await door.ask(server, f"list-{number}")
            if policy == "fail":
                door.check_broken(answer, THREE)
            else:
                door.check_whole(answer, TEXT)

        for door in DOORS:
            await asyncio.gather(*(ask(number, door) for number in range(len(BROKEN))))
        asked = [played.model for played in chaos.played]
    assert asked.count("ok") == (0 if policy == "fail" else len(BROKEN) * len(DOORS))


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
async def test_a_request_may_choose_the_policy(tmp_path: Path, door: Door) -> None:
    text = QUICK + '[routes]\nsmart = ["chat/cut-after-3", "llama/ok"]\n'
    async with serving_routes(tmp_path, text) as (server, _, _):
        door.check_broken(await door.ask(server, "smart"), THREE)
        for policy in ("continue", "Whole"):
            door.check_whole(await door.ask(server, "smart", {"X-Backstream-Mid-Stream": policy}), TEXT)
        once_more = await door.ask(server, "chat/cut-after-3", {"X-Backstream-Mid-Stream": "whole"})
        refused = [
            await door.ask(server, "smart", {"X-Backstream-Mid-Stream": each}) for each in ("restart", "often", "")
        ]
    assert once_more.status >= 400 or door.name.startswith("backend_api")  # nothing was given: it is a status
    assert door.done not in once_more.body
    assert [each.status for each in refused] == [400, 400, 400]


async def test_a_client_that_understands_it_may_have_an_answer_begun_anew(tmp_path: Path) -> None:
    text = QUICK + '[routes]\nsmart = ["chat/cut-after-3", "llama/ok"]\n'
    door = DOORS[-1]
    fields = {"X-Backstream-Mid-Stream": "restart", "X-Backstream-Events": "all"}
    async with serving_routes(tmp_path, text) as (server, _, app):
        records: list[Any] = []
        app.observers.append(records.append)
        answer = await door.ask(server, "smart", fields)
    assert door.text(answer) == THREE + TEXT
    assert (records[0].provider, records[0].model) == ("llama", "ok")


async def test_whole_answers_of_a_list_are_repaired_unseen(tmp_path: Path) -> None:
    text = (
        QUICK
        + '[routes]\nsmart = ["g4f/cut-after-3", "llama/ok"]\n'
        + 'plain = { to = ["g4f/cut-after-3", "llama/ok"], mid_stream = "fail" }\n'
    )
    async with serving_routes(tmp_path, text) as (server, _, app):
        records: list[Any] = []
        app.observers.append(records.append)
        whole = await server.ask("POST", "/v1/chat/completions", {"model": "smart", "messages": HI})
        failed = await server.ask("POST", "/v1/chat/completions", {"model": "plain", "messages": HI})
    assert (whole.status, whole.json()["choices"][0]["message"]["content"]) == (200, TEXT)
    assert whole.json()["model"] == "ok"
    assert (records[0].provider, records[0].model) == ("llama", "ok")
    assert failed.status == 502


@pytest.mark.parametrize("policy", ["continue", "whole"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/chat/completions", "messages"),
        ("/v1/responses", "input"),
        ("/v1/messages", "messages"),
        ("/api/chat", "messages"),
    ],
)
async def test_a_whole_answer_names_the_model_that_ended_it(tmp_path: Path, path: str, said: str, policy: str) -> None:
    text = QUICK + f'[routes]\nsmart = {{ to = ["g4f/cut-after-3", "llama/ok"], mid_stream = "{policy}" }}\n'
    body = {"model": "smart", said: HI, "stream": False, "max_tokens": 99}
    async with serving_routes(tmp_path, text) as (server, _, _):
        answer = await server.ask("POST", path, body)
        streamed = await server.ask("POST", path, {**body, "stream": True})
    assert (answer.status, answer.json()["model"]) == (200, "llama/ok" if policy == "continue" else "ok")
    assert answer.header("x-backstream-route") == streamed.header("x-backstream-route") == "smart"
    if policy == "whole":
        assert b"cut-after-3" not in streamed.body


async def test_keep_alives_go_out_while_an_answer_is_made_whole(tmp_path: Path) -> None:
    going_on = asyncio.Event()

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        yield Content(content="Hello")
        await going_on.wait()
        yield Finish(finish={"reason": "stop"})

    settings = Settings(keys_file=None, gate_seconds=0.02, keepalive_seconds=0.02)
    async with running(app=create_app({"one": provider_of(generate)}, settings)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps({"model": "one", "messages": HI, "stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}X-Backstream-Mid-Stream: whole\r\nConnection: close\r\n\r\n".encode() + body)
        before = await reader.readuntil(b"keep-alive")
        going_on.set()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert b"Hello" not in before
    assert b"Hello" in rest
    assert b"[DONE]" in rest


# --- single models ---


async def test_a_single_model_is_asked_again_and_rests_when_it_stays_down(tmp_path: Path) -> None:
    answers: list[Any] = [UnavailableError("down", status=503), UnavailableError("down", status=503), "Hello"]
    asked = []

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        asked.append(model)
        said = answers.pop(0) if answers else UnavailableError("down", status=503)
        if isinstance(said, Exception):
            raise said
        yield said

    app = create_app({"one": provider_of(generate)}, Settings(keys_file=None))
    app.back_ends.random = lambda: 0.0  # type: ignore[attr-defined]
    body = {"model": "one", "messages": HI}
    async with running(app=app) as server:
        first = await server.ask("POST", "/v1/chat/completions", body)
        others = [await server.ask("POST", "/v1/chat/completions", body) for _ in range(4)]
        page = (await server.ask("GET", "/metrics")).body.decode()
        ready = await server.ask("GET", "/readyz?verbose=1")
        terse = await server.ask("GET", "/readyz")
    assert (first.status, first.json()["choices"][0]["message"]["content"]) == (200, "Hello")
    assert [each.status for each in others] == [503] * 4
    assert "resting" in others[3].json()["error"]["message"]
    assert int(others[3].header("retry-after") or "0") in range(1, 16)
    assert len(asked) < 3 + 4 * 3
    assert 'backstream_route_state{route="one/one",state="open"} 1' in page
    assert 'backstream_route_failures{route="one/one"} 3' in page
    assert 'backstream_route_openings_total{route="one/one"} 1' in page
    assert 'backstream_retries_total{route="one/one",cause="UnavailableError"}' in page
    assert ready.status == 200
    (told,) = ready.json()["routes"]
    assert (told["name"], told["state"], told["failures"]) == ("one/one", "open", 3)
    assert terse.json() == {"status": "ready"}


@pytest.mark.parametrize("clock", ["first_content", "headers"])
async def test_an_impatient_client_lets_no_route_rest_for_others(tmp_path: Path, clock: str) -> None:
    model = {"first_content": "chat/keepalive-only", "headers": "chat/no-headers"}[clock]
    body = {"model": model, "messages": HI, "stream": True}
    own = f"[server.deadlines]\n{clock} = 0.15\n"
    async with serving_routes(tmp_path, own) as (server, chaos, app):
        hurried = [
            await server.ask(
                "POST", "/v1/chat/completions", body, headers={"x-backstream-deadlines": f"{clock}=0.02, total=60"}
            )
            for _ in range(5)
        ]
        asked = len(chaos.played)
        patient = [
            await server.ask("POST", "/v1/chat/completions", body, headers={"x-backstream-deadlines": f"{clock}=60"})
            for _ in range(4)
        ]
        asked_in_all, state = len(chaos.played), app.seen.states.of(model).breaker.state
    assert [each.status for each in hurried] == [504] * 5
    assert f"0.02 s (deadline '{clock}')" in hurried[4].json()["error"]["message"]
    assert asked == 5
    assert [each.status for each in patient] == [504, 504, 504, 503]
    assert (asked_in_all, state) == (8, "open")


async def test_what_may_be_done_can_be_switched_off(tmp_path: Path) -> None:
    asked = []

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        asked.append(model)
        raise UnavailableError("down", status=503)
        yield

    recovery = Recovery(retries=0, breaker_failures=None)
    app = create_app({"one": provider_of(generate)}, Settings(keys_file=None, recovery=recovery))
    async with running(app=app) as server:
        for _ in range(5):
            await server.ask("POST", "/v1/chat/completions", {"model": "one", "messages": HI})
    assert len(asked) == 5


# --- what is told of routes ---


def key(letter: str, *models: str) -> str:
    """Say in the file that this letter, 43 times, is a client key, and for which models."""
    limits = f"models = {json.dumps(models)}\n" if models else ""
    return f'[keys.{letter}]\nsha256 = "{digest_of(letter.encode() * 43)}"\n{limits}'


async def test_switches_are_counted_and_names_of_strangers_are_not_told(tmp_path: Path) -> None:
    text = QUICK + '[routes]\nsmart = ["chat/error-503", "claude/ok"]\n'
    async with serving_routes(tmp_path, text) as (server, _, _):
        await DOORS[0].ask(server, "smart")
        await DOORS[0].ask(server, "chat/canary-4711")
        await DOORS[0].ask(server, "gem/canary-4712")
        page = (await server.ask("GET", "/metrics")).body.decode()
        told = [each["name"] for each in (await server.ask("GET", "/readyz?verbose=1")).json()["routes"]]
    switch = 'backstream_switches_total{from="chat/error-503",to="claude/ok",why="UnavailableError"} 1'
    assert switch in page
    assert 'backstream_route_state{route="chat/other",state="closed"} 1' in page
    assert 'backstream_route_state{route="other",state="closed"} 1' in page
    assert "canary" not in page
    assert told == ["chat/error-503", "claude/ok"]


async def test_the_log_names_the_list_and_counts_who_was_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "backstream.server")
    text = QUICK + '[routes]\nsmart = ["chat/error-503", "claude/ok"]\ndown = ["chat/error-503", "claude/error-503"]\n'
    async with serving_routes(tmp_path, text) as (server, _, _):
        for model in ("smart", "down", "claude/ok"):
            await DOORS[0].ask(server, model)
    lines = [record.request for record in caplog.records if hasattr(record, "request")]
    assert [(line["list"], line["switches"], line["error"]) for line in lines] == [
        ("smart", 1, None),
        ("down", 1, "UnavailableError"),
        (None, None, None),
    ]


async def test_what_is_known_of_routes_needs_a_key_and_shows_what_the_key_may_use(tmp_path: Path) -> None:
    text = QUICK + '[routes]\nsmart = ["chat/error-503", "claude/ok"]\n'
    text += key("w") + key("p", "claude/*")
    async with serving_routes(tmp_path, text) as (server, _, _):
        await DOORS[0].ask(server, "smart", {"Authorization": f"Bearer {'w' * 43}"})
        terse, stranger = [await server.ask("GET", path) for path in ("/readyz", "/readyz?verbose=1")]
        seen = [
            await server.ask("GET", "/readyz?verbose=1", headers={"Authorization": f"Bearer {key * 43}"})
            for key in "wp"
        ]
    assert (terse.status, terse.json()) == (200, {"status": "ready"})
    assert stranger.status == 401
    assert [[each["name"] for each in answer.json()["routes"]] for answer in seen] == [
        ["chat/error-503", "claude/ok"],
        ["claude/ok"],
    ]


async def test_what_is_known_outlives_a_reload(tmp_path: Path) -> None:
    text = '[defaults.recovery]\nretries = 0\n[routes]\nsmart = ["chat/error-503", "claude/ok"]\n'
    async with serving_routes(tmp_path, text) as (server, chaos, app):
        for _ in range(3):
            await DOORS[0].ask(server, "smart")
        app.follow(app.settings, app.registry)
        DOORS[0].check_whole(await DOORS[0].ask(server, "smart"), TEXT)
        asked = [played.model for played in chaos.played]
    assert asked.count("error-503") == 3
    assert app.seen.tell()[0].state == "open"


async def test_a_key_that_may_not_use_the_list_gets_none_of_its_other_models(tmp_path: Path) -> None:
    text = QUICK + '[routes]\nsmart = ["chat/error-503", "gpt-unknown", "claude/ok", "gem/ok"]\n'
    async with serving_routes(tmp_path, text + key("p", "gem/*")) as (server, chaos, _):
        DOORS[0].check_whole(await DOORS[0].ask(server, "smart", {"Authorization": f"Bearer {'p' * 43}"}), TEXT)
        assert [played.dialect for played in chaos.played if played.model] == ["gemini"]
