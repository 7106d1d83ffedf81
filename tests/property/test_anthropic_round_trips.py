"""What the Messages API can say survives the way to its form and back; what it cannot never breaks a parser."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.chunks import Citation, Content, Finish, PartEnd, RawResponse, Reasoning, Start, ToolCallDelta, Usage
from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.dialects.base import Envelope
from backstream.errors import BackstreamError, DecodeError, InvalidRequestError, RefusedError
from backstream.reply import Block, End, Reply, fold
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ReasoningSettings,
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
from backstream.wire.json_text import encode_json

NAME = "anthropic_messages"
UNHURRIED = settings(deadline=None)  # a busy machine is no fault
DIALECT = AnthropicMessages()
ENVELOPE = Envelope(id="1", model="m", created=0)

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
WORD = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXT
)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
OBJECT = st.dictionaries(WORD, JSON, max_size=3)
ANY = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "a"]), inner, max_size=3),
    max_leaves=6,
)
MARK = st.none() | st.just({"type": "ephemeral"})


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Build keywords, each of them set or not."""
    return st.fixed_dictionaries({}, optional=members)


# --- requests the API can say

TEXTS = st.builds(
    TextPart,
    text=TEXT,
    cache_control=MARK,
    opaque=st.just({}) | st.just({NAME: {"citations": [{"type": "char_location"}]}}),
)
MEDIA = st.one_of(
    st.builds(
        MediaPart, kind=st.just("image"), media_type=st.just("image/png"), data=st.just("AAAA"), cache_control=MARK
    ),
    st.builds(MediaPart, kind=st.sampled_from(["image", "document"]), url=st.just("https://x/y")),
    st.builds(MediaPart, kind=st.just("document"), file_id=WORD, filename=st.none() | TEXT),
    st.builds(
        MediaPart,
        kind=st.just("document"),
        media_type=st.just("text/plain"),
        data=st.text(st.characters(codec="utf-8", exclude_characters="\ufeff")).map(
            lambda text: base64.b64encode(text.encode()).decode()
        ),
    ),
)
OWN = st.builds(OpaquePart, opaque=st.just({NAME: {"type": "redacted_thinking", "data": "x"}}))
SIGNED = st.builds(ReasoningPart, text=st.just("") | TEXT, opaque=st.just({NAME: {"signature": "s"}}))
CALL = st.builds(ToolCallPart, id=WORD, name=WORD, arguments=OBJECT.map(lambda value: encode_json(value).decode()))
RESULT = st.builds(
    ToolResultPart,
    tool_call_id=WORD,
    content=st.lists(TEXTS | MEDIA, max_size=2).map(tuple),
    is_error=st.booleans(),
    cache_control=MARK,
)


def parts(*kinds: st.SearchStrategy[Part]) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.lists(st.one_of(*kinds), min_size=1, max_size=3).map(tuple)


def turns_of(drawn: list[tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]]]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for results, asked, answered in drawn:
        turns += [Turn(role="tool", parts=results)] if results else []
        turns += [Turn(role="user", parts=asked), Turn(role="assistant", parts=answered)]
    return tuple(turns)


CONVERSATION = st.lists(
    st.tuples(st.just(()) | parts(RESULT), parts(TEXTS, MEDIA), parts(TEXTS, SIGNED, CALL, OWN)), max_size=3
).map(turns_of)
SYSTEM = st.just(()) | parts(TEXTS).map(lambda said: (Turn(role="system", parts=said),))
TOOLS = st.lists(
    st.builds(
        Tool,
        name=WORD,
        description=st.none() | TEXT,
        parameters=OBJECT,
        strict=st.none() | st.booleans(),
        cache_control=MARK,
        opaque=st.just({}) | st.just({NAME: {"defer_loading": True}}),
    )
    | st.just(Tool(opaque={NAME: {"type": "web_search_20250305", "name": "web_search"}})),
    max_size=2,
).map(tuple)
CHOICE = st.fixed_dictionaries(
    {"tool_choice": st.just(ToolChoice(mode="auto")) | st.just(ToolChoice(mode="tool", names=("f",)))},
    optional={"parallel_tool_calls": st.booleans()},
) | st.just({"tool_choice": ToolChoice(mode="none")})
REASONING = st.one_of(
    st.builds(ReasoningSettings, enabled=st.just(True), effort=st.none() | st.sampled_from(["low", "max"])),
    st.builds(ReasoningSettings, enabled=st.just(True), summary=st.sampled_from(["auto", "none"])),
    st.builds(ReasoningSettings, effort=st.sampled_from(["medium", "xhigh"])),
    st.builds(ReasoningSettings, enabled=st.just(False)),
    st.builds(ReasoningSettings, budget_tokens=st.integers(1024, 9999), summary=st.none() | st.just("none")),
)
PARAMETERS = optional(
    temperature=st.floats(0, 1),
    top_p=st.floats(0, 1),
    top_k=st.integers(1, 99),
    stop=st.lists(TEXT, min_size=1, max_size=2).map(tuple),
    user=TEXT,
    service_tier=st.sampled_from(["auto", "default"]),
    response_format=st.builds(ResponseFormat, kind=st.just("json_schema"), schema=OBJECT),
    reasoning=REASONING,
    extra=optional(container=TEXT, context_management=OBJECT, output_config=st.just({"task_budget": 1})),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    tools = draw(TOOLS)
    members = draw(PARAMETERS) | (draw(CHOICE) if tools and draw(st.booleans()) else {})
    conversation = draw(CONVERSATION)
    if conversation and draw(st.booleans()):  # a system turn behind a user's: then it is an assistant's
        at = next(index for index, turn in enumerate(conversation) if turn.role == "user") + 1
        conversation = (*conversation[:at], Turn(role="system", parts=draw(parts(TEXTS))), *conversation[at:])
    return Request(
        model="claude-opus-5",
        turns=(*draw(SYSTEM), *conversation),
        tools=tools,
        stream=draw(st.booleans()),
        max_tokens=draw(st.integers(1, 10**6)),
        dialect=NAME,
        **members,
    )


def members_of(request: Request) -> dict[str, Any]:
    rendered = DIALECT.render_request(request, Receipts())
    assert all(isinstance(piece, bytes) for piece in rendered.body)
    return json.loads(b"".join(piece for piece in rendered.body if isinstance(piece, bytes)))


@UNHURRIED
@given(requests())
def test_requests(request: Request) -> None:
    assert DIALECT.parse_request(members_of(request)) == request


@UNHURRIED
@given(requests())
def test_every_parameter_has_its_receipt(request: Request) -> None:
    receipts = Receipts()
    DIALECT.render_request(request, receipts)
    told = " ".join(receipt.what for receipt in receipts)
    for name in (*request.parameters(), *request.extra):
        assert name in told
    if request.reasoning is not None:
        assert "reasoning" in told


# --- answers


@st.composite
def answers(draw: st.DrawFn) -> list[RawResponse]:
    """Draw an answer as this dialect's parser gives one: numbered parts, one behind another, each with its end."""
    chunks: list[RawResponse] = [Start(id="msg_1", model="m")]
    called = False
    for part in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["text", "reasoning", "tool_call", "opaque"]))
        pieces = draw(st.lists(TEXT, min_size=1, max_size=3))
        opaque: dict[str, Any] | None = None
        if kind == "text":
            chunks += [Content(content=piece, part=part) for piece in pieces]
            if draw(st.booleans()):
                citation = {"type": "web_search_result_location", "url": draw(TEXT)}
                chunks.append(Citation(url=citation["url"], part=part, raw={NAME: citation}))
                opaque = {NAME: {"citations": [citation]}}
        elif kind == "reasoning":
            chunks += [Reasoning(token=piece, part=part) for piece in pieces]
            opaque = draw(st.none() | st.just({NAME: {"signature": "s"}}))
        elif kind == "tool_call":
            called = True
            text = encode_json(draw(OBJECT)).decode()
            cut = draw(st.integers(0, len(text)))
            chunks.append(ToolCallDelta(id=f"c{part}", name="f", part=part))
            chunks += [ToolCallDelta(arguments=piece, part=part) for piece in (text[:cut], text[cut:]) if piece]
        else:
            opaque = {NAME: {"type": "server_tool_use", "id": "s", "input": draw(OBJECT)}}
        chunks.append(PartEnd(part=part, kind=kind, opaque=opaque))
    reason = {"reason": "tool_calls", "raw": "tool_use"} if called else {"reason": "length", "raw": "max_tokens"}
    usage = {"prompt_tokens": draw(st.integers(0, 99)), "completion_tokens": draw(st.integers(0, 99))}
    raw = {NAME: {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}}
    return [*chunks, Finish(finish=reason), Usage(usage=usage, model="m", raw=raw)]


def chunks_of(block: Block) -> list[RawResponse]:
    *chunks, end = block
    assert isinstance(end, End)
    assert end.state == "complete"
    return [chunk for chunk in chunks if isinstance(chunk, RawResponse)]


@UNHURRIED
@given(answers(), st.data())
def test_streams(chunks: list[RawResponse], data: st.DataObject) -> None:
    """The chunks are the very same; rendered in blocks, parsed in pieces."""
    renderer = DIALECT.stream_renderer(ENVELOPE)
    at = data.draw(st.integers(0, len(chunks)))
    stream = renderer.render([*chunks[:at]]) + renderer.render([*chunks[at:], End("complete", ("x",))])
    cut = data.draw(st.integers(0, len(stream)))
    parser = DIALECT.stream_parser()
    assert chunks_of(parser.feed(stream[:cut]) + parser.feed(stream[cut:]) + parser.finish(framed=False)) == chunks


def meaning(reply: Reply) -> Reply:
    """Arguments in one way of writing them."""
    return msgspec.structs.replace(
        reply,
        parts=tuple(
            msgspec.structs.replace(part, arguments=json.loads(part.arguments))
            if isinstance(part, ToolCallPart)
            else part
            for part in reply.parts
        ),
    )


@UNHURRIED
@given(answers())
def test_whole_answers(chunks: list[RawResponse]) -> None:
    body = DIALECT.render_reply([*chunks, End("complete", ("x",))], ENVELOPE)
    assert meaning(fold(chunks_of(DIALECT.parse_reply(body)))) == meaning(fold(chunks))


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[RawResponse], dict[str, str]]:
    """Draw pieces of several numbered calls in any order, and what each call's arguments are."""
    whole = {f"c{part}": encode_json(draw(OBJECT)).decode() for part in range(draw(st.integers(1, 4)))}
    queues = [
        [
            ToolCallDelta(id=call_id, name="f", part=part),
            *(ToolCallDelta(arguments=text[at : at + 3], part=part) for at in range(0, len(text), 3)),
            *([PartEnd(part=part, kind="tool_call")] if draw(st.booleans()) else []),
        ]
        for part, (call_id, text) in enumerate(whole.items())
    ]
    chunks: list[RawResponse] = []
    while queues := [queue for queue in queues if queue]:
        chunks.append(draw(st.sampled_from(queues)).pop(0))
    return chunks, whole


@UNHURRIED
@given(interleaved(), st.booleans())
def test_interleaved_calls_lose_nothing(drawn: tuple[list[RawResponse], dict[str, str]], text: bool) -> None:
    chunks, whole = drawn
    renderer = DIALECT.stream_renderer(ENVELOPE)
    said: list[RawResponse] = [*chunks, *([Content(content="done")] if text else [])]
    stream = b"".join([*(renderer.render([chunk]) for chunk in said), renderer.render([End("complete")])])
    parser = DIALECT.stream_parser()
    reply = fold(chunks_of(parser.feed(stream) + parser.finish(framed=True)))
    assert {call.id: call.arguments for call in reply.tool_calls} == whole
    assert reply.text == ("done" if text else "")


# --- errors, and whatever a peer may send


@UNHURRIED
@given(st.sampled_from(RefusedError.__subclasses__()), TEXT, st.none() | st.sampled_from([400, 404, 429, 503]))
def test_errors(cls: type[RefusedError], message: str, status: int | None) -> None:
    rendered_status, body = DIALECT.render_error(cls(message, status=status))
    assert type(DIALECT.parse_error(rendered_status, {}, body)) is cls


EVENT_NAMES = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
    "ping",
]
HOSTILE = st.fixed_dictionaries(
    {"type": st.sampled_from(EVENT_NAMES) | ANY},
    optional={
        "index": st.integers(0, 2) | ANY,
        "message": optional(id=ANY, model=ANY, usage=ANY | st.just({"service_tier": [1], "input_tokens": "x"})) | ANY,
        "content_block": st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "thinking", "tool_use", "new"]) | ANY},
            optional={
                "text": ANY,
                "thinking": ANY,
                "signature": ANY,
                "id": ANY,
                "name": ANY,
                "input": ANY,
                "citations": ANY,
            },
        )
        | ANY,
        "delta": st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["text_delta", "thinking_delta", "input_json_delta", "signature_delta", "citations_delta", "new"]
                )
                | ANY
            },
            optional={
                "text": ANY,
                "thinking": ANY,
                "partial_json": ANY,
                "signature": ANY,
                "citation": ANY,
                "stop_reason": ANY,
            },
        )
        | ANY,
        "usage": optional(input_tokens=ANY, output_tokens=ANY, output_tokens_details=ANY) | ANY,
        "error": optional(type=ANY, message=ANY, code=ANY) | ANY,
    },
)


@UNHURRIED
@given(st.lists(HOSTILE | ANY, max_size=6))
def test_no_stream_raises(events: list[Any]) -> None:
    parser = DIALECT.stream_parser()
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    block = parser.feed(stream)
    block += parser.finish(framed=True)
    assert [isinstance(chunk, End) for chunk in block] == [False] * (len(block) - 1) + [True]
    chunks = [chunk for chunk in block if isinstance(chunk, RawResponse)]
    for chunk in chunks:
        msgspec.json.encode(chunk.get_dict())
    fold(chunks)
    DIALECT.stream_renderer(ENVELOPE).render([*chunks, End("complete")])


@UNHURRIED
@given(
    st.dictionaries(
        st.sampled_from(["content", "usage", "stop_reason", "id", "type"]), ANY | st.lists(HOSTILE), max_size=5
    )
)
def test_no_answer_raises_a_foreign_error(members: dict[str, Any]) -> None:
    try:
        block = DIALECT.parse_reply(json.dumps(members).encode())
    except DecodeError:
        return
    assert isinstance(block[-1], End)


@UNHURRIED
@given(
    st.fixed_dictionaries(
        {
            "messages": st.lists(
                st.fixed_dictionaries(
                    {"role": st.sampled_from(["user", "assistant"])},
                    optional={
                        "content": ANY
                        | st.lists(
                            st.fixed_dictionaries(
                                {
                                    "type": st.sampled_from(
                                        ["text", "image", "document", "tool_use", "tool_result", "new"]
                                    )
                                },
                                optional={
                                    "text": ANY,
                                    "source": ANY | st.fixed_dictionaries({"type": st.just("base64"), "data": ANY}),
                                    "id": ANY,
                                    "name": ANY,
                                    "input": ANY,
                                    "tool_use_id": ANY | TEXT,
                                    "content": ANY,
                                    "cache_control": ANY,
                                },
                            ),
                            max_size=2,
                        )
                    },
                )
                | ANY,
                max_size=2,
            )
            | ANY
        },
        optional={
            "system": ANY,
            "tools": ANY | st.lists(ANY | st.fixed_dictionaries({"name": TEXT, "type": ANY}), max_size=2),
            "tool_choice": ANY,
            "thinking": ANY,
            "output_config": ANY | st.fixed_dictionaries({"format": ANY, "effort": ANY}),
            "metadata": ANY,
            "max_tokens": ANY,
        },
    )
)
def test_no_request_raises_a_foreign_error(members: dict[str, Any]) -> None:
    try:
        request = DIALECT.parse_request(members)
    except InvalidRequestError:
        return
    try:
        members_of(request)
    except BackstreamError:
        return


@UNHURRIED
@given(
    st.none() | st.integers(400, 599), optional(error=ANY | optional(type=ANY, message=ANY, code=ANY), type=ANY) | ANY
)
def test_no_refusal_raises(status: int | None, members: Any) -> None:
    assert isinstance(DIALECT.parse_error(status, {}, json.dumps(members).encode()), RefusedError)
