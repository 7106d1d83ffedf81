"""Ten thousand requests that nobody would send: no defect, no path of ours, and errors in their dialect's form."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backstream.server import Settings, create_app
from support_security import BODIES, METHODS, paths
from support_server import head_and_body, running, saying

REPOSITORY = str(Path(__file__).parents[3])
TIMES, BATCH = 20, 500
"""How many servers there are, one after the other, and how many requests each of them gets."""

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
SCALARS = [None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, 0.5, *TEXTS, *TEXTS]
TARGETS = [*paths(), *paths("%00"), "/", "/v1/", "/v1beta/", "/api/", "/nowhere", "/v1/models/a/b:c"]
VERBS = [*METHODS[:3], "POST", "POST", "POST", *METHODS[3:]]
FIELDS = ["Accept", "Content-Type", "anthropic-version", "x-goog-api-client", "traceparent"]
FIELD_VALUES = ["", "x", "text/event-stream", "application/json", "multipart/form-data; boundary=b", "00-0"]
SEEDS = [body for _, body in BODIES.values()]


class Monkey:
    """Makes up requests, the same ones for the same number: ten thousand of them, in a moment."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def request(self) -> tuple[str, str, dict[str, str], Any]:
        """A method, a path, fields and a body."""
        pick = self._random.choice
        fields = {pick(FIELDS): pick(FIELD_VALUES) for _ in range(self._random.randrange(3))}
        return pick(VERBS), pick(TARGETS), fields, pick((self._members, self._seeded, self._value))()

    def _value(self, depth: int = 3) -> Any:
        kind = self._random.randrange(4) if depth else 0
        if kind == 2:
            return [self._value(depth - 1) for _ in range(self._random.randrange(4))]
        return self._members(depth - 1, 4) if kind == 3 else self._random.choice(SCALARS)

    def _members(self, depth: int = 3, most: int = 5) -> dict[str, Any]:
        return {self._random.choice(WORDS): self._value(depth) for _ in range(self._random.randint(0, most))}

    def _seeded(self) -> dict[str, Any]:
        return {**self._random.choice(SEEDS), **self._members()}


def bytes_of(method: str, path: str, extra: dict[str, str], body: Any) -> bytes:
    raw = json.dumps(body).encode() if method not in ("GET", "HEAD") else b""
    query = "?alt=sse" if len(raw) % 2 else ""
    return head_and_body(method, quote(path, safe="/%:") + query, raw, headers=extra)


@pytest.fixture
def defects(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.ERROR, "backstream.server")
    yield caplog
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("backstream.server")]


@pytest.mark.parametrize("number", range(TIMES))
async def test_ten_thousand_requests(defects: Any, number: int) -> None:
    monkey = Monkey(number)
    async with running(app=create_app([saying()], Settings(keys_file=None))) as server:
        for request in (monkey.request() for _ in range(BATCH)):
            for answer in await server.send_all(bytes_of(*request)):
                assert answer.status not in (500, 502, 504), (request, answer.body)
                assert REPOSITORY.encode() not in answer.body
                assert b"Traceback" not in answer.body
                if answer.status >= 400 and answer.body:
                    value = answer.json()
                    assert "error" in (value[0] if isinstance(value, list) else value), (request, answer.body)
