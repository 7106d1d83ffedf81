"""Servers on this machine, and who answers where nobody was named."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from backstream.models import ModelInfo
from backstream.providers.table import ROWS, Row
from backstream.registry.config import Config, ProviderConfig
from backstream.registry.discovery import Found, choose_default, probe
from backstream.server.embedded import start_embedded
from support_local_servers import DocumentServer

PLENTY = 5.0  # seconds: these tests are about what is found, not how fast


def at(name: str, *ports: int) -> Row:
    return msgspec.structs.replace(ROWS[name], local_ports=ports)


def model(name: str, owned_by: str | None = None) -> dict[str, Any]:
    return {"id": name, "object": "model", **({"owned_by": owned_by} if owned_by else {})}


OLLAMA = {"/api/version": {"version": "0.12.0"}, "/api/tags": {"models": [{"name": "qwen3:8b"}, {"x": 1}, 5]}}
BACKEND = {"/backend-api/v2/version": {"version": "1.0", "latest_version": None}}


def openai(*models: dict[str, Any]) -> dict[str, Any]:
    return {"/v1/models": {"object": "list", "data": list(models)}}


async def found_on(documents: Mapping[str, Any], *names: str) -> list[tuple[str, tuple[str, ...]]]:
    async with DocumentServer(documents) as server:
        found = await probe([at(name, server.port) for name in names], timeout_seconds=PLENTY)
        assert all(each.url.startswith(server.url) for each in found)
        assert all("uthorization" not in head for head in server.heads)
        return [(each.row.name, each.models) for each in found]


async def test_ollama_is_found_with_its_models() -> None:
    assert await found_on(OLLAMA, "ollama") == [("ollama", ("qwen3:8b",))]


@pytest.mark.parametrize("name", ["llamacpp", "vllm", "sglang"])
async def test_a_server_that_names_itself_is_taken_at_its_word(name: str) -> None:
    """Because they share ports: what stands on one of them is not told by its number."""
    documents = openai(model("a", name), model("b"))
    assert await found_on(documents, "llamacpp", "vllm", "localai", "sglang") == [(name, ("a", "b"))]


async def test_a_server_that_names_itself_is_found_on_another_s_port() -> None:
    async with DocumentServer(openai(model("a", "vllm"))) as server:
        (found,) = await probe([at("vllm", 1), at("lmstudio", server.port)], timeout_seconds=PLENTY)
    assert (found.row.name, found.url) == ("vllm", f"{server.url}/v1")


async def test_a_server_that_does_not_name_itself_is_what_is_usual_there() -> None:
    assert await found_on(openai(model("a", "organization_owner")), "lmstudio") == [("lmstudio", ("a",))]
    assert await found_on(openai(model("a")), "llamacpp", "localai") == [("localai", ("a",))]
    assert await found_on(openai(model("a")), "vllm") == []


async def test_gateways_are_told_apart_and_asked_without_the_network() -> None:
    """A g4f server would ask the network for its newest version."""
    async with DocumentServer(BACKEND) as server:
        (found,) = await probe([at("g4f", server.port), at("backstream", server.port)], timeout_seconds=PLENTY)
        assert server.asked[0] == "/backend-api/v2/version?cache=true"
    assert found.row.name == "g4f"
    ours = {**BACKEND, "/healthz": {"status": "ok"}}
    assert await found_on(ours, "g4f", "backstream") == [("backstream", ())]
    assert await found_on(ours, "g4f") == []


async def test_our_own_server_is_found() -> None:
    port = int((await start_embedded()).rpartition(":")[2])
    (found,) = await probe([at("g4f", port), at("localai", port), at("backstream", port)], timeout_seconds=PLENTY)
    assert found.row.name == "backstream"


async def test_a_gateway_that_speaks_for_others_too_is_a_gateway() -> None:
    assert await found_on({**BACKEND, **openai(model("a"))}, "localai", "g4f") == [("g4f", ())]


@pytest.mark.parametrize(
    "documents",
    [
        {},
        dict.fromkeys(("/api/version", "/v1/models", "/backend-api/v2/version", "/healthz"), b"<html>"),
        {path: [] for path in ("/api/version", "/v1/models", "/backend-api/v2/version")},
        {"/api/version": {"version": 1}, "/v1/models": {"data": {}}, "/backend-api/v2/version": {"v": 1}},
        {"/api/version": {"version": "1"}, "/v1/models": {}},  # no list of models: not Ollama
    ],
)
async def test_another_server_on_a_usual_port_is_left_alone(documents: dict[str, Any]) -> None:
    assert await found_on(documents, "ollama", "llamacpp", "localai", "g4f", "backstream") == []


async def test_all_are_asked_at_once_and_who_is_silent_is_left() -> None:
    silent = {"/api/version": None, "/v1/models": None, "/backend-api/v2/version": None}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        async with DocumentServer(silent) as one, DocumentServer(OLLAMA) as two:
            rows = [at("lmstudio", one.port), at("g4f", closed.getsockname()[1]), at("ollama", one.port, two.port)]
            found = await probe(rows, timeout_seconds=0.6)
            assert len(one.asked) == 2
    assert [(each.row.name, each.url) for each in found] == [("ollama", two.url)]


async def test_ollama_comes_first() -> None:
    named, silent = openai(model("a", "vllm")), openai(model("b"))
    async with DocumentServer(named) as vllm, DocumentServer(OLLAMA) as ollama, DocumentServer(silent) as other:
        rows = [at("lmstudio", other.port), at("vllm", vllm.port), at("ollama", ollama.port)]
        found = await probe(rows, timeout_seconds=PLENTY)
    assert [each.row.name for each in found] == ["ollama", "vllm", "lmstudio"]


async def test_where_there_is_nothing_to_probe_nothing_is_found() -> None:
    assert await probe([]) == []
    assert await probe([ROWS["openai"]]) == []
    assert await probe([msgspec.structs.replace(ROWS["gemini"], local_ports=(1,))]) == []


# --- the default ------------------------------------------------------------------------------------------------------

OLLAMA_RUNS = Found(ROWS["ollama"], ("nomic-embed-text", "qwen3:8b", "llama3.2"))
GATEWAY_RUNS = Found(ROWS["g4f"])
LISTED = {"openai": ["gpt-5", "gpt-5-mini"], "anthropic": ["claude-haiku-4-5"], "groq": []}


async def choose(
    environ: dict[str, str] | None = None, *found: Found, **providers: ProviderConfig
) -> tuple[str, str, list[str]]:
    asked: list[str] = []

    async def list_models(name: str) -> Sequence[ModelInfo]:
        asked.append(name)
        return [ModelInfo(id=model) for model in LISTED.get(name, ())]

    rows = {**ROWS, **{name: work_row(name) for name in providers if name not in ROWS}}
    choice = await choose_default(rows, Config(providers=providers), environ or {}, found, list_models)
    return str(choice.target), choice.reason, asked


def work_row(name: str) -> Row:
    return Row(
        name=name, label=name, url="http://gpu:8000/v1", dialect="openai_chat", key_needed=False, documentation=""
    )


async def test_the_running_server_is_used_before_any_key() -> None:
    target, reason, asked = await choose({"OPENAI_API_KEY": "k"}, OLLAMA_RUNS)
    assert (target, reason) == ("ollama/qwen3:8b", "Ollama runs at http://127.0.0.1:11434")
    assert asked == []


async def test_else_the_key_that_is_there() -> None:
    assert await choose({"OPENAI_API_KEY": "k"}) == ("openai/gpt-5-mini", "OPENAI_API_KEY is set", ["openai"])
    assert await choose({"MISTRAL_API_KEY": "k"}) == ("mistral/mistral-large-latest", "MISTRAL_API_KEY is set", [])
    only_embeds = Found(ROWS["ollama"], ("nomic-embed-text",))
    assert (await choose({"ANTHROPIC_API_KEY": "k"}, only_embeds))[0] == "anthropic/claude-haiku-4-5"


async def test_what_was_configured_comes_before_other_keys() -> None:
    environ = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    assert (await choose(environ, anthropic=ProviderConfig(label="A")))[0] == "anthropic/claude-haiku-4-5"
    work = ProviderConfig(url="http://gpu:8000/v1", models=("m", "n"))
    assert (await choose(environ, work=work))[:2] == ("work/m", "work is configured")
    assert (await choose({}, azure=ProviderConfig(plugin=True)))[0] == "echo/"


async def test_a_gateway_that_hands_on_comes_last_unless_it_was_named() -> None:
    """Because it may send the words on to anybody."""
    assert (await choose({"OPENAI_API_KEY": "k"}, GATEWAY_RUNS))[0] == "openai/gpt-5-mini"
    assert (await choose({}, GATEWAY_RUNS))[:2] == ("g4f/", "g4f (gpt4free) runs at http://127.0.0.1:8080")
    environ = {"BACKSTREAM_URL": "http://127.0.0.1:9", "OPENAI_API_KEY": "k"}
    assert (await choose(environ, OLLAMA_RUNS))[:2] == ("backstream/", "BACKSTREAM_URL is set")


async def test_else_echo_and_it_says_why() -> None:
    assert (await choose())[:2] == ("echo/", "no local server runs, and no key is set")
    target, reason, asked = await choose({"GROQ_API_KEY": "k"}, Found(ROWS["ollama"]))
    assert target == "echo/"
    assert reason == (
        "Ollama runs at http://127.0.0.1:11434, but has no model to talk to; "
        "GROQ_API_KEY is set, but which model of groq to take is not"
    )
    assert asked == ["groq"]


async def test_rows_of_one_server_are_asked_once() -> None:
    assert ROWS["xai"].url == ROWS["xai-responses"].url
    assert (await choose({"XAI_API_KEY": "k"}))[2] == ["xai"]
