"""Where the key of a provider comes from. Sends nothing, and shows no key: each is bound to its provider's origin."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, MissingKeyError
from backstream.providers.table import Row
from backstream.registry.config import FILE_NAME, ProviderConfig
from backstream.transport.url import parse_url

__all__ = ["KEYRING_SERVICE", "find_key", "key_in_sight", "read_key_file"]

_LOGGER: Final = logging.getLogger("backstream.registry")
KEYRING_SERVICE: Final = "backstream"
"""The service under which the system keyring holds keys; the user name there is the provider's name."""


def key_in_sight(row: Row, settings: ProviderConfig | None, environ: Mapping[str, str]) -> str | None:
    """Say where a key of a provider is, without reading its file or the keyring; ``None`` where none is seen."""
    if settings is not None:
        if settings.key is not None:
            return "a key is configured"
        if settings.key_file is not None:
            return "a key file is configured" if os.access(settings.key_file, os.R_OK) else None
        if settings.key_variable is not None:
            return f"{settings.key_variable} is set" if environ.get(settings.key_variable, "").strip() else None
    found = next((name for name in row.key_variables if environ.get(name, "").strip()), None)
    return f"{found} is set" if found else None


async def find_key(
    row: Row,
    argument: str | Secret | None = None,
    settings: ProviderConfig | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    use_keyring: bool = True,
    trusted: bool = True,
) -> Secret | None:
    """Find the key of a provider: the argument, its configuration, its environment variables, the system keyring.

    Args:
        row: The provider.
        argument: What the caller gave.
        settings: What was configured for it.
        environ: The environment; ``None`` for this process's.
        use_keyring: Whether the keyring may be asked. It is where the ``keyring`` package is installed, the provider
            needs a key, and no other was found; service ``backstream``, user the provider's name.
        trusted: Whether the user chose the file that was read: else it may name no key, which the advice then tells.

    Returns:
        The key, bound to the origin of the provider's URL; ``None`` where there is none and none is needed.

    Raises:
        MissingKeyError: One is needed, and there is none.
        ConfigurationError: The key is malformed or bound to another origin, its file cannot be read, or the keyring
            failed.
    """
    environ = os.environ if environ is None else environ
    found: str | Secret | None = argument or None
    if found is None:
        found = await _configured(settings, environ)
    if found is None and (settings is None or settings.key_variable is None):
        found = next((text for name in row.key_variables if (text := environ.get(name, "").strip())), None)
    if found is None and row.key_needed and use_keyring:
        found = await asyncio.to_thread(_ask_keyring, row.name)
    if found is not None:
        return _bound(found, row)
    if row.key_needed:
        raise MissingKeyError(row.name, _variable_to_set(row, settings, trusted=trusted))
    return None


def _variable_to_set(row: Row, settings: ProviderConfig | None, *, trusted: bool) -> str:
    if settings is not None and settings.key_variable is not None:
        return settings.key_variable
    if row.key_variables:
        return row.key_variables[0]
    chosen = "" if trusted else f" and, if you trust that file, BACKSTREAM_CONFIG={FILE_NAME},"
    return f"key_variable in [providers.{row.name}] of {FILE_NAME}{chosen}"


async def _configured(settings: ProviderConfig | None, environ: Mapping[str, str]) -> str | Secret | None:
    if settings is None:
        return None
    if settings.key_file is not None:
        return await asyncio.to_thread(read_key_file, settings.key_file)
    variable = settings.key_variable
    return settings.key if variable is None else environ.get(variable, "").strip() or None


def read_key_file(path: Path) -> str:
    """Read the key of a provider from its file.

    Raises:
        ConfigurationError: The file cannot be read, or holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65536).decode().strip()
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the key file {path} is not UTF-8") from None
    if not text or any(ord(c) < 32 for c in text):
        raise ConfigurationError(f"the key file {path} holds no key on a line of its own", "put the key into it")
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        _LOGGER.warning("others can read the key file %s; run: chmod 600 %s", path, path)
    return text


def _ask_keyring(name: str) -> str | None:
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        keyring = importlib.import_module("keyring")
        found = keyring.get_password(KEYRING_SERVICE, name)
    except Exception as error:  # noqa: BLE001 - each of its back-ends has errors of its own
        if type(error).__name__ == "NoKeyringError":  # the package is there, a keyring is not
            return None
        raise ConfigurationError(
            f"the system keyring failed for {name}: {type(error).__name__}", "unlock it, or set the key elsewhere"
        ) from None
    return found if isinstance(found, str) and found else None


def _bound(key: str | Secret, row: Row) -> Secret:
    """Bind a key to the provider's origin; one bound elsewhere may not come here."""
    origin = parse_url(row.url).origin
    if not isinstance(key, Secret):
        return Secret(key, origin=origin)
    if key.origin == origin:
        return key
    if key.origin is not None:
        raise ConfigurationError(f"the key given for {row.name} belongs to {key.origin}", "give the key of this one")
    rotates = key.masked == "key:rotating"
    return Secret(key.reveal if rotates else key.reveal(), origin=origin)
