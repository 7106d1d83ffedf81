"""Chats as Ollama's server sends them.

Bytes after the answers in ``tests/data/recorded/ollama``.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT, Asked, Said, fill

URL_PATH = ""
STREAM_TYPE = "application/x-ndjson"

_LINE = '{"model":"llama3.2","created_at":"2025-11-22T08:52:19.385406455Z","message":«message»,"done":false}\n'
_COUNTS = (
    '"done_reason":"stop","done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":«input»,'
    '"prompt_eval_duration":342546000,"eval_count":«output»,"eval_duration":4535599000}\n'
)
_WHOLE = '{"model":"llama3.2","created_at":"2025-11-22T08:52:20.499127Z","message":«message»,' + _COUNTS
_END = {"role": "assistant", "content": ""}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    turns = body["messages"]
    form = body.get("format")
    return Asked(
        scenario=body["model"],
        stream=body.get("stream", True),
        system="".join(turn["content"] for turn in turns if turn["role"] == "system"),
        text=[turn["content"] for turn in turns if turn["role"] == "user"][-1],
        images=[b64decode(image) for turn in turns for image in turn.get("images") or ()],
        tools=[tool["function"]["name"] for tool in body.get("tools", ())],
        results={turn["tool_name"]: turn["content"] for turn in turns if turn["role"] == "tool"},
        kept=any(turn.get("thinking") == "".join(THOUGHT) for turn in turns),
        schema=form if isinstance(form, dict) else None,
    )


def stream(said: Said) -> Iterator[bytes]:
    """Write the lines of a streamed answer."""
    for thought in said.thoughts:
        yield fill(_LINE, message={"role": "assistant", "content": "", "thinking": thought})
    for piece in said.pieces:
        yield fill(_LINE, message={"role": "assistant", "content": piece})
    for call in _calls(said):
        yield fill(_LINE, message={"role": "assistant", "content": "", "tool_calls": [call]})
    if said.fault == "error":
        yield fill('{"error":«said»}\n', said=BROKEN)
    if not said.fault:
        yield fill(_WHOLE, message=_END, input=INPUT_TOKENS, output=OUTPUT_TOKENS)


def _calls(said: Said) -> list[dict[str, Any]]:
    return [{"function": {"name": call.name, "arguments": call.arguments}} for call in said.calls]


def whole(said: Said) -> bytes:
    """Write a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.thoughts:
        message["thinking"] = said.thought
    if said.calls:
        message["tool_calls"] = _calls(said)
    return fill(_WHOLE, message=message, input=INPUT_TOKENS, output=OUTPUT_TOKENS)


def refuse(status: int, said: str) -> bytes:
    """Write a refusal."""
    return fill('{"error":«said»}', said=said)
