"""Reading the configuration again while the gateway runs: what is wrong with it leaves all as it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from backstream.errors import ConfigurationError
from backstream.registry.config import Config
from backstream.registry.registry import Registry
from backstream.server.app import Gateway
from backstream.server.configured import changed_settings, needs_restart
from backstream.server.settings import Settings

__all__ = ["Loaded", "Reloader"]

_LOGGER: Final = logging.getLogger("backstream.server")


class Loaded(msgspec.Struct, frozen=True):
    """What one reading of the configuration gave.

    Attributes:
        config: What was configured.
        settings: The gateway's settings.
        registry: Where models are looked up; ``None`` for nowhere.
    """

    config: Config
    settings: Settings
    registry: Registry | None


class Reloader:
    """Reads the configuration again, and has a gateway follow it.

    Args:
        load: Reads it; called in a thread.
        first: What the first reading gave.
        process: What the process was started with, where that is another reading.
        overridden: Keys of ``[server]`` for which the command line says something else: their change changes nothing.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        first: Loaded,
        *,
        process: Config | None = None,
        overridden: Collection[str] = (),
    ) -> None:
        self._load = load
        self._now = first
        self._process = first.config if process is None else process
        self._overridden = frozenset(f"server.{name}" for name in overridden)

    async def __call__(self, app: Gateway) -> None:
        """Read it, and let it hold for every request from now on; those that run go on with what they had.

        Raises:
            ConfigurationError: It is wrong, or gone; nothing has changed.
        """
        before = self._now
        after = await asyncio.to_thread(self._load)
        where = before.config.document
        if where is not None and after.config.document is None:
            raise ConfigurationError(f"{where.path} is gone", "put it back, or restart without it")
        app.follow(changed_settings(before.settings, after.settings, app.settings), after.registry)
        self._now = after
        fixed = [name for name in needs_restart(self._process, after.config) if name not in self._overridden]
        if fixed:
            _LOGGER.warning("changed, but needs a restart: %s", ", ".join(fixed))
        path = after.config.document.path if after.config.document is not None else "the environment"
        # of several workers one tells it
        _LOGGER.info("read again: %s", path, extra={"told": app.settings.worker in (None, 0)})
