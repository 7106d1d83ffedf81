"""``backstream models`` and ``providers`` without a server, and ``explain``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Usage
from backstream.cli.usage import describe_usage
from backstream.reply import Cost
from support_model_server import ModelServer

KEY = "canary-key-6f1d"
NOWHERE = "http://127.0.0.1:9"
MODELS = {
    "data": [
        {
            "id": "maker/talker-1",
            "context_length": 131072,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "supported_parameters": ["tools", "reasoning"],
        },
        {"id": "maker/plain"},
    ]
}


@pytest.fixture
def work() -> Iterator[ModelServer]:
    """A server of OpenAI's kind that tells what its models can do."""
    server = ModelServer({"/v1/models": MODELS})
    yield server
    server.close()


@pytest.fixture
def configure(tmp_path: Path, work: ModelServer) -> Callable[..., dict[str, str]]:
    """Write a configuration; gives the variables that name it."""

    def write(more: str = "") -> dict[str, str]:
        file = tmp_path / "own.toml"
        file.write_text(f'[providers.work]\nextends = "openrouter"\nurl = "{work.url}/v1"\n{more}')
        return {"BACKSTREAM_CONFIG": str(file), "BACKSTREAM_MODEL": "", "WORK_KEY": KEY}

    return write


def cells(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("work",), ("--provider", "Work"), ("work", "--provider", "work")])
def test_models_of_a_provider_tell_what_is_known(run, configure, arguments) -> None:
    done = run("models", *arguments, **configure('key_variable = "WORK_KEY"\n'))
    assert (done.returncode, done.stderr) == (0, "")
    assert cells(done.stdout) == [
        ["MODEL", "CONTEXT", "TAKES", "MAKES", "TOOLS", "REASONING"],
        ["work/maker/talker-1", "131,072", "text", "image", "text", "yes", "yes"],
        ["work/maker/plain"],
    ]


def test_a_list_is_asked_for_again_where_that_is_wanted(run, configure, work: ModelServer) -> None:
    variables = configure('key_variable = "WORK_KEY"\n')
    for options, asked in (((), 1), ((), 1), (("--refresh",), 2)):
        assert run("models", "work", *options, **variables).returncode == 0
        assert len(work.heads) == asked
    assert work.heads[0][1]["authorization"] == f"Bearer {KEY}"


def test_all_models_are_those_of_whoever_can_be_asked(run, configure) -> None:
    more = 'key_variable = "WORK_KEY"\n[providers.down]\nurl = "http://127.0.0.1:9/v1"\n'
    done = run("models", **configure(more))
    assert done.returncode == 0
    assert "work/maker/talker-1" in done.stdout
    assert "backstream: down lists no models: no connection" in done.stderr
    found = json.loads(run("models", "--json", **configure(more)).stdout)
    talker = next(each for each in found if each["name"] == "work/maker/talker-1")
    assert talker["context_tokens"] == 131072
    assert talker["tools"] is True
    assert "raw" not in talker


@pytest.mark.usefixtures("quiet_machine")
def test_where_nobody_can_be_asked_there_is_echo(run) -> None:
    done = run("models")
    assert ["echo/echo"] in cells(done.stdout)
    assert done.stderr.startswith("backstream: nobody else can be asked")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("openai",), 2, "openai needs an API key; set OPENAI_API_KEY\n"),
        (("nobody",), 2, "unknown provider 'nobody'; list the providers with: backstream providers\n"),
        (("work", "--provider", "openai"), 2, "name one"),
        (("down",), 1, "check that down runs at http://127.0.0.1:9/v1\n"),
    ],
)
def test_models_that_cannot_be_listed_are_one_line(run, configure, arguments, code: int, said: str) -> None:
    more = 'key_variable = "WORK_KEY"\n[providers.down]\nurl = "http://127.0.0.1:9/v1"\n'
    done = run("models", *arguments, **configure(more))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_provider_may_list_none(run, configure, work: ModelServer) -> None:
    work.documents["/v1/models"] = {"data": []}
    done = run("models", "work", **configure('key_variable = "WORK_KEY"\n'))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "backstream: work lists no models\n")


# --- providers --------------------------------------------------------------------------------------------------------


def rows(run, *options: str, **variables: str) -> dict[str, Any]:
    done = run("providers", "--json", *options, **variables)
    assert done.returncode == 0
    assert KEY not in done.stdout
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_providers_tell_keys_without_showing_them(run, configure) -> None:
    variables = configure('key_variable = "WORK_KEY"\n')
    table = run("providers", **variables, GROQ_API_KEY=KEY)
    assert KEY not in table.stdout + table.stderr
    lines = {line.split()[0]: line.split("  ") for line in table.stdout.splitlines()}
    assert "yes: GROQ_API_KEY is set" in [cell.strip() for cell in lines["groq"]]
    assert "yes: WORK_KEY is set" in [cell.strip() for cell in lines["work"]]
    assert "no: set MISTRAL_API_KEY" in [cell.strip() for cell in lines["mistral"]]
    assert "not needed" in [cell.strip() for cell in lines["ollama"]]
    assert "set AZURE_OPENAI_ENDPOINT" in [cell.strip() for cell in lines["azure"]]
    found = rows(run, **variables)
    assert found["work"]["key_seen"] == "WORK_KEY is set"
    assert found["groq"]["key_seen"] is None
    assert found["echo"]["dialect"] == "in this process"


def test_providers_tell_who_runs(run, tmp_path: Path) -> None:
    ollama = ModelServer.ollama()
    try:
        (tmp_path / "own.toml").write_text(
            f'[providers.ollama]\nurl = "{ollama.url}"\n[providers.vllm]\nurl = "{NOWHERE}/v1"\n'
        )
        found = rows(run, BACKSTREAM_CONFIG=str(tmp_path / "own.toml"))
    finally:
        ollama.close()
    assert (found["ollama"]["runs"], found["vllm"]["runs"], found["openai"]["runs"]) == (True, False, None)
    assert found["ollama"]["url"] == ollama.url


# --- explain ----------------------------------------------------------------------------------------------------------

REQUEST = {
    "model": "gpt-5",
    "messages": [{"role": "user", "content": "Hi"}],
    "temperature": 0.5,
    "logit_bias": {"1": 2},
}


def explain(run, *arguments: str, request: Any = REQUEST, **variables: str):
    text = request if isinstance(request, bytes) else json.dumps(request).encode()
    return run("explain", "-", *arguments, stdin=text, **variables)


def test_a_request_is_translated_and_accounted_for(run, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    done = run("explain", "request.json", "--to", "Ollama/llama3.2")
    assert (done.returncode, done.stderr) == (0, "")
    head, line, body = done.stdout.partition("\nPOST http://127.0.0.1:11434/api/chat\n")
    assert line
    assert ["WHAT", "BECAME", "TO", "WHY"] in cells(head)
    assert ["temperature", "renamed", "options.temperature"] in cells(head)
    assert json.loads(body)["model"] == "llama3.2"


def test_a_request_of_another_dialect_is_read(run) -> None:
    request = {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    done = explain(run, "--from", "anthropic_messages", "--to", "openai_chat", "--json", request=request)
    found = json.loads(done.stdout)
    assert (found["dialect"], found["provider"], found["url"]) == ("openai_chat", "openai_chat", "/chat/completions")
    assert found["body"]["messages"] == [{"role": "user", "content": "Hi"}]
    assert {receipt["what"] for receipt in found["receipts"]} >= {"max_tokens"}


@pytest.mark.parametrize(("to", "code"), [("ollama", 1), ("openai", 0)])
def test_strict_ends_with_1_where_something_is_dropped(run, to: str, code: int) -> None:
    done = explain(run, "--to", to, "--strict")
    assert done.returncode == code
    assert "POST" in done.stdout
    assert done.stderr == ("backstream: ollama cannot take logit_bias; leave that out, or do without --strict\n" * code)
    assert explain(run, "--to", to).returncode == 0


def test_a_configured_provider_is_known(run, configure, work: ModelServer) -> None:
    done = explain(run, "--to", "work", **configure())
    assert f"POST {work.url}/v1/chat/completions" in done.stdout
    assert work.heads == []


@pytest.mark.parametrize(
    ("arguments", "request_body", "said"),
    [
        (("--to", "nobody"), REQUEST, "unknown provider 'nobody'"),
        (("--to", "openai", "--from", "tea"), REQUEST, "unknown dialect 'tea'"),
        (("--to", "openai"), b"{", "standard input is not JSON"),
        (("--to", "openai"), [], "pass an object"),
        (("--to", "openai"), {"messages": "hi"}, "messages"),
        ((), REQUEST, "--to"),
    ],
)
def test_a_request_that_cannot_be_explained_is_one_line(run, arguments, request_body, said: str) -> None:
    done = explain(run, *arguments, request=request_body)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_missing_file_is_one_line(run) -> None:
    done = run("explain", "missing.json", "--to", "openai")
    assert done.returncode == 2
    assert done.stderr.startswith("backstream: missing.json: No such file or directory; ")


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "cost", "said"),
    [
        (Usage(usage={"prompt_tokens": 1200, "completion_tokens": 3}), None, "1,200 input, 3 output tokens"),
        (
            Usage(usage={"prompt_tokens": 12, "completion_tokens": 3}, computed=["prompt_tokens"]),
            Cost(amount=0.25, currency="EUR", source="configuration"),
            "~12 input, 3 output tokens; ~0.25 EUR (configuration)",
        ),
        (
            Usage(
                usage={
                    "prompt_tokens": 12,
                    "completion_tokens": 3,
                    "prompt_tokens_details": {"cached_tokens": 8},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                }
            ),
            Cost(amount=2.0, currency="USD", source="provider"),
            "12 input, 3 output, 8 cached, 2 reasoning tokens; 2.00 USD (provider)",
        ),
        (Usage(usage={}), None, "no counts of tokens"),
    ],
)
def test_usage_is_told_in_words(usage: Usage, cost: Cost | None, said: str) -> None:
    assert describe_usage(usage, cost) == said
