"""Every file of the JSON test suite, sent to every route that takes JSON: an answer each time, and never a defect."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from backstream.server.routes import ROUTES
from support_server import head_and_body, running, saying

SUITE = Path(__file__).parent.parent / "data" / "jsontestsuite"
BODIES = [path.read_bytes() for path in sorted(SUITE.rglob("*.json"))]
FORMS = {"/v1/audio/transcriptions", "/v1/images/edits"}  # these take no JSON
POSTS = sorted(
    {route.path for route in ROUTES if route.method == "POST" and not route.path.startswith("/jsonl")} - FORMS
)


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer of a connection that stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    if "transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return status, body
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    return status, await reader.readexactly(int(length.partition(":")[2]))


@pytest.mark.parametrize("pattern", POSTS)
async def test_the_json_suite(pattern: str, caplog: Any) -> None:
    caplog.set_level(logging.ERROR, "backstream.server")
    path = pattern.replace("{*model}", "one").replace("{id}", "resp_x")
    assert "{" not in path
    assert len(BODIES) > 300
    async with running([saying()]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for body in BODIES:
            writer.write(head_and_body("POST", path, body, keep=True))
            status, answer = await answer_of(reader)
            assert status == 200 or 400 <= status < 500, (status, body[:80])
            if status != 200:
                assert "error" in json.loads(answer)
            assert str(SUITE.parents[2]).encode() not in answer
        writer.close()
        await writer.wait_closed()
    assert not caplog.records
