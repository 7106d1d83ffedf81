"""What ``serve`` and ``config check`` read before they serve: one reading of the configuration, with what it gives."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final, TypeVar

from backstream.providers.table import ROWS
from backstream.registry.config import Config, load_config
from backstream.registry.registry import Registry
from backstream.server.configured import configured_settings, doubtful_routes
from backstream.server.reload import Loaded

__all__ = ["first_of", "load_served", "served"]

_T = TypeVar("_T")
_LOGGER: Final = logging.getLogger("backstream.server")


def first_of(given: _T | None, configured: _T | None, default: _T) -> _T:
    """Return what holds: the command line, else the file, else the default."""
    if given is not None:
        return given
    return configured if configured is not None else default


def load_served(path: Path | None, *, with_registry: bool = True, **given: Any) -> Loaded:
    """Read the configuration and make of it what is served.

    Args:
        path: The file; ``None`` looks for it.
        with_registry: Whether models are looked up; not where the providers were named.
        given: What the command line says; see :func:`backstream.server.configured.configured_settings`.

    Raises:
        ConfigurationError: The configuration cannot be read, or is wrong.
    """
    loaded = served(load_config(path), with_registry=with_registry, **given)
    if loaded.registry is not None and loaded.config.routes:
        for doubt in doubtful_routes(loaded.config, loaded.registry.providers()):
            _LOGGER.warning("%s", doubt)
    return loaded


def served(config: Config, *, with_registry: bool = True, **given: Any) -> Loaded:
    """Make of a configuration what is served.

    Raises:
        ConfigurationError: It is wrong.
    """
    settings = configured_settings(config, given)
    if not with_registry:
        return Loaded(config, settings, None)
    # everywhere but in this server itself, should it be found on its usual port
    table = {name: row for name, row in ROWS.items() if name != "backstream"}
    return Loaded(config, settings, Registry(config, table=table))
