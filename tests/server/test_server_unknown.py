"""What is not there, and what may not be: each refusal in the form that the client of that path reads."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.server.keys import add_key
from support_server import running

VERSION = {"anthropic-version": "2023-06-01"}
GOOGLE = {"x-goog-api-client": "google-genai-sdk/1.0"}


def dialect_of(body: Any) -> str:
    """Tell whose form an error has."""
    error = body["error"]
    if isinstance(error, str):
        return "ollama"
    if body.get("type") == "error":
        assert set(error) == {"type", "message"}
        return "anthropic"
    if set(error) == {"message"}:
        return "ours"
    if "status" in error:
        return "gemini"
    assert set(error) == {"message", "type", "param", "code"}
    return "openai"


PATHS = [
    ("GET", "/v1/nothing", {}, "openai"),
    ("POST", "/v1/moderations", {}, "openai"),
    ("GET", "/v1/nothing", VERSION, "anthropic"),
    ("GET", "/v1/nothing", GOOGLE, "gemini"),
    ("GET", "/v1/models/nobody", {}, "openai"),
    ("GET", "/v1/models/nobody", VERSION, "anthropic"),
    ("GET", "/v1/models/nobody", GOOGLE, "gemini"),
    ("GET", "/v1beta/nothing", {}, "gemini"),
    ("POST", "/v1beta/models/echo:doNothing", {}, "gemini"),
    ("POST", "/api/pull", {}, "ollama"),
    ("GET", "/nothing", {}, "ours"),
    ("GET", "/v1", {}, "ours"),
    ("GET", "/backend-api/v2/nothing", {}, "ours"),
]


@pytest.mark.parametrize(("method", "path", "headers", "dialect"), PATHS)
async def test_what_is_not_there(method: str, path: str, headers: dict[str, str], dialect: str) -> None:
    async with running() as server:
        answer = await server.ask(method, path, headers=headers)
    assert answer.status in (404, 405)
    assert dialect_of(answer.json()) == dialect
    if dialect == "gemini":
        assert answer.json()["error"]["code"] == answer.status
    if dialect == "anthropic":
        assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(("method", "path", "headers", "dialect"), PATHS)
async def test_a_key_is_asked_for_first(
    method: str, path: str, headers: dict[str, str], dialect: str, tmp_path: Any
) -> None:
    keys = tmp_path / "keys.json"
    add_key(keys, "laptop")
    async with running(keys_file=keys) as server:
        answer = await server.ask(method, path, headers=headers)
    assert answer.status == 401
    assert dialect_of(answer.json()) == dialect
    assert answer.header("www-authenticate")


@pytest.mark.parametrize(
    ("method", "path", "dialect", "allow"),
    [
        ("GET", "/v1/chat/completions", "openai", "POST, OPTIONS"),
        ("PUT", "/v1/models", "openai", "GET, HEAD, OPTIONS"),
        ("POST", "/v1/responses/x", "openai", "GET, HEAD, OPTIONS, DELETE"),
        ("DELETE", "/v1/messages", "anthropic", "POST, OPTIONS"),
        ("GET", "/v1beta/models/echo:generateContent", "gemini", "POST, OPTIONS"),
        ("GET", "/v1/models/echo:generateContent", "gemini", "POST, OPTIONS"),
        ("GET", "/api/generate", "ollama", "POST, OPTIONS"),
        ("POST", "/healthz", "ours", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_there(method: str, path: str, dialect: str, allow: str) -> None:
    async with running() as server:
        answer = await server.ask(method, path)
        options = await server.ask("OPTIONS", path)
    assert (answer.status, answer.header("allow")) == (405, allow)
    assert dialect_of(answer.json()) == dialect
    assert (options.status, options.header("allow"), options.body) == (200, allow, b"")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/x:countTokens", "/api/chat"])
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("image/png", 415),
        ("text/plain;charset=UTF-8", 400),
        ("application/vnd.api+json", 400),
        ("application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_body_of_another_type(path: str, content_type: str, status: int) -> None:
    async with running() as server:
        answer = await server.ask("POST", path, b"no JSON", headers={"Content-Type": content_type})
    assert answer.status == status
    assert answer.json()["error"]


MEANT = [
    ("POST", "/chat/completions", "/v1/chat/completions"),
    ("POST", "/responses", "/v1/responses"),
    ("POST", "/embeddings", "/v1/embeddings"),
    ("POST", "/messages", "/v1/messages"),
    ("GET", "/models", "/v1/models"),
    ("POST", "/v1/v1/chat/completions", "/v1/chat/completions"),
    ("POST", "/v1/v1/messages", "/v1/messages"),
    ("POST", "/v1/api/chat", "/api/chat"),
    ("GET", "/v1/models/", ""),
    ("GET", "/chat/completions", ""),
    ("POST", "/v1/{*model}", ""),
    ("GET", "/nothing", ""),
]


@pytest.mark.parametrize(("method", "path", "meant"), MEANT)
async def test_the_base_url_is_the_usual_mistake(method: str, path: str, meant: str) -> None:
    async with running() as server:
        answer = await server.ask(method, path)
    body = answer.json()
    said = body["error"] if isinstance(body["error"], str) else body["error"]["message"]
    assert answer.status == 404
    assert ("did you mean" in said) is bool(meant), said
    assert said.endswith(f"did you mean {meant}?" if meant else "Not found"), said
