"""Ten thousand requests that nobody would send: no defect, no path of ours, and errors in their dialect's form."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstream.server import Settings, create_app
from support_security import BODIES, METHODS, paths
from support_server import head_and_body, running, saying

REPOSITORY = str(Path(__file__).parents[3])
BATCH = 100
"""Requests of one example, on one connection each way; 100 examples of them are ten thousand."""

WORDS = [
    "model", "messages", "input", "contents", "prompt", "stream", "tools", "tool_choice", "max_tokens", "temperature",
    "system", "instructions", "metadata", "response_format", "text", "reasoning", "thinking", "stop", "n", "options",
    "format", "keep_alive", "images", "generationConfig", "systemInstruction", "safetySettings", "previous_response_id",
    "store", "include", "user", "encoding_format", "dimensions", "voice", "response_format", "media", "provider",
    "role", "content", "parts", "type", "image_url", "url", "source", "data", "tool_calls", "function", "name",
    "arguments", "id", "tool_call_id", "tool_use_id", "items", "requests", "inlineData", "functionCall", "models", "",
]  # fmt: skip
TEXTS = [
    "one", "Hi", "", "user", "assistant", "tool", "system", "text", "image_url", "input_text", "function", "auto",
    "data:image/png;base64,AAAA", "data:,", "http://a/b", "base64", "float", "\ud800", "\0", "x" * 3_000, "-1",
    "function_call_output", "tool_result", "tool_use", "image", "json_schema", "none", "resp_1", "../..", "{}", "[",
]  # fmt: skip
scalars = st.sampled_from([None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, 0.5, *TEXTS]) | st.sampled_from(TEXTS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(WORDS), values, max_size=5)
seeds = st.sampled_from([body for _, body in BODIES.values()])
targets = st.sampled_from([*paths(), *paths("%00"), "/", "/v1/", "/v1beta/", "/api/", "/nowhere", "/v1/models/a/b:c"])
fields = st.dictionaries(
    st.sampled_from(["Accept", "Content-Type", "anthropic-version", "x-goog-api-client", "traceparent"]),
    st.sampled_from(["", "x", "text/event-stream", "application/json", "multipart/form-data; boundary=b", "00-0"]),
    max_size=2,
)
requests = st.tuples(st.sampled_from([*METHODS[:3], "POST", "POST", "POST", *METHODS[3:]]), targets, fields, st.one_of(
    bodies, st.tuples(seeds, bodies).map(lambda both: {**both[0], **both[1]}), values,
))  # fmt: skip


def bytes_of(method: str, path: str, extra: dict[str, str], body: Any) -> bytes:
    raw = json.dumps(body).encode() if method not in ("GET", "HEAD") else b""
    query = "?alt=sse" if len(raw) % 2 else ""
    return head_and_body(method, quote(path, safe="/%:") + query, raw, headers=extra)


@pytest.fixture
def defects(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.ERROR, "backstream.server")
    yield caplog
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("backstream.server")]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(requests, min_size=BATCH, max_size=BATCH))
def test_ten_thousand_requests(defects: Any, batch: list[tuple[str, str, dict[str, str], Any]]) -> None:
    async def main() -> None:
        app = create_app([saying()], Settings(keys_file=None))
        async with running(app=app) as server:
            for request in batch:
                for answer in await server.send_all(bytes_of(*request)):
                    assert answer.status not in (500, 502, 504), (request, answer.body)
                    assert REPOSITORY.encode() not in answer.body
                    assert b"Traceback" not in answer.body
                    if answer.status >= 400 and answer.body:
                        value = answer.json()
                        assert "error" in (value[0] if isinstance(value, list) else value), (request, answer.body)

    asyncio.run(main())
