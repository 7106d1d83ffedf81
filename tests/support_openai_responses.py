"""What the tests of the ``openai_responses`` dialect share: whole streams through a parser, schemas, bodies as sent."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from backstream.chunks import Content, Logprobs, RawResponse, Reasoning, Refusal, ToolCallDelta
from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses import OpenAIResponses
from backstream.options import CallOptions
from backstream.reply import Block, End, Reply, fold
from backstream.request import Receipts, Request

NAME = "openai_responses"
DATA = Path(__file__).parent / "data"
RECORDED = DATA / "recorded" / NAME
AIMOCK = DATA / "recorded" / "aimock" / NAME
ENVELOPE = Envelope(id="7", model="asked", created=1763800000)
DIALECT = OpenAIResponses()
# Some alternatives of the description overlap (a message of a user fits two), which ``oneOf`` forbids.
SPEC = json.loads((DATA / "openapi" / "openai_responses.json").read_text().replace('"oneOf"', '"anyOf"'))

_PIECES = {Content: "content", Reasoning: "token", Refusal: "refusal", ToolCallDelta: "arguments"}


@functools.cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})


def problems(schema: str, value: object) -> list[str]:
    """What is wrong with a value by a schema of the vendor's description."""
    return [f"{error.json_path}: {error.message[:200]}" for error in _validator(schema).iter_errors(value)]


def event(kind: str, **members: Any) -> bytes:
    """One event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def events(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each with its name checked."""
    found = []
    for text in stream.decode().split("\n\n")[:-1]:
        name, _, data = text.partition("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def parse(pieces: Iterable[bytes], *, framed: bool = True, **caps: int) -> Block:
    """Every item that a parser gives for a stream."""
    parser = DIALECT.stream_parser(CallOptions(**caps))
    block = [item for piece in pieces for item in parser.feed(piece)]
    return block + parser.finish(framed=framed)


def joined(block: Iterable[object]) -> list[Any]:
    """Items, with the pieces of one part joined where they are neighbours; ends by what can be compared."""
    whole: list[Any] = []
    for item in block:
        last = whole[-1] if whole else None
        member = _PIECES.get(type(item))
        if isinstance(item, End):
            whole.append((item.state, item.evidence, type(item.error).__name__))
        elif member and type(last) is type(item) and last.part == item.part and not getattr(item, "id", None):
            text = (getattr(last, member) or "") + (getattr(item, member) or "")
            whole[-1] = msgspec.structs.replace(last, **{member: text})
        elif isinstance(item, Logprobs) and isinstance(last, Logprobs) and last.part == item.part:
            whole[-1] = msgspec.structs.replace(last, logprobs=[*(last.logprobs or ()), *(item.logprobs or ())])
        else:
            whole.append(item)
    return whole


def folded(block: Iterable[object]) -> Reply:
    """The reply that the chunks of a block add up to."""
    return fold(chunk for chunk in block if isinstance(chunk, RawResponse))


def render(block: Block, envelope: Envelope = ENVELOPE) -> bytes:
    """A block as a stream, chunk by chunk."""
    renderer = DIALECT.stream_renderer(envelope)
    return b"".join(renderer.render([item]) for item in block)


def body_of(rendered: Any) -> dict[str, Any]:
    """The members of a rendered request."""
    text = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in rendered.body)
    members: dict[str, Any] = json.loads(text)
    return members


def sent(request: Request) -> dict[str, Any]:
    """The members of a request as it is sent."""
    return body_of(DIALECT.render_request(request, Receipts()))


def receipts_of(request: Request) -> dict[str, tuple[str, str | None]]:
    """What became of each thing asked for: outcome and place."""
    receipts = Receipts()
    DIALECT.render_request(request, receipts)
    return {receipt.what: (receipt.outcome, receipt.to) for receipt in receipts}


def read(members: Mapping[str, Any]) -> Request:
    """A client's request, as it is understood."""
    return DIALECT.parse_request(members)
