"""The doctor finds our own servers well, and finds each fault of servers that are bad on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream import StreamSession
from backstream.dialects.names import DIALECTS
from backstream.errors import BackstreamError, ConfigurationError, ConnectError
from backstream.options import Recovery
from backstream.providers.table import Row
from backstream.registry.config import Config
from backstream.registry.registry import Registry
from backstream.registry.rows import row_at
from backstream.server import Settings, create_app
from backstream.server.keys import add_key
from backstream.testing.chaos import ChaosServer
from backstream.testing.doctor import CHECKS, Scorecard, examine, find_dialects
from backstream.transport.pool import aclose_pools
from support_server import running

BASES = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": "/v1", "gemini": "/v1beta"}
NAMES = list(DIALECTS)
SHORT = 0.2  # for answers that never end
LONGER = 0.5  # where a gateway stands before them
each_dialect = pytest.mark.parametrize("dialect", NAMES)


def found(card: Scorecard, *statuses: str) -> dict[str, str]:
    return {finding.name: finding.reason for finding in card.findings if finding.status in statuses}


@pytest.fixture
async def chaos() -> AsyncIterator[ChaosServer]:
    async with ChaosServer(pace_seconds=0.001) as server:
        yield server


# --- servers that are well --------------------------------------------------------------------------------------------


@each_dialect
async def test_our_gateway_has_full_marks(dialect: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "doctor")
    async with running(keys_file=keys) as server:
        card = await examine(server.url, dialect, key=key)
    assert found(card, "fail", "warn") == {}
    assert {name for name in found(card, "skip") if not name.startswith(("whole", "stream.same"))} <= {
        "errors.bad-model-streamed"
    }
    assert card.totals["pass"] + card.totals["skip"] == len(CHECKS)
    assert card.is_healthy(strict=True)


@each_dialect
async def test_a_model_without_a_fault_has_full_marks(chaos: ChaosServer, dialect: str) -> None:
    card = await examine(chaos.url + BASES.get(dialect, ""), dialect)
    assert found(card, "fail", "warn") == {}
    assert card.model == "chaos/ok"


async def test_every_dialect_is_found_by_its_paths(chaos: ChaosServer) -> None:
    assert await find_dialects(chaos.url) == NAMES
    async with running() as server:
        assert await find_dialects(server.url + "/v1") == NAMES


def gateway(chaos: ChaosServer, **settings: Any) -> Any:
    """Our gateway, with chaos behind it in every dialect."""

    async def nobody(rows: Sequence[Row]) -> Sequence[Any]:
        return ()

    table = {
        name: msgspec.structs.replace(
            row_at(chaos.url + BASES.get(name, ""), name=name, dialect=name), key_variables=("WORK_KEY",)
        )
        for name in NAMES
    }
    registry = Registry(Config(), {"HOME": "/nonexistent", "WORK_KEY": "sk-work"}, table=table, probe=nobody)
    return create_app(None, Settings(keys_file=None, gate_seconds=0.05, **settings), registry=registry)


@each_dialect
@pytest.mark.parametrize("distance", [0, 1], ids=["same dialect", "another dialect"])
async def test_our_gateway_tells_of_every_fault_behind_it(chaos: ChaosServer, dialect: str, distance: int) -> None:
    behind = NAMES[(NAMES.index(dialect) + distance) % len(NAMES)]
    once = Recovery(retries=0)  # the next test has the waits between retries
    async with running(app=gateway(chaos, recovery=once)) as server:
        card = await examine(
            server.url, dialect, model=f"{behind}/chaos/ok", patience_seconds=LONGER, through_chaos=True
        )
        await aclose_pools()
        await chaos.closed()
    assert found(card, "fail", "warn", "skip") == {}
    assert f"chaos.{behind}/cut-after-3" in found(card, "pass")


async def test_a_gateways_back_ends_are_found_in_its_list(chaos: ChaosServer) -> None:
    async with running(app=gateway(chaos)) as server:
        card = await examine(server.url, "openai_chat", patience_seconds=LONGER, through_chaos=True)
        await aclose_pools()
        await chaos.closed()
    assert len({finding.name.partition("/")[0] for finding in card.findings}) == 3  # of those at one URL one is listed
    assert found(card, "fail") == {}


class Resting:
    """A gateway that asks nobody, and says so."""

    @staticmethod
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": {"message": "route test/chaos/x is resting after 3 failures; next try in 9 s"}}'
        head = f"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        writer.close()


async def test_a_model_that_rests_shows_nothing() -> None:
    async with serving(Resting.answer) as url:
        card = await examine(url, "openai_chat", model="test/chaos/ok", patience_seconds=1.0, through_chaos=True)
    assert card.totals["warn"] == len(card.findings)
    assert all(finding.reason.startswith("not shown") for finding in card.findings)
    assert all("breaker_failures" in finding.remedy for finding in card.findings)


async def test_without_a_name_one_that_converses_is_asked() -> None:
    listed = [{"id": name} for name in ("text-embedding-3", "dall-e-3", "whisper-1", "gpt-5-mini", "other")]
    async with serving(Careless(json.dumps({"data": listed})).answer) as url:
        chosen = await examine(url, "openai_chat", patience_seconds=1.0)
    async with serving(Careless(json.dumps({"data": listed[:3]})).answer) as url:
        only = await examine(url, "openai_chat", patience_seconds=1.0)
    assert (chosen.model, chosen.get_dict()["model"], only.model) == ("gpt-5-mini", "gpt-5-mini", "text-embedding-3")


# --- servers that are not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "checks"),
    [
        ("no-end", {"stream.answer", "stream.end", "stream.finish", "whole.answer"}),
        ("cut-after-3", {"stream.answer", "stream.end", "stream.close", "whole.answer"}),
        ("end-inside-event", {"stream.answer", "stream.end"}),
        ("reset-after-3", {"stream.answer", "stream.close"}),
        ("silence-after-3", {"stream.answer", "stream.close"}),
        ("no-last-event", {"stream.end"}),
        ("error-mid-3", {"stream.answer", "stream.end"}),
        ("bad-json", {"stream.answer", "stream.events"}),
        ("bad-utf8", {"stream.events"}),
        ("after-done", {"stream.end"}),
        ("done-then-open", {"stream.close"}),
        ("length-long", {"stream.close", "whole.answer"}),
        ("length-short", {"stream.answer", "stream.end"}),
        ("html", {"stream.answer", "stream.type", "whole.type", "stream.events"}),
        ("empty", {"stream.answer", "stream.end", "whole.answer"}),
        ("204", {"stream.answer", "whole.answer"}),
        ("error-500", {"stream.answer", "whole.answer", "truth.at-once"}),
        ("redirect", {"stream.answer", "whole.answer"}),
        ("bad-gzip", {"stream.answer", "stream.unbuffered"}),
    ],
)
async def test_a_fault_is_found(chaos: ChaosServer, model: str, checks: set[str]) -> None:
    card = await examine(chaos.url, "openai_chat", model=f"chaos/{model}", patience_seconds=SHORT)
    assert checks <= set(found(card, "fail"))
    assert not card.is_healthy()
    assert all(finding.remedy for finding in card.findings if finding.status == "fail")


async def test_what_could_be_better_is_a_warning(chaos: ChaosServer) -> None:
    card = await examine(chaos.url, "openai_chat", model="chaos/http10")
    assert set(found(card, "warn")) == {"stream.close"}
    assert card.is_healthy()
    assert not card.is_healthy(strict=True)


class Lying:
    """A gateway that passes on what it can, and then calls every answer whole: the incident this is all about."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        try:
            if head.startswith("get"):
                async with StreamSession() as session, session.get(self._upstream + "/models") as listed:
                    self._send(writer, "application/json", await self._without_prefix(listed))
            else:
                await self._stream(writer, json.loads(body.replace(b"liar/", b"")))
        finally:
            writer.close()

    async def _without_prefix(self, listed: Any) -> bytes:
        return json.dumps(await listed.json()).replace('"id": "chaos/', '"id": "liar/chaos/').encode()

    async def _stream(self, writer: asyncio.StreamWriter, members: dict[str, Any]) -> None:
        text = ""
        with contextlib.suppress(BackstreamError, TypeError, LookupError):
            async with (
                StreamSession(timeout=0.05) as session,
                session.post(self._upstream + "/chat/completions", json={**members, "stream": True}) as answer,
            ):
                async for event in answer.sse():
                    text += event["choices"][0]["delta"].get("content") or ""
        if members.get("stream"):
            delta = json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
            stop = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            events = f"data: {delta}\n\ndata: {stop}\n\ndata: [DONE]\n\n"
            self._send(writer, "text/event-stream", events.encode())
        else:
            message = {"role": "assistant", "content": text}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            self._send(writer, "application/json", json.dumps({"choices": choices}).encode())

    def _send(self, writer: asyncio.StreamWriter, content_type: str, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)


@contextlib.asynccontextmanager
async def serving(answer: Callable[..., Any]) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_gateway_that_invents_ends_is_found_out(chaos: ChaosServer) -> None:
    async with serving(Lying(chaos.url + "/v1").answer) as url:
        card = await examine(url, "openai_chat", patience_seconds=1.0, through_chaos=True)
    bad = found(card, "fail")
    for fault in ("cut-after-3", "no-end", "reset-after-3", "silence-after-3", "error-mid-3", "error-500", "empty"):
        assert bad[f"chaos.liar/{fault}"] == "an answer that broke off is called whole"
    assert "chaos.liar/cut-after-3 (whole)" in bad
    assert {"chaos.liar/ok", "chaos.liar/drip", "chaos.liar/crlf"} <= set(found(card, "pass"))


class Careless:
    """An endpoint that answers everything alike, shows keys, lets every page in, and closes every connection."""

    def __init__(self, body: str, *, status: int = 200, fields: str = "") -> None:
        self._body = body
        self._head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{fields}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next((line[22:] for line in head.split("\r\n") if line.lower().startswith("authorization: bearer")), "")
        body = self._body.replace("KEY", key).encode()
        writer.write(f"{self._head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()


async def test_conduct_that_is_careless_is_found(chaos: ChaosServer) -> None:
    fields = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    async with serving(Careless(json.dumps({**reply, "data": []}), fields=fields).answer) as url:
        card = await examine(url, "openai_chat", model="any", key="sk-of-the-doctor")
    assert {"models.list", "errors.bad-json", "errors.no-key", "errors.bad-key", "http.origins", "stream.type"} <= set(
        found(card, "fail")
    )
    assert {"errors.bad-model", "http.keep-alive", "errors.unknown-path", "whole.usage"} <= set(found(card, "warn"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"error": {"message": "no such key: KEY"}}', "the refusal of a wrong key shows the key"),
        ('{"detail": "no"}', "status 401, but the body has not the dialect's shape of an error"),
        ("no", "status 401, but the body is no JSON"),
    ],
)
async def test_refusals_that_are_not_as_they_should_be(body: str, reason: str) -> None:
    async with serving(Careless(body, status=401).answer) as url:
        card = await examine(url, "openai_chat", model="any", key="sk-of-the-doctor")
    assert found(card, "fail")["errors.bad-key"] == reason
    assert "sk-of-the-doctor" not in json.dumps(card.get_dict())


async def test_counts_that_do_not_add_up_and_limits_that_are_ignored() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 90, "total_tokens": 10}
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    async with serving(Careless(json.dumps({**reply, "usage": usage})).answer) as url:
        card = await examine(url, "openai_chat", model="any")
    assert found(card, "fail")["whole.usage"] == "9 + 90 tokens are called 10"


# --- what cannot be examined ------------------------------------------------------------------------------------------


async def test_what_cannot_be_examined_is_an_error(chaos: ChaosServer) -> None:
    async with ChaosServer() as gone:
        nowhere = gone.url
    with pytest.raises(ConnectError):
        await find_dialects(nowhere)
    with pytest.raises(ConnectError):
        await examine(nowhere, "openai_chat")
    with pytest.raises(ConfigurationError, match="unknown dialect"):
        await examine(chaos.url, "klingon")
    async with serving(Careless('{"models": []}').answer) as url:
        with pytest.raises(ConfigurationError, match="lists no model"):
            await examine(url, "ollama")
    with pytest.raises(ConfigurationError, match="is chaos/ok"):
        await examine(chaos.url, "ollama", model="other", through_chaos=True)
