"""The Responses API as OpenAI's servers send it.

Bytes after the streams in ``tests/data/recorded/openai_responses``.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, Asked, Call, Said, fill, text_of

URL_PATH = "/v1"
STREAM_TYPE = "text/event-stream; charset=utf-8"
ENCRYPTED = "gAAAAABencrypted1"

_RESPONSE = (
    '{"id":"resp_1","object":"response","created_at":1763800000,"status":«status»,"background":false,"error":«error»,'
    '"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"gpt-5.4",'
    '"output":«items»,"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":"medium","summary":'
    '"auto"},"service_tier":"auto","store":true,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"}'
    ',"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":«usage»,"user":null,'
    '"metadata":{}}'
)
_AROUND = 'event: «!type»\ndata: {"type":«type»,"sequence_number":«number»,"response":' + _RESPONSE + "}\n\n"
_ITEM = 'event: «!type»\ndata: {"type":«type»,"sequence_number":«number»,"output_index":«index»,"item":«item»}\n\n'
_INSIDE = 'event: «!type»\ndata: {"type":«type»,"sequence_number":«number»,"item_id":«id»,"output_index":«index»,'
_SUMMARY_PART = _INSIDE + '"summary_index":0,"part":«part»}\n\n'
_SUMMARY_DELTA = _INSIDE + '"summary_index":0,"delta":«delta»,"obfuscation":"Zz9"}\n\n'
_SUMMARY_TEXT = _INSIDE + '"summary_index":0,"text":«text»}\n\n'
_PART = _INSIDE + '"content_index":0,"part":«part»}\n\n'
_TEXT_DELTA = _INSIDE + '"content_index":0,"delta":«delta»,"logprobs":[],"obfuscation":""}\n\n'
_TEXT = _INSIDE + '"content_index":0,"text":«text»,"logprobs":[]}\n\n'
_ARGUMENTS_DELTA = _INSIDE + '"delta":«delta»,"obfuscation":"aB"}\n\n'
_ARGUMENTS = _INSIDE + '"arguments":«arguments»}\n\n'
_ERROR = (
    'event: error\ndata: {"type":"error","sequence_number":«number»,"code":"server_error","message":«said»,'
    '"param":null}\n\n'
)
_REFUSALS = {
    400: '{"error":{"message":«said»,"type":"invalid_request_error","param":"input","code":null}}',
    401: '{"error":{"message":«said»,"type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
    404: '{"error":{"message":«said»,"type":"invalid_request_error","param":"model","code":"model_not_found"}}',
    429: '{"error":{"message":«said»,"type":"requests","param":null,"code":"rate_limit_exceeded"}}',
}
_USAGE = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    given = body["input"]
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    turns = [item for item in items if item.get("type", "message") == "message"]
    parts = [part for turn in turns if isinstance(turn["content"], list) for part in turn["content"]]
    system = [text_of(turn["content"]) for turn in turns if turn["role"] in ("system", "developer")]
    form = body.get("text", {}).get("format", {})
    return Asked(
        scenario=body["model"],
        stream=body.get("stream", False),
        system="".join([body.get("instructions") or "", *system]),
        text=next((text_of(turn["content"]) for turn in reversed(turns) if turn["role"] == "user"), ""),
        images=[b64decode(part["image_url"].partition(",")[2]) for part in parts if part["type"] == "input_image"],
        tools=[tool["name"] for tool in body.get("tools", ())],
        results={each["call_id"]: text_of(each["output"]) for each in items if each["type"] == "function_call_output"},
        made={each["call_id"]: each["name"] for each in items if each["type"] == "function_call"},
        kept=any(each.get("encrypted_content") == ENCRYPTED and each["id"] == "rs_1" for each in items),
        schema=form.get("schema"),
    )


def _item_of(call: Call, index: int, status: str = "completed", arguments: str | None = None) -> dict[str, Any]:
    said = json.dumps(call.arguments, ensure_ascii=False) if arguments is None else arguments
    known = {"type": "function_call", "status": status, "arguments": said, "call_id": call.id, "name": call.name}
    return {"id": f"fc_{index}", **known}


def _reasoning(said: Said) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": said.thought}]
    return {"id": "rs_1", "type": "reasoning", "encrypted_content": ENCRYPTED, "summary": summary}


def _message(said: Said) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}
    return {"id": "msg_1", "type": "message", "status": "completed", "content": [part], "role": "assistant"}


def _items(said: Said) -> list[Any]:
    items = [_reasoning(said)] if said.thoughts else []
    items += [_message(said)] if said.pieces else []
    return [*items, *(_item_of(call, index) for index, call in enumerate(said.calls))]


class _Writer:
    """Numbers the events."""

    def __init__(self) -> None:
        self._number = -1

    def event(self, template: str, kind: str = "", **values: Any) -> bytes:
        self._number += 1
        return fill(template.replace("«!type»", kind), type=kind, number=self._number, **values)

    def around(self, kind: str, status: str, **values: Any) -> bytes:
        known = {"error": None, "items": [], "usage": None, **values}
        return self.event(_AROUND, f"response.{kind}", status=status, **known)


def stream(said: Said) -> Iterator[bytes]:
    """Write the events of a streamed answer."""
    writer = _Writer()
    yield writer.around("created", "in_progress")
    yield writer.around("in_progress", "in_progress")
    index = 0
    if said.thoughts:
        yield from _stream_reasoning(writer, said)
        index = 1
    if said.pieces:
        yield from _stream_message(writer, said, index)
        index += 1
    for number, call in enumerate(said.calls):
        yield from _stream_call(writer, call, number, index + number)
    if said.fault == "error":
        yield writer.event(_ERROR, said=BROKEN)
        yield writer.around("failed", "failed", error={"code": "server_error", "message": BROKEN})
    if not said.fault:
        yield writer.around("completed", "completed", items=_items(said), usage=_USAGE)


def _stream_reasoning(writer: _Writer, said: Said) -> Iterator[bytes]:
    known = {"id": "rs_1", "index": 0}
    item = {"id": "rs_1", "type": "reasoning", "encrypted_content": ENCRYPTED, "summary": []}
    yield writer.event(_ITEM, "response.output_item.added", index=0, item=item)
    part = {"type": "summary_text", "text": ""}
    yield writer.event(_SUMMARY_PART, "response.reasoning_summary_part.added", part=part, **known)
    for thought in said.thoughts:
        yield writer.event(_SUMMARY_DELTA, "response.reasoning_summary_text.delta", delta=thought, **known)
    yield writer.event(_SUMMARY_TEXT, "response.reasoning_summary_text.done", text=said.thought, **known)
    part = {"type": "summary_text", "text": said.thought}
    yield writer.event(_SUMMARY_PART, "response.reasoning_summary_part.done", part=part, **known)
    yield writer.event(_ITEM, "response.output_item.done", index=0, item=_reasoning(said))


def _stream_message(writer: _Writer, said: Said, index: int) -> Iterator[bytes]:
    known = {"id": "msg_1", "index": index}
    item = {"id": "msg_1", "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
    yield writer.event(_ITEM, "response.output_item.added", index=index, item=item)
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    yield writer.event(_PART, "response.content_part.added", part=part, **known)
    for piece in said.pieces:
        yield writer.event(_TEXT_DELTA, "response.output_text.delta", delta=piece, **known)
    if said.fault:
        return
    yield writer.event(_TEXT, "response.output_text.done", text=said.text, **known)
    yield writer.event(_PART, "response.content_part.done", part={**part, "text": said.text}, **known)
    yield writer.event(_ITEM, "response.output_item.done", index=index, item=_message(said))


def _stream_call(writer: _Writer, call: Call, number: int, index: int) -> Iterator[bytes]:
    known = {"id": f"fc_{number}", "index": index}
    started = _item_of(call, number, "in_progress", "")
    yield writer.event(_ITEM, "response.output_item.added", index=index, item=started)
    written = json.dumps(call.arguments, ensure_ascii=False)
    for part in (written[:6], written[6:]):
        yield writer.event(_ARGUMENTS_DELTA, "response.function_call_arguments.delta", delta=part, **known)
    yield writer.event(_ARGUMENTS, "response.function_call_arguments.done", arguments=written, **known)
    yield writer.event(_ITEM, "response.output_item.done", index=index, item=_item_of(call, number))


def whole(said: Said) -> bytes:
    """Write a whole answer."""
    return fill(_RESPONSE, status="completed", error=None, items=_items(said), usage=_USAGE)


def refuse(status: int, said: str) -> bytes:
    """Write a refusal."""
    return fill(_REFUSALS[status], said=said)
