"""What tests of the ``ollama`` dialect share: whole streams through a parser, bodies checked by Ollama's schemas."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from backstream.chunks import RawResponse
from backstream.dialects.base import Envelope
from backstream.dialects.ollama import Ollama
from backstream.options import CallOptions
from backstream.reply import Block, End, Reply, fold
from backstream.request import Receipts, Request

DATA = Path(__file__).parent / "data"
RECORDED = DATA / "recorded" / "ollama"
AIMOCK = DATA / "recorded" / "aimock" / "ollama"
ENVELOPE = Envelope(id="7", model="asked", created=1763800000)
HEAD = {"model": "asked", "created_at": "2025-11-22T08:26:40Z"}
OLLAMA = Ollama()


@cache
def validator(name: str) -> Draft202012Validator:
    spec = json.loads((DATA / "openapi" / "ollama.json").read_text())
    return Draft202012Validator({**spec, "$ref": f"#/components/schemas/{name}"})


def check(name: str, value: object) -> None:
    """Hold a value to a schema of Ollama's."""
    validator(name).validate(value)


def lines(*objects: object) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in objects).encode()


def said(content: str = "", **members: Any) -> dict[str, Any]:
    """One line of a stream; members of its message."""
    message = {"role": "assistant", "content": content, **members}
    return {"model": "m", "created_at": "2025-11-22T08:26:40Z", "message": message, "done": False}


DONE = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}


def parse(pieces: Iterable[bytes], *, framed: bool = True, dialect: Ollama = OLLAMA, **caps: int) -> Block:
    parser = dialect.stream_parser(CallOptions(**caps))
    block = [item for piece in pieces for item in parser.feed(piece)]
    return block + parser.finish(framed=framed)


def chunks_of(block: Block) -> list[RawResponse]:
    return [item for item in block if isinstance(item, RawResponse)]


def whole(block: Block) -> Reply:
    return fold(chunks_of(block))


def end_of(block: Block) -> End:
    end = block[-1]
    assert isinstance(end, End)
    assert sum(isinstance(item, End) for item in block) == 1
    return end


def rendered(request: Request) -> tuple[dict[str, Any], list[str]]:
    """The body of a request, held to Ollama's schema, and its receipts."""
    receipts = Receipts()
    result = OLLAMA.render_request(request, receipts)
    assert result.path == "/api/chat"
    data = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in result.body)
    body = json.loads(data)
    check("ChatRequest", body)
    return body, [str(receipt) for receipt in receipts]


def sent(request: Request) -> dict[str, Any]:
    return rendered(request)[0]


def streamed(*chunks: RawResponse | End) -> list[dict[str, Any]]:
    """The lines of a rendered stream, held to Ollama's schema."""
    data = OLLAMA.stream_renderer(ENVELOPE).render([*chunks, *[End("complete")] * (not _ends(chunks))])
    events = [json.loads(line) for line in data.splitlines()]
    for event in events:
        check("ErrorResponse" if "error" in event else "ChatResponse" if event["done"] else "ChatStreamEvent", event)
    return events


def _ends(chunks: tuple[RawResponse | End, ...]) -> bool:
    return bool(chunks) and isinstance(chunks[-1], End)
