"""A kit for tests: scripted upstreams, cuts (:mod:`backstream.testing.chop`), checks of providers and dialects."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstream.testing.dialects import check_dialect
    from backstream.testing.providers import check_provider
    from backstream.testing.upstream import ScriptedUpstream

__all__ = ["ScriptedUpstream", "check_dialect", "check_provider"]

_HOMES = {"ScriptedUpstream": "upstream", "check_dialect": "dialects", "check_provider": "providers"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
