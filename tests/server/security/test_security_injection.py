"""Header and event injection: what a client or a back-end says never becomes a line of its own."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstream import DialectProvider
from backstream.chunks import Content, Finish, Start
from backstream.dialects.base import Envelope
from backstream.dialects.names import dialect_for
from backstream.errors import InvalidRequestError
from backstream.options import CallOptions
from backstream.providers.table import row
from backstream.reply import End
from backstream.request import Receipts, Request, TextPart, Turn
from backstream.server import Settings, create_app
from backstream.server.routes import ROUTES
from backstream.services import Speech
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from backstream.transport.pool import aclose_pools
from backstream.wire.multipart import MultipartDecoder, PartBegin, parse_boundary
from support_security import BODIES, KEY, ROWS, before, json_answer, refusing, with_model
from support_server import provider_of, running, saying

DATA = Path(__file__).parents[2] / "data"
NAUGHTY: list[str] = json.loads((DATA / "naughty-strings" / "blns.json").read_text())
CRLF = (DATA / "traversal-crlf" / "crlfinjection.txt").read_text().split("\n")
LINES = [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a\0b",
    "a\u2028X-Evil: 1",
    "a\x85b",
    "ä\r\n\r\nHTTP/1.1 200 OK",
]
ROUND = ["../../v1/files", "models/../../files?x=y#z", "a/..", "..", "./a", "%2e%2e/a", "a:b/../../c", "..\\..\\a"]
HOSTILE = [*LINES, *(line for line in CRLF if line), *NAUGHTY]
ASKED = Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="q"),)),), stream=True)
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x20-\x7e\x80-\xff\t]*")
OUTGOING = {
    "accept", "accept-encoding", "anthropic-version", "authorization", "connection", "content-length", "content-type",
    "host", "traceparent", "tracestate", "user-agent", "x-api-key", "x-goog-api-key",
}  # fmt: skip
ANSWERED = {
    "cache-control", "connection", "content-length", "content-type", "date", "request-id", "retry-after", "server",
    "transfer-encoding", "x-accel-buffering", "x-content-type-options", "x-request-id",
}  # fmt: skip


def check_head(head: bytes, known: set[str]) -> None:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert b"\n" not in first + b"".join(lines)
    assert b"\r" not in first + b"".join(lines)
    for line in lines:
        assert FIELD.fullmatch(line), line
        assert line.partition(b":")[0].decode().lower() in known, line


@pytest.mark.parametrize("dialect", ROWS)
async def test_naughty_names_of_models_add_no_line_at_the_back_end(dialect: str) -> None:
    """Asked in OpenAI's form, where a name may be any text, of a back-end of every dialect."""
    named, path = ROWS[dialect]
    async with ScriptedUpstream([ReadRequest(), *refusing(dialect)]) as upstream:
        provider = DialectProvider(msgspec.structs.replace(row(named), url=upstream.url + path), KEY)
        async with running(app=create_app({"work": provider}, Settings(keys_file=None))) as server:
            for text in [*LINES, *ROUND, *CRLF, *NAUGHTY[::4]]:
                known, body = with_model("openai_chat", "work/" + text)
                answer = await server.ask("POST", known, body)
                assert 400 <= answer.status < 500, (text, answer.status, answer.body)
                assert {name for name, _ in answer.headers} <= ANSWERED, answer.headers
            await aclose_pools()
        assert upstream.requests
        for request in upstream.requests:
            check_head(request.head, OUTGOING)
            target = request.target
            assert target.startswith(path + "/"), target
            assert target.isascii()
            assert ".." not in target.split("?")[0].split("/"), target


@pytest.mark.parametrize("model", ["..", "../x", "a/../b", "models/../../files", "./a", "a/."])
def test_a_name_of_a_model_leads_to_no_other_path(model: str) -> None:
    for render in (dialect_for("gemini").render_request, dialect_for("gemini").render_token_count):
        with pytest.raises(InvalidRequestError, match="segments of dots"):
            render(msgspec.structs.replace(ASKED, model=model), Receipts())


@pytest.mark.parametrize("name", BODIES)
async def test_naughty_strings_in_every_text_of_a_request(name: str) -> None:
    async with running([saying()]) as server:
        for text in HOSTILE[::3] + LINES:
            body = dict(BODIES[name][1])
            body = {**body, "user": text, "metadata": {"user_id": text}, "id": text, "conversation": {text: text}}
            path = BODIES[name][0]
            if name == "gemini":
                path = path.replace("one", quote(text, safe="") or "one")
            else:
                body["model"] = text
            answer = await server.ask("POST", path, body)
            assert answer.status in (200, 400, 403, 404, 422), (text, answer.status)
            assert {known for known, _ in answer.headers} <= ANSWERED, answer.headers


@pytest.mark.parametrize(
    "field",
    ["X-Request-Id", "X-Client-Request-Id", "traceparent", "tracestate", "X-Forwarded-For", "X-Forwarded-Host",
     "X-Forwarded-Proto", "Forwarded", "User-Agent", "Accept", "anthropic-version", "X-Evil"],
)  # fmt: skip
async def test_a_clients_fields_go_nowhere_but_where_they_should(field: str) -> None:
    steps = refusing("openai_chat")
    async with before("openai_chat", *steps, trusted_proxies=("127.0.0.1",)) as (server, upstream):
        for text in [*NAUGHTY[::12], "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "evil.example", "x\x00y", "x\x7fy"]:
            if "\n" in text or "\r" in text or not text.strip():
                continue
            value = text.encode().decode("latin-1")
            answers = await server.send_all(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{field}: {value}\r\n"
                f"Connection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode("latin-1")
            )
            for answer in answers:
                assert answer.status in (400, 403, 404), (text, answer.body)
                assert {name for name, _ in answer.headers} <= ANSWERED
        for request in upstream.requests:
            check_head(request.head, OUTGOING)
            assert "x-evil" not in request.head.decode("latin-1").lower()


def test_ids_are_never_the_clients() -> None:
    """A response's id is made here, so that nothing of a client's can stand in it."""
    assert {route.path for route in ROUTES if "{id}" in route.path} == {
        "/v1/responses/{id}",
        "/v1/responses/{id}/cancel",
    }


# --- what a back-end says ---------------------------------------------------------------------------------------------

KINDS = ["audio/mpeg\r\nX-Evil: 1", "audio/mpeg\nX-Evil: 1", "audio/x\0", "audio/ä", "text/html", "image/svg+xml", ""]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_type_of_a_sound_is_a_type_of_sound(kind: str) -> None:
    class Speaking:
        default_model = "one"

        @staticmethod
        async def speech(model: str, text: str, voice: object = None, **keywords: Any) -> Speech:
            return Speech(data=b"<script>", media_type=kind)

        @staticmethod
        async def create_async_generator(model: str, messages: Any, **keywords: Any) -> Any:
            yield "Hi"

    async with running([Speaking]) as server:
        answer = await server.ask("POST", "/v1/audio/speech", {"model": "one", "input": "Hi", "voice": "a"})
    assert answer.status == 200
    assert answer.header("x-evil") is None
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("x-content-type-options") == "nosniff"


async def test_a_back_ends_type_of_sound_adds_no_line() -> None:
    kind = "audio/L16;rate=24000\r\nX-Evil: 1"
    part = {"inlineData": {"mimeType": kind, "data": base64.b64encode(b"\0\0" * 8).decode()}}
    whole = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    async with before("gemini", Send(json_answer(whole))) as (server, _):
        body = {"model": "work/one", "input": "Hi", "voice": "a"}
        answer = await server.ask("POST", "/v1/audio/speech", body)
    assert answer.header("x-evil") is None
    assert answer.status != 500


@pytest.mark.parametrize("value", ["1e999", "-5", "nan", "99999999999999999999", "0", "abc", "9" * 400])
@pytest.mark.parametrize("name", BODIES)
async def test_a_back_ends_wait_is_a_number_of_seconds_or_left_out(name: str, value: str) -> None:
    steps = refusing("openai_chat", None, "429 Too Many Requests", f"Retry-After: {value}", f"retry-after-ms: {value}")
    async with before("openai_chat", *steps) as (server, _):
        path, body = with_model(name, "work/one")
        answer = await server.ask("POST", path, body)
    assert answer.status == (200 if name == "backend_api" else 429), answer.body
    wait = answer.header("retry-after")
    assert wait is None or (wait.isdigit() and 1 <= int(wait) <= 86_400)


# --- events -----------------------------------------------------------------------------------------------------------

ENVELOPE = Envelope(id="7", model="asked", created=1, request=ASKED)
PIECES = st.lists(
    st.sampled_from(
        ["\n", "\r", "\r\n", "\n\n", "data: ", "data: [DONE]\n\n", "event: error\n", "id: 1\n", "retry: 0\n", ":", "\0",
         '{"done":true}', "\u2028", "\u2029", "\x85", "\ufeff", '"', "\\", "[", "]", ",", '{"type":"error","error":1}']
    )
    | st.text(max_size=8),
    min_size=1,
    max_size=12,
).map("".join)  # fmt: skip


def through(name: str, texts: list[str]) -> str:
    """What a client of a dialect reads of an answer."""
    dialect = dialect_for(name)
    renderer = dialect.stream_renderer(ENVELOPE)
    parser = dialect.stream_parser(CallOptions())
    block = [Start(id="1", model="m"), *[Content(content=text) for text in texts], Finish(finish={"reason": "stop"})]
    data = renderer.render([*block, End("complete", ("stop",))])
    items = [*parser.feed(data), *parser.finish(framed=True)]
    (end,) = [item for item in items if isinstance(item, End)]
    assert end.state == "complete"
    return "".join(item.content or "" for item in items if isinstance(item, Content))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(PIECES, min_size=1, max_size=3))
def test_relayed_text_stays_one_field_through_every_pair_of_dialects(texts: list[str]) -> None:
    said = "".join(texts)
    for client in ROWS:
        for provider in ROWS:
            assert through(client, [through(provider, texts)]) == said


async def test_a_model_that_the_client_names_is_no_event() -> None:
    evil = 'x\n\ndata: {"choices":[]}\n\nevent: error'
    async with running([saying()]) as server:
        for name in ("openai_chat", "openai_responses", "anthropic_messages", "ollama"):
            path, body = with_model(name, evil, stream=True)
            answer = await server.ask("POST", path, body)
            assert answer.status == 200
            for line in answer.body.decode().split("\n"):
                assert not line.startswith("event: error")
                assert line.removeprefix("data: ").startswith(("{", "[DONE]", "event: ", "")), line
                assert line != 'data: {"choices":[]}'


async def test_a_file_name_stays_within_its_field_on_the_way_up() -> None:
    async with before("openai_chat", *refusing("openai_chat")) as (server, upstream):
        for name in ['a"; name="x.wav', "a%0D%0AX-Evil: 1.wav", "..\\..\\a.wav", "../../etc/passwd", 'a\\".wav']:
            await server.ask("POST", "/v1/audio/transcriptions", form(f'filename="{name}"'), headers=FORM)
        for extended in ["utf-8''a%0D%0AX-Evil:%201.wav", "utf-8''a%00b.wav", "utf-8''%22;%20name=%22x"]:
            await server.ask("POST", "/v1/audio/transcriptions", form(f"filename*={extended}"), headers=FORM)
        assert upstream.requests
        for request in upstream.requests:
            check_head(request.head, OUTGOING)
            decoder = MultipartDecoder(parse_boundary(request.headers["content-type"]))
            parts = [each for each in decoder.feed(request.body) if isinstance(each, PartBegin)]
            decoder.finish()
            assert {part.name for part in parts} <= {"model", "file", "response_format"}
            (name,) = [part.filename for part in parts if part.name == "file"]
            assert name is not None
            assert "/" not in name
            assert name.isprintable()


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def form(disposition: str) -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwork/one\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; '
        + disposition.encode()
        + b"\r\n\r\nRIFF....WAVE\r\n--b--\r\n"
    )


async def test_a_provider_cannot_speak_outside_of_its_events() -> None:
    async def generate(model: str, messages: Any, **keywords: Any) -> Any:
        yield Start(id='1"\n\ndata: [DONE]\n\n', model="m\r\n\r\nevent: x")
        yield Content(content="a\n\ndata: [DONE]\n\n")

    async with running([provider_of(generate)]) as server:
        for name in ("openai_chat", "openai_responses", "anthropic_messages"):
            path, body = with_model(name, "one", stream=True)
            answer = await server.ask("POST", path, body)
            lines = answer.body.decode().split("\n")
            assert "data: [DONE]" not in lines[:-3]
            assert not any(line.startswith("event: x") for line in lines)
