"""Clocks of the gateway's answers: of the server, a provider, a routing list, and a request, which may only shorten."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from backstream.options import Deadlines
from backstream.server.asgi import Refusal, Request
from backstream.server.wishes import Wishes, parse_wishes
from backstream.testing.chaos import FAULTS
from support_doors import DOORS, HI, Door, serving_routes
from support_server import head_and_body
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")
FIRST = "first_content = 0.1"
TEXT = "".join(FAULTS["ok"].said())


def request_with(*fields: tuple[str, str]) -> Request:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("total=60, first_content=20", {"total": 60.0, "first_content": 20.0}),
        (" idle = 0.5 ", {"idle": 0.5}),
        ("connect=86400,headers=1,between_content=2", {"connect": 86400.0, "headers": 1.0, "between_content": 2.0}),
    ],
)
def test_what_a_request_may_say(value: str, found: dict[str, float]) -> None:
    assert parse_wishes(request_with(("X-Backstream-Deadlines", value))).deadlines == found


@pytest.mark.parametrize(
    "value",
    [
        *("", "total", "total=", "total=0", "total=-1", "total=inf", "total=nan", "total=1e3", "total=86401", "all=1"),
        *("total=1;idle=2", "total=60,", "Total=60", "total=0x10", "total=٣", "total=60 s"),
    ],
)
def test_what_is_malformed_is_refused(value: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_wishes(request_with(("X-Backstream-Deadlines", value.encode().decode("latin-1"))))
    assert caught.value.status == 400
    assert caught.value.message.startswith("X-Backstream-Deadlines must be like total=60, first_content=20: ")


def test_a_request_may_only_shorten_what_the_server_has_set() -> None:
    own = Deadlines(total=60, first_content=None, idle=600)
    wished = Wishes(deadlines={"total": 90.0, "first_content": 80_000.0, "idle": 5.0})
    assert wished.within(own) == Deadlines(total=60, first_content=80_000, idle=5)
    assert Wishes().within(own) is own


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("how", ["server", "provider", "list", "request"])
async def test_a_clock_that_runs_out_is_named_in_the_dialect(tmp_path: Path, door: Door, how: str) -> None:
    text = {
        "server": f"[server.deadlines]\n{FIRST}\n",
        "provider": f"[server.deadlines]\nfirst_content = 60\n[providers.chat.deadlines]\n{FIRST}\n",
        "list": f'[routes]\nsmart = {{ to = ["chat/keepalive-only"], deadlines = {{ {FIRST} }} }}\n',
        "request": "",
    }[how]
    fields = {"X-Backstream-Deadlines": "first_content=0.1, total=3000"} if how == "request" else {}
    async with serving_routes(tmp_path, text) as (server, chaos, _):
        answer = await door.ask(server, "smart" if how == "list" else "chat/keepalive-only", fields)
        assert len(chaos.played) == 1  # silence is not asked again
    assert answer.status == (200 if door.name.startswith("backend_api") else 504)
    assert b"first_content" in answer.body
    assert door.done not in answer.body


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
async def test_after_content_it_is_an_error_in_the_stream(tmp_path: Path, door: Door) -> None:
    text = "[server.deadlines]\nbetween_content = 0.1\n"
    async with serving_routes(tmp_path, text) as (server, _, _):
        answer = await door.ask(server, "chat/keepalive-after-3")
    assert answer.status == 200
    assert door.texts(answer)
    assert b"between_content" in answer.body
    assert answer.body.count(door.told) == 1
    assert door.done not in answer.body


async def test_the_whole_time_covers_every_attempt(tmp_path: Path) -> None:
    text = '[defaults.recovery]\nswitch_after = 0.05\n[routes]\nsmart = ["chat/no-headers", "claude/no-headers"]\n'
    async with serving_routes(tmp_path, text) as (server, chaos, _):
        answer = await DOORS[0].ask(server, "smart", {"X-Backstream-Deadlines": "total=0.2"})
        asked = [played.model for played in chaos.played]
    assert answer.status == 504
    assert "'total'" in answer.json()["error"]["message"]
    assert asked == ["no-headers", "no-headers"]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
async def test_a_malformed_field_is_a_refusal_in_the_dialect(tmp_path: Path, door: Door) -> None:
    async with serving_routes(tmp_path, "") as (server, chaos, _):
        answer = await door.ask(server, "chat/ok", {"X-Backstream-Deadlines": "total=soon"})
        assert chaos.played == []
    assert answer.status == 400
    assert "X-Backstream-Deadlines" in json.dumps(answer.json())


async def test_a_route_has_limits_of_its_own(tmp_path: Path) -> None:
    text = '[routes]\nbusy = ["claude/ok", "llama/ok"]\n'
    own = {"claude": "requests_per_minute = 1", "chat": "max_concurrent = 1"}
    async with serving_routes(tmp_path, text + "[defaults.recovery]\nswitch_after = 5\n", own) as (server, chaos, app):
        for _ in range(2):
            DOORS[0].check_whole(await DOORS[0].ask(server, "busy"), TEXT)
        assert [played.dialect for played in chaos.played] == ["anthropic_messages", "ollama"]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = {"model": "chat/ok-100000", "messages": HI, "stream": True}
        writer.write(head_and_body("POST", "/v1/chat/completions", body))
        await reader.readuntil(b"One, ")
        assert [(each.name, each.running, each.allowed) for each in app.seen.tell()][-1] == ("chat/ok-100000", 1, 1)
        writer.transport.abort()
    assert [each.running for each in app.seen.tell()] == [0, 0, 0]
