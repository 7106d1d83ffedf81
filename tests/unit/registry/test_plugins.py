"""Providers of installed packages."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.providers.table import Row
from backstream.registry.plugins import Plugins
from support_plugins import install


@pytest.fixture(autouse=True)
def unload() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("plugged_")]:
        del sys.modules[name]
    importlib.invalidate_caches()


CODE = """
from backstream.providers.base import AsyncGeneratorProvider
from backstream.providers.table import Row

class Backwards(AsyncGeneratorProvider):
    @classmethod
    async def create_async_generator(cls, model, messages, media=None, api_key=None, **kwargs):
        yield messages[-1]["content"][::-1]

class Shaped:
    def create_async_generator(self, model, messages, media=None, api_key=None, **kwargs):
        raise NotImplementedError

instance = Shaped()
row = Row(name="acme", label="Acme", url="https://acme.example", dialect="openai_chat", documentation="https://acme.example")
number = 5
"""


def test_a_class_an_instance_and_a_row_are_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "one", CODE, backwards="Backwards", shaped="instance", acme="row")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = Plugins()
    assert list(plugins.names()) == ["acme", "backwards", "shaped"]
    assert "plugged_one" not in sys.modules  # nothing is loaded to know the names
    assert plugins.load("backwards").__name__ == "Backwards"  # type: ignore[union-attr]
    assert hasattr(plugins.load("shaped"), "create_async_generator")
    row = plugins.load("acme")
    assert isinstance(row, Row)
    assert row.url == "https://acme.example"


def test_a_broken_plugin_is_told_of_and_stands_in_nobody_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "fine", CODE, backwards="Backwards", number="number", missing="nothing")
    install(tmp_path, "broken", "raise RuntimeError('sk-canary')", broken="Anything")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = Plugins()
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        assert set(plugins.names()) == {"backwards", "broken", "missing", "number"}
        assert caplog.messages == []
        for name, said in (
            ("broken", "the plug-in broken cannot be loaded: RuntimeError; update or remove plugged-broken"),
            ("missing", "the plug-in missing cannot be loaded: AttributeError; update or remove plugged-fine"),
            ("number", "the plug-in number gives neither a provider nor a row; update or remove plugged-fine"),
        ):
            for _ in range(2):
                with pytest.raises(ConfigurationError) as caught:
                    plugins.load(name)
                assert str(caught.value) == said
            assert caplog.messages == [said]
            caplog.clear()
        assert plugins.load("backwards")


def test_of_two_of_one_name_the_first_package_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "b", CODE, same="Shaped")
    install(tmp_path, "a", CODE, same="Backwards", **{"not a name": "row"})
    monkeypatch.syspath_prepend(str(tmp_path))
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        plugins = Plugins()
        assert list(plugins.names()) == ["same"]
    assert sorted(caplog.messages) == [
        "a plug-in of plugged-a is left out: 'not a name' is no name",
        "two plug-ins are named same: that of plugged-b is left out",
    ]
    assert plugins.load("same").__module__ == "plugged_a"


def test_a_hidden_plugin_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "one", CODE, openai="Backwards", backwards="Backwards")
    monkeypatch.syspath_prepend(str(tmp_path))
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        Plugins().warn_of_clashes(["openai", "mistral"])
    assert caplog.messages == [
        "the plug-in openai is hidden by the built-in provider; [providers.openai] plugin = true prefers it"
    ]
