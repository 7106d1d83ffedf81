"""What ``serve`` and ``config check`` read before they serve: one reading of the configuration, with what it gives."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from backstream.errors import ConfigurationError
from backstream.providers.table import ROWS
from backstream.registry.config import Config, load_config
from backstream.registry.registry import Registry
from backstream.registry.server_config import ServerConfig
from backstream.server.configured import configured_settings, doubtful_routes
from backstream.server.doubts import limits_of_nobody, unusable_key_files
from backstream.server.place import Place
from backstream.server.reload import Loaded
from backstream.server.tls import TLSFiles

__all__ = ["Kept", "first_of", "load_served", "place_of", "served"]

_T = TypeVar("_T")
_ADDRESS: Final = frozenset({"host", "port", "tls_cert", "tls_key"})
_PLACE: Final = (*sorted(_ADDRESS), "socket")
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
    for doubt in _doubts(loaded):
        _LOGGER.warning("%s", doubt)
    return loaded


def _doubts(loaded: Loaded) -> Iterator[ConfigurationError]:
    """Give what does not keep a gateway from serving, but will refuse its clients."""
    config, registry = loaded.config, loaded.registry
    if registry is not None:
        if config.routes:  # else no plug-in is looked up
            yield from doubtful_routes(config, registry.providers())
        yield from unusable_key_files(config)
    with contextlib.suppress(ConfigurationError):  # the file of client keys: told where it is opened
        yield from limits_of_nobody(config, loaded.settings)


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


class Kept:
    """The last configuration that was right, for workers that are made later.

    Args:
        load: Reads it again.
        first: What was read first.

    Attributes:
        first: The same.
    """

    def __init__(self, load: Callable[[], Loaded], first: Loaded) -> None:
        self._load = load
        self._last = self.first = first

    def refresh(self) -> None:
        """Read it again; what is wrong with it is for the workers to tell, which read it too."""
        with contextlib.suppress(ConfigurationError):
            found = self._load()
            if found.config.document is not None or self._last.config.document is None:
                self._last = found

    def of_worker(self, worker: int, state_file: Path) -> Loaded:
        """Return it for one worker."""
        settings = msgspec.structs.replace(self._last.settings, worker=worker, state_file=state_file)
        return msgspec.structs.replace(self._last, settings=settings)


def place_of(server: ServerConfig, **given: Any) -> Place:
    """Return where to listen.

    Args:
        server: What was configured.
        given: What the command line says: ``host``, ``port``, ``socket``, ``tls_cert``, ``tls_key``; ``None`` is not
            given. A Unix socket that is given wins over an address that is configured, and the other way round.

    Raises:
        ConfigurationError: Both are given, or configured; or one of two TLS files alone.
    """
    given = {name: value for name, value in given.items() if value is not None}
    configured = {name: getattr(server, name) for name in _PLACE if getattr(server, name) is not None}
    if given.keys() & _ADDRESS:
        configured.pop("socket", None)
    if "socket" in given:
        configured = {name: value for name, value in configured.items() if name not in _ADDRESS}
    found = {**configured, **given}
    if "socket" in found and found.keys() & {"host", "port"}:
        raise ConfigurationError("an address and a Unix socket are both to be listened on", "choose one of them")
    if ("tls_cert" in found) != ("tls_key" in found):
        raise ConfigurationError("a certificate and its key belong together", "give --tls-cert and --tls-key")
    tls = TLSFiles(certificate=found["tls_cert"], key=found["tls_key"]) if "tls_cert" in found else None
    return Place(
        host=found.get("host", "127.0.0.1"), port=found.get("port", 8080), socket_path=found.get("socket"), tls=tls
    )
