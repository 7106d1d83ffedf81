"""Providers of installed packages: entry points of the group ``backstream.providers``, loaded when they are named."""

from __future__ import annotations

import importlib.metadata
import logging
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, TypeAlias

from backstream.errors import ConfigurationError
from backstream.providers.base import Provider
from backstream.providers.table import Row

__all__ = ["GROUP", "Plugin", "Plugins"]

GROUP: Final = "backstream.providers"
_LOGGER: Final = logging.getLogger("backstream.registry")

Plugin: TypeAlias = "Row | Provider | type[Any]"
"""What an entry point may give: a row of the table, a provider class, or an instance."""


class Plugins:
    """The providers of installed packages.

    The names are looked up once, when first needed, and nothing is imported for that; both read files, so that on an
    event loop they belong in a thread. A plug-in that cannot be loaded is told of in one warning, and in an error to
    whoever names it; it never stands in the way of others.
    """

    def __init__(self) -> None:
        self._points: dict[str, importlib.metadata.EntryPoint] | None = None
        self._loaded: dict[str, Plugin | ConfigurationError] = {}

    def names(self) -> Sequence[str]:
        """Return their names."""
        return list(self._found())

    def _found(self) -> dict[str, importlib.metadata.EntryPoint]:
        if self._points is None:
            points: dict[str, importlib.metadata.EntryPoint] = {}
            for point in sorted(
                importlib.metadata.entry_points(group=GROUP), key=lambda point: (_origin(point), point.name)
            ):
                if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", point.name):
                    _LOGGER.warning("a plug-in of %s is left out: %r is no name", _origin(point), point.name[:80])
                elif point.name in points:
                    _LOGGER.warning("two plug-ins are named %s: that of %s is left out", point.name, _origin(point))
                else:
                    points[point.name] = point
            self._points = points
        return self._points

    def warn_of_clashes(self, built_in: Collection[str]) -> None:
        """Tell which plug-ins are hidden by built-in providers.

        Args:
            built_in: The names of those for which the configuration does not prefer the plug-in.
        """
        for name in self._found():
            if name in built_in:
                hint = f"[providers.{name}] plugin = true prefers it"
                _LOGGER.warning("the plug-in %s is hidden by the built-in provider; %s", name, hint)

    def load(self, name: str) -> Plugin:
        """Load the plug-in of that name, the first time it is asked for.

        Raises:
            ConfigurationError: It cannot be loaded, or is no provider.
            KeyError: There is none of that name.
        """
        if name not in self._loaded:
            self._loaded[name] = _load(self._found()[name])
        found = self._loaded[name]
        if isinstance(found, ConfigurationError):
            raise ConfigurationError(found.problem, found.remedy)
        return found


def _origin(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _load(point: importlib.metadata.EntryPoint) -> Plugin | ConfigurationError:
    try:
        found: Any = point.load()
    except Exception as error:  # noqa: BLE001 - a package of somebody's; what it raises must not stop the others
        problem = f"cannot be loaded: {type(error).__name__}"
    else:
        if isinstance(found, Row) or callable(getattr(found, "create_async_generator", None)):
            return found  # type: ignore[no-any-return]
        problem = "gives neither a provider nor a row"
    broken = ConfigurationError(f"the plug-in {point.name} {problem}", f"update or remove {_origin(point)}")
    _LOGGER.warning("%s", broken)
    return broken
