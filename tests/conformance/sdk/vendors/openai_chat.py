"""Chat completions as OpenAI's servers send them; reasoning as DeepSeek's do.

Bytes after the streams in ``tests/data/recorded/openai_chat``.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT, Asked, Said, fill, text_of

URL_PATH = "/v1"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_EVENT = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763800000,"model":"gpt-5.4","choices":['
    '{"index":0,"delta":«delta»,"finish_reason":«finish»,"logprobs":null}],"service_tier":"default",'
    '"system_fingerprint":"fp_1","usage":null,"obfuscation":"Xy"}\n\n'
)
_USAGE_MEMBERS = (
    '{"prompt_tokens":«input»,"completion_tokens":«output»,"total_tokens":«total»,"prompt_tokens_details":'
    '{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
_USAGE = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763800000,"model":"gpt-5.4","service_tier":'
    '"default","system_fingerprint":"fp_1","choices":[],"usage":' + _USAGE_MEMBERS + ',"obfuscation":""}\n\n'
)
_WHOLE = (
    '{\n  "id": "chatcmpl-1",\n  "object": "chat.completion",\n  "created": 1763800000,\n  "model": "gpt-5.4",\n'
    '  "choices": [{"index": 0, "message": «message», "logprobs": null, "finish_reason": «finish»}],\n'
    '  "usage": ' + _USAGE_MEMBERS + ',\n  "service_tier": "default"\n}\n'
)
_ERRORS = {
    400: '{"error":{"message":«said»,"type":"invalid_request_error","param":"messages","code":null}}',
    401: '{"error":{"message":«said»,"type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
    404: '{"error":{"message":«said»,"type":"invalid_request_error","param":null,"code":"model_not_found"}}',
    429: '{"error":{"message":«said»,"type":"requests","param":null,"code":"rate_limit_exceeded"}}',
}
_COUNTS = {"input": INPUT_TOKENS, "output": OUTPUT_TOKENS, "total": INPUT_TOKENS + OUTPUT_TOKENS}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    parts = [part for message in body["messages"] for part in _parts(message)]
    said = [message for message in body["messages"] if message["role"] == "user"]
    form = body.get("response_format") or {}
    return Asked(
        scenario=body["model"],
        stream=body.get("stream", False),
        system="".join(
            text_of(each["content"]) for each in body["messages"] if each["role"] in ("system", "developer")
        ),
        text=text_of(said[-1]["content"]),
        images=[b64decode(part["image_url"]["url"].partition(",")[2]) for part in parts if part["type"] == "image_url"],
        tools=[tool["function"]["name"] for tool in body.get("tools", ())],
        results={each["tool_call_id"]: text_of(each["content"]) for each in body["messages"] if each["role"] == "tool"},
        made={
            call["id"]: call["function"]["name"] for each in body["messages"] for call in each.get("tool_calls") or ()
        },
        kept=any(message.get("reasoning_content") == "".join(THOUGHT) for message in body["messages"]),
        schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
    )


def _parts(message: Mapping[str, Any]) -> list[Any]:
    return message["content"] if isinstance(message.get("content"), list) else []


def stream(said: Said) -> Iterator[bytes]:
    """Write the events of a streamed answer."""
    yield fill(_EVENT, delta={"role": "assistant", "content": "", "refusal": None}, finish=None)
    for thought in said.thoughts:
        yield fill(_EVENT, delta={"content": None, "reasoning_content": thought}, finish=None)
    for piece in said.pieces:
        yield fill(_EVENT, delta={"content": piece}, finish=None)
    for index, call in enumerate(said.calls):
        function: dict[str, Any] = {"name": call.name, "arguments": ""}
        start = {"index": index, "id": call.id, "type": "function", "function": function}
        yield fill(_EVENT, delta={"tool_calls": [start]}, finish=None)
        written = json.dumps(call.arguments, ensure_ascii=False)
        for part in (written[:6], written[6:]):
            yield fill(_EVENT, delta={"tool_calls": [{"index": index, "function": {"arguments": part}}]}, finish=None)
    if said.fault == "error":
        yield fill('data: {"error":{"message":«said»,"type":"server_error","param":null,"code":null}}\n\n', said=BROKEN)
    if said.fault:
        return
    yield fill(_EVENT, delta={}, finish="tool_calls" if said.calls else "stop")
    yield fill(_USAGE, **_COUNTS)
    yield b"data: [DONE]\n\n"


def whole(said: Said) -> bytes:
    """Write a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None, "annotations": []}
    if said.thoughts:
        message["reasoning_content"] = said.thought
    if said.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in said.calls
        ]
    return fill(_WHOLE, message=message, finish="tool_calls" if said.calls else "stop", **_COUNTS)


def refuse(status: int, said: str) -> bytes:
    """Write a refusal."""
    return fill(_ERRORS[status], said=said)
