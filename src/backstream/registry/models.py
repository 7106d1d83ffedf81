"""Lists of models, kept for a while: in memory, and in the user's cache folder. Knows no provider, and holds no key."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import tempfile
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from backstream.errors import ProviderError
from backstream.models import ModelInfo
from backstream.registry.config import user_folder

__all__ = ["Fetch", "ModelCache", "default_cache_folder"]

Fetch = Callable[[], Awaitable[Sequence[ModelInfo]]]
"""Asks a provider for its models."""

_LOGGER: Final = logging.getLogger("backstream.registry")
_MOST_BYTES: Final = 16 * 1024 * 1024


class _Stored(msgspec.Struct, frozen=True):
    """A list as it lies on the disk."""

    identity: str
    fetched: float
    models: list[ModelInfo]


def default_cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return where lists are kept: ``$XDG_CACHE_HOME/backstream/models``, or below ``~/.cache``."""
    return user_folder(os.environ if environ is None else environ, "XDG_CACHE_HOME", ".cache") / "models"


class ModelCache:
    """Lists of models by identity: a text that differs where the list may.

    A list is asked for again an hour after this process had it. A process that has none yet takes one of the disk that
    is less than a day old. Where the provider cannot be asked, an old list of this process serves on, with a warning.
    Nothing on the disk can fail a call: what cannot be read is fetched and written anew.

    Args:
        folder: Where to keep lists; ``None`` keeps them in memory only.
        memory_seconds: How long a list is good in this process. Default an hour.
        disk_seconds: How long one on the disk is good. Default a day.
        clock: Gives Unix seconds.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        memory_seconds: float = 3600.0,
        disk_seconds: float = 86400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._memory_seconds = memory_seconds
        self._disk_seconds = disk_seconds
        self._clock = clock
        self._lists: dict[str, tuple[float, Sequence[ModelInfo]]] = {}
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = (
            weakref.WeakKeyDictionary()
        )

    def known(self, identity: str) -> Sequence[ModelInfo]:
        """Return the list this process has, of any age; an empty one where it has none."""
        return self._lists.get(identity, (0.0, ()))[1]

    async def recall(self, identity: str) -> Sequence[ModelInfo]:
        """Return the list this process or the disk has, without asking anybody."""
        if identity not in self._lists and self._folder is not None:
            stored = await asyncio.to_thread(_read, self._file(identity))
            if stored and stored.identity == identity and 0 <= self._clock() - stored.fetched < self._disk_seconds:
                self._lists[identity] = (self._clock(), stored.models)
        return self.known(identity)

    async def get(
        self, identity: str, fetch: Fetch, *, refresh: bool = False, keep: bool = True
    ) -> Sequence[ModelInfo]:
        """Return a list, asking for it where it is unknown or old; of several callers one asks while the others wait.

        Args:
            identity: Which list.
            fetch: Asks for it.
            refresh: Ask also where it is neither.
            keep: Whether it may be kept on the disk.

        Raises:
            BackstreamError: What ``fetch`` raises, where there is no old list.
        """
        before = self._lists.get(identity)
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        async with locks.setdefault(identity, asyncio.Lock()):
            if not refresh and keep:
                await self.recall(identity)
            have = self._lists.get(identity)
            fetched, models = have or (float("-inf"), ())
            if (refresh and have is not before) or (
                not refresh and 0 <= self._clock() - fetched < self._memory_seconds
            ):
                return models
            try:
                models = list(await fetch())
            except ProviderError as error:
                if refresh or identity not in self._lists:
                    raise
                _LOGGER.warning("an old list of models is used: %s", error)
                return models
            self._lists[identity] = (self._clock(), models)
            if keep and self._folder is not None:
                stored = _Stored(identity, self._clock(), [msgspec.structs.replace(each, raw={}) for each in models])
                await asyncio.to_thread(_write, self._file(identity), stored)
            return models

    def _file(self, identity: str) -> Path:
        assert self._folder is not None
        readable = re.sub("[^A-Za-z0-9.-]+", "-", identity.partition(" ")[0])[:40]
        return self._folder / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> _Stored | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=_Stored)
    except (OSError, ValueError, RecursionError):  # none there, or none of ours: it is fetched and written anew
        return None


def _write(path: Path, stored: _Stored) -> None:
    """Replace the file as a whole, so that no other process reads half of it."""
    temporary: str | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".models-")  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(stored))
        Path(temporary).replace(path)
    except OSError as error:
        _LOGGER.debug("the list of models is not kept: %s", error.strerror)
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
