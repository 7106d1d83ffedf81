"""Lossless turns: what two dialects can both say survives the way from one into the other and back, for every pair."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.chunks import Content, Finish, RawResponse, Reasoning, Start, ToolCallDelta, Usage
from backstream.dialects.base import Dialect, Envelope
from backstream.dialects.names import DIALECTS, dialect_for
from backstream.reply import End, Reply
from backstream.request import (
    MediaPart,
    Receipts,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from backstream.testing.dialects import parse_stream

PAIRS = [(one, other) for one in DIALECTS for other in DIALECTS]
WITHOUT_IDS = {"ollama"}  # of tool calls
WITHOUT = {  # parameters a dialect has no words for
    "openai_responses": {"stop", "seed"},
    "anthropic_messages": {"seed"},
}

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip()) and "<think>" not in text
)
arguments = st.dictionaries(st.sampled_from(["city", "unit", "days"]), st.one_of(texts, st.integers(0, 99)), max_size=3)
images = st.binary(min_size=3, max_size=30).map(
    lambda data: MediaPart(kind="image", media_type="image/png", data=msgspec.json.encode(data).decode().strip('"'))
)


@st.composite
def exchanges(draw: Any) -> tuple[Turn, ...]:
    """A user's turn and the answer to it, perhaps with a call of a tool in between."""
    media = draw(st.lists(images, max_size=1))
    turns = [Turn(role="user", parts=(TextPart(text=draw(texts)), *media))]
    if draw(st.booleans()):
        number = draw(st.integers(0, 10**6))
        call = ToolCallPart(
            id=f"call_{number}", name="weather", arguments=msgspec.json.encode(draw(arguments)).decode()
        )
        result = ToolResultPart(tool_call_id=call.id, name=call.name, content=(TextPart(text=draw(texts)),))
        turns += [Turn(role="assistant", parts=(call,)), Turn(role="tool", parts=(result,))]
    turns.append(Turn(role="assistant", parts=(TextPart(text=draw(texts)),)))
    return tuple(turns)


@st.composite
def requests(draw: Any) -> Request:
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn(role="system", parts=(TextPart(text=draw(texts)),)))
    for exchange in draw(st.lists(exchanges(), max_size=2)):
        turns += exchange
    turns.append(Turn(role="user", parts=(TextPart(text=draw(texts)),)))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (Tool(name="weather", description=draw(texts), parameters=schema),) if draw(st.booleans()) else ()
    wants_json = not tools and draw(st.booleans())
    form = ResponseFormat(kind="json_schema", name="place", schema={**schema, "additionalProperties": False})
    return Request(
        model="m",
        turns=tuple(turns),
        tools=tools,
        tool_choice=ToolChoice(mode="auto") if tools and draw(st.booleans()) else None,
        response_format=form if wants_json else None,
        max_tokens=draw(st.integers(1, 4096)),
        temperature=draw(st.sampled_from([None, 0.0, 0.25, 1.0])),
        top_p=draw(st.sampled_from([None, 0.5])),
        stop=draw(st.sampled_from([(), ("END",), ("a", "b")])),
        seed=draw(st.sampled_from([None, 7])),
    )


def through(dialect: Dialect, request: Request) -> Request:
    """Write a request in a dialect and read it again."""
    rendered = dialect.render_request(request, Receipts())
    body = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in rendered.body)
    return dialect.parse_request(msgspec.json.decode(body), rendered.path)


def essence(request: Request, names: set[str]) -> Any:
    """What two dialects can both say of a request; ``names`` are those of the two."""
    unsaid = set().union(*(WITHOUT.get(name, set()) for name in names))
    with_ids = not names & WITHOUT_IDS
    turns = []
    for turn in request.turns:
        parts: list[Any] = []
        for part in turn.parts:
            if isinstance(part, TextPart):
                parts.append(part.text)
            elif isinstance(part, MediaPart):
                parts.append((part.kind, part.media_type if "ollama" not in names else "", part.data))
            elif isinstance(part, ToolCallPart):
                parts.append((with_ids and part.id, part.name, msgspec.json.decode(part.arguments)))
            elif isinstance(part, ToolResultPart):
                parts.append((with_ids and part.tool_call_id, part.text))
        turns.append(("system" if turn.role == "developer" else turn.role, parts))
    form = request.response_format
    return {
        "turns": turns,
        "tools": [(tool.name, tool.description, tool.parameters) for tool in request.tools],
        "form": form and form.schema,
        "parameters": {name: value for name, value in request.parameters().items() if name not in unsaid},
        "stream": request.stream,
    }


@pytest.mark.parametrize(("one", "other"), PAIRS)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(request=requests())
def test_a_request_survives_the_way_into_another_dialect_and_back(one: str, other: str, request: Request) -> None:
    here, there = dialect_for(one), dialect_for(other)
    given_here = through(here, request)
    back = through(here, through(there, given_here))
    assert essence(back, {one, other}) == essence(request, {one, other})


@st.composite
def answers(draw: Any) -> list[RawResponse]:
    chunks: list[RawResponse] = [Start(id="a1", model="m")]
    chunks += [Reasoning(token=text) for text in draw(st.lists(texts, max_size=2))]
    chunks += [Content(content=text) for text in draw(st.lists(texts, min_size=1, max_size=3))]
    calls = draw(st.integers(0, 2))
    for number in range(calls):
        text = msgspec.json.encode(draw(arguments)).decode()
        cut = draw(st.integers(0, len(text)))
        chunks.append(ToolCallDelta(part=number, id=f"call_{number}", name="weather", arguments=text[:cut]))
        chunks.append(ToolCallDelta(part=number, arguments=text[cut:]))
    reasons = ["tool_calls"] if calls else ["stop", "length"]
    chunks.append(Finish(finish={"reason": draw(st.sampled_from(reasons))}))
    if draw(st.booleans()):
        chunks.append(Usage(usage={"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}))
    return chunks


def reply_essence(reply: Reply, names: set[str]) -> Any:
    with_ids = not names & WITHOUT_IDS
    usage = reply.usage and (reply.usage.input_tokens, reply.usage.output_tokens)
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "calls": [(with_ids and c.id, c.name, msgspec.json.decode(c.arguments)) for c in reply.tool_calls],
        "finish": reply.finish_reason,
        "usage": usage,
    }


def streamed(dialect: Dialect, chunks: list[RawResponse]) -> tuple[Reply, list[RawResponse]]:
    renderer = dialect.stream_renderer(Envelope(id="a1", model="m", created=1_700_000_000))
    body = b"".join([renderer.render([chunk]) for chunk in chunks] + [renderer.render([End("complete", ("test",))])])
    reply, end = parse_stream(dialect, [body])
    assert end.state == "complete"
    parser = dialect.stream_parser()
    block = [*parser.feed(body), *parser.finish(framed=True)]
    return reply, [item for item in block if isinstance(item, RawResponse)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(chunks=answers())
def test_an_answer_survives_the_way_into_another_dialect_and_back(
    one: str, other: str, chunks: list[RawResponse]
) -> None:
    here, there = dialect_for(one), dialect_for(other)
    reply, given_here = streamed(here, chunks)
    _, given_there = streamed(there, given_here)
    back, _ = streamed(here, given_there)
    assert reply_essence(back, {one, other}) == reply_essence(reply, {one, other})
