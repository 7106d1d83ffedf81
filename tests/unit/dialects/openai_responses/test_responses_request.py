"""Requests to a back-end: every body fits the vendor's description, and every parameter has its receipt."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.media.item import MediaItem
from backstream.request import (
    PARAMETERS,
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
from support_openai_responses import DIALECT, NAME, body_of, folded, parse, problems, receipts_of, sent

HI = Turn(role="user", parts=(TextPart(text="Hi"),))
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def ask(*turns: Turn, **members: Any) -> Request:
    return Request(model="gpt-5.4", turns=turns or (HI,), **members)


def items(*turns: Turn, **members: Any) -> list[dict[str, Any]]:
    body = sent(ask(*turns, **members))
    assert problems("CreateResponse", body) == []
    found: list[dict[str, Any]] = body["input"]
    return found


def user(*parts: Any) -> Turn:
    return Turn(role="user", parts=parts)


def answer(*parts: Any) -> Turn:
    return Turn(role="assistant", parts=parts)


@pytest.mark.capability(NAME, "text", "provider")
def test_the_simplest_request() -> None:
    rendered = DIALECT.render_request(ask(), Receipts())
    assert rendered.path == "/responses"
    assert body_of(rendered) == {
        "model": "gpt-5.4",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "stream": True,
    }


@pytest.mark.capability(NAME, "system", "provider")
def test_the_first_system_turn_is_the_instructions() -> None:
    system = Turn(role="system", parts=(TextPart(text="Be brief."),))
    body = sent(ask(system, HI, system))
    assert problems("CreateResponse", body) == []
    assert body["instructions"] == "Be brief."
    assert [item["role"] for item in body["input"]] == ["user", "system"]
    developer = Turn(role="developer", parts=(TextPart(text="Be brief."),))
    assert [item["role"] for item in items(developer, HI)] == ["developer", "user"]
    two = Turn(role="system", parts=(TextPart(text="Be"), TextPart(text="brief.")))
    assert items(two)[0]["content"] == [{"type": "input_text", "text": "Be"}, {"type": "input_text", "text": "brief."}]
    marked = Turn(role="system", parts=(TextPart(text="Be brief.", cache_control={"type": "ephemeral"}),))
    assert items(marked)[0]["role"] == "system"


@pytest.mark.capability(NAME, "multi-turn", "provider")
@pytest.mark.capability(NAME, "tool-results", "provider")
def test_a_conversation_with_a_call() -> None:
    call = ToolCallPart(id="call_1", name="f", arguments="{}")
    result = ToolResultPart(tool_call_id="call_1", name="f", content=(TextPart(text="42"),), is_error=True)
    turns = (HI, answer(TextPart(text="Wait."), call), Turn(role="tool", parts=(result,)), HI)
    assert items(*turns)[1:] == [
        {"type": "message", "role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        {"type": "message", "role": "user", "content": "Hi"},
    ]
    told = receipts_of(ask(*turns))
    assert told["messages[2].is_error"] == told["messages[2].name"] == ("dropped", None)


def test_calls_without_ids_get_the_same_in_call_and_result() -> None:
    """Back-ends that know calls by name only gave them none."""
    calls = answer(ToolCallPart(name="f"), ToolCallPart(name="g"), ToolCallPart(name="f"))
    results = [
        ToolResultPart(name=name, content=(TextPart(text=text),))
        for name, text in (("g", "1"), ("f", "2"), ("f", "3"), ("h", "4"))
    ]
    found = items(calls, *(Turn(role="tool", parts=(result,)) for result in results))
    assert [item["call_id"] for item in found] == ["call_0", "call_1", "call_2", "call_1", "call_0", "call_2", "call_h"]
    mixed = items(user(TextPart(text="so"), results[0], TextPart(text="a"), TextPart(text="b")))
    assert [item["type"] for item in mixed] == ["message", "function_call_output", "message"]
    assert [content["text"] for content in mixed[2]["content"]] == ["a", "b"]


def test_names_have_no_place() -> None:
    told = receipts_of(ask(Turn(role="user", parts=HI.parts, name="Ann")))
    assert told["messages[0].name"] == ("dropped", None)


@pytest.mark.capability(NAME, "image-in", "provider")
@pytest.mark.capability(NAME, "document-in", "provider")
@pytest.mark.capability(NAME, "media-by-url", "provider")
@pytest.mark.capability(NAME, "media-by-file-id", "provider")
def test_images_and_documents() -> None:
    pdf = "application/pdf"
    parts = (
        MediaPart(kind="image", media_type="image/png", data="QUJD"),
        MediaPart(kind="image", url="https://a/b.png", detail="low"),
        MediaPart(kind="image", file_id="file-1"),
        MediaPart(kind="document", media_type=pdf, data="QUJD", filename="a.pdf"),
        MediaPart(kind="document", media_type=pdf, data="QUJD", detail="low"),
        MediaPart(kind="document", url="https://a/b.pdf"),
        MediaPart(kind="document", file_id="file-2"),
        MediaPart(kind="document", media_type="", data="QUJD"),
    )
    assert items(user(*parts))[0]["content"] == [
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUJD"},
        {"type": "input_image", "detail": "low", "image_url": "https://a/b.png"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:{pdf};base64,QUJD"},
        {"type": "input_file", "detail": "low", "file_data": f"data:{pdf};base64,QUJD", "filename": "document.pdf"},
        {"type": "input_file", "file_url": "https://a/b.pdf"},
        {"type": "input_file", "file_id": "file-2"},
        {"type": "input_file", "file_data": "data:application/octet-stream;base64,QUJD", "filename": "document"},
    ]


@pytest.mark.capability(NAME, "streamed-media-upload", "provider")
def test_media_are_read_while_they_are_sent() -> None:
    def no_bytes_yet() -> Any:
        raise AssertionError("read too early")

    item = MediaItem(media_type="image/png", size=3, blocks=no_bytes_yet)
    body = DIALECT.render_request(ask(user(MediaPart(kind="image", item=item))), Receipts()).body
    assert [isinstance(piece, bytes) for piece in body] == [True, False, True]
    item = MediaItem(media_type="image/png", size=3, blocks=lambda: iter([b"A", b"BC"]))
    content = items(user(MediaPart(kind="image", media_type="image/png", item=item)))[0]["content"]
    assert content[0]["image_url"] == "data:image/png;base64," + base64.b64encode(b"ABC").decode()
    linked = MediaItem(media_type="", url="https://a/b.png")
    assert items(user(MediaPart(kind="image", item=linked)))[0]["content"][0]["image_url"] == "https://a/b.png"


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_other_media_are_refused(kind: Any) -> None:
    with pytest.raises(UnsupportedFeatureError, match=rf"messages\[1\]: the Responses API takes no {kind}"):
        sent(ask(HI, user(MediaPart(kind=kind, data="QUJD"))))


@pytest.mark.capability(NAME, "tool-result-media", "provider")
def test_a_tool_may_answer_with_media() -> None:
    content = (TextPart(text="Look:"), MediaPart(kind="image", media_type="image/png", data="QUJD"))
    result = ToolResultPart(tool_call_id="c", content=content)
    assert items(Turn(role="tool", parts=(result,)))[0]["output"] == [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUJD"},
    ]
    assert items(Turn(role="tool", parts=(ToolResultPart(tool_call_id="c"),)))[0]["output"] == ""


@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "ids", "provider")
def test_what_a_reply_brought_goes_back_as_it_came() -> None:
    """A reply's turn is the next request's history: items with their ids, encrypted reasoning with its own."""
    from support_openai_responses import RECORDED, events

    for name in ("reasoning-calls", "phases", "web-search", "image", "own-tools", "refusal"):
        data = (RECORDED / f"{name}.sse").read_bytes()
        output = events(data)[-1]["response"]["output"]
        for item in output:
            for content in item.get("content", ()):
                content.setdefault("logprobs", []) if content["type"] == "output_text" else None
        body = sent(ask(HI, folded(parse([data])).turn))
        assert body["input"][1:] == output
        assert problems("CreateResponse", body) == []


def test_an_open_models_reasoning_goes_back_as_it_came() -> None:
    from support_openai_responses import RECORDED, events

    data = (RECORDED / "reasoning-text.sse").read_bytes()
    assert items(folded(parse([data])).turn)[0] == events(data)[-1]["response"]["output"][0]


def test_reasoning_that_nobody_stored_is_left_out() -> None:
    """Without its encrypted content an item is known only where answers are stored; ids that hang on it go too."""
    turn = answer(
        ReasoningPart(opaque={NAME: {"id": "rs"}}),
        ToolCallPart(id="c", name="f", arguments="{}", opaque={NAME: {"id": "fc", "status": "completed"}}),
    )
    assert [item.get("id") for item in items(turn)] == ["rs", "fc"]
    assert items(turn, store=False) == [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
    ]
    assert receipts_of(ask(turn, store=False))["messages[0].reasoning"] == ("dropped", None)
    kept = answer(ReasoningPart(text="Hm.", opaque={NAME: {"id": "rs", "encrypted_content": "x"}}))
    assert items(kept, store=False) == [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "id": "rs",
            "encrypted_content": "x",
        }
    ]
    assert receipts_of(ask(kept))["messages[0].reasoning"] == ("kept", None)


def test_what_is_another_back_ends_is_left_out() -> None:
    turn = answer(ReasoningPart(text="Hm.", opaque={"gemini": {"x": 1}}), OpaquePart(opaque={"gemini": {"y": 1}}))
    assert items(turn, user(ReasoningPart(text="?"), TextPart(text="Hi"))) == [
        {"type": "message", "role": "user", "content": "Hi"}
    ]
    told = receipts_of(ask(turn))
    assert told == {
        "messages[0].opaque.gemini": ("dropped", None),
        "messages[0].reasoning": ("dropped", None),
    }


@pytest.mark.parametrize("role", ["system", "developer", "user", "tool"])
def test_a_part_of_a_question_that_only_another_back_end_reads_is_refused(role: Any) -> None:
    turn = Turn(role=role, parts=(OpaquePart(opaque={"anthropic_messages": {"type": "search_result"}}),))
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: a part that only anthropic_messages reads"):
        sent(ask(turn))
    with pytest.raises(UnsupportedFeatureError, match="only nobody reads"):
        sent(ask(Turn(role=role, parts=(OpaquePart(),))))


def test_what_only_another_back_end_reads_of_a_question_was_meant() -> None:
    receipts = Receipts()
    other = {"gemini": {"x": 1}}
    turns = (user(TextPart(text="a", opaque=other)), answer(TextPart(text="b", opaque=other)))
    DIALECT.render_request(ask(*turns), receipts)
    told = [(receipt.what, receipt.harmless) for receipt in receipts if "opaque" in receipt.what]
    assert told == [("messages[0].opaque.gemini", False), ("messages[1].opaque.gemini", True)]


def test_texts_of_one_message_share_it() -> None:
    own = {NAME: {"item": {"id": "msg_1", "status": "completed"}}}
    found = items(
        answer(
            TextPart(text="a", opaque=own), RefusalPart(text="b", opaque=own), TextPart(text="c"), TextPart(text="d")
        )
    )
    assert [item["content"] for item in found] == [
        [
            {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "b"},
        ],
        "c",
        "d",
    ]


def test_an_own_refusal_without_an_id() -> None:
    """The description demands an id of a refusal's message; there is none, and the service does without."""
    body = sent(ask(answer(RefusalPart(text="No."))))
    assert body["input"] == [
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    ]


def test_parts_that_only_this_back_end_knows() -> None:
    item = {"type": "item_reference", "id": "msg_1"}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}
    content = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    turns = (
        answer(OpaquePart(opaque={NAME: item})),
        Turn(role="tool", parts=(OpaquePart(opaque={NAME: output}),)),
        user(OpaquePart(opaque={"": content})),
    )
    assert items(*turns) == [item, output, {"type": "message", "role": "user", "content": [content]}]
    own = {"item": {"id": "msg_1", "status": "completed"}, "type": "hologram", "x": 1}
    body = sent(ask(answer(OpaquePart(opaque={NAME: own}))))
    assert body["input"][0]["content"] == [{"type": "hologram", "x": 1}]


def test_opaque_members_of_any_type_break_nothing() -> None:
    odd = [
        TextPart(text="a", opaque={NAME: {"item": 5}}),
        TextPart(text="b", opaque={NAME: {"item": {"content": 5, "phase": "x"}}}),
        OpaquePart(opaque={NAME: {"type": "message", "content": 5}}),
        OpaquePart(opaque={NAME: {"type": "message", "content": [5]}}),
    ]
    assert [item["content"] for item in sent(ask(answer(*odd)))["input"]] == ["a", "b", 5, [5]]


def test_media_that_a_model_made() -> None:
    own = {NAME: {"type": "image_generation_call", "id": "ig_1"}}
    image = MediaPart(kind="image", media_type="image/png", data="QUJD", opaque=own)
    call = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "QUJD"}
    assert items(answer(image)) == [call]
    spoken = MediaPart(kind="audio", data="QUJD", transcript="O")
    assert items(answer(spoken)) == [{"type": "message", "role": "assistant", "content": "O"}]
    assert receipts_of(ask(answer(spoken)))["messages[0].audio"] == ("approximated", "its transcript")
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[0\]: an answer of the model with a image"):
        sent(ask(answer(MediaPart(kind="image", data="QUJD"))))


def test_parts_in_the_wrong_place() -> None:
    with pytest.raises(UnsupportedFeatureError, match="only an answer can hold a ToolCall"):
        sent(ask(user(ToolCallPart(id="c", name="f"))))
    with pytest.raises(UnsupportedFeatureError, match="an answer cannot hold a ToolResult"):
        sent(ask(answer(ToolResultPart(tool_call_id="c"))))
    with pytest.raises(UnsupportedFeatureError, match="a turn of a tool can hold only results"):
        sent(ask(Turn(role="tool", parts=(TextPart(text="x"),))))


@pytest.mark.capability(NAME, "cache-control", "provider")
def test_marks_for_the_cache() -> None:
    mark = {"type": "ephemeral"}
    found = items(
        user(TextPart(text="a", cache_control=mark), MediaPart(kind="image", url="https://a/b", cache_control=mark))
    )
    assert [content["prompt_cache_breakpoint"] for content in found[0]["content"]] == [{"mode": "explicit"}] * 2
    told = receipts_of(ask(answer(TextPart(text="a", cache_control=mark)), tools=(Tool(name="f", cache_control=mark),)))
    assert told["messages[0].cache_control"] == told["tools[0].cache_control"] == ("dropped", None)


def test_members_of_the_dialect_win() -> None:
    turn = Turn(role="user", parts=HI.parts, opaque={NAME: {"status": "completed"}, "gemini": {}})
    assert items(turn)[0]["status"] == "completed"
    assert receipts_of(ask(turn))["messages[0].opaque.gemini"] == ("dropped", None)
    assert items(Turn(role="user"))[0]["content"] == []
    assert items(Turn(role="assistant")) == []


# --- parameters -------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "min_p": 0.1,
    "stop": ("x",),
    "seed": 7,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "repetition_penalty": 1.1,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 3,
    "parallel_tool_calls": False,
    "modalities": ("text", "audio"),
    "audio": {"voice": "x"},
    "verbosity": "low",
    "user": "u",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "safety_settings": ({"a": 1},),
}
SAID: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("temperature", "top_p", "top_logprobs", "metadata", "service_tier", "store"), ("kept", None)),
    **dict.fromkeys(("previous_response_id", "conversation", "parallel_tool_calls"), ("kept", None)),
    "max_tokens": ("renamed", "max_output_tokens"),
    "user": ("renamed", "safety_identifier"),
    "verbosity": ("renamed", "text.verbosity"),
    "logprobs": ("renamed", "include"),
}


@pytest.mark.capability(NAME, "sampling", "provider")
@pytest.mark.capability(NAME, "logprobs", "provider")
@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_has_its_receipt(name: str) -> None:
    request = ask(**{name: VALUES[name]})
    assert receipts_of(request) == {name: SAID.get(name, ("dropped", None))}
    assert problems("CreateResponse", sent(request)) == []


def test_all_parameters_at_once() -> None:
    body = sent(ask(**VALUES))
    assert problems("CreateResponse", body) == []
    assert body["include"] == ["message.output_text.logprobs"]
    assert body["text"] == {"verbosity": "low"}
    assert {name: body[name] for name in ("max_output_tokens", "safety_identifier", "top_logprobs")} == {
        "max_output_tokens": 100,
        "safety_identifier": "u",
        "top_logprobs": 3,
    }


def test_text_is_what_it_answers_in_anyway() -> None:
    assert receipts_of(ask(modalities=("text",))) == {"modalities": ("kept", None)}
    assert receipts_of(ask(logprobs=False)) == {"logprobs": ("renamed", "include")}
    assert "include" not in sent(ask(logprobs=False))


@pytest.mark.parametrize(
    ("model", "asked"),
    [("gpt-5.4", True), ("o3", True), ("azure/my-model", True), ("gpt-4o", False), ("x/gpt-4.1", False)],
)
def test_stateless_answers_bring_their_reasoning(model: str, asked: bool) -> None:
    """Models that never reason refuse to be asked for it."""
    include = sent(Request(model=model, turns=(HI,), store=False)).get("include")
    assert include == (["reasoning.encrypted_content"] if asked else None)


@pytest.mark.capability(NAME, "tools", "provider")
def test_tools() -> None:
    tools = (
        Tool(name="f", description="Does.", parameters=SCHEMA, strict=True),
        Tool(name="g", opaque={"": {"defer_loading": False}, "gemini": {}}),
        Tool(opaque={NAME: {"type": "web_search"}}),
        Tool(opaque={"": {"type": "image_generation"}}),
        Tool(opaque={"gemini": {"googleSearch": {}}}),
    )
    body = sent(ask(tools=tools))
    assert problems("CreateResponse", body) == []
    assert body["tools"] == [
        {"type": "function", "name": "f", "description": "Does.", "parameters": SCHEMA, "strict": True},
        {"type": "function", "name": "g", "parameters": None, "strict": None, "defer_loading": False},
        {"type": "web_search"},
        {"type": "image_generation"},
    ]
    assert receipts_of(ask(tools=tools)) == {
        "tools[0].strict": ("kept", None),
        "tools[1].opaque": ("dropped", None),
        "tools[4]": ("dropped", None),
    }


@pytest.mark.capability(NAME, "tool-choice", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice(mode="none", names=("f",)), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="tool", names=("f",)), {"type": "function", "name": "f"}),
        (
            ToolChoice(mode="tool", names=("f", "g")),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
            },
        ),
        (
            ToolChoice(mode="auto", names=("f",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, said: Any) -> None:
    request = ask(tools=(Tool(name="f"),), tool_choice=choice, parallel_tool_calls=False)
    body = sent(request)
    assert problems("CreateResponse", body) == []
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (said, False)
    assert receipts_of(request) == {"tool_choice": ("kept", None), "parallel_tool_calls": ("kept", None)}


@pytest.mark.capability(NAME, "structured-output", "provider")
def test_forms_of_answers() -> None:
    form = ResponseFormat(kind="json_schema", schema=SCHEMA, name="point", description="A point.", strict=True)
    body = sent(ask(response_format=form, verbosity="high"))
    assert problems("CreateResponse", body) == []
    assert body["text"] == {
        "format": {
            "type": "json_schema",
            "name": "point",
            "schema": SCHEMA,
            "description": "A point.",
            "strict": True,
        },
        "verbosity": "high",
    }
    nameless = sent(ask(response_format=ResponseFormat(kind="json_schema", schema=SCHEMA)))
    assert nameless["text"]["format"]["name"] == "answer"
    for kind in ("text", "json_object"):
        assert sent(ask(response_format=ResponseFormat(kind=kind)))["text"] == {"format": {"type": kind}}
    assert receipts_of(ask(response_format=form)) == {"response_format": ("renamed", "text.format")}


def test_what_cannot_be_said_as_it_stands() -> None:
    for members in ({"response_format": ResponseFormat(kind="json_schema")}, {"tool_choice": ToolChoice(mode="tool")}):
        with pytest.raises(InvalidRequestError):
            sent(ask(**members))


@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.parametrize(
    ("settings", "said", "told"),
    [
        (
            {"effort": "low", "summary": "auto"},
            {"effort": "low", "summary": "auto"},
            {"effort": "kept", "summary": "kept"},
        ),
        ({"effort": "low", "budget_tokens": 5}, {"effort": "low"}, {"effort": "kept", "budget_tokens": "dropped"}),
        ({"enabled": False}, {"effort": "none"}, {"enabled": "renamed"}),
        ({"enabled": True}, None, {"enabled": "dropped"}),
        ({"budget_tokens": 1024}, {"effort": "low"}, {"budget_tokens": "approximated"}),
        ({"budget_tokens": 8000}, {"effort": "medium"}, {"budget_tokens": "approximated"}),
        ({"budget_tokens": 9000}, {"effort": "high"}, {"budget_tokens": "approximated"}),
        ({"summary": "none"}, None, {"summary": "kept"}),
        ({}, None, {}),
    ],
)
def test_reasoning(settings: dict[str, Any], said: Any, told: dict[str, str]) -> None:
    request = ask(reasoning=ReasoningSettings(**settings))
    body = sent(request)
    assert problems("CreateResponse", body) == []
    assert body.get("reasoning") == said
    outcomes = {what: outcome for what, (outcome, _) in receipts_of(request).items()}
    assert outcomes == {f"reasoning.{name}": outcome for name, outcome in told.items()}


def test_further_members() -> None:
    extra = {
        "truncation": "auto",
        "text": {"x": 1},
        "reasoning": {"context": "auto"},
        "include": ["message.output_text.logprobs", "web_search_call.results"],
        "max_tool_calls": 3,
    }
    request = ask(extra=extra, logprobs=True, verbosity="low", reasoning=ReasoningSettings(effort="low"))
    body = sent(request)
    assert problems("CreateResponse", body) == []
    assert body["text"] == {"verbosity": "low", "x": 1}
    assert body["reasoning"] == {"effort": "low", "context": "auto"}
    assert body["include"] == ["message.output_text.logprobs", "web_search_call.results"]
    assert (body["truncation"], body["max_tool_calls"]) == ("auto", 3)
    assert receipts_of(request)["truncation"] == ("kept", None)
    assert sent(ask(extra={"text": None, "include": "x"}, verbosity="low", logprobs=True))["text"] is None
    foreign = ask(dialect="gemini", extra={"cachedContent": "x"})
    assert "cachedContent" not in sent(foreign)
    assert receipts_of(foreign) == {"cachedContent": ("dropped", None)}


# --- state that the back-end keeps ------------------------------------------------------------------------------------


def test_a_conversation_goes_on_from_an_earlier_reply() -> None:
    """What the back-end knows already is not sent again, except the instructions, which it does not keep."""
    system = Turn(role="system", parts=(TextPart(text="Be brief."),))
    state = {NAME: {"previous_response_id": "resp_1"}, "gemini": {"x": 1}}
    body = sent(ask(system, HI, answer(TextPart(text="Hello")), user(TextPart(text="And?")), conversation=state))
    assert body["previous_response_id"] == "resp_1"
    assert body["instructions"] == "Be brief."
    assert [item["content"] for item in body["input"]] == ["And?"]
    told = receipts_of(ask(HI, answer(TextPart(text="Hello")), HI, conversation=state))
    assert told == {
        "conversation": ("renamed", "previous_response_id"),
        "messages[0:2]": ("renamed", "conversation"),
    }
    assert [item["content"] for item in sent(ask(HI, conversation=state))["input"]] == ["Hi"]
    broken = ask(HI, answer(), user(MediaPart(kind="audio", data="")), conversation=state)
    with pytest.raises(UnsupportedFeatureError, match=r"messages\[2\]"):
        sent(broken)


def test_a_conversation_by_the_vendors_own_words() -> None:
    turns = (HI, answer(TextPart(text="Hello")), HI)
    for state in ("conv_1", {"id": "conv_1"}):
        body = sent(ask(*turns, conversation=state))
        assert problems("CreateResponse", body) == []
        assert body["conversation"] == state
        assert len(body["input"]) == 3
    other = ask(*turns, conversation={"gemini": {"x": 1}})
    assert "conversation" not in sent(other)
    assert receipts_of(other) == {"conversation": ("dropped", None)}


# --- counting, and calls by the names of chat completions -------------------------------------------------------------


@pytest.mark.capability(NAME, "token-count", "provider")
def test_the_question_for_tokens() -> None:
    rendered = DIALECT.render_token_count(ask(max_tokens=5, tools=(Tool(name="f"),)), Receipts())
    assert rendered.path == "/responses/input_tokens"
    body = body_of(rendered)
    assert problems("TokenCountsBody", body) == []
    assert sorted(body) == ["input", "model", "tools"]
    assert DIALECT.parse_token_count(b'{"object":"response.input_tokens","input_tokens":11}') == 11


def test_a_call_by_the_names_of_chat_completions() -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    request = parse_call("gpt-5.4", messages, (), {"max_completion_tokens": 50, "reasoning_effort": "low", "n": 1})
    body = sent(request)
    assert body["max_output_tokens"] == 50
    assert body["reasoning"] == {"effort": "low"}
    assert body["n"] == 1  # not known here: the back-end decides
    assert json.loads(body["input"][1]["arguments"]) == {"a": 1}
