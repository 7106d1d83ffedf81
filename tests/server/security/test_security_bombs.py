"""Bombs: many media, deep JSON, packed bodies, half-open sockets, malformed requests; each has an end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import gzip
import json
import resource
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from backstream.server import BodyLimits, Settings, create_app
from backstream.server.protocol import ConnectionLimits
from backstream.testing.upstream import Send
from support_security import BODIES, ROWS, Counting, before, with_model
from support_server import CONVERSATION, close, head_and_body, parse_answers, running, saying

DATA = Path(__file__).parents[2] / "data"
MUST_FAIL = [case for case in json.loads((DATA / "llhttp" / "requests.json").read_text()) if case["error"]]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def with_pictures(name: str, count: int, data: str = PNG) -> tuple[str, dict[str, Any]]:
    """A conversation with pictures inside the request."""
    path, body = BODIES[name]
    uri = f"data:image/png;base64,{data}"
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": uri}}] * count
    match name:
        case "backend_api":
            return path, {**body, "media": [[uri, "a.png"]] * count}
        case "openai_responses":
            parts = [{"type": "input_image", "image_url": uri}] * count
            return path, {**body, "input": [{"role": "user", "content": parts}]}
        case "anthropic_messages":
            source = {"type": "base64", "media_type": "image/png", "data": data}
            parts = [{"type": "image", "source": source}] * count
        case "gemini":
            pieces = [{"inlineData": {"mimeType": "image/png", "data": data}}] * count
            return path, {"contents": [{"role": "user", "parts": pieces}]}
        case "ollama":
            return path, {**body, "messages": [{"role": "user", "content": "Hi", "images": [data] * count}]}
    return path, {**body, "messages": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize("name", BODIES)
async def test_five_thousand_tiny_pictures_are_too_many(name: str) -> None:
    counting = Counting()
    async with running([counting.provider]) as server:
        answer = await server.ask("POST", *with_pictures(name, 5000))
        assert answer.status == 413, answer.body
        assert counting.asked == []
        most = 64 if name == "backend_api" else 512  # others send the conversation whole each time
        assert (await server.ask("POST", *with_pictures(name, most))).status == 200
        assert (await server.ask("POST", *with_pictures(name, most + 1))).status == 413


@pytest.mark.parametrize("name", ROWS)
async def test_pictures_spread_over_many_messages_are_counted_together(name: str) -> None:
    path, body = with_pictures(name, 300)
    member = {"openai_responses": "input", "gemini": "contents"}.get(name, "messages")
    counting = Counting()
    async with running([counting.provider]) as server:
        assert (await server.ask("POST", path, {**body, member: body[member] * 2})).status == 413
    assert counting.asked == []


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_above_the_cap_is_refused_before_it_is_read(name: str) -> None:
    limits = BodyLimits(max_body_bytes=10_000, max_media_bytes=10_000)
    counting = Counting()
    app = create_app([counting.provider], Settings(keys_file=None, limits=limits))
    async with running(app=app) as server:
        raw = head_and_body("POST", BODIES[name][0], b"", headers={"Content-Type": "application/json"})
        announced = await server.send(raw.replace(b"Content-Length: 0", b"Content-Length: 33000000"))
        assert announced.status == 413
        chunked = raw.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        lying = await server.send(chunked + b"8000\r\n" + b'{"x":"' + b"x" * 0x7FFA + b"\r\n0\r\n\r\n")
        assert lying.status == 413
        path, body = with_pictures(name, 1, "A" * 40_000)
        assert (await server.ask("POST", path, body)).status == 413
    assert counting.asked == []


@pytest.mark.parametrize("depth", [65, 1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("name", BODIES)
async def test_deep_json_is_an_answer_and_never_a_defect(name: str, depth: int, caplog: Any) -> None:
    async with running([saying()]) as server:
        path, body = BODIES[name]
        inside = json.dumps({**body, "tools": "DEEP", "metadata": "DEEP", "response_format": "DEEP"}).encode()
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            deep = opening * depth + b"1" + closing * depth
            for raw in (deep, deep[: len(deep) // 2], inside.replace(b'"DEEP"', deep)):
                answer = await server.ask("POST", path, raw)
                assert answer.status in (200, 400, 413, 422), (answer.status, answer.body[:200])
    assert not [record for record in caplog.records if "defect" in record.getMessage()]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP", "x-gzip", "nonsense"])
async def test_packed_requests_are_not_unpacked(encoding: str) -> None:
    counting = Counting()
    bomb = gzip.compress(b"0" * 1_000_000)
    async with running([counting.provider]) as server:
        for name, (path, _) in BODIES.items():
            answer = await server.ask("POST", path, bomb, headers={"Content-Encoding": encoding})
            assert answer.status == 415, name
        for path in ("/v1/audio/transcriptions", "/v1/images/edits", "/v1/embeddings", "/api/show"):
            fields = {"Content-Encoding": encoding, "Content-Type": "multipart/form-data; boundary=b"}
            assert (await server.ask("POST", path, bomb, headers=fields)).status == 415, path
    assert counting.asked == []


@functools.cache
def packed_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(256)) + packer.flush()


@pytest.mark.parametrize(("dialect", "stream"), [*((name, True) for name in ROWS), ("openai_chat", False)])
async def test_a_packed_bomb_of_a_back_end_is_bounded(dialect: str, stream: bool) -> None:
    """256 MiB in a quarter of one: the answer is an error, and the process has not held it."""
    packed = packed_bomb()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n"
    head += b"Connection: close\r\n\r\n"
    kind = b"text/event-stream" if stream and dialect != "ollama" else b"application/json"
    before_it = peak_bytes()
    async with before(dialect, Send(head % (kind, len(packed)) + packed)) as (server, _):
        answer = await server.ask("POST", *with_model("openai_chat", "work/one", stream=stream))
    assert answer.status >= 400 or b'"error"' in answer.body
    assert b"[DONE]" not in answer.body
    assert peak_bytes() - before_it < 160 << 20


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- sockets ----------------------------------------------------------------------------------------------------------


async def test_five_hundred_half_open_sockets_hold_nobody_up() -> None:
    """Others are answered while they are open, and they are closed by the clock of their heads alone."""
    async with running([saying()], limits=ConnectionLimits(head_seconds=3, max_connections=600)) as server:
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(500)]
        for _, writer in slow:
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        for name in BODIES:
            assert (await server.ask("POST", *BODIES[name])).status == 200
        assert not any(reader.at_eof() for reader, _ in slow)
        for number, (_, writer) in enumerate(slow):
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([97 + number % 26]))  # a byte now and then does not prolong it
        ends = await asyncio.gather(*(reader.read() for reader, _ in slow), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ends)
        for _, writer in slow:
            await close(writer)
        assert (await server.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("case", MUST_FAIL, ids=[f"{n}-{case['name'][-50:]}" for n, case in enumerate(MUST_FAIL)])
async def test_what_llhttp_must_refuse_is_refused_on_the_socket(case: dict[str, Any]) -> None:
    """No such request is served as one, and nothing behind it is a second one."""
    counting = Counting()
    raw = case["input"].encode()
    limits = ConnectionLimits(head_seconds=0.2, drain_seconds=0.02)
    async with running([counting.provider], limits=limits, body_idle_seconds=0.05) as server:
        for each in (raw, raw.replace(b"\r\n", b"\r\nHost: localhost\r\n", 1)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(each)
            with contextlib.suppress(OSError):
                writer.write_eof()
            received = b""
            with contextlib.suppress(ConnectionError):
                received = await reader.read()
            await close(writer)
            statuses = [answer.status for answer in parse_answers(received)]
            refused = [status for status in statuses if status in (400, 408, 431)]
            # what came whole before the fault may have been answered, as a request for a path that is not there
            assert set(statuses) <= {400, 403, 404, 405, 408, 431}, statuses
            assert len(refused) <= 1
            assert statuses.count(404) + statuses.count(405) <= each.count(b"HTTP/1.")
        assert (await server.ask("GET", "/healthz")).status == 200
    assert counting.asked == []


def test_there_are_as_many_cases_as_there_were() -> None:
    assert len(MUST_FAIL) == 63


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X: a\r\n b\r\nContent-Length: 5\r\n",
        b"X: a\nContent-Length: 5\r\n",
        b"X: a\rContent-Length: 5\r\n",
        b"X\0: a\r\nContent-Length: 5\r\n",
        b": a\r\nContent-Length: 5\r\n",
    ],
)
async def test_a_body_whose_end_is_in_doubt_is_refused(framing: bytes) -> None:
    """Behind it stands a request that another reader would take for one."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    raw = b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n0\r\n\r\n%b" % (CONVERSATION.encode(), framing, hidden)
    counting = Counting()
    async with running([counting.provider], body_idle_seconds=0.05) as server:
        answers = await server.send_all(raw)
        assert [answer.status for answer in answers] in ([], [400], [413]), answers
    assert counting.asked == []
