"""Messages as Anthropic's servers send them.

Bytes after the streams in ``tests/data/recorded/anthropic_messages``.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT, Asked, Said, fill, text_of

URL_PATH = "/v1"
STREAM_TYPE = "text/event-stream; charset=utf-8"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"

_START = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    '"model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,'
    '"usage":{"input_tokens":«input»,"output_tokens":1}}}\n\n'
)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_BLOCK = 'event: content_block_start\ndata: {"type":"content_block_start","index":«index»,"content_block":«block»}\n\n'
_DELTA = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":«index»,"delta":«delta»}\n\n'
_STOP = 'event: content_block_stop\ndata: {"type":"content_block_stop","index":«index»}\n\n'
_END = (
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":«reason»,"stop_sequence":null},'
    '"usage":{"output_tokens":«output»}}\n\n'
)
_LAST = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_ERROR = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":«said»},"request_id":"req_1"}\n\n'
_WHOLE = (
    '{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":«blocks»,'
    '"stop_reason":«reason»,"stop_sequence":null,"usage":{"input_tokens":«input»,"output_tokens":«output»}}'
)
_REFUSAL = '{"type":"error","error":{"type":«kind»,"message":«said»},"request_id":"req_1"}'
_KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    blocks = [block for turn in body["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    said = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
    return Asked(
        scenario=body["model"],
        stream=body.get("stream", False),
        system=text_of(body.get("system", "")),
        text=text_of(said[-1]),
        images=[b64decode(block["source"]["data"]) for block in blocks if block["type"] == "image"],
        tools=[tool["name"] for tool in body.get("tools", ())],
        results={block["tool_use_id"]: text_of(block["content"]) for block in blocks if block["type"] == "tool_result"},
        made={block["id"]: block["name"] for block in blocks if block["type"] == "tool_use"},
        kept=any(block.get("signature") == SIGNATURE and block["thinking"] == "".join(THOUGHT) for block in blocks),
        schema=(body.get("output_config", {}).get("format") or {}).get("schema"),
    )


def stream(said: Said) -> Iterator[bytes]:
    """Write the events of a streamed answer."""
    yield fill(_START, input=INPUT_TOKENS)
    index = 0
    if said.thoughts:
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in said.thoughts]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        yield from _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
        index += 1
    if said.pieces:
        yield _PING
        deltas = [{"type": "text_delta", "text": piece} for piece in said.pieces]
        yield from _block(index, {"type": "text", "text": ""}, deltas, ends=not said.fault)
        index += 1
    for call in said.calls:
        written = json.dumps(call.arguments, ensure_ascii=False)
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", written[:6], written[6:])]
        yield from _block(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas)
        index += 1
    if said.fault == "error":
        yield fill(_ERROR, said=BROKEN)
    if not said.fault:
        yield fill(_END, reason="tool_use" if said.calls else "end_turn", output=OUTPUT_TOKENS)
        yield _LAST


def _block(index: int, block: Mapping[str, Any], deltas: list[dict[str, str]], *, ends: bool = True) -> Iterator[bytes]:
    yield fill(_BLOCK, index=index, block=block)
    for delta in deltas:
        yield fill(_DELTA, index=index, delta=delta)
    if ends:
        yield fill(_STOP, index=index)


def whole(said: Said) -> bytes:
    """Write a whole answer."""
    blocks: list[dict[str, Any]] = []
    if said.thoughts:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": SIGNATURE})
    if said.pieces:
        blocks.append({"type": "text", "text": said.text})
    blocks += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in said.calls]
    reason = "tool_use" if said.calls else "end_turn"
    return fill(_WHOLE, blocks=blocks, reason=reason, input=INPUT_TOKENS, output=OUTPUT_TOKENS)


def refuse(status: int, said: str) -> bytes:
    """Write a refusal."""
    return fill(_REFUSAL, kind=_KINDS[status], said=said)
