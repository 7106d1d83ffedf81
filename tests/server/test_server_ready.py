"""Readiness, the id of every answer, and bodies that trickle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest

from backstream.server import BodyLimits, Settings, create_app
from backstream.server.asgi import Refusal
from backstream.server.keys import add_key
from backstream.server.presence import patient
from support_server import CONVERSATION, HELLO, head_and_body, running, saying

CHAT = {"model": "", "messages": [{"role": "user", "content": "Hi"}]}


async def test_it_is_ready_until_it_drains(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "a")
    app = create_app([saying()], Settings(keys_file=tmp_path / "keys.json"))
    async with running(app=app) as server:
        answer = await server.ask("GET", "/readyz")
        assert (answer.status, answer.json()) == (200, {"status": "ready"})
        assert answer.header("connection") == "close"  # asked for
        app.admission.draining = True
        answer = await server.ask("GET", "/readyz", keep=False)
        assert (answer.status, answer.json()) == (503, {"status": "draining"})
        assert (await server.ask("HEAD", "/readyz")).status == 503
        assert (await server.ask("GET", "/healthz")).status == 200
        for path, body in [("/v1/chat/completions", CHAT), (CONVERSATION, HELLO)]:
            refused = await server.ask("POST", path, body, headers={"x-api-key": key})
            assert refused.status == 503
            assert refused.header("retry-after")
        assert (await server.ask("POST", "/readyz")).status == 405


async def test_a_draining_server_keeps_no_connection() -> None:
    app = create_app([saying()], Settings(keys_file=None))
    async with running(app=app) as server:
        app.admission.draining = True
        answer = await server.send(head_and_body("GET", "/healthz", keep=True))  # returns, since the server closes
        assert answer.header("connection") == "close"


@pytest.mark.parametrize(
    ("method", "path", "body", "fields", "status"),
    [
        ("GET", "/healthz", b"", {}, 200),
        ("GET", "/readyz", b"", {}, 200),
        ("HEAD", "/healthz", b"", {}, 200),
        ("OPTIONS", "/healthz", b"", {}, 200),
        ("GET", "/nowhere", b"", {}, 404),
        ("DELETE", "/healthz", b"", {}, 405),
        ("GET", "/healthz", b"", {"Origin": "null"}, 403),
        ("GET", "/v1/models", b"", {}, 200),
        ("GET", "/backend-api/v2/providers", b"", {}, 200),
        ("POST", CONVERSATION, HELLO, {}, 200),
        ("POST", CONVERSATION, b"{", {}, 400),
        ("POST", "/v1/chat/completions", CHAT, {}, 200),
        ("POST", "/v1/chat/completions", {**CHAT, "stream": True}, {}, 200),
        ("POST", "/v1/chat/completions", b"{", {}, 400),
        ("POST", "/v1/messages", b"[]", {}, 400),
        ("POST", CONVERSATION, b"x" * 2000, {}, 413),
    ],
)
async def test_every_answer_has_one_id(method: str, path: str, body: Any, fields: dict[str, str], status: int) -> None:
    app = create_app([saying()], Settings(keys_file=None, limits=BodyLimits(max_body_bytes=1000)))
    async with running(app=app) as server:
        answer = await server.ask(method, path, body, headers={"X-Request-Id": "mine", **fields})
    assert answer.status == status
    ids = [value for name, value in answer.headers if name == "x-request-id"]
    assert len(ids) == 1
    assert ids[0] != "mine"


async def test_what_is_no_request_gets_one_too() -> None:
    async with running([saying()]) as server:
        answers = [await server.send(raw) for raw in (b"NOTHING\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")]
    ids = [answer.header("x-request-id") for answer in answers]
    assert [answer.status for answer in answers] == [400, 400]
    assert all(ids)
    assert len(set(ids)) == 2


async def test_the_log_knows_both_ids(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running([saying()], worker=3) as server:
            answer = await server.ask("GET", "/healthz", headers={"X-Client-Request-Id": "mine-1"})
    record = caplog.records[-1].request  # type: ignore[attr-defined]
    assert record["client_request_id"] == "mine-1"
    assert record["id"] == answer.header("x-request-id")
    assert record["id"].startswith("w3")


class Clockwork:
    """``receive`` that hands out pieces, each after a while of a loop's own clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *pieces: tuple[float, int]) -> None:
        self.now = 0.0
        self._pieces = list(pieces)
        loop = asyncio.get_running_loop()
        offset = loop.time()
        monkeypatch.setattr(loop, "time", lambda: offset + self.now)

    async def receive(self) -> Any:
        seconds, size = self._pieces.pop(0)
        self.now += seconds
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self._pieces)}


@pytest.mark.parametrize(
    ("pieces", "allowed"),
    [
        ([(29, 1), (29, 1), (29, 1)], 1),  # each in time, and far too slow together
        ([(10, 10_240)] * 6, 6),
        ([(10, 10_000)] * 6, 2),
        ([(10, 10_300)] * 6, 6),
        ([(10, 10_300)] * 3 + [(10, 1)] * 4, 5),
        ([(29, 1), (29, 1)], 2),  # whole, so no longer waited for
    ],
)
async def test_a_body_must_keep_a_rate(
    monkeypatch: pytest.MonkeyPatch, pieces: list[tuple[float, int]], allowed: int
) -> None:
    clock = Clockwork(monkeypatch, *pieces)
    receive = patient(clock.receive, 30.0, 1024)
    taken = 0
    with contextlib.suppress(Refusal):
        for _ in pieces:
            await receive()
            taken += 1
    assert taken == allowed


@pytest.mark.parametrize("path", [CONVERSATION, "/v1/chat/completions"])
async def test_a_body_that_trickles_is_a_408(path: str) -> None:
    raw = head_and_body("POST", path, CHAT)
    async with running([saying()], body_idle_seconds=0.05, body_bytes_per_second=100_000) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        received = asyncio.create_task(reader.read())
        for byte in raw[:-5]:
            if received.done() or writer.is_closing():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.002)
        assert (await received).startswith(b"HTTP/1.1 408")
        writer.close()
