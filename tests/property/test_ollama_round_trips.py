"""What the dialect of Ollama writes it reads again: requests, streams, whole answers, refusals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import (
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.reply import End, Reply, fold
from backstream.request import (
    MediaPart,
    ReasoningPart,
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from support_ollama import ENVELOPE, OLLAMA, chunks_of, parse, sent, whole
from support_turns import named_by_calls

NAME = "ollama"

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.text("abcXYZ_-09", min_size=1, max_size=8)
values = st.integers(-9, 9) | texts | st.booleans()
objects = st.dictionaries(texts, values, max_size=2)
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())
own = st.dictionaries(names.map("x_{}".format), values, max_size=2).map(lambda found: {NAME: found} if found else {})
images = st.sampled_from(
    [
        MediaPart(kind="image", media_type="image/png", data="iVBORw0KGgo="),
        MediaPart(kind="image", media_type="image/jpeg", data="/9j/4AAQ"),
    ]
)
small = st.none() | st.floats(-2, 2, allow_nan=False)
counts = st.none() | st.integers(0, 99)


# --- requests ---------------------------------------------------------------------------------------------------------


@st.composite
def turns(draw: Any) -> Turn:
    role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
    content = [TextPart(text=text) for text in draw(st.lists(texts, max_size=1))] + draw(st.lists(images, max_size=2))
    if role == "tool":
        result = ToolResultPart(tool_call_id=draw(st.just("") | names), name=draw(names), content=tuple(content))
        return Turn(role=role, parts=(result,), opaque=draw(own))
    parts: list[Any] = []
    if role == "assistant":
        parts = [ReasoningPart(text=text) for text in draw(st.lists(texts, max_size=1))]
    parts += content
    if role == "assistant":
        calls = st.builds(ToolCallPart, id=st.just("") | names, name=names, arguments=arguments, opaque=own)
        parts += draw(st.lists(calls, max_size=2))
    return Turn(role=role, parts=tuple(parts), opaque=draw(own))


tools = st.builds(Tool, name=names, description=st.none() | texts, parameters=objects, opaque=own)
requests = st.builds(
    Request,
    model=names,
    turns=st.lists(turns(), max_size=3).map(named_by_calls),
    tools=st.lists(tools, max_size=2).map(tuple),
    response_format=st.none()
    | st.just(ResponseFormat(kind="json_object"))
    | st.builds(ResponseFormat, kind=st.just("json_schema"), schema=objects),
    reasoning=st.none()
    | st.builds(ReasoningSettings, enabled=st.booleans())
    | st.builds(ReasoningSettings, effort=st.sampled_from(["low", "max"])),
    stream=st.booleans(),
    max_tokens=counts,
    temperature=small,
    top_p=small,
    top_k=counts,
    min_p=small,
    stop=st.lists(texts, max_size=2).map(tuple),
    seed=counts,
    frequency_penalty=small,
    presence_penalty=small,
    repetition_penalty=small,
    logprobs=st.none() | st.booleans(),
    top_logprobs=counts,
    dialect=st.just(NAME),
    extra=st.dictionaries(st.sampled_from(["keep_alive", "truncate"]), st.sampled_from(["5m", "0"]), max_size=1)
    | st.builds(lambda value: {"options": {"num_ctx": value}}, st.integers(1, 99)),
)


@given(requests)
def test_a_request_survives(request: Request) -> None:
    assert OLLAMA.parse_request(sent(request), "/api/chat") == request


@given(requests)
def test_a_choice_of_tools_is_what_is_sent(request: Request) -> None:
    chosen = msgspec.structs.replace(request, tool_choice=ToolChoice(mode="none"))
    assert OLLAMA.parse_request(sent(chosen)) == msgspec.structs.replace(request, tools=())


# --- answers ----------------------------------------------------------------------------------------------------------


def pieces_of(number: int, call: tuple[str, str, str], cut: int) -> list[RawResponse]:
    call_id, name, text = call
    cut = min(cut, len(text))
    return [
        ToolCallDelta(part=number, id=call_id or None, name=name, arguments=text[:cut]),
        ToolCallDelta(part=number, arguments=text[cut:]),
        PartEnd(part=number, kind="tool_call"),
    ]


@st.composite
def answers(draw: Any) -> list[RawResponse]:
    chunks: list[RawResponse] = [Start(model=draw(names), created=draw(st.integers(0, 2**32)))]
    chunks += [Reasoning(token=text) for text in draw(st.lists(texts, max_size=2))]
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["text", "call", "image", "logprobs"]))
        if kind == "text":  # as a dialect may number them: each part in one piece, so that it keeps its place
            part = draw(st.none() | st.just(number))
            chunks.append(Content(content=draw(texts.filter(lambda text: "<" not in text)), part=part))
        elif kind == "call":
            chunks += pieces_of(number, draw(st.tuples(st.just("") | names, names, arguments)), draw(st.integers(0, 9)))
        elif kind == "image":
            image = draw(images)
            chunks += [Media(media_type=image.media_type, data=image.data, part=number), PartEnd(part=number)]
        else:
            chunks.append(Logprobs(logprobs=[{"token": draw(texts), "logprob": -0.5}]))
    called = any(isinstance(chunk, ToolCallDelta) for chunk in chunks)
    reason = draw(st.sampled_from(["tool_calls", "length"] if called else ["stop", "length", "content_filter", "load"]))
    usage = draw(st.none() | st.fixed_dictionaries({"prompt_tokens": st.integers(0, 9), "completion_tokens": counts}))
    if usage is not None:
        chunks.append(Usage(usage={name: count for name, count in usage.items() if count is not None}))
    return [*chunks, Finish(finish={"reason": reason})]


def meaning(reply: Reply) -> Any:
    usage = reply.usage and (reply.usage.input_tokens, reply.usage.output_tokens)
    return (reply.logprobs, reply.model, reply.finish_reason, usage)


def joined(parts: tuple[Any, ...]) -> list[Any]:
    """Parts without what only a back-end of ours counts, neighbouring texts being one."""
    found: list[Any] = []
    for part in parts:
        if found and isinstance(part, TextPart) and isinstance(found[-1], TextPart):
            found[-1] = TextPart(text=found[-1].text + part.text)
        else:
            found.append(part)
    return found


@given(answers())
def test_a_stream_survives(chunks: list[RawResponse]) -> None:
    renderer = OLLAMA.stream_renderer(ENVELOPE)
    lines = [renderer.render([chunk]) for chunk in [*chunks, End("complete")]]
    at_once = OLLAMA.stream_renderer(ENVELOPE).render([*chunks, End("complete")])
    assert b"".join(lines) == at_once
    block = parse([at_once])
    assert block[0] == chunks[0]
    assert block[-1] == End("complete", ("done",))
    reply, meant = whole(block), fold(chunks)
    assert meaning(reply) == meaning(meant)
    assert joined(reply.parts) == joined(meant.parts)


@given(answers())
def test_a_whole_answer_survives_but_for_the_order_of_its_parts(chunks: list[RawResponse]) -> None:
    block = OLLAMA.parse_reply(OLLAMA.render_reply([*chunks, End("complete")], ENVELOPE))
    assert block[-1] == End("complete", ("done",))
    reply, meant = fold(chunks_of(block)), fold(chunks)
    assert meaning(reply) == meaning(meant)
    assert (reply.text, reply.reasoning) == (meant.text, meant.reasoning)
    assert reply.tool_calls == meant.tool_calls
    assert reply.media == meant.media


refused = st.sampled_from(
    [
        errors.BackendRequestError,
        errors.AuthenticationError,
        errors.PaymentError,
        errors.RateLimitError,
        errors.ModelNotFoundError,
        errors.ContentRefusedError,
        errors.UnavailableError,
    ]
)


@given(refused, st.none() | st.integers(400, 599), names)
def test_a_refusal_survives(cls: type[errors.RefusedError], status: int | None, words: str) -> None:
    told, body = OLLAMA.render_error(cls(words, status=status))
    assert type(OLLAMA.parse_error(told, {}, body)) is cls
    line = OLLAMA.stream_renderer(ENVELOPE).render([End("failed", ("error",), cls(words, status=status))])
    assert json.loads(line)["error"] == words
    end = parse([line])[-1]
    assert isinstance(end, End)
    assert type(end.error) is cls
