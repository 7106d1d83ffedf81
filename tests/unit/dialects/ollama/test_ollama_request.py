"""Requests in Ollama's form: what is said, what becomes of the rest, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.media import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    ReasoningPart,
    ReasoningSettings,
    Receipts,
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
from backstream.request.call import parse_call
from support_ollama import OLLAMA, rendered, sent

NAME = "ollama"
NOT_OFFERED = {
    "names": "a message has no name (ChatMessage): https://docs.ollama.com/api/chat",
    "audio-in": "a message holds text and images only: https://docs.ollama.com/api/chat",
    "video-in": "a message holds text and images only: https://docs.ollama.com/api/chat",
    "document-in": "a message holds text and images only: https://docs.ollama.com/api/chat",
    "media-by-url": "images are base64 only: https://docs.ollama.com/capabilities/vision",
    "media-by-file-id": "there are no uploaded files: https://docs.ollama.com/api/chat",
    "audio-out": "a message of an answer holds text and images only: https://docs.ollama.com/api/chat",
    "tool-choice": "there is no such parameter; which tools are sent is all that can be chosen: "
    "https://docs.ollama.com/api/chat",
    "reasoning-opaque": "thinking is plain text: https://docs.ollama.com/capabilities/thinking",
    "cached-usage": "the counts tell nothing of a cache: https://docs.ollama.com/api/usage",
    "citations": "an answer names no sources: https://docs.ollama.com/api/chat",
    "refusal": "a refusal is text like any other: https://docs.ollama.com/api/chat",
    "token-count": "no route counts tokens: https://docs.ollama.com/api",
    "cache-control": "the server keeps its cache by itself: https://docs.ollama.com/faq",
}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
USER = Turn(role="user", parts=(TextPart(text="Hi"),))
WEATHER = Tool(name="weather", description="Look.", parameters={"type": "object", "properties": {}})


def user(*parts: Any) -> Request:
    return Request(model="m", turns=(Turn(role="user", parts=parts),))


def message_of(*parts: Any, role: Any = "assistant") -> dict[str, Any]:
    (message,) = sent(Request(model="m", turns=(Turn(role=role, parts=parts),)))["messages"]
    return message


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.parametrize("stream", [True, False])
def test_the_smallest_request(stream: bool) -> None:
    body = sent(Request(model="m", turns=(USER,), stream=stream))
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}


@pytest.mark.capability(NAME, "system", "provider")
@pytest.mark.capability(NAME, "multi-turn", "provider")
def test_turns_keep_their_order_and_a_developer_is_the_system() -> None:
    turns = [Turn(role=role, parts=(TextPart(text=role),)) for role in ("system", "user", "assistant", "developer")]
    body, receipts = rendered(Request(model="m", turns=tuple(turns)))
    roles = [(message["role"], message["content"]) for message in body["messages"]]
    assert roles == [("system", "system"), ("user", "user"), ("assistant", "assistant"), ("system", "developer")]
    assert receipts == ["messages[3].role renamed as system"]


@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "stop", "provider")
@pytest.mark.capability(NAME, "seed", "provider")
@pytest.mark.capability(NAME, "logprobs", "provider")
def test_parameters_go_under_options_and_each_has_a_receipt() -> None:
    request = Request(
        model="m",
        turns=(USER,),
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        min_p=0.1,
        stop=("x",),
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        repetition_penalty=1.1,
        logprobs=True,
        top_logprobs=2,
    )
    body, receipts = rendered(request)
    assert body["options"] == {
        "num_predict": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0.1,
        "stop": ["x"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repeat_penalty": 1.1,
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert "max_tokens renamed as options.num_predict" in receipts
    assert len(receipts) == len(request.parameters())


def test_a_parameter_without_a_place_is_dropped_and_said() -> None:
    request = Request(
        model="m",
        turns=(USER,),
        logit_bias={"1": 2},
        modalities=("text", "audio"),
        audio={"voice": "x"},
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        store=True,
        previous_response_id="r",
        conversation={"a": 1},
        safety_settings=[{}],
    )
    receipts = Receipts()
    OLLAMA.render_request(request, receipts)
    dropped = {receipt.what: receipt.harmless for receipt in receipts}
    assert dropped == {name: name == "conversation" for name in request.parameters()}
    receipts = Receipts()
    OLLAMA.render_request(Request(model="m", turns=(USER,), modalities=("text",), store=False), receipts)
    assert receipts.settle("strict", "Ollama")  # nothing was lost


def test_names_are_dropped() -> None:
    body, receipts = rendered(Request(model="m", turns=(Turn(role="user", parts=USER.parts, name="Ann"),)))
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert receipts == ["messages[0].name dropped (Ollama's messages have no names)"]


@pytest.mark.capability(NAME, "image-in", "provider")
def test_images_stand_beside_the_text() -> None:
    image = MediaPart(kind="image", media_type="image/png", data=PNG)
    body, receipts = rendered(user(TextPart(text="What is this?"), image, image))
    assert body["messages"] == [{"role": "user", "content": "What is this?", "images": [PNG, PNG]}]
    assert receipts == []
    body, receipts = rendered(user(TextPart(text="a"), image, TextPart(text="b")))
    assert body["messages"] == [{"role": "user", "content": "a\nb", "images": [PNG]}]
    assert receipts[0].startswith("messages[0].content approximated as text, then images, then calls")


@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
def test_an_image_is_read_while_it_is_sent() -> None:
    data = b"\x89PNG" + bytes(1000)
    item = MediaItem(media_type="image/png", size=len(data), blocks=lambda: iter([data[:10], data[10:]]))
    body = sent(user(MediaPart(kind="image", media_type="image/png", item=item)))
    assert body["messages"][0] == {"role": "user", "content": "", "images": [base64.b64encode(data).decode()]}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (MediaPart(kind="audio", media_type="audio/wav", data="AA=="), "holds an audio, and Ollama takes only images"),
        (MediaPart(kind="document", media_type="application/pdf", data="AA=="), "holds a document"),
        (MediaPart(kind="image", url="https://example.org/secret.png"), "holds an image by URL"),
        (MediaPart(kind="image", item=MediaItem(media_type="", url="https://example.org/secret.png")), "image by URL"),
        (MediaPart(kind="image", file_id="f"), "image by file id"),
    ],
)
def test_content_that_cannot_be_said_is_refused(part: MediaPart, words: str) -> None:
    request = Request(model="m", turns=(USER, Turn(role="user", parts=(part,))))
    with pytest.raises(UnsupportedFeatureError, match=words) as caught:
        rendered(request)
    assert "messages[1]" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("detail", "harmless"), [("auto", True), ("high", False)])
def test_how_closely_to_look_cannot_be_said(detail: str, harmless: bool) -> None:
    receipts = Receipts()
    OLLAMA.render_request(user(MediaPart(kind="image", data=PNG, detail=detail)), receipts)
    (receipt,) = receipts
    assert (receipt.what, receipt.harmless) == ("messages[0].detail", harmless)


@pytest.mark.capability(NAME, "tools", "provider")
def test_tools() -> None:
    marked = Tool(name="odd", strict=True, cache_control={"type": "ephemeral"}, opaque={"gemini": {"a": 1}})
    own = Tool(opaque={NAME: {"type": "web"}})
    foreign = Tool(opaque={"gemini": {"google_search": {}}})
    receipts = Receipts()
    body = OLLAMA.render_request(Request(model="m", tools=(WEATHER, marked, foreign)), receipts)
    assert [str(receipt) for receipt in receipts] == [
        "tools[1].strict dropped (Ollama does not hold arguments to a schema)",
        "tools[1].cache_control dropped (Ollama caches by itself)",
        "tools[1].opaque dropped (for another back-end)",
        "tools[2] dropped (a tool that only another back-end runs)",
    ]
    assert body
    assert sent(Request(model="m", tools=(WEATHER, marked)))["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Look.", "parameters": {"type": "object", "properties": {}}},
        },
        {"type": "function", "function": {"name": "odd", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert OLLAMA.parse_request({"tools": [{"type": "web"}]}).tools == (own,)
    assert b'"tools":[{"type":"web"}]' in b"".join(OLLAMA.render_request(Request(tools=(own,)), Receipts()).body)


@pytest.mark.parametrize(
    ("choice", "tools", "receipt"),
    [
        (ToolChoice(), ["weather", "odd"], "tool_choice kept"),
        (ToolChoice(mode="none"), [], "tool_choice renamed as no tools"),
        (ToolChoice(mode="required"), ["weather", "odd"], "tool_choice dropped (Ollama cannot be made to call a tool)"),
        (
            ToolChoice(mode="tool", names=("odd",)),
            ["odd"],
            "tool_choice dropped (Ollama cannot be made to call a tool)",
        ),
        (ToolChoice(names=("odd",)), ["odd"], "tool_choice renamed as only those tools"),
    ],
)
def test_the_choice_of_tools_is_which_ones_are_sent(choice: ToolChoice, tools: list[str], receipt: str) -> None:
    body, receipts = rendered(Request(model="m", tools=(WEATHER, Tool(name="odd")), tool_choice=choice))
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == tools
    assert receipts == [receipt]


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_are_the_models_choice(parallel: bool) -> None:
    receipts = Receipts()
    OLLAMA.render_request(Request(model="m", parallel_tool_calls=parallel), receipts)
    assert [(receipt.what, receipt.harmless) for receipt in receipts] == [("parallel_tool_calls", parallel)]


@pytest.mark.capability(NAME, "tool-results", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
def test_calls_and_results() -> None:
    calls = (
        ToolCallPart(id="c1", name="weather", arguments='{"n": 123456789012345678901}'),
        ToolCallPart(name="time", arguments=""),
    )
    results = (
        ToolResultPart(tool_call_id="c1", content=(TextPart(text="21"),), is_error=True),
        ToolResultPart(content=(TextPart(text="noon"),)),
        ToolResultPart(tool_call_id="c9"),
        ToolResultPart(),
    )
    turns = (
        Turn(role="assistant", parts=(TextPart(text="I look."), *calls)),
        Turn(role="user", parts=(*results, TextPart(text="Go on."))),
    )
    body, receipts = rendered(Request(model="m", turns=turns))
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "weather", "arguments": {"n": 123456789012345678901}}},
                {"function": {"name": "time", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "21", "tool_name": "weather", "tool_call_id": "c1"},
        {"role": "tool", "content": "noon", "tool_name": "time"},
        {"role": "tool", "content": "", "tool_call_id": "c9"},
        {"role": "tool", "content": ""},
        {"role": "user", "content": "Go on."},
    ]
    assert receipts == ["messages[1].is_error dropped (there is no such mark; its text tells)"]


@pytest.mark.capability(NAME, "tool-result-media", "provider")
def test_a_result_may_hold_images() -> None:
    part = ToolResultPart(name="look", content=(TextPart(text="see"), MediaPart(kind="image", data=PNG)))
    assert message_of(part, role="tool") == {"role": "tool", "content": "see", "images": [PNG], "tool_name": "look"}


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"x"', "{} {}"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    call = ToolCallPart(name="weather", arguments=arguments)
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]: the arguments of the call of 'weather'"):
        rendered(Request(model="m", turns=(Turn(role="assistant", parts=(call,)),)))


def test_arguments_keep_their_text_but_for_line_ends_and_half_characters() -> None:
    texts = ['{"a": 1.50}', '{\n"a": 2}', '{"a": "\\ud83d"}', '{"a": "\ud83d"}']
    calls = [ToolCallPart(name="f", arguments=text) for text in texts]
    body = OLLAMA.render_request(Request(turns=(Turn(role="assistant", parts=tuple(calls)),)), Receipts()).body
    (data,) = body
    for text in (b'{"a": 1.50}', b'{"a":2}', b'{"a":"\xef\xbf\xbd"}'):
        assert b'"arguments":' + text in data


@pytest.mark.capability(NAME, "reasoning", "provider")
def test_thoughts_go_back_as_thinking() -> None:
    message = message_of(ReasoningPart(text="So"), ReasoningPart(text=""), ReasoningPart(text="then"), *USER.parts)
    assert message == {"role": "assistant", "content": "Hi", "thinking": "So\nthen"}


@pytest.mark.parametrize(
    ("settings", "think", "receipts"),
    [
        (ReasoningSettings(enabled=True), True, ["reasoning renamed as think"]),
        (ReasoningSettings(enabled=False), False, ["reasoning renamed as think"]),
        (ReasoningSettings(effort="none"), False, ["reasoning renamed as think"]),
        (ReasoningSettings(effort="low"), "low", ["reasoning renamed as think"]),
        (ReasoningSettings(effort="deep", enabled=True), "deep", ["reasoning renamed as think"]),
        (
            ReasoningSettings(effort="minimal"),
            "low",
            ["reasoning approximated as think=low (Ollama has no level 'minimal')"],
        ),
        (
            ReasoningSettings(budget_tokens=99),
            True,
            [
                "reasoning.budget_tokens dropped (Ollama knows levels of thinking, but no budget)",
                "reasoning renamed as think",
            ],
        ),
        (ReasoningSettings(budget_tokens=0), False, ["reasoning renamed as think"]),
        (ReasoningSettings(summary="none"), None, ["reasoning.summary dropped (Ollama shows what the model thought)"]),
    ],
)
def test_settings_of_reasoning(settings: ReasoningSettings, think: object, receipts: list[str]) -> None:
    known: Any = Receipts()
    members = OLLAMA.render_request(Request(model="m", reasoning=settings), known).body
    assert [str(receipt) for receipt in known] == receipts
    assert OLLAMA.parse_request(__import__("json").loads(b"".join(members))).reasoning == (  # type: ignore[arg-type]
        None
        if think is None
        else ReasoningSettings(enabled=think)
        if isinstance(think, bool)
        else ReasoningSettings(effort=think)  # type: ignore[arg-type]
    )


@pytest.mark.capability(NAME, "structured-output", "provider")
def test_the_form_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = ResponseFormat(kind="json_schema", schema=schema, name="n", strict=True, description="d")
    body, receipts = rendered(Request(model="m", response_format=form))
    assert body["format"] == schema
    assert receipts == [
        "response_format.description dropped (Ollama has no place for it)",
        "response_format renamed as format",
    ]
    assert sent(Request(response_format=ResponseFormat(kind="json_object")))["format"] == "json"
    assert rendered(Request(response_format=ResponseFormat(kind="json_schema", schema=schema)))[1] == [receipts[1]]
    assert "format" not in sent(Request(response_format=ResponseFormat(kind="text")))
    with pytest.raises(InvalidRequestError, match="has no schema"):
        rendered(Request(response_format=ResponseFormat(kind="json_schema")))


def test_a_refusal_in_the_history_is_text() -> None:
    body, receipts = rendered(Request(turns=(Turn(role="assistant", parts=(RefusalPart(text="No."),)),)))
    assert body["messages"] == [{"role": "assistant", "content": "No."}]
    assert receipts == ["messages[0].refusal approximated as its text (Ollama's messages have no refusals)"]


def test_what_belongs_to_this_dialect_is_laid_over_and_the_rest_left_out() -> None:
    turn = Turn(
        role="user",
        parts=(
            TextPart(text="Hi", opaque={NAME: {"a": 1}, "gemini": {"b": 2}}, cache_control={"type": "ephemeral"}),
            OpaquePart(opaque={"": {"c": 3}, NAME: {"d": 4}}),
        ),
        opaque={NAME: {"role": "control"}},
    )
    receipts = Receipts()
    (data,) = OLLAMA.render_request(Request(turns=(turn,)), receipts).body
    assert b'[{"role":"control","content":"Hi","a":1,"c":3,"d":4}]' in data
    assert [(receipt.what, receipt.harmless) for receipt in receipts] == [
        ("messages[0].cache_control", True),
        ("messages[0].opaque.gemini", False),  # what a user said was meant
    ]


def test_a_part_that_only_another_back_end_reads_is_left_out_of_an_answer_only() -> None:
    part = OpaquePart(opaque={"gemini": {"e": 5}})
    receipts = Receipts()
    OLLAMA.render_request(Request(turns=(Turn(role="assistant", parts=(part,)),)), receipts)
    assert [(receipt.what, receipt.harmless) for receipt in receipts] == [("messages[0].opaque.gemini", True)]
    for role in ("system", "developer", "user", "tool"):
        with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: a part that only gemini reads"):
            sent(Request(turns=(Turn(role=role, parts=(part,)),)))
    with pytest.raises(UnsupportedFeatureError, match="only nobody reads"):
        sent(Request(turns=(Turn(role="user", parts=(OpaquePart(),)),)))


@pytest.mark.parametrize(
    ("choice", "harmless"),
    [(None, False), (ToolChoice(mode="tool", names=("f",)), False), (ToolChoice(mode="none"), True)],
)
def test_a_tool_of_another_vendor_leaves_a_receipt_whatever_is_chosen(
    choice: ToolChoice | None, harmless: bool
) -> None:
    tools = (Tool(name="f"), Tool(opaque={"gemini": {"googleSearch": {}}}))
    receipts = Receipts()
    OLLAMA.render_request(Request(tools=tools, tool_choice=choice), receipts)
    assert [receipt.harmless for receipt in receipts if receipt.what == "tools[1]"] == [harmless]


def test_a_callers_further_members_go_where_ollama_looks_for_them() -> None:
    further = {"num_ctx": 8192, "keep_alive": "5m", "temperature": 0.5, "options": {"mirostat": 1, "seed": 3}}
    body, receipts = rendered(parse_call("m", [{"role": "user", "content": "Hi"}], (), {"seed": 2, **further}))
    assert body["options"] == {"temperature": 0.5, "seed": 3, "num_ctx": 8192, "mirostat": 1}
    assert body["keep_alive"] == "5m"
    assert {"num_ctx renamed as options.num_ctx", "keep_alive kept", "options kept"} <= set(receipts)
    own = sent(Request(dialect=NAME, extra={"num_ctx": 1, "options": {"num_ctx": 2}}))
    assert (own["num_ctx"], own["options"]) == (1, {"num_ctx": 2})
    body, receipts = rendered(Request(dialect="gemini", extra={"labels": {}}))
    assert "labels" not in body
    assert receipts == ["labels dropped (a member of gemini only)"]
