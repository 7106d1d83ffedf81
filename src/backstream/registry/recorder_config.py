"""What the configuration says of the flight recorder, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from backstream.options import MEBIBYTE
from backstream.providers.recorder import FOLDER_VARIABLE, FlightRecorder, recorder_at
from backstream.registry.document import Document

__all__ = ["RecorderConfig", "read_recorder", "recorder_by_environment"]

_MOST_MIB: Final = 1_048_576


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The table ``[recorder]``: see :class:`backstream.FlightRecorder`.

    Attributes:
        folder: Where recordings go, from the file's folder; ``None`` for no recording.
        keep: How many.
        max_mib: How many MiB all of them may have.
        content: Whether what was said is kept too.
    """

    folder: Path | None = None
    keep: Annotated[int, msgspec.Meta(ge=1)] = 50
    max_mib: Annotated[int, msgspec.Meta(ge=1, le=_MOST_MIB)] = 64
    content: bool = False

    def recorder(self, folder: Path | None = None) -> FlightRecorder | None:
        """Return the recorder that is meant; ``None`` for none.

        Args:
            folder: Another folder than the configured one.
        """
        where = folder or self.folder
        return None if where is None else recorder_at(where, self.keep, self.max_mib * MEBIBYTE, content=self.content)


def read_recorder(document: Document, table: Mapping[str, Any], *, trusted: bool) -> RecorderConfig:
    """Read ``[recorder]``.

    Args:
        document: Where it stands.
        table: What it holds.
        trusted: Whether the user chose the file; another may not have anything written.

    Raises:
        ConfigurationError: A key is unknown or wrong, or not for a file that nobody chose.
    """
    for name in () if trusted else table:
        problem = "in a file that just lies in the working folder could have conversations written down"
        raise document.error(["recorder", name], problem, "set BACKSTREAM_CONFIG=backstream.toml if you trust it")
    found = document.convert(["recorder"], table, RecorderConfig)
    return msgspec.structs.replace(found, folder=document.place(["recorder", "folder"], found.folder))


def recorder_by_environment(config: RecorderConfig, environ: Mapping[str, str]) -> RecorderConfig:
    """Return it with the folder that the environment names, where it names one."""
    folder = environ.get(FOLDER_VARIABLE, "").strip()
    return msgspec.structs.replace(config, folder=Path(folder)) if folder else config
