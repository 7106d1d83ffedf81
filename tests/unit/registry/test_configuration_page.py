"""The page on configuration and the example file say what the loader takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backstream.dialects.names import DIALECTS
from backstream.errors import ConfigurationError
from backstream.options import Deadlines
from backstream.providers.table import ROWS
from backstream.registry.config import Config, ProviderConfig, load_config
from backstream.registry.routes import models_of
from backstream.registry.rows import configured_rows
from backstream.registry.server_config import KeyConfig, LimitsConfig, ServerConfig

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "howto" / "configuration.md").read_text()


def test_the_example_is_read_and_uses_every_table() -> None:
    config = load_config(ROOT / "examples" / "backstream.toml", environ={})
    rows = configured_rows(ROWS, config, {})
    assert set(config.providers) == {"work", "openai", "anthropic-lab", "gateway", "ollama"}
    assert rows["gateway"].key_variables == ()
    assert rows["anthropic-lab"].url == ROWS["anthropic"].url
    assert config.defaults.deadlines == Deadlines(connect=10, idle=600)
    assert config.aliases
    assert config.prices
    assert config.server.limits.of_keys.requests_per_minute == 120
    assert config.keys["intern"].tokens_per_day == 200_000
    assert models_of("smart", config.aliases, config.routes)[-1] == "work/qwen3-32b"


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_what_the_page_shows_is_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "backstream.toml"
    path.write_text(text)
    assert load_config(path, environ={}) != Config()


def test_the_page_names_every_key_and_dialect() -> None:
    table = PAGE[PAGE.index("| key |") : PAGE.index("## Keys")]
    assert {name for name in ProviderConfig.__struct_fields__ if f"`{name}`" not in table} == set()
    assert {name for name in DIALECTS if f"`{name}`" not in table} == set()


def test_the_page_names_every_key_of_the_gateway() -> None:
    part = PAGE[PAGE.index("## The gateway") : PAGE.index("## Routing lists")]
    keys = {*ServerConfig.__struct_fields__, *LimitsConfig.__struct_fields__, *KeyConfig.__struct_fields__} - {"limits"}
    assert {name for name in keys if f"`{name}`" not in part} == set()


def test_the_error_the_page_shows_is_the_one_that_comes(tmp_path: Path) -> None:
    path = tmp_path / "backstream.toml"
    path.write_text("[providers.work]\n\nurll = 'http://x'\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, environ={})
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    assert str(caught.value).removeprefix(f"{tmp_path}/") == shown
