"""Requests that ask a provider, one for each route: streams, and whole answers."""

from __future__ import annotations

from typing import Any, Final

from support_server import CONVERSATION, HELLO

__all__ = ["STREAMS", "WHOLE"]

MESSAGES: Final = [{"role": "user", "content": "Hi"}]
GEMINI: Final = {"contents": [{"parts": [{"text": "Hi"}]}]}
STREAMS: Final[list[tuple[str, Any]]] = [
    (CONVERSATION, HELLO),
    ("/jsonl" + CONVERSATION, HELLO),
    ("/v1/chat/completions", {"model": "", "messages": MESSAGES, "stream": True}),
    ("/v1/responses", {"model": "", "input": "Hi", "stream": True}),
    ("/v1/messages", {"model": "one", "messages": MESSAGES, "max_tokens": 9, "stream": True}),
    ("/v1beta/models/one:streamGenerateContent?alt=sse", GEMINI),
    ("/v1beta/models/one:streamGenerateContent", GEMINI),
    ("/api/chat", {"model": "one", "messages": MESSAGES}),
    ("/api/generate", {"model": "one", "prompt": "Hi"}),
]
WHOLE: Final[list[tuple[str, Any]]] = [
    ("/v1/chat/completions", {"model": "", "messages": MESSAGES}),
    ("/v1/responses", {"model": "", "input": "Hi"}),
    ("/v1/messages", {"model": "one", "messages": MESSAGES, "max_tokens": 9}),
    ("/v1beta/models/one:generateContent", GEMINI),
    ("/api/chat", {"model": "one", "messages": MESSAGES, "stream": False}),
    ("/api/generate", {"model": "one", "prompt": "Hi", "stream": False}),
]
