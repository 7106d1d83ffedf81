"""The log: one line for each request, and no secret in it at any level."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Content, Finish, Start, Usage
from backstream.errors import IncompleteStream
from backstream.reply import End
from backstream.server import Gateway, Settings, create_app
from backstream.server.keys import add_key
from backstream.server.records import RequestRecord, render_line
from backstream.server.routing import Exchange, Route
from support_server import CONVERSATION, HELLO, Running, provider_of, running, saying

KEY = "canary-key-5f1c"
PROMPT = "canary-prompt-77aa"
MEDIA = "Y2FuYXJ5LW1lZGlhLTkwMzE"


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Whatever any logger says at any level, with tracebacks and every attribute of each record."""
    text = io.StringIO()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text.write(f"{record.getMessage()} {record.__dict__!r}\n")
            if record.exc_info:
                traceback.print_exception(*record.exc_info, file=text)  # type: ignore[misc]

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.request for record in caplog.records if hasattr(record, "request")]


async def test_one_line_for_each_request(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "laptop")

    async def cut(*args: Any, **kwargs: Any) -> Any:
        yield Content(content="a")
        yield Content(content="b")
        raise IncompleteStream("cut")

    providers = {"Good": saying(), "Cut": provider_of(cut, models=["long"])}
    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running(providers, keys_file=tmp_path / "keys.json") as server:
            headers = {"x-api-key": key}
            good = await server.converse(headers=headers)
            await server.converse({**HELLO, "model": "long"}, headers=headers)
            await server.converse({**HELLO, "model": PROMPT}, headers=headers)
            await server.converse({**HELLO, "provider": PROMPT}, headers=headers)
            await server.ask("GET", "/" + PROMPT, headers=headers)
            await server.ask("GET", "/backend-api/v2/models/" + PROMPT, headers=headers)
            await server.ask("GET", "/backend-api/v2/version")
            await server.ask("GET", "/healthz", host="evil.example")
    lines = lines_of(caplog)
    told = ("route", "key", "provider", "model", "status", "end", "error", "chunks")
    assert [tuple(line[name] for name in told) for line in lines] == [
        ("conversation", "laptop", "Good", "one", 200, "complete", None, 2),
        ("conversation", "laptop", "Cut", "long", 200, "incomplete", "IncompleteStream", 2),
        ("conversation", "laptop", "Good", "other", 200, "complete", None, 2),
        ("conversation", "laptop", None, None, 404, "refused", "unknown", 0),
        ("", "laptop", None, None, 404, "refused", "unknown", 0),
        ("provider-models", "laptop", None, None, 200, "complete", None, 0),
        ("version", None, None, None, 401, "refused", "key", 0),
        ("", None, None, None, 403, "refused", "forbidden", 0),
    ]
    assert good.header("x-request-id") == lines[0]["id"]
    assert len({line["id"] for line in lines}) == len(lines)
    assert lines[0]["seconds"] >= lines[0]["first_content_seconds"] > 0
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert PROMPT not in caplog.text


async def test_no_secret_is_logged_at_any_level(everything_logged: io.StringIO, tmp_path: Path) -> None:
    async def careless(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
        yield "one"
        raise ValueError(f"{api_key} {messages}")

    key = add_key(tmp_path / "keys.json", "laptop")
    members = {
        "model": "one",
        "messages": [{"role": "user", "content": PROMPT}],
        "media": [[f"data:image/png;base64,{MEDIA}=", "a.png"]],
        "api_key": KEY,
        PROMPT: KEY,
    }
    gateway = create_app(
        {"Careless": provider_of(careless), "Good": saying()}, Settings(keys_file=tmp_path / "keys.json")
    )
    async with running(app=gateway) as server:
        for provider in ("Careless", "Good", PROMPT):
            for headers in ({"Authorization": f"Bearer {key} {KEY}"}, {"x-api-key": KEY}):
                await server.converse({**members, "provider": provider}, headers=headers)
        await server.ask("POST", CONVERSATION, json.dumps(members).encode()[:-3], headers={"x-api-key": key})
        await server.ask("GET", f"/{PROMPT}?{KEY}", headers={"x-api-key": key, "Cookie": KEY})
        await server.send_all(f"GET /{PROMPT} HTTP/1.1\r\n{KEY}\r\n\r\n".encode())
    logged = everything_logged.getvalue()
    assert "request id=" in logged
    for secret in (KEY, PROMPT, MEDIA, key):
        assert secret not in logged
        assert secret not in repr([gateway, gateway.settings, gateway.keys, gateway.catalog, vars(gateway.keys)])


def gateway_of(handler: Any) -> Gateway:
    gateway = create_app([saying()], Settings(keys_file=None))
    gateway.routes = (Route("odd", "/odd", "GET", handler),)
    return gateway


async def test_a_defect_of_ours_is_a_500_without_details(everything_logged: io.StringIO) -> None:
    async def fail(exchange: Exchange) -> None:
        raise KeyError(PROMPT)

    async with running(app=gateway_of(fail)) as server:
        answer = await server.ask("GET", "/odd")
    assert (answer.status, answer.json()) == (500, {"error": {"message": "Internal error"}})
    assert "defect: KeyError at" in everything_logged.getvalue()
    assert PROMPT not in everything_logged.getvalue()


@pytest.mark.parametrize("error", [KeyError(PROMPT), asyncio.CancelledError()])
async def test_a_defect_inside_an_answer_cuts_it(error: BaseException, everything_logged: io.StringIO) -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
        await exchange.send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise error

    async with running(app=gateway_of(fail)) as server:
        received = await read_until_closed(server)
    assert received.endswith(b"4\r\nhalf\r\n") or not received
    assert PROMPT not in everything_logged.getvalue()


async def test_a_refusal_inside_an_answer_cuts_it() -> None:
    from backstream.server.asgi import Refusal

    async def fail(exchange: Exchange) -> None:
        await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
        raise Refusal(413, "too late")

    async with running(app=gateway_of(fail)) as server:
        received = await read_until_closed(server)
    assert b"413" not in received


async def read_until_closed(server: Running) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /odd HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_nothing_is_written_where_nobody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    async def careless(*args: Any, **kwargs: Any) -> Any:
        raise ValueError
        yield

    async with running([provider_of(careless)]) as server:
        await server.converse()
        await server.ask("GET", "/nowhere")
        await server.send_all(b"GARBAGE\r\n\r\n")
    assert capfd.readouterr() == ("", "")


MEMBERS = [
    "id",
    "client_request_id",
    "route",
    "key",
    "provider",
    "model",
    "list",
    "switches",
    "stream",
    "status",
    "end",
    "error",
    "chunks",
    "input_tokens",
    "output_tokens",
    "first_content_seconds",
    "seconds",
]


def test_the_list_of_what_is_logged_is_closed() -> None:
    assert list(RequestRecord().values()) == MEMBERS


def test_usage_in_pieces_is_joined() -> None:
    record = RequestRecord()
    details = {"cached_tokens": 2}
    record.note_block([Usage(usage={"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": details})])
    record.note_block([Content(content="a")])
    more = {"completion_tokens": 9, "prompt_tokens": None, "prompt_tokens_details": {"audio_tokens": 1}}
    record.note_block([Usage(usage=more, model="m"), Finish(finish="stop")])
    usage = record.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.model) == (7, 9, "m")
    assert (usage.cached_tokens, usage.input_audio_tokens) == (2, 1)
    assert record.finish == "stop"


def test_usage_without_counts_keeps_the_earlier_ones() -> None:
    record = RequestRecord()
    for usage in (Usage(), Usage(usage={"prompt_tokens": 7}), Usage()):
        record.note_usage(usage)
    assert record.values()["input_tokens"] == 7


def test_the_first_content_counts_and_not_what_comes_before() -> None:
    record = RequestRecord()
    record.note_block([])
    record.note_block([Start(model="m-1"), Usage(usage={"prompt_tokens": 7})])
    assert (record.first_seconds, record.chunks, record.answered_by) == (None, 2, "m-1")
    record.note_block([Content(content="a")])
    first = record.first_seconds
    assert first is not None
    record.note_block([Content(content="b"), End("complete")])
    assert (record.first_seconds, record.chunks) == (first, 4)


def test_the_first_question_counts() -> None:
    record = RequestRecord()
    record.note_asked()
    asked = record.asked_seconds
    record.note_asked()
    assert asked is not None
    assert record.asked_seconds == asked


def test_a_line_can_be_taken_apart() -> None:
    values = {"id": "a1", "none": None, "route": "", "key": 'my "own" = key', "line": "a\nb", "stream": True, "n": 0.5}
    assert render_line(values) == r"""id=a1 route="" key="my \"own\" = key" line="a\nb" stream=yes n=0.5"""
    assert render_line({"stream": False, "path": "a\\b"}) == r'''stream=no path="a\\b"'''


async def test_a_stream_is_told_from_a_whole_answer(caplog: pytest.LogCaptureFixture) -> None:
    chat = {"model": "one", "messages": [{"role": "user", "content": "Hi"}]}
    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running([saying()]) as server:
            await server.ask("POST", "/v1/chat/completions", chat)
            await server.ask("POST", "/v1/chat/completions", {**chat, "stream": True})
            await server.converse()
            await server.ask("GET", "/v1/models")
    assert [line["stream"] for line in lines_of(caplog)] == [False, True, True, None]
