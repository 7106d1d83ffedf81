"""Where a provider's key comes from, and where it may go."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, MissingKeyError
from backstream.providers.table import Row
from backstream.registry.config import ProviderConfig
from backstream.registry.keys import find_key, key_in_sight

ROW = Row(
    name="acme",
    label="Acme",
    url="https://api.acme.example/v1",
    dialect="openai_chat",
    documentation="https://acme.example",
    key_variables=("ACME_API_KEY", "ACME_TOKEN"),
)
LOCAL = msgspec.structs.replace(ROW, url="http://127.0.0.1:8000/v1", key_needed=False, key_variables=())
ORIGIN = "https://api.acme.example"


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``keyring``, installed; the test writes what it does."""
    package = tmp_path / "site" / "keyring"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    importlib.invalidate_caches()
    yield package / "__init__.py"
    sys.modules.pop("keyring", None)
    importlib.invalidate_caches()


async def test_the_first_place_with_a_key_wins(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    file.chmod(0o600)
    environ = {"ACME_API_KEY": " ", "ACME_TOKEN": "from-row\n", "MINE": "from-variable"}

    async def found(argument: str | Secret | None, settings: ProviderConfig | None) -> Secret | None:
        return await find_key(ROW, argument, settings, environ=environ)

    assert await found("from-argument", ProviderConfig(key=Secret("x"))) == Secret("from-argument", origin=ORIGIN)
    assert await found(None, ProviderConfig(key=Secret("from-config"))) == Secret("from-config", origin=ORIGIN)
    assert await found(None, ProviderConfig(key_file=file)) == Secret("from-file", origin=ORIGIN)
    assert await found(None, ProviderConfig(key_variable="MINE")) == Secret("from-variable", origin=ORIGIN)
    assert await found(None, ProviderConfig()) == Secret("from-row", origin=ORIGIN)
    assert await found(None, None) == Secret("from-row", origin=ORIGIN)


async def test_the_environment_is_this_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "k")
    assert await find_key(ROW) == Secret("k", origin=ORIGIN)


async def test_a_missing_key_names_the_variable() -> None:
    with pytest.raises(MissingKeyError, match="acme needs an API key; set ACME_API_KEY or pass api_key="):
        await find_key(ROW, environ={})
    with pytest.raises(MissingKeyError, match="set MINE or"):  # the row's own do not step in for the one configured
        await find_key(ROW, settings=ProviderConfig(key_variable="MINE"), environ={"ACME_API_KEY": "k"})
    moved = msgspec.structs.replace(ROW, key_variables=())
    with pytest.raises(MissingKeyError, match=r"set key_variable in \[providers\.acme\] of backstream\.toml"):
        await find_key(moved, environ={})
    assert await find_key(LOCAL, environ={}) is None


async def test_a_key_goes_to_its_provider_only() -> None:
    key = await find_key(LOCAL, "k", environ={})
    assert key is not None
    assert key.origin == "http://127.0.0.1:8000"
    assert await find_key(LOCAL, key, environ={}) is key
    with pytest.raises(ConfigurationError, match=r"belongs to http://127\.0\.0\.1:8000"):
        await find_key(ROW, key, environ={})
    bound = await find_key(ROW, Secret("k"), environ={})
    assert bound == Secret("k", origin=ORIGIN)
    rotating = await find_key(ROW, Secret(iter(["one", "two"]).__next__), environ={})
    assert rotating is not None
    assert [rotating.reveal(), rotating.reveal(), rotating.origin] == ["one", "two", ORIGIN]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\n", "holds no key"), (b"a\nb", "holds no key"), (b"\xff", "is not UTF-8"), (None, "No such file")],
)
async def test_a_key_file_that_cannot_serve_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"the key file .* {said}|cannot be read: {said}"):
        await find_key(ROW, settings=ProviderConfig(key_file=file), environ={})


async def test_a_key_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "key"
    file.write_text("k")
    file.chmod(0o640)
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        await find_key(ROW, settings=ProviderConfig(key_file=file), environ={})
    assert caplog.messages == [f"others can read the key file {file}; run: chmod 600 {file}"]


# --- the system keyring -----------------------------------------------------------------------------------------------


async def test_the_keyring_is_asked_last(keyring: Path) -> None:
    keyring.write_text("def get_password(service, user):\n    return f'{service}:{user}'\n")
    assert await find_key(ROW, environ={}) == Secret("backstream:acme", origin=ORIGIN)
    assert await find_key(ROW, environ={"ACME_TOKEN": "k"}) == Secret("k", origin=ORIGIN)
    with pytest.raises(MissingKeyError):
        await find_key(ROW, environ={}, use_keyring=False)


async def test_the_keyring_is_not_asked_for_a_provider_that_needs_no_key(keyring: Path) -> None:
    keyring.write_text("raise RuntimeError('asked')\n")
    assert await find_key(LOCAL, environ={}) is None


@pytest.mark.parametrize(
    "code",
    [
        "def get_password(service, user): return None",
        "def get_password(service, user): return ''",
        "class NoKeyringError(Exception): ...\ndef get_password(service, user): raise NoKeyringError('none')",
    ],
)
async def test_an_empty_keyring_is_none(keyring: Path, code: str) -> None:
    keyring.write_text(code)
    with pytest.raises(MissingKeyError):
        await find_key(ROW, environ={})


async def test_without_the_package_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # what Python itself takes for "is not there"
    with pytest.raises(MissingKeyError):
        await find_key(ROW, environ={})


async def test_a_keyring_that_fails_is_one_line(keyring: Path) -> None:
    keyring.write_text("def get_password(service, user): raise OSError('sk-canary\\nlocked')")
    with pytest.raises(ConfigurationError) as caught:
        await find_key(ROW, environ={})
    assert str(caught.value) == "the system keyring failed for acme: OSError; unlock it, or set the key elsewhere"


# --- without reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "environ", "seen"),
    [
        (None, {}, None),
        (None, {"ACME_API_KEY": " "}, None),
        (None, {"ACME_TOKEN": "k"}, "ACME_TOKEN is set"),
        (ProviderConfig(), {"ACME_TOKEN": "k"}, "ACME_TOKEN is set"),
        (ProviderConfig(key=Secret("k")), {}, "a key is configured"),
        (ProviderConfig(key_file=Path(__file__)), {}, "a key file is configured"),
        (ProviderConfig(key_file=Path("absent")), {}, None),
        (ProviderConfig(key_variable="MINE"), {"MINE": "k"}, "MINE is set"),
        (ProviderConfig(key_variable="MINE"), {"ACME_TOKEN": "k"}, None),
    ],
)
def test_a_key_is_seen(settings: ProviderConfig | None, environ: dict[str, str], seen: str | None) -> None:
    assert key_in_sight(ROW, settings, environ) == seen
