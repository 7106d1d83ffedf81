"""What the chat dialect writes it reads again: requests, streams, whole answers, refusals."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
)
from backstream.dialects.openai_chat import OpenAIChat, Quirks
from backstream.reply import End, fold
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
from support_openai_chat import ENVELOPE, joined, parse, render, sent

NAME = "openai_chat"
COMPLETE = End("complete", ("x",))

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, min_size=1, max_size=8)
any_texts = st.text(characters, max_size=8)
names = st.text("abcXYZ_-09", min_size=1, max_size=8)
base64 = st.binary(min_size=1, max_size=9).map(lambda data: __import__("base64").b64encode(data).decode())
objects = st.dictionaries(texts, st.integers(-9, 9) | texts | st.booleans(), max_size=2)
marks = st.none() | st.just({"type": "ephemeral"})
urls = names.map(lambda name: f"https://example.org/{name}")
small = st.floats(-2, 2, allow_nan=False)


def own(members: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Members that only this dialect reads, or none."""
    return members.map(lambda found: {NAME: {f"x_{name}": value for name, value in found.items()}} if found else {})


def build(cls: Any, **members: Any) -> st.SearchStrategy[Any]:
    """Values of a class, each member from its strategy."""
    return st.builds(
        cls, **{name: m if isinstance(m, st.SearchStrategy) else st.just(m) for name, m in members.items()}
    )


# --- requests ---------------------------------------------------------------------------------------------------------

text_parts = build(TextPart, text=any_texts, cache_control=marks, opaque=own(objects))
images = build(MediaPart, kind="image", url=urls, detail=st.none() | st.just("low")) | build(
    MediaPart, kind="image", media_type=st.sampled_from(["image/png", "image/jpeg"]), data=base64, cache_control=marks
)
media = st.one_of(
    images,
    build(MediaPart, kind="audio", media_type=st.sampled_from(["audio/wav", "audio/mpeg", "audio/flac"]), data=base64),
    build(MediaPart, kind="audio", url=urls),
    build(MediaPart, kind="video", media_type="video/mp4", data=base64) | build(MediaPart, kind="video", url=urls),
    build(MediaPart, kind="document", media_type="application/pdf", data=base64, filename=names),
    build(MediaPart, kind="document", url=urls, filename=names),
    build(MediaPart, kind="document", file_id=names, filename=st.none() | names),
)
opaque_parts = build(OpaquePart, opaque=own(objects).filter(bool)).map(
    lambda part: OpaquePart(opaque={NAME: {"type": "odd", **part.opaque[NAME]}})
)
asked = build(
    Turn,
    role=st.sampled_from(["system", "developer", "user"]),
    parts=st.lists(text_parts | media | opaque_parts, max_size=3).map(tuple),
    name=st.none() | names,
    opaque=own(objects),
)
details = {NAME: {"reasoning_details": [{"type": "reasoning.text", "text": "a"}]}}
reasoning = build(ReasoningPart, text=texts, opaque=st.sampled_from([{}, details])) | st.just(
    ReasoningPart(opaque=details)
)


@st.composite
def answers(draw: st.DrawFn) -> Turn:
    ids = draw(st.lists(names, max_size=2, unique=True))
    parts = [
        *draw(st.lists(reasoning, max_size=1)),
        *draw(st.lists(text_parts, max_size=2)),
        *draw(st.lists(build(RefusalPart, text=texts), max_size=1)),
        *(draw(build(ToolCallPart, id=id_, name=any_texts, arguments=any_texts, opaque=own(objects))) for id_ in ids),
        *draw(st.lists(build(MediaPart, kind="audio", file_id=names), max_size=1)),
        *draw(st.lists(build(MediaPart, kind="image", url=urls, opaque={NAME: {"type": "image_url"}}), max_size=2)),
    ]
    return Turn(role="assistant", parts=tuple(parts), name=draw(st.none() | names), opaque=draw(own(objects)))


results = build(
    ToolResultPart, tool_call_id=names, name=st.just("") | names, content=st.lists(text_parts, max_size=2).map(tuple)
).map(lambda part: Turn(role="tool", parts=(part,)))

tools = build(
    Tool,
    name=names,
    description=st.none() | any_texts,
    parameters=st.none() | st.just({"type": "object", "properties": {}}),
    strict=st.none() | st.booleans(),
    cache_control=marks,
    opaque=own(objects),
) | own(objects).filter(bool).map(lambda opaque: Tool(opaque={NAME: {"type": "odd", **opaque[NAME]}}))

choices = st.one_of(
    build(ToolChoice, mode=st.sampled_from(["auto", "none", "required"])),
    build(
        ToolChoice, mode=st.sampled_from(["auto", "required"]), names=st.lists(names, min_size=1, max_size=2).map(tuple)
    ),
    build(ToolChoice, mode="tool", names=st.tuples(names)),
)
formats = build(ResponseFormat, kind=st.sampled_from(["text", "json_object"])) | build(
    ResponseFormat,
    kind="json_schema",
    schema=st.just({"type": "object"}),
    name=names,
    description=st.none() | any_texts,
    strict=st.none() | st.booleans(),
)
parameters: dict[str, st.SearchStrategy[Any]] = {
    "parallel_tool_calls": st.booleans(),
    "max_tokens": st.integers(1, 2**40),
    "temperature": small,
    "top_p": small,
    "top_k": st.integers(0, 99),
    "min_p": small,
    "stop": st.lists(any_texts, min_size=1, max_size=3).map(tuple),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "frequency_penalty": small,
    "presence_penalty": small,
    "repetition_penalty": small,
    "logit_bias": st.dictionaries(names, st.integers(-100, 100)),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "modalities": st.just(("text", "audio")),
    "audio": st.just({"voice": "alloy", "format": "wav"}),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "user": any_texts,
    "metadata": objects,
    "service_tier": names,
    "store": st.booleans(),
    "tool_choice": choices,
    "response_format": formats,
}
kinds = st.sampled_from(
    [
        Quirks(system_role="auto", send_reasoning=True, video=True, cache_control=True, document_urls=True),
        Quirks(
            max_tokens="max_completion_tokens",
            system_role="auto",
            seed="random_seed",
            reasoning_effort="reasoning",
            reasoning_field="reasoning",
            tool_choice_required="any",
            send_reasoning=True,
            video=True,
            cache_control=True,
            document_urls=True,
        ),
    ]
)


@st.composite
def requests(draw: st.DrawFn, quirks: Quirks) -> Request:
    """Every request that the dialect can say."""
    chosen = draw(st.fixed_dictionaries({}, optional=parameters))
    if draw(st.booleans()):
        if quirks.reasoning_effort == "reasoning":
            whole = build(
                ReasoningSettings,
                enabled=st.none() | st.booleans(),
                effort=st.none() | names,
                budget_tokens=st.none() | st.integers(1, 9999),
                summary=st.none() | names,
            )
        else:
            whole = build(ReasoningSettings, effort=names)
        chosen["reasoning"] = draw(whole)
    stream = draw(st.booleans())
    extra = {f"x_{name}": value for name, value in draw(objects).items()}
    if stream:
        extra["stream_options"] = {"include_usage": True}
    return Request(
        model=draw(any_texts),
        turns=tuple(draw(st.lists(asked | answers() | results, max_size=4))),
        tools=tuple(draw(st.lists(tools, max_size=2))),
        stream=stream,
        dialect=NAME,
        extra=extra,
        **chosen,
    )


@given(st.data(), kinds)
@settings(max_examples=200)
def test_requests(data: st.DataObject, quirks: Quirks) -> None:
    request = data.draw(requests(quirks))
    assert OpenAIChat(quirks).parse_request(sent(request, quirks)) == request


# --- answers ----------------------------------------------------------------------------------------------------------

starts = build(
    Start,
    id=texts,
    model=texts,
    created=st.integers(1, 2**50),
    service_tier=st.none() | texts,
    fingerprint=st.none() | texts,
)
finishes = st.sampled_from(
    [
        Finish(finish={"reason": "stop"}),
        Finish(finish={"reason": "length"}),
        Finish(finish={"reason": "tool_calls"}),
        Finish(finish={"reason": "content_filter"}),
        Finish(finish={"reason": "stop", "raw": "end_turn"}),
        Finish(finish={"reason": "stop", "stop_sequence": "END"}),
    ]
)
counts = st.integers(0, 9999)
usages = st.builds(
    lambda given, made, cached: OpenAIChat().parse_reply(
        json.dumps(
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": given,
                    "completion_tokens": made,
                    "total_tokens": given + made,
                    "prompt_tokens_details": {"cached_tokens": cached},
                },
            }
        ).encode()
    )[0],
    counts,
    counts,
    counts,
)
tokens = st.just({"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []})
logprobs = st.lists(tokens, min_size=1, max_size=2).map(lambda found: Logprobs(logprobs=found))
cited = st.fixed_dictionaries(
    {"url": urls}, optional={"title": texts, "content": texts, "start_index": counts, "end_index": counts}
)
citations = cited.map(
    lambda note: Citation(
        url=note["url"],
        title=note.get("title"),
        cited_text=note.get("content"),
        start=note.get("start_index"),
        end=note.get("end_index"),
        raw={NAME: {"type": "url_citation", "url_citation": note}},
    )
)
MADE = PartEnd(kind="media", opaque={NAME: {"type": "image_url"}})
made = build(Media, media_type=st.sampled_from(["image/png", "image/webp"]), data=base64) | build(Media, url=urls)
said = build(Content, content=texts) | build(Reasoning, token=texts) | build(Refusal, refusal=texts)


@st.composite
def streams(draw: st.DrawFn) -> list[RawResponse]:
    """Answers as this dialect's parser gives them."""
    chunks: list[RawResponse] = [draw(starts)]
    begun = 0
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["said", "said", "begin", "arguments", "image", "citation", "logprobs"]))
        if kind == "begin":
            chunks.append(ToolCallDelta(part=begun, id=f"call_{begun}", name=draw(texts)))
            begun += 1
        elif kind == "arguments" and begun:
            chunks.append(ToolCallDelta(part=draw(st.integers(0, begun - 1)), arguments=draw(texts)))
        elif kind == "image":
            chunks += [draw(made), MADE]
        elif kind == "citation":
            chunks.append(draw(citations))
        elif kind == "logprobs":
            chunks.append(draw(logprobs))
        else:
            chunks.append(draw(said))
    if draw(st.booleans()):
        chunks += [
            Media(id="sound", media_type="audio/pcm", data=draw(st.just("AAAA"))),
            Media(transcript=draw(texts)),
            Media(data=draw(base64), expires_at=5),
        ]
    if draw(st.booleans()):
        chunks.append(PartEnd(kind="reasoning", opaque=details))
    if begun and draw(st.booleans()):
        chunks.append(PartEnd(part=begun - 1, kind="tool_call", opaque={NAME: {"extra_content": {"a": 1}}}))
    if any(isinstance(chunk, Media) and chunk.id for chunk in chunks):
        chunks.append(PartEnd(kind="media", opaque={NAME: {"id": "sound"}}))
    return [*chunks, draw(finishes), *draw(st.lists(usages, max_size=1))]


@given(streams(), st.sampled_from(["reasoning", "reasoning_content"]), st.data())
def test_streams(chunks: list[RawResponse], field: Any, data: st.DataObject) -> None:
    quirks = Quirks(reasoning_field=field)
    stream = render([*chunks, COMPLETE], quirks=quirks)
    at = data.draw(st.integers(0, len(stream)))
    block = parse([stream[:at], stream[at:]], quirks)
    assert joined(block[:-1]) == joined(chunks)
    assert isinstance(block[-1], End)
    assert block[-1].state == "complete"


@given(streams())
def test_whole_answers(chunks: list[RawResponse]) -> None:
    dialect = OpenAIChat()
    block = dialect.parse_reply(dialect.render_reply([*chunks, COMPLETE], ENVELOPE))
    assert isinstance(block[-1], End)
    assert block[-1].state == "complete"
    first, second = fold(chunks), fold(block[:-1])  # type: ignore[arg-type]
    assert (first.text, first.reasoning, first.tool_calls) == (second.text, second.reasoning, second.tool_calls)
    assert (first.finish, first.usage, first.id, first.model) == (second.finish, second.usage, second.id, second.model)
    assert (first.citations, first.logprobs) == (second.citations, second.logprobs)

    def by_kind(reply: Any, kind: type) -> Any:
        parts = [part for part in reply.parts if isinstance(part, kind)]
        if kind is RefusalPart:
            return "".join(part.text for part in parts)
        return [part for part in parts if kind is not MediaPart or part.kind == "image"]

    for kind in (RefusalPart, ToolCallPart, MediaPart):
        assert by_kind(first, kind) == by_kind(second, kind)


# --- refusals ---------------------------------------------------------------------------------------------------------

refused = st.sampled_from(
    [
        (errors.BackendRequestError, (400, 405, 413, 422)),
        (errors.AuthenticationError, (401, 403)),
        (errors.PaymentError, (402, 429)),
        (errors.RateLimitError, (429,)),
        (errors.ModelNotFoundError, (404, 400, 403)),
        (errors.ContentRefusedError, (400, 403)),
        (errors.UnavailableError, (408, 500, 502, 503, 529)),
    ]
)


@given(refused, st.data(), texts)
def test_refusals(row: Any, data: st.DataObject, message: str) -> None:
    cls, statuses = row
    kinds_of_error = st.none() | texts | st.sampled_from(["insufficient_quota", "model_not_found", "content_filter"])
    error = cls(message, status=data.draw(st.none() | st.sampled_from(statuses)), kind=data.draw(kinds_of_error))
    dialect = OpenAIChat()
    status, body = dialect.render_error(error)
    assert type(dialect.parse_error(status, {}, body)) is cls
    end = parse([render([Content(content="a"), End("failed", ("x",), error)])])[-1]
    assert isinstance(end, End)
    assert type(end.error) is cls
