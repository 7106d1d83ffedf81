"""The public names: complete, documented, and each where the table says."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import backstream

INIT = Path(backstream.__file__)


def test_the_tables_of_names_agree() -> None:
    tree = ast.parse(INIT.read_text())
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backstream.")
        for alias in node.names
    }
    assert typed == set(backstream.__all__)


@pytest.mark.parametrize("name", backstream.__all__)
def test_a_public_name_can_be_had_and_says_what_it_is(name: str) -> None:
    value = getattr(backstream, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


def test_the_names_fixed_for_users_are_there() -> None:
    fixed = (
        "BackendApi RawResponse Messages MediaListType ImageType AsyncResult StreamSession StreamResponse to_data_uri "
        "AsyncGeneratorProvider ProviderModelMixin sync_iter"
    )
    assert set(fixed.split()) <= set(backstream.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        backstream.Nonsense  # noqa: B018


def test_dir_shows_every_public_name() -> None:
    assert set(backstream.__all__) <= set(dir(backstream))


def _public_modules() -> list[str]:
    root = INIT.parent
    return [
        "backstream." + ".".join(path.relative_to(root).with_suffix("").parts)
        for path in sorted(root.rglob("*.py"))
        if path.name not in {"__main__.py", "__init__.py", "_version.py"}
    ]


@pytest.mark.parametrize("module", _public_modules())
def test_every_module_names_what_it_offers(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name in loaded.__all__:
        assert hasattr(loaded, name), f"{module}.__all__ names {name}, which is not there"


def test_a_warning_of_ours_is_not_printed_where_nobody_set_up_logging() -> None:
    code = "import backstream, logging; logging.getLogger('backstream.server').warning('canary')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_name_that_is_not_there_is_told_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="'backstream' has no attribute 'nothing'"):
        backstream.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert set(backstream.__all__) <= set(dir(backstream))
