"""Properties of the ``openai_responses`` dialect: what it writes it reads, and nothing it reads makes it stumble."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.errors import BackstreamError
from backstream.reply import End, Reply
from backstream.request import (
    MediaPart,
    OpaquePart,
    ReasoningPart,
    ReasoningSettings,
    RefusalPart,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from support_openai_responses import DIALECT, ENVELOPE, NAME, event, events, folded, parse, problems, read, render, sent

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, json_values, max_size=3)
marks = st.none() | st.just({"type": "ephemeral"})
base64_texts = st.binary(min_size=1, max_size=6).map(lambda data: b64encode(data).decode())

# --- requests ---------------------------------------------------------------------------------------------------------


def optional(**members: Any) -> Any:
    return st.fixed_dictionaries({}, optional=members)


def built(cls: Any, required: dict[str, Any], **members: Any) -> Any:
    return st.fixed_dictionaries(required, optional=members).map(lambda found: cls(**found))


def own(members: Any) -> Any:
    """The members as opaque ones of the dialect; none where there are none."""
    return members.map(lambda found: {NAME: found} if found else {})


marked_text = built(TextPart, {"text": texts}, cache_control=marks)
images = st.one_of(
    built(
        MediaPart,
        {"kind": st.just("image"), "media_type": st.just("image/png"), "data": base64_texts},
        detail=st.sampled_from(["low", "high"]),
        cache_control=marks,
    ),
    built(MediaPart, {"kind": st.just("image"), "url": names.map("https://a/{}.png".format)}),
    built(MediaPart, {"kind": st.just("image"), "file_id": names}),
)
documents = st.one_of(
    built(
        MediaPart,
        {
            "kind": st.just("document"),
            "media_type": st.just("application/pdf"),
            "data": base64_texts,
            "filename": names,
        },
        cache_control=marks,
    ),
    built(MediaPart, {"kind": st.just("document"), "url": names.map("https://a/{}.pdf".format)}, filename=names),
    built(MediaPart, {"kind": st.just("document"), "file_id": names}),
)
content = st.lists(marked_text | images | documents, max_size=3).map(tuple)
questions = st.builds(
    Turn,
    role=st.sampled_from(["user", "developer"]),
    parts=content,
    opaque=own(optional(status=st.just("completed"), id=names)),
)
results = st.builds(
    Turn,
    role=st.just("tool"),
    parts=st.builds(
        ToolResultPart, tool_call_id=names, content=content, opaque=own(optional(status=st.just("completed")))
    ).map(lambda part: (part,)),
)
around = st.builds(lambda item_id, phase: {"id": item_id, **phase}, names, optional(phase=st.just("commentary")))
spoken: Any = st.one_of(
    st.builds(TextPart, text=texts, opaque=own(optional(item=around))),
    st.builds(RefusalPart, text=texts, opaque=own(optional(item=around))),
    st.builds(ToolCallPart, id=names, name=names, arguments=texts, opaque=own(optional(id=names))),
    st.builds(
        ReasoningPart,
        text=st.just("") | texts,
        opaque=st.builds(lambda item_id, rest: {NAME: {"id": item_id, **rest}}, names, optional(status=st.just("x"))),
    ),
    st.builds(
        MediaPart,
        kind=st.just("image"),
        media_type=st.just("image/png"),
        data=base64_texts,
        opaque=st.builds(
            lambda item_id: {NAME: {"type": "image_generation_call", "id": item_id, "status": "completed"}}, names
        ),
    ),
    st.builds(
        lambda kind, rest: OpaquePart(opaque={NAME: {**rest, "type": kind}}),
        names.map("{}_call".format),
        objects.map(lambda found: {name: value for name, value in found.items() if name not in ("role", "item")}),
    ),
)


answers = st.builds(Turn, role=st.just("assistant"), parts=st.lists(spoken, min_size=1, max_size=4).map(tuple))
systems = st.builds(Turn, role=st.just("system"), parts=st.builds(TextPart, text=texts).map(lambda part: (part,)))


@st.composite
def conversations(draw: Any) -> tuple[Turn, ...]:
    turns: list[Turn] = draw(st.lists(systems, max_size=1))
    for turn in draw(st.lists(questions | answers | results, max_size=5)):
        if turns and turns[-1].role == turn.role == "assistant":
            continue  # items of the model that follow each other are one turn
        turns.append(turn)
    return tuple(turns)


tools = st.one_of(
    built(
        Tool,
        {"name": names},
        description=texts,
        parameters=objects,
        strict=st.booleans(),
        opaque=st.just({NAME: {"defer_loading": True}}),
    ),
    st.just(Tool(opaque={NAME: {"type": "web_search"}})),
)
choices = st.one_of(
    st.sampled_from([ToolChoice(mode=mode) for mode in ("auto", "none", "required")]),
    names.map(lambda name: ToolChoice(mode="tool", names=(name,))),
    st.builds(
        ToolChoice,
        mode=st.sampled_from(["auto", "required"]),
        names=st.lists(names, min_size=1, max_size=2).map(tuple),
    ),
)
forms = st.one_of(
    st.sampled_from([ResponseFormat(kind="text"), ResponseFormat(kind="json_object")]),
    built(
        ResponseFormat,
        {"kind": st.just("json_schema"), "schema": objects, "name": names},
        description=texts,
        strict=st.booleans(),
    ),
)
reasonings = st.builds(ReasoningSettings, effort=st.sampled_from(["low", "high"]), summary=st.none() | st.just("auto"))
requests = built(
    Request,
    {"turns": conversations(), "dialect": st.just(NAME)},
    model=names,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=choices,
    parallel_tool_calls=st.booleans(),
    response_format=forms,
    reasoning=reasonings,
    stream=st.booleans(),
    max_tokens=st.integers(16, 9999),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    logprobs=st.just(True),
    top_logprobs=st.integers(0, 20),
    verbosity=st.sampled_from(["low", "high"]),
    user=names,
    metadata=st.dictionaries(names, names, max_size=2),
    service_tier=st.just("flex"),
    store=st.just(True),
    previous_response_id=names,
    conversation=names | names.map(lambda found: {"id": found}),
    extra=optional(truncation=st.just("auto"), prompt_cache_key=names, text=st.just({"x": 1})),
)


@settings(max_examples=150)
@given(requests)
def test_a_request_is_read_as_it_was_rendered(request: Request) -> None:
    body = sent(request)
    assert read(body) == request
    assert sent(read(body)) == body


@settings(max_examples=150)
@given(requests, st.booleans())
def test_stateless_requests_too(request: Request, keeps: bool) -> None:
    """Without state, reasoning that only its server could look up is left out, and the ids that hang on it."""
    body = sent(msgspec.structs.replace(request, store=keeps))
    again = read(body)
    assert again.store is keeps
    assert sent(again) == body


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["model", "input", "tools", "text", "reasoning", "include", "x"]), json_values))
def test_any_request_is_read_or_refused(members: dict[str, Any]) -> None:
    try:
        read(members)
    except BackstreamError:
        return


items = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            [
                "message",
                "function_call",
                "function_call_output",
                "reasoning",
                "image_generation_call",
                "odd",
                "odd_output",
            ]
        ),
        "role": st.sampled_from(["user", "assistant"]) | json_values,
        "content": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "input_image", "input_file", "output_text", "refusal", "odd"])},
                optional=dict.fromkeys(
                    ("text", "image_url", "file_data", "detail", "filename", "refusal", "annotations"), json_values
                ),
            ),
            max_size=2,
        ),
        **dict.fromkeys(("call_id", "name", "arguments", "output", "summary", "result", "id"), json_values),
    },
)


@settings(max_examples=200)
@given(st.lists(items, max_size=3))
def test_any_items_are_read_or_refused(given_items: list[Any]) -> None:
    try:
        sent(read({"model": "m", "input": given_items}))
    except BackstreamError:
        return


# --- answers ----------------------------------------------------------------------------------------------------------


@st.composite
def parts_of_an_answer(draw: Any, number: int) -> list[RawResponse]:
    """The pieces of one part, its end with them."""
    kind = draw(st.sampled_from(["text", "reasoning", "refusal", "tool_call", "media", "opaque"]))
    pieces = draw(st.lists(texts, min_size=1, max_size=3))
    chunks: list[RawResponse] = []
    item_id = f"item_{number}"
    members: dict[str, Any] = {"id": item_id}
    if kind == "text":
        chunks += [Content(content=piece, part=number) for piece in pieces]
        if draw(st.booleans()):
            chunks.append(
                Logprobs(logprobs=[{"token": "a", "logprob": -1.0, "bytes": [1], "top_logprobs": []}], part=number)
            )
        for url in draw(st.lists(names, max_size=2)):
            chunks.append(Citation(url=f"https://{url}", title=url, start=0, end=1, part=number))
        members = {"item": {"id": item_id, "status": "completed"}}
    elif kind == "reasoning":
        chunks += [Reasoning(token=piece, part=number) for piece in pieces]
    elif kind == "refusal":
        chunks += [Refusal(refusal=piece, part=number) for piece in pieces]
        members = {"item": {"id": item_id, "status": "completed"}}
    elif kind == "tool_call":
        chunks.append(ToolCallDelta(part=number, id=f"call_{number}", name=draw(names)))
        chunks += [ToolCallDelta(part=number, arguments=piece) for piece in pieces]
        members["status"] = "completed"
    elif kind == "media":
        chunks.append(Media(part=number, media_type="image/png", data=draw(base64_texts)))
        members |= {"type": "image_generation_call", "status": "completed"}
    else:
        members = {"id": item_id, "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    if kind in ("media", "opaque") or draw(st.booleans()):
        chunks.append(PartEnd(part=number, kind=kind, opaque={NAME: members}))
        if kind not in ("media", "opaque"):  # a stream has to know the id in time
            chunks.insert(0, PartStart(part=number, kind=kind, opaque={NAME: members}))
    return chunks


@st.composite
def whole_answers(draw: Any) -> list[RawResponse]:
    parts = [draw(parts_of_an_answer(number)) for number in range(draw(st.integers(0, 4)))]
    chunks: list[RawResponse] = [Start(id="resp_1", model="m", created=5)]
    chunks += [chunk for part in parts for chunk in part]
    if draw(st.booleans()):
        counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        chunks.append(Usage(usage=counts))
    called = any(isinstance(chunk, ToolCallDelta) for chunk in chunks)
    reason = draw(st.sampled_from(["length", "content_filter", "tool_calls" if called else "stop"]))
    return [*chunks, Finish(finish={"reason": reason})]


def check_same(got: Reply, meant: Reply) -> None:
    """The same answer, but for opaque members that only this dialect's own reading adds."""
    bare = [msgspec.structs.replace(part, opaque={}) for part in got.parts]
    assert bare == [msgspec.structs.replace(part, opaque={}) for part in meant.parts]
    for ours, theirs in zip(got.parts, meant.parts, strict=True):
        if NAME in theirs.opaque:
            told = {**ours.opaque[NAME]}
            told.pop("annotations", None)
            told.pop("output_format", None)
            assert told == {**told, **theirs.opaque[NAME]}
    assert (got.id, got.model, got.finish_reason, got.logprobs) == (
        meant.id,
        meant.model,
        meant.finish_reason,
        meant.logprobs,
    )
    assert [(source.url, source.title) for source in got.citations] == [
        (source.url, source.title) for source in meant.citations
    ]
    assert (got.usage is None) == (meant.usage is None)
    if got.usage is not None and meant.usage is not None:
        assert (got.usage.input_tokens, got.usage.output_tokens) == (
            meant.usage.input_tokens,
            meant.usage.output_tokens,
        )


@settings(max_examples=80, deadline=None)
@given(whole_answers(), st.integers(1, 400))
def test_an_answer_is_read_as_it_was_rendered(chunks: list[RawResponse], size: int) -> None:
    stream = render([*chunks, End("complete", ("test",))])
    assert [problem for said in events(stream) for problem in problems("ResponseStreamEvent", said)] == []
    block = parse([stream[at : at + size] for at in range(0, len(stream), size)])
    assert block[-1].state == "complete"  # type: ignore[union-attr]
    check_same(folded(block), folded(chunks))
    whole = DIALECT.parse_reply(DIALECT.render_reply([*chunks, End("complete", ("test",))], ENVELOPE))
    check_same(folded(whole), folded(chunks))


@given(st.data())
def test_calls_that_come_interleaved_stay_apart(data: Any) -> None:
    calls = [
        [
            ToolCallDelta(part=number, id=f"c{number}", name=f"f{number}"),
            *(ToolCallDelta(part=number, arguments=piece) for piece in data.draw(st.lists(texts, max_size=3))),
        ]
        for number in range(data.draw(st.integers(1, 3)))
    ]
    meant = [(f"f{number}", "".join(chunk.arguments or "" for chunk in call)) for number, call in enumerate(calls)]
    chunks: list[RawResponse] = [call.pop(0) for call in calls]
    while any(calls):
        chunks.append(data.draw(st.sampled_from([call for call in calls if call])).pop(0))
    reply = folded(parse([render([*chunks, End("complete", ())])]))
    assert [(call.name, call.arguments) for call in reply.tool_calls] == meant


KINDS = [f"response.{word}" for word in (
    "created", "completed", "incomplete", "failed", "output_item.added", "output_item.done", "output_text.delta",
    "output_text.done", "output_text.annotation.added", "refusal.delta", "function_call_arguments.delta",
    "function_call_arguments.done", "reasoning_summary_text.delta", "reasoning_summary_part.added",
    "image_generation_call.partial_image", "audio.delta",
)]  # fmt: skip
any_items = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "reasoning", "image_generation_call"]) | json_values,
        **dict.fromkeys(("id", "call_id", "name", "arguments", "summary", "content", "result"), json_values),
    },
)
any_events = st.tuples(
    st.sampled_from(KINDS),
    st.fixed_dictionaries(
        {},
        optional={
            "output_index": st.integers(0, 2) | json_values,
            "content_index": st.integers(0, 2) | json_values,
            "item": any_items | json_values,
            "annotation": json_values | objects,
            "response": st.fixed_dictionaries(
                {},
                optional={
                    "output": st.lists(any_items | json_values, max_size=2) | json_values,
                    **dict.fromkeys(("id", "usage", "status", "error", "created_at", "store"), json_values),
                },
            )
            | json_values,
            **dict.fromkeys(("delta", "text", "arguments", "logprobs", "partial_image_b64"), json_values),
        },
    ),
)


@settings(max_examples=150)
@given(st.lists(any_events, max_size=5))
def test_whatever_arrives_has_one_documented_end(given_events: list[tuple[str, dict[str, Any]]]) -> None:
    stream = b"".join(event(kind, **members) for kind, members in given_events)
    block = parse([stream])
    assert [isinstance(item, End) for item in block] == [False] * (len(block) - 1) + [True]
    folded(block)
    assert render(block)


@settings(max_examples=150)
@given(st.fixed_dictionaries({"output": st.lists(any_items | json_values, max_size=3)}), objects)
def test_any_whole_answer_is_read_or_refused(known: dict[str, Any], further: dict[str, Any]) -> None:
    block = DIALECT.parse_reply(json.dumps({**further, **known}).encode())
    assert isinstance(block[-1], End)
    folded(block)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_an_error(data: bytes) -> None:
    assert isinstance(parse([data])[-1], End)
    DIALECT.parse_error(None, {}, data)
    for read_bytes in (DIALECT.parse_reply, DIALECT.parse_models, DIALECT.parse_token_count):
        try:
            read_bytes(data)
        except BackstreamError:
            continue
