"""Clients of every dialect, as raw HTTP asks the gateway and reads its answers: what text came, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from backstream.registry.config import load_config
from backstream.registry.registry import Registry
from backstream.server import create_app
from backstream.server.app import Gateway
from backstream.server.configured import configured_settings
from backstream.testing.chaos import ChaosServer
from backstream.transport.pool import aclose_pools
from support_server import Answer, Running, running

__all__ = ["DOORS", "KINDS", "Door", "gateway_of", "serving_routes"]

HI: Final = [{"role": "user", "content": "Hi"}]
GEMINI: Final = {"contents": [{"parts": [{"text": "Hi"}]}]}
KINDS: Final = {
    "chat": ("openai_chat", "/v1"),
    "responses": ("openai_responses", "/v1"),
    "claude": ("anthropic_messages", "/v1"),
    "gem": ("gemini", "/v1beta"),
    "llama": ("ollama", ""),
    "g4f": ("backend_api", ""),
}
"""Back-ends, by the name they are configured under: dialect, and what stands before their paths."""


def _events(answer: Answer) -> list[dict[str, Any]]:
    lines = (line.removeprefix("data: ") for line in answer.body.decode().split("\n"))
    return [json.loads(line) for line in lines if line.startswith("{")]


def _openai_chat(answer: Answer) -> list[str]:
    choices = [choice for event in _events(answer) for choice in event.get("choices", [])]
    return [choice["delta"].get("content") or "" for choice in choices]


def _openai_responses(answer: Answer) -> list[str]:
    return [event["delta"] for event in _events(answer) if event.get("type") == "response.output_text.delta"]


def _anthropic(answer: Answer) -> list[str]:
    return [event["delta"].get("text", "") for event in _events(answer) if event.get("type") == "content_block_delta"]


def _of_gemini(events: list[dict[str, Any]]) -> list[str]:
    found = [candidate.get("content", {}) for event in events for candidate in event.get("candidates", [])]
    return [part.get("text", "") for content in found for part in content.get("parts", [])]


def _gemini(answer: Answer) -> list[str]:
    return _of_gemini(_events(answer))


def _gemini_array(answer: Answer) -> list[str]:
    return _of_gemini(json.loads(answer.body))


def _ollama(answer: Answer) -> list[str]:
    return [event["message"]["content"] for event in _events(answer) if "message" in event]


def _backend_api(answer: Answer) -> list[str]:
    return [event["content"] for event in _events(answer) if event.get("type") == "content"]


@dataclasses.dataclass(frozen=True)
class Door:
    """A way for clients to ask the gateway.

    Attributes:
        name: The client's dialect, and its framing where there are two.
        path: Where it asks; ``MODEL`` stands for the model where it is in the path.
        body: What it asks.
        texts: Reads the pieces of text.
        done: What stands in every answer that is told to be whole.
        told: What stands in every error inside a stream.
    """

    name: str
    path: str
    body: Mapping[str, Any]
    texts: Callable[[Answer], list[str]]
    done: bytes
    told: bytes

    async def ask(self, server: Running, model: str, headers: Mapping[str, str] | None = None) -> Answer:
        body = self.body if "MODEL" in self.path else {**self.body, "model": model}
        return await server.ask("POST", self.path.replace("MODEL", model), body, headers=headers or {})

    def text(self, answer: Answer) -> str:
        return "".join(self.texts(answer))

    def check_whole(self, answer: Answer, text: str) -> None:
        """Check that the client got this text, all of it once, and was told that it is whole."""
        assert (answer.status, answer.whole) == (200, True), answer.body[:300]
        assert self.text(answer) == text
        assert self.done in answer.body
        assert self.told not in answer.body

    def check_broken(self, answer: Answer, text: str) -> None:
        """Check that the client got this text, and was told once that it is not whole."""
        assert (answer.status, answer.whole) == (200, True), answer.body[:300]
        assert self.text(answer) == text
        assert self.done not in answer.body
        assert answer.body.count(self.told) == 1


_STREAM: Final = {"messages": HI, "stream": True}
DOORS: Final = (
    Door("openai_chat", "/v1/chat/completions", _STREAM, _openai_chat, b"data: [DONE]", b'data: {"error":'),
    Door(
        "openai_responses",
        "/v1/responses",
        {"input": "Hi", "stream": True},
        _openai_responses,
        b"event: response.completed",
        b"event: response.failed",
    ),
    Door(
        "anthropic_messages",
        "/v1/messages",
        {**_STREAM, "max_tokens": 99},
        _anthropic,
        b"event: message_stop",
        b"event: error",
    ),
    Door("gemini", "/v1beta/models/MODEL:streamGenerateContent?alt=sse", GEMINI, _gemini, b"finishReason", b'"error":'),
    Door(
        "gemini_array",
        "/v1beta/models/MODEL:streamGenerateContent",
        GEMINI,
        _gemini_array,
        b"finishReason",
        b'"error":',
    ),
    Door("ollama", "/api/chat", {"messages": HI}, _ollama, b'"done":true', b'{"error":'),
    Door(
        "backend_api",
        "/backend-api/v2/conversation",
        {"messages": HI},
        _backend_api,
        b'"type":"finish"',
        b'"type":"error"',
    ),
    Door(
        "backend_api_lines",
        "/jsonl/backend-api/v2/conversation",
        {"messages": HI},
        _backend_api,
        b'"type":"finish"',
        b'"type":"error"',
    ),
)


async def _nobody(rows: object) -> tuple[()]:
    """Find no server on this machine."""
    return ()


def gateway_of(
    folder: Path, chaos: ChaosServer, text: str, own: Mapping[str, str] | None = None, **settings: Any
) -> Gateway:
    """Make the gateway of a ``backstream.toml``: its routes, and a back-end of each dialect on a chaos server.

    Args:
        folder: Where to write the file.
        chaos: The server.
        text: What the file says.
        own: Further lines of single back-ends, by their names.
        **settings: What wins over the file.
    """
    tables = [
        f'[providers.{name}]\nurl = "{chaos.url}{path}"\ndialect = "{dialect}"\n{(own or {}).get(name, "")}\n'
        for name, (dialect, path) in KINDS.items()
    ]
    file = folder / "backstream.toml"
    file.write_text(text + "\n" + "\n".join(tables))
    config = load_config(file, environ={})
    registry = Registry(config, {"HOME": str(folder)}, table={}, probe=_nobody)
    app = create_app(
        None, configured_settings(config, {"keys_file": folder / "no-keys", **settings}), registry=registry
    )
    app.back_ends.random = lambda: 0.0  # type: ignore[attr-defined] # no waits but those that a back-end asks for
    return app


@contextlib.asynccontextmanager
async def serving_routes(
    folder: Path, text: str, own: Mapping[str, str] | None = None, **settings: Any
) -> AsyncIterator[tuple[Running, ChaosServer, Gateway]]:
    """Run the gateway of a ``backstream.toml`` before a chaos server."""
    async with ChaosServer(pace_seconds=0.02) as chaos:
        app = gateway_of(folder, chaos, text, own, **settings)
        async with running(app=app) as server:
            yield server, chaos, app
            await aclose_pools()
            async with asyncio.timeout(20):  # a guard against hanging, not a measure
                while chaos.connections:  # every answer that was left is closed there too
                    await asyncio.sleep(0.01)
