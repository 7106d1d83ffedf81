"""Which media can be sent a second time. Looks at files, reads none."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from backstream.messages import MediaListType

__all__ = ["can_be_sent_again"]


def can_be_sent_again(media: MediaListType) -> bool:
    """Tell whether all items could be read twice: not a pipe, nor a file that cannot seek.

    Args:
        media: The items; what is none at all is left to whoever loads them.
    """
    items = media if isinstance(media, Sequence) else ()
    return not any(_reads_once(entry[0] if isinstance(entry, tuple | list) and entry else entry) for entry in items)


def _reads_once(item: object) -> bool:
    if isinstance(item, os.PathLike):
        try:
            mode = os.stat(item).st_mode  # noqa: PTH116 - a path may be a Path of another kind
        except (OSError, ValueError):
            return False
        return not stat.S_ISREG(mode)
    if not callable(getattr(item, "read", None)):
        return False
    seekable = getattr(item, "seekable", None)
    try:
        return not (seekable() if callable(seekable) else callable(getattr(item, "seek", None)))
    except ValueError:  # it is closed
        return False
