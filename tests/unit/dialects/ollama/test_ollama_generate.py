"""One prompt instead of messages: what a client asks, and the answers in pieces and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import InvalidRequestError, UnsupportedFeatureError
from backstream.chunks import Content, Finish, Logprobs, Reasoning, Start, ToolCallDelta
from backstream.dialects.base import Envelope
from backstream.dialects.ollama.generate import OllamaGenerate, render_loaded
from backstream.dialects.ollama.models import render_show
from backstream.models import ModelInfo
from backstream.reply import Block, End
from backstream.request import MediaPart

GENERATE = OllamaGenerate()
ENVELOPE = Envelope(id="1", model="m", created=0)
HEAD = {"model": "m", "created_at": "1970-01-01T00:00:00Z"}


def test_a_prompt_is_a_turn() -> None:
    request = GENERATE.parse_request(
        {"model": "m", "prompt": "Hi", "system": "Be brief.", "images": ["QUFB"], "stream": False, "keep_alive": 5}
    )
    assert [(turn.role, turn.text) for turn in request.turns] == [("system", "Be brief."), ("user", "Hi")]
    assert isinstance(request.turns[1].parts[1], MediaPart)
    assert (request.model, request.stream, request.extra) == ("m", False, {"keep_alive": 5})


@pytest.mark.parametrize("members", [{}, {"prompt": ""}, {"prompt": None, "system": "x"}])
def test_without_a_prompt_there_is_no_turn(members: Any) -> None:
    assert GENERATE.parse_request(members).turns == ()


def test_a_picture_alone_is_a_turn() -> None:
    (turn,) = GENERATE.parse_request({"images": ["QUFB"]}).turns
    assert turn.text == ""


@pytest.mark.parametrize("name", ["suffix", "raw", "template", "context"])
def test_what_only_a_models_own_server_can_do(name: str) -> None:
    with pytest.raises(UnsupportedFeatureError, match=name):
        GENERATE.parse_request({"prompt": "Hi", name: [1]})
    assert GENERATE.parse_request({"prompt": "Hi", name: None}).turns


@pytest.mark.parametrize("name", ["prompt", "system"])
def test_what_is_no_text(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} is a list"):
        GENERATE.parse_request({name: ["Hi"]})


CHUNKS: Block = [
    Start(),
    Reasoning(token="Hm"),
    Content(content="Hel"),
    Content(content="lo"),
    Logprobs(logprobs=[{"token": "lo"}]),
    ToolCallDelta(part=0, id="a", name="f", arguments='{"x":1}'),
    Finish(finish={"reason": "stop"}),
    End("complete"),
]
CALL = {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}


def test_the_lines_of_an_answer() -> None:
    renderer = GENERATE.stream_renderer(ENVELOPE)
    assert renderer.keep_alive == b""
    lines = [json.loads(line) for line in renderer.render(CHUNKS).splitlines()]
    assert lines == [
        {**HEAD, "response": "", "thinking": "Hm", "done": False},
        {**HEAD, "response": "Hel", "done": False},
        {**HEAD, "response": "lo", "done": False},
        {**HEAD, "response": "", "done": False, "logprobs": [{"token": "lo"}]},
        {**HEAD, "response": "", "tool_calls": [CALL], "done": False},
        {**HEAD, "response": "", "done": True, "done_reason": "stop"},
    ]


def test_a_whole_answer() -> None:
    assert json.loads(GENERATE.render_reply(CHUNKS, ENVELOPE)) == {
        **HEAD,
        "response": "Hello",
        "thinking": "Hm",
        "tool_calls": [CALL],
        "logprobs": [{"token": "lo"}],
        "done": True,
        "done_reason": "stop",
    }


def test_a_model_that_is_loaded() -> None:
    assert json.loads(render_loaded("m", 0)) == {**HEAD, "response": "", "done": True, "done_reason": "load"}


@pytest.mark.parametrize(
    ("model", "can"),
    [
        (ModelInfo(id="m"), ["completion"]),
        (ModelInfo(id="m", output_modalities=("embedding",)), ["embedding"]),
        (
            ModelInfo(id="m", input_modalities=("text", "image"), tools=True, reasoning=True, context_tokens=4096),
            ["completion", "vision", "tools", "thinking"],
        ),
    ],
)
def test_what_a_model_can_do(model: ModelInfo, can: list[str]) -> None:
    shown = json.loads(render_show(model))
    assert shown["capabilities"] == can
    assert shown["model_info"].get("backstream.context_length") == model.context_tokens
