"""``backstream.toml`` and the environment."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from backstream.credentials import Secret
from backstream.errors import ConfigurationError
from backstream.models import Price
from backstream.options import Deadlines
from backstream.registry.config import Config, Defaults, ProviderConfig, find_config, load_config

WHOLE = """
[providers.openai]
key_variable = "WORK_KEY"
default_model = "gpt-5-mini"

[providers.work]
url = "http://gpu.example.org:8000/v1/"
label = "Work"
models = ["a", "b"]
headers = { "X-Team" = "blue" }
quirks = { think_tags = true }
key_file = "work.key"

[providers.gateway]
extends = "anthropic"
url = "https://gateway.example.org"
key = "sk-canary"

[aliases]
fast = "openai/gpt-5-mini"
f = "fast"

[defaults]
model = "fast"
receipts = "strict"
deadlines = { connect = 5, idle = 0, total = 120.5 }

[prices."openai/gpt-5-mini"]
input = 0.25
output = 2
currency = "EUR"
"""


def write(folder: Path, text: str, name: str = "backstream.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    config = load_config(path, environ={})
    assert list(config.providers) == ["openai", "work", "gateway"]
    assert config.providers["openai"] == ProviderConfig(key_variable="WORK_KEY", default_model="gpt-5-mini")
    work = config.providers["work"]
    assert work.url == "http://gpu.example.org:8000/v1"
    assert work.models == ("a", "b")
    assert work.key_file == tmp_path / "work.key"
    assert config.providers["gateway"].key == Secret("sk-canary")
    assert config.aliases == {"fast": "openai/gpt-5-mini", "f": "fast"}
    assert config.defaults == Defaults(
        model="fast", receipts="strict", deadlines=Deadlines(connect=5.0, idle=None, total=120.5)
    )
    assert config.prices == {"openai/gpt-5-mini": Price(input=0.25, output=2.0, currency="EUR")}
    assert config.model_from == f"[defaults] of {path}"
    assert "sk-canary" not in repr(config)
    assert "blue" not in repr(config)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("\nprovidrs = 1", 2, "providrs is unknown; did you mean providers, prices?"),
        (
            "zzz = 1",
            1,
            "zzz is unknown; use one of: aliases, defaults, keys, prices, providers, recorder, routes, server",
        ),
        ("providers = 1", 1, "providers is no table; write [providers]"),
        ("[providers]\nwork = 'http://x'", 2, "providers.work is no table; write [providers.work]"),
        ("[providers.work]\n\nurll = 'x'", 3, "providers.work.urll is unknown; did you mean url?"),
        ("[providers.work]\nauth = 'nonsense thing more'", 2, "providers.work.auth names no header field; write"),
        ("[providers.work]\nurl = 1", 2, "providers.work.url is wrong: expected text"),
        ("[providers.work]\nurl = 'ftp://x'", 2, "providers.work.url is wrong: "),
        ("[providers.work]\nurl = 'http://me:pw@x'", 2, "providers.work.url is wrong: "),
        ("[providers.work]\nmodels = ['a', 1]", 2, "providers.work.models is wrong: expected text, got a whole number"),
        ("[providers.work]\nkey = 1", 2, "providers.work.key is wrong: expected text"),
        ("[providers.work]\nkey = ' '", 2, "providers.work.key is wrong: the API key is empty"),
        ('[providers.work]\nkey = "a\\nb"', 2, "providers.work.key is wrong: the API key holds control characters"),
        ("[providers.work]\nkey = 'a'\nkey_variable = 'B'", 3, "providers.work.key_variable and key are both given"),
        (
            "[providers.work]\ndialect = 'openai'",
            2,
            "providers.work.dialect has an unknown value; did you mean openai_",
        ),
        ("[providers.work]\nheaders = {'a b' = 'c'}", 2, "providers.work.headers is wrong: header name 'a b'"),
        ("[providers.work.headers]\nA = 1", 1, "providers.work.headers is wrong: expected text, got a whole number"),
        (
            "[providers.work]\nmodels_path = '.evil.example/x'",
            2,
            "providers.work.models_path does not begin with a slash",
        ),
        ("[providers.work]\nkey_file = '~nobody-at-all/x'", 2, "providers.work.key_file names an unknown home folder"),
        ("[providers.'a/b']\nurl = 'http://x'", 1, 'providers."a/b" is no name for a provider'),
        ("[aliases]\na = 1", 2, "aliases.a is wrong: expected text, got a whole number"),
        ("[aliases]\nx = 'y'\na = 'b'\nb = 'a'", 3, "aliases.a leads in a circle: a → b → a"),
        ("[defaults]\nmodle = 'x'", 2, "defaults.modle is unknown; did you mean model?"),
        ("[defaults]\nreceipts = 'loud'", 2, "defaults.receipts has an unknown value; use one of: strict, warn, drop"),
        ("[defaults]\ndeadlines = 1", 2, "defaults.deadlines is no table"),
        ("[defaults.deadlines]\ntotl = 1", 2, "defaults.deadlines.totl is unknown; did you mean total?"),
        ("[defaults.deadlines]\ntotal = -1", 2, "defaults.deadlines.total is wrong: deadline total=-1.0"),
        ("[defaults.deadlines]\ntotal = '1'", 2, "defaults.deadlines.total is wrong: expected a number, got text"),
        ("[prices]\ngpt = {}", 2, 'prices.gpt names no model of a provider; write [prices."provider/model"]'),
        ("[prices.'a/b']\nin = 1", 2, 'prices."a/b".in is unknown; did you mean input'),
        ("[prices.'a/b']\ninput = -1", 2, 'prices."a/b".input is no price'),
        ("[prices.'a/b']\ncurrency = 'euro'", 2, 'prices."a/b".currency is no currency'),
    ],
)
def test_an_error_names_file_line_and_key(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, environ={})
    assert str(caught.value).startswith(f"{path}:{line}: {said}")
    assert "\n" not in str(caught.value)


def test_no_error_shows_a_key(tmp_path: Path) -> None:
    for text in (
        '[providers.a]\nkey = "sk-canary\\n"',
        "[providers.a]\nkey = ['sk-canary']",
        "key = sk-canary",
        "[providers.a]\nurl = 'sk-canary'",
        "[providers.a]\nauth = 'bearer sk-canary'",
        "[providers.a]\ndialect = 'sk-canary'",
        "[defaults]\nreceipts = 'sk-canary'",
    ):
        with pytest.raises(ConfigurationError) as caught:
            load_config(write(tmp_path, text), environ={})
        assert "canary" not in f"{caught.value} {caught.value!r}"


def test_the_first_file_there_is_wins(tmp_path: Path) -> None:
    here, home, users = tmp_path / "here", tmp_path / "home", tmp_path / "home" / ".config" / "backstream"
    here.mkdir()
    environ = {"HOME": str(home)}
    assert find_config(environ=environ, folder=here) == (None, True)
    by_home = write(users, "")
    assert find_config(environ=environ, folder=here) == (by_home, True)
    by_variable = write(tmp_path / "xdg" / "backstream", "")
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert find_config(environ=environ, folder=here) == (by_variable, True)
    by_folder = write(here, "")
    assert find_config(environ=environ, folder=here) == (by_folder, False)
    named = write(tmp_path, "", "named.toml")
    environ["BACKSTREAM_CONFIG"] = str(named)
    assert find_config(environ=environ, folder=here) == (named, True)
    assert find_config("given.toml", environ=environ, folder=here) == (Path("given.toml"), True)


def test_the_working_folder_and_environment_are_this_process_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BACKSTREAM_CONFIG", "BACKSTREAM_RECEIPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BACKSTREAM_MODEL", " echo ")
    monkeypatch.chdir(tmp_path)
    assert load_config().document is None
    write(tmp_path, "[defaults]\nmodel = 'other'\n")
    config = load_config()
    assert config.document is not None
    assert (config.defaults.model, config.model_from) == ("echo", "BACKSTREAM_MODEL")


def test_the_user_folder_stays_trusted_when_it_is_the_working_folder(tmp_path: Path) -> None:
    users = tmp_path / "backstream"
    path = write(users, "")
    assert find_config(environ={"XDG_CONFIG_HOME": str(tmp_path)}, folder=users) == (path, True)


@pytest.mark.parametrize("line", ["key_variable = 'OPENAI_API_KEY'", "key_file = '~/.ssh/id_ed25519'"])
def test_a_file_that_just_lies_there_cannot_send_keys_away(tmp_path: Path, line: str) -> None:
    """Because a folder from anywhere may hold one, and calling the program in it must not give keys to its author."""
    path = write(tmp_path, f"[providers.evil]\nurl = 'https://evil.example'\n{line}\n")
    with pytest.raises(ConfigurationError, match=r":3: providers\.evil\.key_.* working folder"):
        load_config(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path)
    assert load_config(environ={"BACKSTREAM_CONFIG": str(path)}).trusted


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file"):
        load_config(tmp_path / "none.toml", environ={})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config(environ={"BACKSTREAM_CONFIG": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="the home folder in ~nobody-at-all/x is unknown"):
        load_config("~nobody-at-all/x", environ={})


def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_key = write(tmp_path, "[providers.openai]\nkey = 'sk-canary'\n")
    without = write(tmp_path, "[providers.openai]\nkey_variable = 'X'\n", "other.toml")
    without.chmod(0o644)
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        load_config(with_key, environ={})
        load_config(without, environ={})
        assert caplog.messages == []
        with_key.chmod(0o644)
        load_config(with_key, environ={})
    assert caplog.messages == [f"others can read {with_key}, which holds a key; run: chmod 600 {with_key}"]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[defaults]\nmodel = 'a/b'\nreceipts = 'strict'\n")
    config = load_config(path, environ={"BACKSTREAM_MODEL": "c/d", "BACKSTREAM_RECEIPTS": "drop"})
    assert (config.defaults.model, config.defaults.receipts) == ("c/d", "drop")
    with pytest.raises(ConfigurationError, match="BACKSTREAM_RECEIPTS is wrong; use strict, warn or drop"):
        load_config(path, environ={"BACKSTREAM_RECEIPTS": "loud"})


def test_an_error_without_a_file_still_names_the_key() -> None:
    assert str(Config().error(["providers", "a"], "is odd", "change it")) == "providers.a is odd; change it"
