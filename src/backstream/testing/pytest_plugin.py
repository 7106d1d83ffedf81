"""The pytest plug-in: it takes the provider to check from the command line. Small: every run of pytest loads it.

::

    pytest --pyargs backstream.testing.provider_checks --backstream-provider=my_package:MyProvider
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from backstream.testing.providers import ProviderCase

__all__ = ["backstream_provider", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("backstream", "checks of a backstream provider")
    group.addoption("--backstream-provider", metavar="MODULE:NAME", help="the provider class or object to be checked")
    group.addoption("--backstream-model", metavar="NAME", default="", help="the model to ask (default: its own)")
    group.addoption("--backstream-key-variable", metavar="NAME", help="the environment variable that holds its key")


@pytest.fixture(scope="session")
def backstream_provider(pytestconfig: pytest.Config) -> ProviderCase:
    """The provider that ``--backstream-provider`` names."""
    from backstream.testing.providers import ProviderCase

    named: str | None = pytestconfig.getoption("--backstream-provider")
    if not named:
        raise pytest.UsageError("pass --backstream-provider=MODULE:NAME")
    module_name, _, path = named.partition(":")
    provider: Any = importlib.import_module(module_name)
    for name in filter(None, path.split(".")):
        provider = getattr(provider, name)
    variable: str | None = pytestconfig.getoption("--backstream-key-variable")
    keywords = {"api_key": os.environ[variable]} if variable else {}
    model = str(pytestconfig.getoption("--backstream-model") or "")
    return ProviderCase(provider=provider, model=model, keywords=keywords)
