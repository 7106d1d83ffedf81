"""What the tests of the ``openai_chat`` dialect share: whole streams through a parser, bodies as they are sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from backstream.chunks import Content, RawResponse, Reasoning, Refusal, ToolCallDelta
from backstream.dialects.base import Envelope
from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.request import Receipts, Request

DATA = Path(__file__).parent / "data"
RECORDED = DATA / "recorded" / "openai_chat"
AIMOCK = DATA / "recorded" / "aimock" / "openai_chat"
PLAIN = Quirks()
ENVELOPE = Envelope(id="7", model="asked", created=1763800000)


def sse(*events: object, done: bool = True) -> bytes:
    """A stream of events; text stands as it is."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in (*texts, *["[DONE]"] * done)).encode()


def chunk(delta: object, reason: str | None = None, **members: Any) -> dict[str, Any]:
    """One event with one choice."""
    return {"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **members}


def parse(pieces: Iterable[bytes], quirks: Quirks = PLAIN, *, framed: bool = True, **caps: int) -> Block:
    """Every item that a parser gives for a stream."""
    parser = OpenAIChat(quirks).stream_parser(CallOptions(**caps))
    block = [item for piece in pieces for item in parser.feed(piece)]
    return block + parser.finish(framed=framed)


def joined(block: Iterable[object]) -> list[Any]:
    """Items, with the texts of neighbours of one kind joined; ends by what can be compared."""
    whole: list[Any] = []
    for item in block:
        last = whole[-1] if whole else None
        if isinstance(item, End):
            whole.append((item.state, item.evidence, type(item.error).__name__))
        elif isinstance(item, Content) and isinstance(last, Content):
            whole[-1] = msgspec.structs.replace(last, content=last.text + item.text)
        elif isinstance(item, Reasoning) and isinstance(last, Reasoning):
            whole[-1] = msgspec.structs.replace(last, token=(last.token or "") + (item.token or ""))
        elif isinstance(item, Refusal) and isinstance(last, Refusal):
            whole[-1] = msgspec.structs.replace(last, refusal=(last.refusal or "") + (item.refusal or ""))
        elif isinstance(item, ToolCallDelta) and isinstance(last, ToolCallDelta) and last.part == item.part:
            arguments = (last.arguments or "") + (item.arguments or "")
            whole[-1] = msgspec.structs.replace(
                last, id=last.id or item.id, name=last.name or item.name, arguments=arguments or None
            )
        else:
            whole.append(item)
    return whole


def sent(request: Request, quirks: Quirks = PLAIN) -> dict[str, Any]:
    """The body of a request, as the back-end reads it."""
    return rendered(request, quirks)[0]


def rendered(request: Request, quirks: Quirks = PLAIN) -> tuple[dict[str, Any], list[str]]:
    """The body of a request, and its receipts."""
    receipts = Receipts()
    result = OpenAIChat(quirks).render_request(request, receipts)
    assert result.path == "/chat/completions"
    data = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in result.body)
    body = json.loads(data)
    assert isinstance(body, dict)
    return body, [str(receipt) for receipt in receipts]


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream of ours; it must be one ``data`` line each, and end with ``[DONE]`` unless it failed."""
    assert stream.endswith(b"\n\n")
    datas = [event.removeprefix(b"data: ") for event in stream[:-2].split(b"\n\n")]
    events = [json.loads(data) for data in datas if data != b"[DONE]"]
    assert (datas[-1] == b"[DONE]") == ("error" not in events[-1])
    assert b"[DONE]" not in datas[:-1]
    return events


def render(block: list[RawResponse | End], envelope: Envelope = ENVELOPE, quirks: Quirks = PLAIN) -> bytes:
    """A stream of ours."""
    return OpenAIChat(quirks).stream_renderer(envelope).render(block)


@cache
def _schemas() -> dict[str, Any]:
    whole = json.loads((DATA / "openapi" / "openai_chat.json").read_text())
    fixed: dict[str, Any] = _allow_null(whole["components"]["schemas"])
    return fixed


def _allow_null(schema: Any) -> Any:
    """Say ``nullable``, which the description still uses, in the words of JSON schema."""
    if isinstance(schema, list):
        return [_allow_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _allow_null(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") is True else inner


def check_schema(value: object, name: str) -> None:
    """Hold a value to a schema of OpenAI's description; a member it does not list is allowed there too."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _schemas()}}
    problems = list(Draft202012Validator(schema).iter_errors(value))
    assert not problems, "\n".join(f"{problem.json_path}: {problem.message[:300]}" for problem in problems)
