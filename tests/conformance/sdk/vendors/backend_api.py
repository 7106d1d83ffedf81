"""Conversations as servers of the backend-api protocol send them, framed as since g4f 6.7.5.

Bytes after the captures in ``tests/data/backend-api-captures/8.8.6``; such a server refuses by events.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, Asked, Said, fill, text_of

URL_PATH = ""
STREAM_TYPE = "text/event-stream"

_PROVIDER = (
    "event: provider\n"
    'data: {"type": "provider", "provider": {"name": "Lab", "url": "http://127.0.0.1:9/lab", "label": "Lab", '
    '"model": "lab"}}\n\n'
)
_REASONING = 'event: reasoning\ndata: {"type": "reasoning", "token": «said»}\n\n'
_CONTENT = 'event: content\ndata: {"type": "content", "content": «said»}\n\n'
_CALLS = 'event: tool_calls\ndata: {"type": "tool_calls", "tool_calls": «calls»}\n\n'
_FINISH = 'event: finish\ndata: {"type": "finish", "finish": {"reason": «reason»}}\n\n'
_USAGE = (
    'event: usage\ndata: {"type": "usage", "usage": {"prompt_tokens": «input», "completion_tokens": «output», '
    '"total_tokens": «total»}}\n\n'
)
_ERROR = 'event: error\ndata: {"type": "error", "error": "RuntimeError", "message": «said»}\n\n'
_REFUSALS = {
    400: '{"error": {"message": «said»}}',
    401: 'event: auth\ndata: {"type": "auth", "auth": "MissingAuthError", "message": «said»}\n\n',
    404: 'event: error\ndata: {"type": "error", "error": "ModelNotFoundError", "message": «said»}\n\n',
    429: 'event: error\ndata: {"type": "error", "error": "RateLimitError", "message": «said»}\n\n',
}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    turns = body["messages"]
    parts = [part for turn in turns if isinstance(turn["content"], list) for part in turn["content"]]
    uris = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    uris += [uri for uri, _ in body.get("media") or ()]
    form = body.get("response_format") or {}
    return Asked(
        scenario=body["model"],
        stream=True,
        system="".join(text_of(turn["content"]) for turn in turns if turn["role"] in ("system", "developer")),
        text=[text_of(turn["content"]) for turn in turns if turn["role"] == "user"][-1],
        images=[b64decode(uri.partition(",")[2]) for uri in uris],
        tools=[tool["function"]["name"] for tool in body.get("tools", ())],
        results={turn["tool_call_id"]: text_of(turn["content"]) for turn in turns if turn["role"] == "tool"},
        made={call["id"]: call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or ()},
        schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
    )


def stream(said: Said) -> Iterator[bytes]:
    """Write the events of an answer."""
    yield _PROVIDER.encode()
    for thought in said.thoughts:
        yield fill(_REASONING, said=thought)
    for piece in said.pieces:
        yield fill(_CONTENT, said=piece)
    if said.calls:
        yield fill(_CALLS, calls=[_call(each.id, each.name, each.arguments) for each in said.calls])
    if said.fault == "error":
        yield fill(_ERROR, said=BROKEN)
    if not said.fault:
        yield fill(_FINISH, reason="tool_calls" if said.calls else "stop")
        yield fill(_USAGE, input=INPUT_TOKENS, output=OUTPUT_TOKENS, total=INPUT_TOKENS + OUTPUT_TOKENS)


def _call(name_id: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def refuse(status: int, said: str) -> bytes:
    """Write a refusal; but for malformed requests it is an event, and the status is 200."""
    return (b"" if status == 400 else _PROVIDER.encode()) + fill(_REFUSALS[status], said=said)


def refusal_status(status: int) -> int:
    """Return the status that comes with a refusal."""
    return 400 if status == 400 else 200
