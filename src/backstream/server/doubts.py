"""What a configuration says of keys that are not there: told before anybody is refused for it. Reads small files."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.errors import ConfigurationError
from backstream.registry.config import Config
from backstream.registry.keys import read_key_file

__all__ = ["unusable_key_files"]


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
