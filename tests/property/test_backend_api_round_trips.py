"""What the typed backend-api dialect writes it reads again: requests and streams."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from backstream.chunks import Content, Finish, PartEnd, RawResponse, Reasoning, Start, ToolCallDelta, Usage
from backstream.dialects.backend_api.dialect import BackendApiDialect
from backstream.dialects.base import Envelope
from backstream.reply import End, fold
from backstream.request import (
    MediaPart,
    ReasoningPart,
    Receipts,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.text("abcXYZ_-09", min_size=1, max_size=8)
marks = st.none() | st.just({"type": "ephemeral"})
opaque = st.just({}) | st.dictionaries(names, st.dictionaries(names, texts, max_size=1), min_size=1, max_size=1)
pieces = st.builds(TextPart, text=texts)
media = st.one_of(
    st.builds(
        MediaPart, kind=st.just("image"), url=names.map("https://h/{}".format), detail=st.none() | st.just("low")
    ),
    st.builds(
        MediaPart,
        kind=st.just("image"),
        media_type=st.sampled_from(["image/png", "image/jpeg"]),
        data=st.sampled_from(["QUJD", "QUI="]),
    ),
    st.builds(MediaPart, kind=st.just("audio"), media_type=st.just("audio/wav"), data=st.just("QUJD")),
    st.builds(MediaPart, kind=st.just("video"), url=names.map("https://h/{}".format)),
    st.builds(
        MediaPart,
        kind=st.just("document"),
        media_type=st.just("application/pdf"),
        data=st.just("QUJD"),
        filename=st.none() | names,
    ),
)
marked = st.builds(TextPart, text=texts, cache_control=marks, opaque=opaque)
thoughts = st.builds(ReasoningPart, text=texts, opaque=opaque)
calls = st.builds(ToolCallPart, id=names, name=names, arguments=texts, opaque=opaque)
turns = st.one_of(
    st.builds(Turn, role=st.just("system"), parts=st.lists(marked, min_size=1, max_size=2).map(tuple)),
    st.builds(Turn, role=st.just("user"), parts=st.lists(marked, min_size=1, max_size=2).map(tuple)),
    st.builds(Turn, role=st.just("user"), parts=st.lists(pieces | media, min_size=1, max_size=4).map(tuple)),
    st.builds(Turn, role=st.just("assistant"), parts=st.lists(thoughts | marked | calls, max_size=4).map(tuple)),
    st.builds(
        Turn,
        role=st.just("tool"),
        parts=st.builds(
            ToolResultPart, tool_call_id=names, content=st.lists(pieces | media, min_size=1, max_size=3).map(tuple)
        ).map(lambda part: (part,)),
    ),
)
requests = st.builds(
    Request,
    model=names,
    turns=st.lists(turns, max_size=4).map(tuple),
    tools=st.lists(st.builds(Tool, name=names, description=st.none() | texts, strict=st.none() | st.booleans())).map(
        tuple
    ),
    stream=st.booleans(),
    max_tokens=st.none() | st.integers(1, 9),
    stop=st.lists(texts, max_size=2).map(tuple),
    extra=st.dictionaries(st.sampled_from(["web_search", "aspect_ratio"]), texts | st.booleans()),
)


@given(requests)
def test_a_request_survives(request: Request) -> None:
    rendered = BackendApiDialect().render_request(request, Receipts())
    data = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in rendered.body)
    assert BackendApiDialect().parse_request(json.loads(data), rendered.path) == request


@st.composite
def answers(draw: Any) -> list[RawResponse]:
    chunks: list[RawResponse] = [Start(id="a1", model="m")]
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["text", "thought", "call"]))
        if kind == "call":
            text = draw(texts)
            cut = draw(st.integers(0, len(text)))
            chunks += [
                ToolCallDelta(part=number, id=f"c{number}", name="f", arguments=text[:cut]),
                ToolCallDelta(part=number, arguments=text[cut:]),
                PartEnd(part=number, kind="tool_call"),
            ]
        elif kind == "text":
            chunks.append(Content(content=draw(texts)))
        else:
            chunks.append(Reasoning(token=draw(texts)))
    return [*chunks, Usage(usage={"prompt_tokens": 1}), Finish(finish={"reason": draw(names)})]


@given(answers(), st.sampled_from(["sse", "jsonl"]), st.booleans())
def test_a_stream_survives(chunks: list[RawResponse], framing: Any, own_types: bool) -> None:
    dialect = BackendApiDialect(framing=framing, own_types=own_types)
    renderer = dialect.stream_renderer(Envelope(id="1", model="m", created=0))
    data = b"".join(renderer.render([chunk]) for chunk in [*chunks, End("complete")])
    block = dialect.parse_reply(data)
    assert block[-1] == End("complete", ("finish", "framed"))
    reply = fold(item for item in block if isinstance(item, RawResponse))
    meant = fold(chunks)
    assert msgspec.structs.replace(reply, id=meant.id, model=meant.model) == meant
    assert (reply.id, reply.model) == (("a1", "m") if own_types else (None, None))
