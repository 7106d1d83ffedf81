"""The registry: names to providers and models, joined."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.credentials import Secret
from backstream.errors import (
    ConfigurationError,
    ConnectError,
    MissingKeyError,
    UnknownModelError,
    UnknownProviderError,
)
from backstream.models import ModelInfo, Price
from backstream.providers.echo import Echo
from backstream.providers.table import ROWS, Row
from backstream.registry.config import Config, Defaults, ProviderConfig, load_config
from backstream.registry.discovery import Found
from backstream.registry.models import ModelCache
from backstream.registry.names import Target
from backstream.registry.registry import Registry
from support_local_servers import DocumentServer
from support_plugins import install

LISTS: Mapping[str, Sequence[str]] = {
    "openai": ("gpt-5", "gpt-5-mini"),
    "anthropic": ("claude-haiku-4-5",),
    "ollama": ("llama3.2:latest", "qwen3:8b"),
    "work": ("gpt-5", "own"),
}


class Made:
    """A provider made of a row: what a maker gives, less the network."""

    asked: list[str] = []

    def __init__(self, row: Row, key: Secret | None) -> None:
        self.row = row
        self.key = key

    def create_async_generator(
        self, model: str, messages: Any, media: Any = None, api_key: Any = None, **_: Any
    ) -> Any:
        raise NotImplementedError

    async def list_models(self) -> list[ModelInfo]:
        self.asked.append(self.row.name)
        if self.row.name not in LISTS:
            raise ConnectError("not connected")
        return [ModelInfo(id=name) for name in LISTS[self.row.name]]


@pytest.fixture(autouse=True)
def nobody_asked_yet() -> Iterator[None]:
    Made.asked.clear()
    yield
    sys.modules.pop("plugged_one", None)


def registry(
    environ: Mapping[str, str] | None = None, *found: Found, config: Config | None = None, **more: Any
) -> Registry:
    async def probe(rows: Sequence[Row]) -> Sequence[Found]:
        return found

    more = {"make": Made, "probe": probe, "cache": ModelCache(), **more}
    return Registry(config or Config(), environ or {}, **more)


OPENAI = {"OPENAI_API_KEY": "k"}
OLLAMA = Found(msgspec.structs.replace(ROWS["ollama"], url="http://127.0.0.1:5"), ("llama3.2:latest", "qwen3:8b"))


# --- providers --------------------------------------------------------------------------------------------------------


async def test_providers_are_those_of_the_table_and_the_configured_and_echo() -> None:
    config = Config(providers={"work": ProviderConfig(url="http://gpu:8000/v1")})
    names = registry(config=config).providers()
    assert [*names] == [*ROWS, "work", "echo"]


async def test_a_provider_is_made_of_its_row_and_key() -> None:
    made = registry(OPENAI)
    provider = await made.provider("openai")
    assert isinstance(provider, Made)
    assert provider.row == ROWS["openai"]
    assert provider.key == Secret("k", origin="https://api.openai.com")
    assert await made.provider("openai") is provider
    other = await made.provider("openai", "another")
    assert isinstance(other, Made)
    assert other.key == Secret("another", origin="https://api.openai.com")
    assert await made.provider("openai") is provider
    assert await made.provider("echo") is Echo


async def test_a_provider_that_cannot_be_had_says_why() -> None:
    made = registry()
    with pytest.raises(UnknownProviderError, match="unknown provider 'opnai'; did you mean openai"):
        await made.provider("opnai")
    with pytest.raises(MissingKeyError, match="set ANTHROPIC_API_KEY"):
        await made.provider("anthropic")
    with pytest.raises(ConfigurationError, match="nothing says where Azure OpenAI is; set AZURE_OPENAI_ENDPOINT"):
        await made.provider("azure")


async def test_a_server_without_a_name_is_reached_by_its_address() -> None:
    provider = await registry(OPENAI).provider_at("http://127.0.0.1:9000/v1/", api_key="k")
    assert isinstance(provider, Made)
    assert provider.row.url == "http://127.0.0.1:9000/v1"
    assert provider.key == Secret("k", origin="http://127.0.0.1:9000")
    keyless = await registry(OPENAI).provider_at("http://127.0.0.1:9000", dialect="ollama")
    assert isinstance(keyless, Made)
    assert keyless.key is None


async def test_a_file_that_just_lies_there_gets_no_key_for_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "backstream.toml").write_text("[providers.openai]\nurl = 'https://evil.example/v1'\n")
    config = Config(trusted=False, providers={"openai": ProviderConfig(url="https://evil.example/v1")})
    with pytest.raises(MissingKeyError, match=r"if you trust that file, BACKSTREAM_CONFIG=backstream\.toml,"):
        await registry(OPENAI, config=config).provider("openai")


async def test_by_default_the_maker_is_that_of_ordinary_back_ends(tmp_path: Path) -> None:
    documents = {"/v1/models": {"object": "list", "data": [{"id": "a", "object": "model"}]}}
    path = tmp_path / "c.toml"
    async with DocumentServer(documents) as server:
        path.write_text(f"[providers.work]\nurl = '{server.url}/v1'\nkey = 'sk-1'\n")
        path.chmod(0o600)
        made = Registry(path, {"XDG_CACHE_HOME": str(tmp_path)})
        (model,) = await made.models("work")
        assert model.name == "work/a"
        assert "authorization: bearer sk-1" in server.heads[0].lower()
        assert await made.resolve("a") == Target("work", "a")
        assert server.asked == ["/v1/models"]
    again = Registry(path, {"XDG_CACHE_HOME": str(tmp_path)})  # the server is gone; its list is on the disk
    assert await again.resolve("a") == Target("work", "a")


# --- names ------------------------------------------------------------------------------------------------------------


async def test_a_whole_name_asks_nobody() -> None:
    made = registry(config=Config(aliases={"fast": "groq/llama"}))
    assert await made.resolve("openai/gpt-9") == Target("openai", "gpt-9")
    assert await made.resolve("fast") == Target("groq", "llama")
    assert await made.resolve("mistral") == Target("mistral", "mistral-large-latest")
    assert await made.resolve("echo-reasoning") == Target("echo", "echo-reasoning")
    assert Made.asked == []


async def test_a_bare_name_is_looked_up_in_what_could_be_asked() -> None:
    made = registry(OPENAI, OLLAMA)
    assert await made.resolve("gpt-5") == Target("openai", "gpt-5")
    assert await made.resolve("llama3.2") == Target("ollama", "llama3.2:latest")
    assert sorted(Made.asked) == ["ollama", "openai"]
    with pytest.raises(UnknownModelError, match="did you mean gpt-5"):
        await made.resolve("gpt-55")


async def test_what_is_configured_comes_before_other_keys() -> None:
    config = Config(providers={"work": ProviderConfig(url="http://gpu:8000/v1")})
    assert await registry(OPENAI, config=config).resolve("gpt-5") == Target("work", "gpt-5")


async def test_an_unknown_provider_is_told() -> None:
    with pytest.raises(UnknownProviderError, match="did you mean openai"):
        await registry().resolve("opnai/gpt-5")


async def test_a_list_on_the_disk_is_known_without_asking(tmp_path: Path) -> None:
    await registry(OPENAI, cache=ModelCache(tmp_path)).models("openai")
    Made.asked.clear()
    assert await registry(OPENAI, cache=ModelCache(tmp_path)).resolve("gpt-5-mini") == Target("openai", "gpt-5-mini")
    assert Made.asked == []


# --- models -----------------------------------------------------------------------------------------------------------


async def test_models_come_with_their_provider_and_configured_price() -> None:
    price = Price(input=1.0, output=2.0)
    made = registry(OPENAI, config=Config(prices={"openai/gpt-5": price}))
    models = await made.models("openai")
    assert [(model.name, model.price) for model in models] == [("openai/gpt-5", price), ("openai/gpt-5-mini", None)]
    assert made.price(Target("openai", "gpt-5")) == price
    await made.models("openai")
    assert Made.asked == ["openai"]
    await made.models("openai", refresh=True)
    assert Made.asked == ["openai", "openai"]


async def test_a_local_server_is_asked_each_time_and_never_kept(tmp_path: Path) -> None:
    made = registry({}, cache=ModelCache(tmp_path))
    await made.models("ollama")
    await made.models("ollama")
    assert Made.asked == ["ollama", "ollama"]
    assert list(tmp_path.iterdir()) == []


async def test_who_lists_nothing_is_not_asked_with_the_others_each_time() -> None:
    made = registry({**OPENAI, "GROQ_API_KEY": "k"})
    for _ in range(3):
        assert {model.provider for model in await made.models()} == {"openai"}
    assert Made.asked.count("groq") == 1
    await made.models(refresh=True)
    assert Made.asked.count("groq") == 2
    with pytest.raises(ConnectError):  # who asks for it alone is told
        await made.models("groq")
    assert Made.asked.count("groq") == 3


async def test_all_models_are_those_of_whoever_answers(caplog: pytest.LogCaptureFixture) -> None:
    environ = {**OPENAI, "GROQ_API_KEY": "k", "COHERE_API_KEY": "k"}
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        models = await registry(environ, OLLAMA).models()
    assert {model.provider for model in models} == {"openai", "ollama", "cohere"}
    assert "openai-responses" not in Made.asked  # the same server, in another dialect
    assert "groq lists no models: not connected" in caplog.messages
    assert {model.id for model in models if model.provider == "cohere"} == set(ROWS["cohere"].models)


async def test_rows_of_one_server_with_keys_of_their_own_are_each_asked() -> None:
    url = "http://gpu:8000/v1"
    config = Config(
        providers={
            "keyless": ProviderConfig(url=url, key_variable="UNSET_KEY"),
            "work": ProviderConfig(url=url, key_variable="WORK_KEY"),
            "same": ProviderConfig(url=url, key_variable="WORK_KEY"),
            "wrong": ProviderConfig(url=url, key=Secret("k1")),
            "other": ProviderConfig(url=url, key=Secret("k2")),
        }
    )
    models = await registry({"WORK_KEY": "k"}, config=config).models()
    assert {model.provider for model in models} == {"work"}
    assert sorted(Made.asked) == ["other", "work", "wrong"]


async def test_models_of_one_that_cannot_be_asked_are_an_error() -> None:
    with pytest.raises(MissingKeyError):
        await registry().models("openai")
    with pytest.raises(ConnectError):
        await registry({"GROQ_API_KEY": "k"}).models("groq")
    assert [model.id for model in await registry().models("echo")] == list(Echo.models)


# --- what is there ----------------------------------------------------------------------------------------------------


async def test_a_server_is_used_where_it_was_found() -> None:
    made = registry({}, OLLAMA)
    before = await made.provider("ollama")
    assert [each.url for each in await made.discover()] == ["http://127.0.0.1:5"]
    after = await made.provider("ollama")
    assert isinstance(before, Made)
    assert isinstance(after, Made)
    assert (before.row.url, after.row.url) == ("http://127.0.0.1:11434", "http://127.0.0.1:5")


async def test_servers_are_looked_for_where_they_were_put(tmp_path: Path) -> None:
    probed: list[dict[str, tuple[int, ...]]] = []

    async def probe(rows: Sequence[Row]) -> Sequence[Found]:
        probed.append({row.name: row.local_ports for row in rows})
        return ()

    providers = {
        "ollama": ProviderConfig(url="http://localhost:11500"),
        "vllm": ProviderConfig(url="http://gpu.example.org:8000/v1"),
        "sglang": ProviderConfig(url="https://127.0.0.1:30000/v1"),
    }
    environ = {"BACKSTREAM_URL": "http://gateway.example.org"}
    made = registry(environ, config=Config(providers=providers), probe=probe)
    await made.discover()
    await made.discover()
    (ports,) = probed  # once: what was found holds for a while
    assert ports["ollama"] == (11500,)
    assert ports["lmstudio"] == (1234,)
    assert {"vllm", "sglang", "backstream", "openai"}.isdisjoint(ports)


async def test_the_default_says_where_it_comes_from() -> None:
    config = Config(defaults=Defaults(model="openai/gpt-5"), model_from="BACKSTREAM_MODEL")
    choice = await registry({}, OLLAMA, config=config).default()
    assert (choice.target, choice.reason) == (Target("openai", "gpt-5"), "named in BACKSTREAM_MODEL")
    choice = await registry(OPENAI, OLLAMA).default()
    assert (str(choice.target), choice.reason) == ("ollama/llama3.2:latest", "Ollama runs at http://127.0.0.1:5")
    choice = await registry(OPENAI).default()
    assert (str(choice.target), choice.reason) == ("openai/gpt-5-mini", "OPENAI_API_KEY is set")
    assert await registry().resolve("") == Target("echo", "")
    assert await registry().resolve(None) == Target("echo", "")


# --- plug-ins ---------------------------------------------------------------------------------------------------------

CODE = """
from backstream.providers.base import AsyncGeneratorProvider
from backstream.providers.table import Row

class Own(AsyncGeneratorProvider):
    @classmethod
    async def get_models(cls):
        return ["own-1"]

class Silent(AsyncGeneratorProvider):
    pass

row = Row(name="any", label="Any", url="http://127.0.0.1:9", dialect="openai_chat", key_needed=False, documentation="")
"""


async def test_plugins_are_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "one", CODE, own="Own", silent="Silent", acme="row", openai="Own", broken="none")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = registry()
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        assert {"own", "acme", "broken", "silent"} < set(made.providers())
        made.providers()
    assert [message for message in caplog.messages if "openai is hidden" in message] == caplog.messages
    assert len(caplog.messages) == 1
    assert [model.name for model in await made.models("own")] == ["own/own-1"]
    assert await made.models("silent") == []
    assert await made.resolve("own-1") == Target("own", "own-1")
    acme = await made.provider("acme")
    assert isinstance(acme, Made)
    assert acme.row.name == "acme"
    with pytest.raises(ConfigurationError, match="the plug-in broken cannot be loaded"):
        await made.provider("broken")


async def test_a_plugin_that_was_preferred_takes_the_place_of_the_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "one", CODE, openai="Own", echo="Own")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert await registry().provider("echo") is Echo
    preferred = ProviderConfig(plugin=True)
    made = registry(config=Config(providers={"openai": preferred, "echo": preferred}))
    for name in ("openai", "echo"):
        provider: Any = await made.provider(name)
        assert provider.__name__ == "Own"


@pytest.mark.parametrize(
    ("environ", "text", "said"),
    [
        ({"BACKSTREAM_MODEL": "nope"}, "", "the model of BACKSTREAM_MODEL cannot be used: unknown model 'nope'"),
        ({}, "[defaults]\nmodel = 'zzz/nope'\n", "c.toml cannot be used: unknown provider 'zzz'"),
    ],
)
async def test_a_configured_model_that_means_nothing_names_its_place(
    tmp_path: Path, environ: Mapping[str, str], text: str, said: str
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises((UnknownModelError, UnknownProviderError)) as caught:
        await registry(environ, config=load_config(path, environ=environ)).default()
    assert said in str(caught.value)


async def test_an_alias_that_leads_nowhere_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[aliases]\ngood = 'echo'\nfast = 'groqq/llama'\n")
    made = registry(config=load_config(path, environ={}))
    assert (await made.resolve("good")).provider == "echo"
    with pytest.raises(ConfigurationError) as caught:
        await made.resolve("fast")
    said = f"{path}:3: aliases.fast leads nowhere: unknown provider 'groqq'; did you mean groq"
    assert str(caught.value).startswith(said)


async def test_a_list_that_was_known_serves_on_while_its_provider_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry(OPENAI)
    listed = await made.models()

    async def hang(self: Made) -> list[ModelInfo]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(Made, "list_models", hang)
    monkeypatch.setattr("backstream.registry.registry._LISTING_SECONDS", 0.01)
    assert listed
    assert await made.models(refresh=True) == listed
