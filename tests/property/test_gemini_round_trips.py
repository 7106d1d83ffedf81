"""Gemini both ways: what is rendered is read back as it was, and no event can do harm."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.dialects.base import Envelope
from backstream.dialects.gemini import Gemini, Quirks
from backstream.reply import Block, End, Reply, fold
from backstream.request import (
    MediaPart,
    OpaquePart,
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
from support_turns import named_by_calls

GEMINI = Gemini()
ARRAY = Gemini(Quirks(framing="array"))
ENVELOPE = Envelope(id="answer-1", model="gemini-3-pro", created=1)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
name = st.from_regex(r"[a-z][a-z_0-9]{0,9}", fullmatch=True)
signature = st.sampled_from([{}, {"gemini": {"thoughtSignature": "c2lnbmVk"}}])
scalar = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text
)
value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
arguments = st.dictionaries(name, value, max_size=3).map(lambda members: msgspec.json.encode(members).decode())
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

# --- requests

texts = st.builds(TextPart, text=text, opaque=signature) | st.just(TextPart(text=""))
inline = st.sampled_from(
    [("image", "image/png"), ("audio", "audio/wav"), ("video", "video/mp4"), ("document", "application/pdf")]
).flatmap(
    lambda kind: st.builds(MediaPart, kind=st.just(kind[0]), media_type=st.just(kind[1]), data=st.just("iVBORw=="))
)
by_place = st.sampled_from(
    [
        MediaPart(kind="image", media_type="image/jpeg", url="https://example.org/a.jpg", detail="high"),
        MediaPart(kind="video", url="https://www.youtube.com/watch?v=9hE5-98ZeCg"),
        MediaPart(kind="document", url="https://example.org/paper"),
        MediaPart(kind="document", media_type="application/pdf", url="gs://bucket/paper.pdf"),
        MediaPart(kind="audio", media_type="audio/mpeg", file_id="files/abc-123", detail="low"),
    ]
)
media = inline | by_place
calls = st.builds(ToolCallPart, id=name | st.just(""), name=name, arguments=arguments, opaque=signature)
thoughts = st.builds(ReasoningPart, text=text, opaque=signature)
own = st.just(OpaquePart(opaque={"gemini": {"executableCode": {"language": "PYTHON", "code": "print(1)"}}}))
result_texts = text | arguments | st.sampled_from(["", "{}", '{"output":"x"}', '{"error":1}', "[1]"])
results = st.builds(
    ToolResultPart,
    tool_call_id=name | st.just(""),
    name=name,
    content=st.tuples(st.builds(TextPart, text=result_texts))
    | st.tuples(inline)
    | st.tuples(st.builds(TextPart, text=result_texts), inline),
    opaque=st.sampled_from([{}, {"gemini": {"functionResponse": {"scheduling": "SILENT"}}}]),
) | st.builds(ToolResultPart, name=name, content=st.tuples(st.builds(TextPart, text=text)), is_error=st.just(True))
user_turn = st.builds(
    Turn, role=st.just("user"), parts=st.lists(texts | media | own, min_size=1, max_size=4).map(tuple)
)
model_turn = st.builds(
    Turn,
    role=st.just("assistant"),
    parts=st.lists(texts | inline | calls | thoughts | own, min_size=1, max_size=4).map(tuple),
    opaque=st.sampled_from([{}, {"gemini": {"note": 1}}]),
)
tool_turn = st.builds(Turn, role=st.just("tool"), parts=st.lists(results, min_size=1, max_size=3).map(tuple))
system_turn = st.builds(
    Turn, role=st.just("system"), parts=st.lists(st.builds(TextPart, text=text), min_size=1, max_size=2).map(tuple)
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns = [draw(user_turn)]
    for _ in range(draw(st.integers(0, 2))):
        turns += [draw(model_turn), draw(tool_turn | user_turn)]
    return (*draw(st.lists(system_turn, max_size=1)), *turns)


functions = st.builds(
    Tool,
    name=name,
    description=st.none() | text,
    parameters=st.sampled_from([None, SCHEMA]),
    opaque=st.sampled_from([{}, {"gemini": {"behavior": "NON_BLOCKING"}}]),
)
searches = st.just(Tool(opaque={"gemini": {"googleSearch": {}}}))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    tools = (*draw(st.lists(functions, max_size=3)), *draw(st.lists(searches, max_size=1)))
    choice = draw(
        st.none()
        | st.sampled_from([ToolChoice(), ToolChoice(mode="none"), ToolChoice(mode="required")])
        | st.builds(ToolChoice, mode=st.just("tool"), names=st.tuples(name))
        | st.builds(ToolChoice, mode=st.sampled_from(["auto", "required"]), names=st.tuples(name, name))
    )
    if choice is None and draw(st.booleans()):
        tools = tuple(msgspec.structs.replace(tool, strict=True) if tool.name else tool for tool in tools)
    extra: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"cachedContent": "cachedContents/1"},
                {"generationConfig": {"imageConfig": {"aspectRatio": "16:9"}}, "labels": {"team": "a"}},
                {"toolConfig": {"retrievalConfig": {"languageCode": "en"}}},
            ]
        )
    )
    effort = st.sampled_from(["minimal", "low", "medium", "high"])
    shown = st.none() | st.sampled_from(["auto", "none"])
    number = st.none() | st.integers(1, 1000)
    fraction = st.none() | st.floats(0, 2, allow_nan=False)
    return Request(
        model=draw(st.sampled_from(["gemini-3-pro", "tunedModels/mine", "odd name:é"])),
        turns=named_by_calls(draw(conversations())),
        tools=tools,
        tool_choice=choice,
        response_format=draw(
            st.none()
            | st.sampled_from(
                [
                    ResponseFormat(kind="text"),
                    ResponseFormat(kind="json_object"),
                    ResponseFormat(kind="json_schema", schema=SCHEMA),
                ]
            )
        ),
        reasoning=draw(
            st.none()
            | st.builds(ReasoningSettings, effort=effort, summary=shown)
            | st.builds(ReasoningSettings, budget_tokens=st.integers(1, 9999), summary=shown)
            | st.builds(ReasoningSettings, enabled=st.booleans(), summary=shown)
        ),
        stream=draw(st.booleans()),
        max_tokens=draw(number),
        temperature=draw(fraction),
        top_p=draw(fraction),
        top_k=draw(number),
        stop=tuple(draw(st.lists(text, max_size=3))),
        seed=draw(number),
        frequency_penalty=draw(fraction),
        presence_penalty=draw(fraction),
        logprobs=draw(st.none() | st.booleans()),
        top_logprobs=draw(number),
        modalities=draw(st.sampled_from([(), ("text", "image"), ("audio",)])),
        audio=draw(st.none() | st.just({"voice": "Kore"})),
        service_tier=draw(st.none() | st.sampled_from(["flex", "priority", "default"])),
        store=draw(st.none() | st.booleans()),
        safety_settings=draw(
            st.none() | st.just([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}])
        ),
        dialect="gemini" if extra else "",
        extra=extra,
    )


def body_of(rendered: Any) -> Any:
    return json.loads(b"".join(rendered.body))


@given(requests())
def test_a_rendered_request_is_read_back_as_it_was(request: Request) -> None:
    rendered = GEMINI.render_request(request, Receipts())
    assert GEMINI.parse_request(body_of(rendered), "/v1beta" + rendered.path) == request


@given(requests())
def test_every_parameter_has_a_receipt(request: Request) -> None:
    receipts = Receipts()
    GEMINI.render_request(request, receipts)
    said = {receipt.what.partition(".")[0] for receipt in receipts}
    assert set(request.parameters()) <= said
    assert not [receipt for receipt in receipts if receipt.outcome == "dropped" and not receipt.harmless]


# --- answers


@st.composite
def answers(draw: st.DrawFn) -> list[RawResponse]:
    """Chunks of an answer as Gemini can say it; neighbours of one kind without a signature would be one part."""
    chunks: list[RawResponse] = [Start(id="r-1", model="gemini-3-pro")]
    before = ""
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["text", "reasoning", "tool_call", "media", "opaque"]))
        signed: dict[str, Any] = draw(signature) or ({"gemini": {"thoughtSignature": "eA=="}} if kind == before else {})
        if kind == "text" and signed:
            chunks += [Content(content=draw(text), part=number)]
        elif kind == "text":
            chunks += [Content(content=piece, part=number) for piece in draw(st.lists(text, min_size=1, max_size=3))]
        elif kind == "reasoning":
            pieces = st.lists(text, min_size=1, max_size=1 if signed else 3)
            chunks += [Reasoning(token=piece, part=number) for piece in draw(pieces)]
        elif kind == "tool_call":
            whole = draw(arguments)
            cut = draw(st.integers(0, len(whole)))
            chunks += [
                ToolCallDelta(part=number, id=draw(name | st.just("")), name=draw(name)),
                ToolCallDelta(part=number, arguments=whole[:cut]),
                ToolCallDelta(part=number, arguments=whole[cut:]),
            ]
        elif kind == "media":
            chunks += [
                Media(media_type=draw(st.sampled_from(["image/png", "video/mp4"])), data="iVBORw==", part=number)
            ]
        else:
            signed = {"gemini": {"executableCode": {"language": "PYTHON", "code": draw(text)}}}
        if signed or kind in ("tool_call", "media"):
            chunks += [PartEnd(part=number, kind=kind, opaque=signed or None)]
        before = kind if kind in ("text", "reasoning") and not signed else ""
    if draw(st.booleans()):
        chunks += [Citation(url="https://example.org", title=draw(text))]
    called = any(isinstance(chunk, ToolCallDelta) for chunk in chunks)
    reasons = ["tool_calls" if called else "stop", "length", "content_filter", "OTHER"]
    chunks += [Finish(finish={"reason": draw(st.sampled_from(reasons))})]
    if draw(st.booleans()):
        counts = {"prompt_tokens": draw(st.integers(0, 99)), "completion_tokens": 50, "total_tokens": 99}
        details = {"completion_tokens_details": {"reasoning_tokens": draw(st.integers(1, 50))}}
        chunks += [Usage(usage=counts | (details if draw(st.booleans()) else {}))]
    return chunks


def meaning(reply: Reply) -> object:
    usage = reply.usage.usage if reply.usage is not None else None
    cited = [(citation.url, citation.title) for citation in reply.citations]
    return reply.parts, reply.finish and reply.finish.reason, usage, cited, reply.id, reply.model


def folded(block: Block) -> Reply:
    assert isinstance(block[-1], End)
    assert block[-1].state == "complete", block[-1]
    return fold(chunk for chunk in block if not isinstance(chunk, End))


def parsed(dialect: Gemini, data: bytes) -> Block:
    parser = dialect.stream_parser()
    return parser.feed(data) + parser.finish(framed=True)


@given(answers(), st.sampled_from([GEMINI, ARRAY]))
def test_a_rendered_stream_folds_to_the_same(chunks: list[RawResponse], dialect: Gemini) -> None:
    data = dialect.stream_renderer(ENVELOPE).render([*chunks, End("complete")])
    assert meaning(folded(parsed(dialect, data))) == meaning(fold(chunks))


@given(answers())
def test_a_stream_rendered_part_by_part_says_the_same(chunks: list[RawResponse]) -> None:
    renderer = GEMINI.stream_renderer(ENVELOPE)
    blocks: list[Block] = []
    whole: Block = [*chunks, End("complete")]
    for chunk in whole:
        number = getattr(chunk, "part", None)
        if blocks and number is not None and number == getattr(blocks[-1][-1], "part", None):
            blocks[-1].append(chunk)
        else:
            blocks.append([chunk])
    data = b"".join(map(renderer.render, blocks))
    assert meaning(folded(parsed(GEMINI, data))) == meaning(fold(chunks))


@given(answers())
def test_a_rendered_reply_folds_to_the_same(chunks: list[RawResponse]) -> None:
    body = GEMINI.render_reply([*chunks, End("complete")], ENVELOPE)
    assert meaning(folded(GEMINI.parse_reply(body))) == meaning(fold(chunks))


REFUSALS = [
    errors.RefusedError,
    errors.BackendRequestError,
    errors.AuthenticationError,
    errors.PaymentError,
    errors.RateLimitError,
    errors.ModelNotFoundError,
    errors.ContentRefusedError,
    errors.UnavailableError,
]


@given(st.sampled_from(REFUSALS), text, st.none() | st.integers(0, 3600))
def test_a_rendered_refusal_is_of_the_same_class(cls: type[errors.RefusedError], said: str, wait: int | None) -> None:
    status, body = GEMINI.render_error(cls(said, retry_after_seconds=wait))
    for known in (status, None):
        error = GEMINI.parse_error(known, {}, body)
        assert type(error) is cls
        assert isinstance(error, errors.RefusedError)
        assert error.retry_after_seconds == wait


# --- damage

EVENT = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "a", "thoughtSignature": "b"},
                    {"text": "c", "thought": True},
                    {"functionCall": {"id": "d", "name": "e", "args": {"f": 1}, "partialArgs": [{"jsonPath": "$.g"}]}},
                    {"inlineData": {"mimeType": "image/png", "data": "aA=="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "gs://i"}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "logprobsResult": {"chosenCandidates": [{"token": "j", "logProbability": -1}], "topCandidates": [{}]},
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "k", "title": "l"}}],
                "groundingSupports": [{"segment": {"endIndex": 1, "text": "m"}, "groundingChunkIndices": [0]}],
            },
            "citationMetadata": {"citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "n"}]},
            "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "o"}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}]},
    "promptFeedback": {"blockReason": "SAFETY"},
    "modelVersion": "p",
    "responseId": "q",
}
REQUEST = {
    "contents": [
        {"role": "model", "parts": EVENT["candidates"][0]["content"]["parts"]},  # type: ignore[index]
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "d",
                        "name": "e",
                        "response": {"output": "f"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "aA=="}}],
                    }
                }
            ],
        },
    ],
    "systemInstruction": {"parts": [{"text": "s"}]},
    "generationConfig": {
        "temperature": 1,
        "maxOutputTokens": 1,
        "stopSequences": ["t"],
        "responseModalities": ["TEXT"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "OBJECT", "properties": {"u": {"type": "STRING", "nullable": True}}},
        "thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW", "includeThoughts": True},
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "v"}}},
    },
    "tools": [{"functionDeclarations": [{"name": "e", "description": "w", "parameters": {"type": "OBJECT"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["e"]}},
    "safetySettings": [{"category": "x"}],
    "serviceTier": "flex",
    "store": True,
    "model": "models/y",
}


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, member in inner for place in places(member, (*path, key)))]


def damaged(tree: Any, path: tuple[Any, ...], rubbish: Any) -> Any:
    if not path:
        return rubbish
    key, *rest = path
    if isinstance(tree, dict):
        return {**tree, key: damaged(tree[key], tuple(rest), rubbish)}
    return [damaged(item, tuple(rest), rubbish) if index == key else item for index, item in enumerate(tree)]


@settings(max_examples=500)
@given(st.sampled_from(places(EVENT)), value, st.sampled_from([GEMINI, ARRAY]))
def test_any_value_anywhere_in_an_event_gives_a_documented_result(
    path: tuple[Any, ...], rubbish: Any, dialect: Gemini
) -> None:
    event = json.dumps(damaged(EVENT, path, rubbish)).encode()
    data = b"[%b]" % event if dialect is ARRAY else b"data: %b\n\n" % event
    block = parsed(dialect, data)
    assert [isinstance(chunk, End) for chunk in block].index(True) == len(block) - 1
    fold(chunk for chunk in block if not isinstance(chunk, End))
    again = GEMINI.stream_renderer(ENVELOPE).render(block)
    assert isinstance(parsed(GEMINI, again)[-1], End)
    try:
        whole = GEMINI.parse_reply(event)
    except errors.DecodeError:
        return
    assert isinstance(whole[-1], End)


@settings(max_examples=500)
@given(st.sampled_from(places(REQUEST)), value)
def test_any_value_anywhere_in_a_request_is_read_or_refused(path: tuple[Any, ...], rubbish: Any) -> None:
    body = damaged(REQUEST, path, rubbish)
    if not isinstance(body, dict):
        return
    try:
        request = GEMINI.parse_request(body, "/models/z:generateContent")
    except errors.InvalidRequestError:
        return
    try:
        GEMINI.render_request(request, Receipts())
    except (errors.InvalidRequestError, errors.UnsupportedFeatureError):
        return


@given(st.binary(max_size=200))
def test_any_bytes_give_a_documented_result(data: bytes) -> None:
    block = parsed(GEMINI, data)
    assert isinstance(block[-1], End)
    assert isinstance(GEMINI.parse_error(500, {}, data), errors.ProviderError)
    for parse in (GEMINI.parse_models, GEMINI.parse_token_count, GEMINI.parse_reply):
        try:
            parse(data)
        except errors.DecodeError:
            continue
