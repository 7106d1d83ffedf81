"""What a configuration says of keys that are not there: told before anybody is refused for it. Reads small files."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.errors import ConfigurationError
from backstream.registry.config import Config
from backstream.registry.keys import read_key_file
from backstream.registry.server_config import KeyLimits
from backstream.server.keys import keys_command, list_keys
from backstream.server.settings import Settings

__all__ = ["limits_of_nobody", "unusable_key_files"]


def unusable_key_files(config: Config) -> Sequence[ConfigurationError]:
    """Return the providers whose key file gives no key.

    Args:
        config: What was configured.
    """
    doubts = []
    for name, settings in config.providers.items():
        if settings.key_file is not None:
            try:
                read_key_file(settings.key_file)
            except ConfigurationError as error:
                doubts.append(config.error(["providers", name, "key_file"], f"is wrong: {error.problem}", error.remedy))
    return doubts


def limits_of_nobody(config: Config, settings: Settings) -> Sequence[ConfigurationError]:
    """Return the tables of limits for which there is no client key: they hold once there is one.

    Args:
        config: What was configured.
        settings: What was made of it.

    Raises:
        ConfigurationError: The file of client keys is wrong.
    """
    limited = [name for name, key in config.keys.items() if key.limits != KeyLimits()]
    if not limited:
        return []
    file = settings.keys_file
    named = {*settings.key_digests, *(record.name for record in (list_keys(file) if file is not None else ()))}
    return [
        config.error(
            ["keys", name], "limits nobody: no key has that name", f"make one: {keys_command(f'add {name}', file)}"
        )
        for name in limited
        if name not in named
    ]
