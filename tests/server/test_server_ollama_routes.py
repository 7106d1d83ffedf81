"""What Ollama's clients ask beside chats: one prompt, what a model can do, vectors, what is loaded, who is there."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from backstream import Content, DialectProvider, Finish
from backstream.chunks import Reasoning, ToolCallDelta
from backstream.providers.table import row
from backstream.server.keys import add_key
from backstream.services import Embeddings
from support_server import provider_of, running, saying


def lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.splitlines()]


async def test_one_prompt_streamed() -> None:
    provider = saying(
        Reasoning(token="I think"), Content(content="Hel"), Content(content="lo"), Finish(finish={"reason": "stop"})
    )
    async with running([provider]) as server:
        answer = await server.ask("POST", "/api/generate", {"model": "one", "prompt": "Hi"})
    assert answer.header("content-type") == "application/x-ndjson"
    said = lines(answer.body)
    assert "".join(line["response"] for line in said) == "Hello"
    assert next(line.get("thinking") for line in said) == "I think"
    assert [line["done"] for line in said] == [False] * (len(said) - 1) + [True]
    assert said[-1]["done_reason"] == "stop"
    assert not any("message" in line or "context" in line for line in said)


async def test_one_prompt_whole() -> None:
    body = {
        "model": "echo",
        "prompt": "What is it?",
        "system": "Be brief.",
        "images": ["iVBORw0KGgo="],
        "stream": False,
        "options": {"temperature": 0.5},
    }
    async with running() as server:
        answer = await server.ask("POST", "/api/generate", body)
    said = answer.json()
    assert answer.header("content-type") == "application/json"
    assert "“What is it?”" in said["response"]
    assert "system: 9 characters" in said["response"]
    assert "image/png, 8 bytes" in said["response"]
    assert "`temperature`" in said["response"]
    assert (said["done"], said["model"], "message" in said) == (True, "echo", False)


async def test_calls_of_tools_in_an_answer_to_a_prompt() -> None:
    provider = saying(
        ToolCallDelta(part=0, id="a", name="f", arguments='{"x":1}'), Finish(finish={"reason": "tool_calls"})
    )
    async with running([provider]) as server:
        answer = await server.ask("POST", "/api/generate", {"model": "one", "prompt": "Hi", "stream": False})
    (call,) = answer.json()["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("f", {"x": 1})


@pytest.mark.parametrize("more", [{}, {"prompt": ""}, {"prompt": "", "keep_alive": "5m", "stream": False}])
async def test_without_a_prompt_a_model_is_loaded_and_nobody_is_asked(more: dict[str, Any]) -> None:
    async def generate(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError
        yield

    async with running([provider_of(generate)]) as server:
        answer = await server.ask("POST", "/api/generate", {"model": "one", **more})
    assert answer.status == 200
    assert answer.json()["done_reason"] == "load"
    assert answer.json()["response"] == ""


@pytest.mark.parametrize(
    "more",
    [{"suffix": "x"}, {"raw": True}, {"template": "x"}, {"context": [1]}, {"prompt": 5}, {"system": []}, {"images": 5}],
)
async def test_a_prompt_that_cannot_be_sent_on(more: dict[str, Any]) -> None:
    async with running() as server:
        answer = await server.ask("POST", "/api/generate", {"model": "echo", "prompt": "Hi", **more})
    assert answer.status == 400
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_before_the_first_word_is_a_status(stream: bool) -> None:
    async with running() as server:
        body = {"model": "echo-fail-start", "prompt": "Hi", "stream": stream}
        answer = await server.ask("POST", "/api/generate", body)
    assert answer.status == 503


async def test_a_failure_later_is_a_line_and_no_end() -> None:
    async with running() as server:
        answer = await server.ask("POST", "/api/generate", {"model": "echo-fail-middle", "prompt": "Hi"})
    said = lines(answer.body)
    assert "Echo was asked to fail" in said[-1]["error"]
    assert not any(line.get("done") for line in said)


async def test_what_a_model_can_do() -> None:
    async with running() as server:
        for body in ({"model": "echo"}, {"name": "echo"}):
            answer = await server.ask("POST", "/api/show", body)
            assert answer.json()["capabilities"] == ["completion"]
            assert answer.json()["details"]["family"] == ""
        unknown = await server.ask("POST", "/api/show", {"model": "ech"})
        nameless = await server.ask("POST", "/api/show", {"model": 5})
    assert (unknown.status, nameless.status) == (404, 400)
    assert "did you mean" in unknown.json()["error"]


class _Vectors:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def __call__(self, model: str, input: Any, **keywords: Any) -> Embeddings:  # noqa: A002
        self.asked.append((model, input, keywords))
        return Embeddings(vectors=tuple((0.5, 1.0) for _ in ([input] if isinstance(input, str) else input)))


def embedder() -> tuple[Any, list[Any]]:
    vectors = _Vectors()

    async def generate(*arguments: Any, **keywords: Any) -> Any:
        yield "Hi"

    return provider_of(generate, embed=staticmethod(vectors.__call__), models=("one",)), vectors.asked


async def test_vectors_on_both_routes() -> None:
    provider, asked = embedder()
    more = {"truncate": True, "keep_alive": "5m", "options": {"num_ctx": 5}}
    async with running([provider]) as server:
        new = await server.ask("POST", "/api/embed", {"model": "one", "input": ["a", "b"], "dimensions": 2, **more})
        old = await server.ask("POST", "/api/embeddings", {"model": "one", "prompt": "a"})
        none = await server.ask("POST", "/api/embed", {"model": "one", "input": []})
        wrong = [
            await server.ask("POST", path, body)
            for path, body in [
                ("/api/embed", {"model": "one", "input": [1]}),
                ("/api/embed", {"model": "one"}),
                ("/api/embed", {"model": "one", "input": "a", "dimensions": "x"}),
                ("/api/embed", {"input": "a"}),
                ("/api/embeddings", {"model": "one", "prompt": ["a"]}),
            ]
        ]
    assert new.json() == {"model": "one", "embeddings": [[0.5, 1.0], [0.5, 1.0]]}
    assert old.json() == {"embedding": [0.5, 1.0]}
    assert none.json() == {"model": "one", "embeddings": []}
    assert [answer.status for answer in wrong] == [400] * 5
    assert asked == [("one", ["a", "b"], {"dimensions": 2}), ("one", "a", {})]


async def test_ollamas_own_parameters_reach_an_ollama() -> None:
    provider, asked = embedder()
    async with running([provider]) as inner:
        known = msgspec.structs.replace(row("ollama"), url=inner.url)
        async with running([DialectProvider(known)]) as outer:
            answer = await outer.ask("POST", "/api/embed", {"model": "ollama/one", "input": "a", "truncate": False})
    assert answer.json()["embeddings"] == [[0.5, 1.0]]
    assert asked == [("one", "a", {})]


async def test_embeddings_of_a_provider_without() -> None:
    async with running() as server:
        answer = await server.ask("POST", "/api/embed", {"model": "echo", "input": "a"})
    assert answer.status == 404
    assert "Echo offers no embeddings" in answer.json()["error"]


async def test_nothing_is_loaded_and_somebody_is_there() -> None:
    async with running() as server:
        assert (await server.ask("GET", "/api/ps")).json() == {"models": []}
        assert (await server.ask("HEAD", "/")).status == 200
        told = await server.ask("GET", "/")
        assert told.body.startswith(b"backstream")
        assert told.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/api/pull", "/api/push", "/api/create", "/api/delete", "/api/copy", "/api/blobs/x"])
async def test_models_are_not_kept_here(path: str) -> None:
    async with running() as server:
        answer = await server.ask("POST", path, {"model": "echo"})
    assert answer.status == 404
    assert isinstance(answer.json()["error"], str)


async def test_the_root_needs_a_key_where_there_are_keys(tmp_path: Any) -> None:
    keys = tmp_path / "keys.json"
    add_key(keys, "laptop")
    async with running(keys_file=keys) as server:
        assert (await server.ask("HEAD", "/")).status == 401
        assert isinstance((await server.ask("GET", "/api/ps")).json()["error"], str)
