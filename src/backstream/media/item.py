"""One piece of media, as a value: what it is, how large, and where its bytes come from. Opens nothing itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

__all__ = ["MediaItem"]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class MediaItem:
    """Media ready to be sent.

    Attributes:
        media_type: Its type, e.g. ``image/png``; ``""`` for a URL.
        filename: Its file name, where it has one; no folder.
        url: An http(s) URL to be passed on as it is; then it has no bytes here.
        size: Its size in bytes; ``None`` where unknown until read (a pipe).
        blocks: Yields its bytes from the start at each call, in blocks of any size; raises ``InvalidMediaError`` when
            they cannot be read (any more). ``None`` for a URL.
        replayable: Whether ``blocks`` may be called twice.
    """

    media_type: str
    filename: str | None = None
    url: str | None = None
    size: int | None = None
    blocks: Callable[[], Iterator[bytes]] | None = None
    replayable: bool = True

    def __repr__(self) -> str:
        what = "url" if self.url is not None else f"{self.media_type}, {self.size} bytes"
        return f"<MediaItem {what}>"
