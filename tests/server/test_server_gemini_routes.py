"""Gemini's routes: vectors, both versions of the paths, and lists that promise nothing more than there is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backstream import DialectProvider, StreamSession
from backstream.providers.table import row
from backstream.services import Embeddings
from support_server import provider_of, running

ASKED = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def content(*texts: str) -> dict[str, Any]:
    return {"parts": [{"text": text} for text in texts]}


def embedder(*, short: bool = False) -> tuple[Any, list[Any]]:
    asked: list[Any] = []

    async def embed(model: str, input: Any, **keywords: Any) -> Embeddings:  # noqa: A002
        asked.append((model, input, keywords))
        texts = [input] if isinstance(input, str) else input
        return Embeddings(vectors=tuple((0.5, float(index)) for index in range(len(texts) - short)))

    async def generate(*arguments: Any, **keywords: Any) -> Any:
        yield "Hi"

    return provider_of(generate, embed=staticmethod(embed), models=("one",)), asked


async def test_the_vector_of_a_text() -> None:
    provider, asked = embedder()
    body = {"content": content("a ", "b"), "outputDimensionality": 2, "taskType": "RETRIEVAL_QUERY"}
    async with running([provider]) as server:
        answer = await server.ask("POST", "/v1beta/models/one:embedContent", body)
    assert answer.json() == {"embedding": {"values": [0.5, 0.0]}}
    assert asked == [("one", "a b", {"dimensions": 2})]


async def test_the_vectors_of_a_batch_through_two_gateways() -> None:
    provider, asked = embedder()
    each = {"model": "models/gemini/one", "output_dimensionality": 2, "task_type": "CLUSTERING"}
    body = {"requests": [{**each, "content": content("a")}, {**each, "content": {"parts": {"text": "b"}}}]}
    async with running([provider]) as inner:
        known = msgspec.structs.replace(row("gemini"), url=f"{inner.url}/v1beta")
        async with running([DialectProvider(known, "key-of-nobody")]) as outer:
            answer = await outer.ask("POST", "/v1beta/models/gemini/one:batchEmbedContents", body)
            single = await outer.ask("POST", "/v1/models/gemini/one:embedContent", {"content": content("a")})
    assert answer.json() == {"embeddings": [{"values": [0.5, 0.0]}, {"values": [0.5, 1.0]}]}
    assert single.json() == {"embedding": {"values": [0.5, 0.0]}}
    assert asked == [("one", ["a", "b"], {"dimensions": 2}), ("one", "a", {})]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("embedContent", {}),
        ("embedContent", {"content": {"parts": []}}),
        ("embedContent", {"content": {"parts": [{"inlineData": {}}]}}),
        ("embedContent", {"content": content("a"), "outputDimensionality": 0}),
        ("embedContent", {"content": content("a"), "taskType": 5}),
        ("batchEmbedContents", {}),
        ("batchEmbedContents", {"requests": []}),
        ("batchEmbedContents", {"requests": [5]}),
    ],
)
async def test_a_request_for_vectors_that_is_wrong(method: str, body: Any) -> None:
    provider, asked = embedder()
    async with running([provider]) as server:
        answer = await server.ask("POST", f"/v1beta/models/one:{method}", body)
    assert answer.status == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert asked == []


async def test_a_batch_with_differing_parameters() -> None:
    provider, asked = embedder()
    requests = [
        {"content": content(text), "outputDimensionality": size} for text, size in zip("abc", (5, 5, 6), strict=True)
    ]
    async with running([provider]) as server:
        answer = await server.ask("POST", "/v1beta/models/one:batchEmbedContents", {"requests": requests})
    assert [each["values"] for each in answer.json()["embeddings"]] == [[0.5, 0.0], [0.5, 1.0], [0.5, 0.0]]
    assert asked == [("one", ["a", "b"], {"dimensions": 5}), ("one", ["c"], {"dimensions": 6})]


async def test_a_provider_that_gives_too_few_vectors() -> None:
    provider, _ = embedder(short=True)
    async with running([provider]) as server:
        answer = await server.ask("POST", "/v1beta/models/one:embedContent", {"content": content("a")})
    assert answer.status >= 500
    assert "number of vectors" in answer.json()["error"]["message"]


async def test_a_provider_without_vectors() -> None:
    async with running() as server:
        answer = await server.ask("POST", "/v1beta/models/echo:embedContent", {"content": content("a")})
    assert answer.status == 404
    assert "Echo offers no embeddings" in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("name", ["echo", "Echo/echo"])
async def test_both_versions_of_the_paths(version: str, name: str) -> None:
    async with running() as server:
        answer = await server.ask("POST", f"/{version}/models/{name}:generateContent", ASKED)
        assert answer.json()["candidates"][0]["content"]["parts"][0]["text"].startswith("I am **Echo**")
        stream = await server.ask("POST", f"/{version}/models/{name}:streamGenerateContent?alt=sse", ASKED)
        assert stream.header("content-type") == "text/event-stream"
        assert stream.body.startswith(b"data: ")


async def test_a_list_at_the_path_of_two_vendors_is_the_one_the_client_reads() -> None:
    async with running() as server:
        openai = await server.ask("GET", "/v1/models")
        gemini = await server.ask("GET", "/v1/models", headers={"x-goog-api-client": "google-genai-sdk/1.0"})
        one = await server.ask("GET", "/v1/models/echo", headers={"x-goog-api-key": "any"})
        missing = await server.ask("GET", "/v1/models/nobody", headers={"x-goog-api-key": "any"})
    assert openai.json()["object"] == "list"
    assert gemini.json()["models"][0]["name"] == "models/echo"
    assert one.json()["name"] == "models/echo"
    assert (missing.status, missing.json()["error"]["status"]) == (404, "NOT_FOUND")


async def test_counting_is_promised_only_by_those_who_can() -> None:
    async with running() as server:
        listed = (await server.ask("GET", "/v1beta/models/echo")).json()
        refused = await server.ask("POST", "/v1beta/models/echo:countTokens", ASKED)
    assert listed["supportedGenerationMethods"] == ["generateContent"]
    assert (refused.status, refused.json()["error"]["status"]) == (404, "NOT_FOUND")
    async with running() as inner:
        known = msgspec.structs.replace(row("gemini"), url=f"{inner.url}/v1beta")

        class Counting(DialectProvider):
            models = ("echo",)

            def get_models(self) -> tuple[str, ...]:
                return self.models

        async with running([Counting(known, "key-of-nobody")]) as outer, StreamSession() as session:
            response = await session.get(f"{outer.url}/v1beta/models/echo")
            assert (await response.json())["supportedGenerationMethods"] == ["generateContent", "countTokens"]
