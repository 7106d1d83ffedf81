"""Clients' requests: what is known of them is typed, the rest is kept, and another shape is told where it is."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.errors import InvalidMediaError, InvalidRequestError
from backstream.media.item import MediaItem
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
from support_openai_responses import NAME, RECORDED, events, folded, parse, read, sent

HI = Turn(role="user", parts=(TextPart(text="Hi"),))


def turns(*items: Any, **members: Any) -> tuple[Turn, ...]:
    return read({"input": list(items), **members}).turns


def own(**members: Any) -> dict[str, Any]:
    return {NAME: members}


@pytest.mark.capability(NAME, "text", "server")
def test_the_simplest_request() -> None:
    assert read({"model": "m", "input": "Hi"}) == Request(model="m", turns=(HI,), stream=False, dialect=NAME)
    assert read({}) == Request(stream=False, dialect=NAME)
    assert read({"stream": True}).stream


@pytest.mark.capability(NAME, "system", "server")
@pytest.mark.capability(NAME, "multi-turn", "server")
def test_who_speaks() -> None:
    found = turns(
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Hello"},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "system", "content": "Now."},
        instructions="Begin.",
    )
    assert [(turn.role, turn.text) for turn in found] == [
        ("system", "Begin."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("developer", "Be brief."),
        ("system", "Now."),
    ]
    assert turns({"role": "assistant", "content": ""}) == ()
    assert turns({"role": "user"}) == (Turn(role="user"),)
    (marked,) = turns({"role": "user", "content": "Hi", "status": "completed", "id": "msg_1"})
    assert marked.opaque == own(status="completed", id="msg_1")


@pytest.mark.capability(NAME, "tool-results", "server")
@pytest.mark.capability(NAME, "tool-result-media", "server")
@pytest.mark.capability(NAME, "ids", "server")
def test_items_of_one_answer_are_one_turn() -> None:
    found = turns(
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "x",
        },
        {"role": "assistant", "content": "I look.", "phase": "commentary"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {
            "type": "function_call_output",
            "call_id": "d",
            "output": [{"type": "input_image", "image_url": "https://a/b"}],
        },
        {"type": "function_call_output", "call_id": "e", "output": "", "status": "completed"},
        {"type": "web_search_call", "id": "ws"},
        {"type": "computer_call_output", "call_id": "c"},
    )
    assert found == (
        Turn(
            role="assistant",
            parts=(
                ReasoningPart(text="Hm.", opaque=own(id="rs", encrypted_content="x")),
                TextPart(text="I look.", opaque=own(item={"phase": "commentary"})),
                ToolCallPart(id="c", name="f", arguments="{}", opaque=own(id="fc")),
            ),
        ),
        Turn(role="tool", parts=(ToolResultPart(tool_call_id="c", content=(TextPart(text="42"),)),)),
        Turn(
            role="tool",
            parts=(ToolResultPart(tool_call_id="d", content=(MediaPart(kind="image", url="https://a/b"),)),),
        ),
        Turn(role="tool", parts=(ToolResultPart(tool_call_id="e", opaque=own(status="completed")),)),
        Turn(role="assistant", parts=(OpaquePart(opaque=own(type="web_search_call", id="ws")),)),
        Turn(role="tool", parts=(OpaquePart(opaque=own(type="computer_call_output", call_id="c")),)),
    )


@pytest.mark.capability(NAME, "refusal", "server")
@pytest.mark.capability(NAME, "citations", "server")
def test_what_a_model_said_before() -> None:
    source = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 1}
    content = [
        {"type": "output_text", "text": "a", "annotations": [source], "logprobs": []},
        {"type": "output_text", "text": "b"},
        {"type": "refusal", "refusal": "No."},
        {"type": "hologram", "x": 1},
    ]
    around = {"id": "msg_1", "status": "completed"}
    item = {"type": "message", "role": "assistant", "content": content, **around}
    (turn,) = turns(item)
    assert turn.parts == (
        TextPart(text="a", opaque=own(item=around, annotations=[source])),
        TextPart(text="b", opaque=own(item=around)),
        RefusalPart(text="No.", opaque=own(item=around)),
        OpaquePart(opaque=own(item=around, **content[3])),
    )
    (bare,) = turns({"role": "assistant", "content": content[1:3]})
    assert [part.opaque for part in bare.parts] == [{}, {}]
    assert turns({"role": "assistant"}) == ()


@pytest.mark.capability(NAME, "image-in", "server")
@pytest.mark.capability(NAME, "document-in", "server")
@pytest.mark.capability(NAME, "media-by-url", "server")
@pytest.mark.capability(NAME, "media-by-file-id", "server")
def test_images_and_documents() -> None:
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "high"},
        {"type": "input_image", "image_url": "https://a/b.png", "detail": "auto", "file_id": None},
        {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://a/b.pdf", "detail": "low"},
        {"type": "input_file", "file_id": "file-2", "new": 1},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
    ]
    (turn,) = turns({"role": "user", "content": content})
    pdf = "application/pdf"
    assert turn.parts == (
        MediaPart(kind="image", media_type="image/png", data="QUJD", detail="high"),
        MediaPart(kind="image", url="https://a/b.png"),
        MediaPart(kind="image", file_id="file-1"),
        MediaPart(kind="document", media_type=pdf, data="QUJD", filename="a.pdf"),
        MediaPart(kind="document", url="https://a/b.pdf", detail="low"),
        MediaPart(kind="document", file_id="file-2", opaque=own(new=1)),
        OpaquePart(opaque=own(**content[6])),
    )


@pytest.mark.capability(NAME, "streamed-media-upload", "server")
def test_media_that_the_server_keeps_elsewhere() -> None:
    item = MediaItem(media_type="image/png", size=3, blocks=lambda: iter([b"ABC"]))
    paper = MediaItem(media_type="application/pdf", size=3, blocks=lambda: iter([b"ABC"]))
    content = [{"type": "input_image", "image_url": item}, {"type": "input_file", "file_data": paper, "filename": "a"}]
    (turn,) = turns({"role": "user", "content": content})
    assert turn.parts == (
        MediaPart(kind="image", media_type="image/png", item=item),
        MediaPart(kind="document", media_type="application/pdf", item=paper, filename="a"),
    )


@pytest.mark.capability(NAME, "cache-control", "server")
def test_marks_for_the_cache() -> None:
    mark = {"mode": "explicit"}
    content = [
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": mark, "x": None},
        {"type": "input_file", "file_id": "f", "prompt_cache_breakpoint": mark},
    ]
    (turn,) = turns({"role": "user", "content": content})
    assert [part.cache_control for part in turn.parts] == [{"type": "ephemeral"}] * 2


@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.parametrize("name", ["reasoning-calls", "phases", "reasoning-text", "web-search", "image", "own-tools"])
def test_an_answer_sent_back_is_the_turn_it_was(name: str) -> None:
    data = (RECORDED / f"{name}.sse").read_bytes()
    (turn,) = turns(*events(data)[-1]["response"]["output"])
    reply = folded(parse([data])).turn
    assert [type(part) for part in turn.parts] == [type(part) for part in reply.parts]
    assert [part.opaque.get(NAME) for part in turn.parts] == [part.opaque.get(NAME) for part in reply.parts]
    assert turn.text == reply.text


def test_reasoning_in_every_form() -> None:
    two = [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]
    thought = [{"type": "reasoning_text", "text": "T"}]
    for item, part in (
        ({"summary": two}, ReasoningPart(text="A\n\nB", opaque=own(summary=two))),
        ({"summary": []}, ReasoningPart()),
        ({"summary": [], "content": thought}, ReasoningPart(text="T", opaque=own(summary=[], content=thought))),
        ({"summary": "odd"}, ReasoningPart()),
    ):
        assert turns({"type": "reasoning", **item}) == (Turn(role="assistant", parts=(part,)),)


def test_images_that_a_model_made() -> None:
    call = {"type": "image_generation_call", "id": "ig", "status": "completed"}
    (turn,) = turns({**call, "result": "QUJD"}, {**call, "result": None})
    assert turn.parts == (
        MediaPart(kind="image", media_type="image/png", data="QUJD", opaque=own(**call)),
        OpaquePart(opaque=own(**call, result=None)),
    )


@pytest.mark.capability(NAME, "sampling", "server")
@pytest.mark.capability(NAME, "logprobs", "server")
def test_parameters() -> None:
    given = {
        "temperature": 0.5,
        "top_p": 1,
        "top_logprobs": 3,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "store": False,
        "previous_response_id": "resp_1",
        "parallel_tool_calls": False,
        "max_output_tokens": 100,
        "safety_identifier": "u",
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content", "web_search_call.results"],
        "text": {"verbosity": "low", "x": 1},
        "truncation": "auto",
        "max_tool_calls": None,
    }
    assert read(given) == Request(
        stream=False,
        dialect=NAME,
        temperature=0.5,
        top_p=1.0,
        top_logprobs=3,
        metadata={"a": "b"},
        service_tier="flex",
        store=False,
        previous_response_id="resp_1",
        parallel_tool_calls=False,
        max_tokens=100,
        user="u",
        logprobs=True,
        verbosity="low",
        extra={"truncation": "auto", "text": {"x": 1}, "include": ["web_search_call.results"]},
    )
    assert read({"include": ["reasoning.encrypted_content"]}).extra == {"include": ["reasoning.encrypted_content"]}
    assert read({"user": "u"}).user == "u"
    assert read({"user": "u", "safety_identifier": "v"}) == Request(
        stream=False, dialect=NAME, user="v", extra={"user": "u"}
    )
    assert read({"conversation": {"id": "conv"}}).conversation == {"id": "conv"}


@pytest.mark.capability(NAME, "tools", "server")
def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    tools = [
        {"type": "function", "name": "f", "description": "Does.", "parameters": schema, "strict": True, "new": 1},
        {"type": "function", "name": "g", "parameters": None, "strict": None},
        {"type": "web_search"},
    ]
    assert read({"tools": tools}).tools == (
        Tool(name="f", description="Does.", parameters=schema, strict=True, opaque=own(new=1)),
        Tool(name="g"),
        Tool(opaque=own(type="web_search")),
    )


@pytest.mark.capability(NAME, "tool-choice", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="tool", names=("f",))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(mode="required", names=("f",)),
        ),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]}, ToolChoice(names=("f",))),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}, None),
        ({"type": "allowed_tools", "mode": "auto", "tools": [5]}, None),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, None),
        ({"type": "web_search"}, None),
        (None, None),
    ],
)
def test_tool_choice(given: Any, choice: ToolChoice | None) -> None:
    """A choice of tools that the back-end runs itself is kept as it is."""
    request = read({"tool_choice": given})
    assert request.tool_choice == choice
    assert request.extra == ({"tool_choice": given} if choice is None and given is not None else {})
    assert sent(request).get("tool_choice", "auto") is not None


@pytest.mark.capability(NAME, "structured-output", "server")
def test_forms_of_answers() -> None:
    schema = {"type": "object"}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": None, "description": "D"}
    assert read({"text": {"format": form}}).response_format == ResponseFormat(
        kind="json_schema", name="n", schema=schema, description="D"
    )
    assert read({"text": {"format": {"type": "text"}}}).response_format == ResponseFormat(kind="text")
    grammar = {"type": "grammar", "x": 1}
    assert read({"text": {"format": grammar}}).extra == {"text": {"format": grammar}}


@pytest.mark.capability(NAME, "reasoning", "server")
def test_reasoning() -> None:
    given = {"effort": "low", "summary": "auto", "context": "auto"}
    request = read({"reasoning": given})
    assert request.reasoning == ReasoningSettings(effort="low", summary="auto")
    assert request.extra == {"reasoning": {"context": "auto"}}
    assert read({"reasoning": {"effort": None}}).reasoning is None


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"model": 5}, "model is a int"),
        ({"stream": "yes"}, "stream is a str"),
        ({"instructions": []}, "instructions is a list"),
        ({"input": 5}, "input is a int"),
        ({"input": ["x"]}, r"input\[0\] is a str"),
        ({"input": [{}]}, r"input\[0\] has neither a role nor a type"),
        ({"input": [{"role": "tool", "content": "x"}]}, r"input\[0\] has another role"),
        ({"input": [{"role": "user", "content": 5}]}, r"input\[0\].content is a int"),
        ({"input": [{"role": "user", "content": ["x"]}]}, r"input\[0\].content\[0\] is a str"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, r"content\[0\].text is a NoneType"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, r"content\[0\].image_url is a NoneType"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, r"content\[0\].file_data is a NoneType"),
        ({"input": [{"role": "assistant", "content": [{"type": "refusal"}]}]}, r"content\[0\].refusal is a NoneType"),
        ({"input": [{"role": "assistant", "content": [{"type": "text"}]}]}, r"content\[0\].text is a NoneType"),
        ({"input": [{"type": "function_call"}]}, r"input\[0\].call_id is a NoneType"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, r"input\[0\].call_id is a NoneType"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "dance"}]}]},
            r"input\[0\].output holds something other",
        ),
        ({"tools": "x"}, "tools is a str"),
        ({"tools": ["x"]}, r"tools\[0\] is a str"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\] of type 'function' has no name"),
        ({"tools": [{"type": "function", "name": "f", "strict": "x"}]}, r"tools\[0\]: "),
        ({"tool_choice": "some"}, "tool_choice has another shape"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "x", "tools": [{"type": "function", "name": "f"}]}},
            "tool_choice: ",
        ),
        ({"text": 5}, "text is a int"),
        ({"text": {"format": 5}}, "format is a int"),
        ({"text": {"format": {"type": "json_schema", "schema": 5}}}, "text.format: "),
        ({"reasoning": 5}, "reasoning is a int"),
        ({"reasoning": {"effort": 5}}, "reasoning: "),
        ({"include": "x"}, "include is a str"),
        ({"temperature": "hot"}, "a parameter of the call: "),
    ],
)
def test_another_shape_is_told_where_it_is(members: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        read(members)


def test_a_broken_data_uri() -> None:
    with pytest.raises(InvalidMediaError):
        turns({"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64"}]})
