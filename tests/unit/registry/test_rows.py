"""The table with the environment and the configuration over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.credentials import Secret
from backstream.errors import ConfigurationError
from backstream.providers.table import ROWS, Row
from backstream.registry.config import Config, ProviderConfig, load_config
from backstream.registry.rows import configured_rows, may_use_keyring, row_at


def rows(environ: dict[str, str] | None = None, *, trusted: bool = True, **providers: ProviderConfig) -> dict[str, Row]:
    config = Config(providers=providers, trusted=trusted)
    return dict(configured_rows(ROWS, config, environ or {}))


def test_without_configuration_the_table_stands() -> None:
    assert rows() == dict(ROWS)


def test_a_server_of_openai_kind_needs_its_url_only() -> None:
    row = rows(work=ProviderConfig(url="http://gpu:8000/v1"))["work"]
    assert (row.name, row.url, row.dialect, row.key_needed) == ("work", "http://gpu:8000/v1", "openai_chat", False)
    assert (row.models_path, row.embeddings_path) == ("/models", "/embeddings")


def test_a_known_row_is_changed_where_it_is_said() -> None:
    before = ROWS["mistral"]
    row = rows(
        mistral=ProviderConfig(
            label="M",
            auth="api-key",
            default_model="m",
            models=("m", "n"),
            models_path="",
            headers={"X-A": "1"},
            quirks={"json_schema": False},
        )
    )["mistral"]
    assert (row.label, row.auth, row.default_model, row.models, row.models_path) == (
        "M",
        "api-key",
        "m",
        ("m", "n"),
        None,
    )
    assert row.headers == {**before.headers, "X-A": "1"}
    assert row.quirks == {**before.quirks, "json_schema": False}
    assert (row.url, row.key_variables) == (before.url, before.key_variables)
    assert rows(mistral=ProviderConfig(models_path="/list"))["mistral"].models_path == "/list"


def test_a_new_provider_can_extend_a_known_one() -> None:
    row = rows(second=ProviderConfig(extends="anthropic"))["second"]
    assert (row.name, row.dialect, row.url) == ("second", "anthropic_messages", ROWS["anthropic"].url)
    assert row.key_variables == ROWS["anthropic"].key_variables
    assert rows(lab=ProviderConfig(extends="ollama"))["lab"].local_ports == ()


@pytest.mark.parametrize("name", ["openai", "gateway"])
def test_keys_do_not_follow_a_row_to_another_origin(name: str) -> None:
    """Because a key is for the origin it was made for; which one goes to the new place must be said."""
    extends = None if name == "openai" else "openai"
    moved = rows(**{name: ProviderConfig(extends=extends, url="https://elsewhere.example/v1")})[name]
    assert (moved.key_variables, moved.key_needed) == ((), True)
    near = rows(**{name: ProviderConfig(extends=extends, url="https://api.openai.com/v2")})[name]
    assert near.key_variables == ("OPENAI_API_KEY",)


def test_a_configured_key_is_needed_from_then_on() -> None:
    for settings in (
        ProviderConfig(key=Secret("k")),
        ProviderConfig(key_variable="K"),
        ProviderConfig(key_file=Path("k")),
    ):
        assert rows(vllm=settings)["vllm"].key_needed
    assert not rows()["vllm"].key_needed


def test_the_environment_places_a_row_and_the_configuration_wins() -> None:
    environ = {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
    assert rows(environ)["azure"].url == "https://me.openai.azure.com/openai/v1"
    assert rows()["azure"].url == ""
    configured = rows(environ, azure=ProviderConfig(url="https://other.openai.azure.com/openai/v1"))["azure"]
    assert configured.url == "https://other.openai.azure.com/openai/v1"
    assert configured.key_variables == ()
    with pytest.raises(ConfigurationError, match="the environment variable AZURE_OPENAI_ENDPOINT is wrong"):
        rows({"AZURE_OPENAI_ENDPOINT": "https://me:pw@x"})


def test_a_row_without_url_gives_its_keys_only_where_the_user_says() -> None:
    settings = ProviderConfig(url="https://x.example")
    assert rows(azure=settings)["azure"].key_variables == ("AZURE_OPENAI_API_KEY",)
    assert rows(azure=settings, trusted=False)["azure"].key_variables == ()


def test_a_plugin_takes_the_place_of_a_row() -> None:
    assert "openai" not in rows(openai=ProviderConfig(plugin=True))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "[providers.work]\nextends = 'opnai'",
            2,
            "providers.work.extends names no known provider; did you mean openai",
        ),
        ("\n[providers.work]\nlabel = 'x'", 2, "providers.work has no url; give its url, or extends"),
    ],
)
def test_an_error_names_file_line_and_key(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        configured_rows(ROWS, load_config(path, environ={}), {})
    assert str(caught.value).startswith(f"{path}:{line}: {said}")


def test_the_keyring_is_for_providers_where_they_always_were() -> None:
    moved, same = ProviderConfig(url="https://x.example"), ProviderConfig(label="x")
    for trusted, name, allowed in (
        (True, "moved", True),
        (False, "moved", False),
        (False, "extended", False),
        (False, "same", True),
        (False, "openai", True),
    ):
        providers = {"moved": moved, "same": same, "extended": ProviderConfig(extends="openai")}
        assert may_use_keyring(name, Config(providers=providers, trusted=trusted)) is allowed


def test_a_server_can_be_named_by_its_address() -> None:
    row = row_at("http://127.0.0.1:9000/v1/")
    assert (row.name, row.url) == ("127.0.0.1:9000", "http://127.0.0.1:9000/v1")
    assert row_at("http://127.0.0.1:9000", dialect="ollama").models_path == "/api/tags"
    assert row_at("http://127.0.0.1:9000", dialect="ollama").embeddings_path is None
    with pytest.raises(ConfigurationError, match="there is no dialect 'openai'; use one of: openai_chat"):
        row_at("http://127.0.0.1:9000", dialect="openai")


def test_a_wrong_variable_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        rows({"AZURE_OPENAI_ENDPOINT": "sk-canary"})
    assert "canary" not in str(caught.value)


def test_a_quirk_that_the_dialect_lacks_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        "[providers.work]\nurl = 'http://gpu'\nquirks = { think_tags = true }\n[providers.deepseek.quirks]\nnope = 1\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        configured_rows(ROWS, load_config(path, environ={}), {})
    said = f"{path}:5: providers.deepseek.quirks.nope is unknown; it knows max_tokens, "
    assert str(caught.value).startswith(said)
