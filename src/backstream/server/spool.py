"""Media while they are received: in memory first, then in files without a name; and the caps on them.

Knows no HTTP. The file is unlinked from the start, so that no end of the process leaves it behind.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from backstream.errors import InvalidMediaError
from backstream.media import MediaItem
from backstream.server.refusals import RequestRefused

__all__ = ["BodyLimits", "Shelf", "Spool"]

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE
_BLOCK_BYTES: Final = 64 * KIBIBYTE


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Caps on one request body.

    Attributes:
        max_body_bytes: The JSON without the media taken out of it, in bytes as written. Default 64 MiB.
        max_media_bytes: All media together, decoded. Default 2 GiB.
        max_media_items: How many pieces of media; eight times as many in a conversation that is sent whole each time.
            Default 64.
        max_field_bytes: A ``media_url``. Default 16 KiB.
        max_memory_bytes: What of the media is kept in memory instead of a file. Default 1 MiB.
        spool_directory: Where these files lie; ``None`` for the system's place for temporary files.
    """

    max_body_bytes: int = 64 * MEBIBYTE
    max_media_bytes: int = 2048 * MEBIBYTE
    max_media_items: int = 64
    max_field_bytes: int = 16 * KIBIBYTE
    max_memory_bytes: int = MEBIBYTE
    spool_directory: str | None = None

    @property
    def max_total_bytes(self) -> int:
        """Cap on the whole body as sent: base64 makes media a third larger, and escapes may do so a little more."""
        return self.max_body_bytes + self.max_media_bytes * 3 // 2


class Spool:
    """Bytes that arrive once and can be read any number of times.

    ``write`` goes to memory. When there is too much of it (``overfull``), a caller on an event loop calls ``flush`` in
    a thread; without that the spool flushes itself at twice ``max_memory_bytes``. Reading, flushing and closing may
    happen in different threads.

    Args:
        max_memory_bytes: What stays in memory. Default 1 MiB.
        max_bytes: Cap on the whole. Default 2 GiB.
        directory: Where the file lies; ``None`` for the system's place for temporary files.
    """

    def __init__(
        self,
        *,
        max_memory_bytes: int = MEBIBYTE,
        max_bytes: int = 2048 * MEBIBYTE,
        directory: str | Path | None = None,
    ) -> None:
        self._max_memory_bytes: Final = max_memory_bytes
        self._max_bytes: Final = max_bytes
        self._directory: Final = directory
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._file_bytes = 0
        self._closed = False
        self._lock: Final = threading.Lock()

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._file_bytes + len(self._memory)

    @property
    def memory_bytes(self) -> int:
        """How many of them are in memory."""
        return len(self._memory)

    @property
    def overfull(self) -> bool:
        """Whether more is in memory than should stay there."""
        return len(self._memory) > self._max_memory_bytes

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            RequestRefused: 413, the whole would be over its cap; 503, the disk is full or fails.
        """
        if self.size + len(data) > self._max_bytes:
            raise RequestRefused(413, f"Media larger than the limit of {self._max_bytes} bytes")
        self._memory += data
        if len(self._memory) > 2 * self._max_memory_bytes:
            self.flush()

    def flush(self) -> None:
        """Move what is in memory into the file. May block; does nothing once closed.

        Raises:
            RequestRefused: 503, the disk is full or fails.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if self._file is None:
                    # Source of mode 0600 and of no name: tempfile.TemporaryFile (O_TMPFILE, or mkstemp and unlink).
                    self._file = tempfile.TemporaryFile(buffering=0, dir=self._directory)  # noqa: SIM115
                self._file.seek(self._file_bytes)
                with memoryview(self._memory) as view:
                    written = 0
                    while written < len(view):
                        written += self._file.write(view[written:])
            except OSError:
                raise RequestRefused(503, "There is no room to keep the media now") from None
            self._file_bytes += len(self._memory)
            self._memory = bytearray()

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all there are."""
        head = b""
        for block in self.blocks():
            head += block[: size - len(head)]
            if len(head) >= size:
                break
        return head

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes from the start, in blocks of at most 64 KiB.

        Raises:
            InvalidMediaError: The spool is closed, or the disk fails.
        """
        position = 0
        while block := self._read(position):
            yield block
            position += len(block)

    def item(self, media_type: str, filename: str | None = None) -> MediaItem:
        """Return the bytes as media, to be read until the spool is closed."""
        return MediaItem(media_type, filename, size=self.size, blocks=self.blocks)

    def close(self) -> None:
        """Forget the bytes and free the file. May be called again; never waits for the loop."""
        with self._lock:
            self._closed = True
            self._memory = bytearray()
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _read(self, position: int) -> bytes:
        with self._lock:
            if self._closed:
                raise InvalidMediaError("the media were freed when their request ended", "read them before that")
            if position >= self._file_bytes or self._file is None:
                start = position - self._file_bytes
                return bytes(self._memory[start : start + _BLOCK_BYTES])
            try:
                self._file.seek(position)
                return self._file.read(min(_BLOCK_BYTES, self._file_bytes - position))
            except OSError:
                raise InvalidMediaError("the received media cannot be read back") from None


class Shelf:
    """All media of one request, and the caps on them together.

    Args:
        limits: The caps.

    Attributes:
        limits: The same.
    """

    def __init__(self, limits: BodyLimits) -> None:
        self.limits: Final = limits
        self._spools: list[Spool] = []
        self._bytes = 0

    def begin(self) -> Spool:
        """Return the place for one more piece of media.

        Raises:
            RequestRefused: 413, there are too many.
        """
        self.check_count(len(self._spools) + 1)
        in_memory = sum(spool.memory_bytes for spool in self._spools)
        spool = Spool(
            max_memory_bytes=max(_BLOCK_BYTES, self.limits.max_memory_bytes - in_memory),
            max_bytes=self.limits.max_media_bytes,
            directory=self.limits.spool_directory,
        )
        self._spools.append(spool)
        return spool

    def write(self, spool: Spool, data: bytes) -> None:
        """Add bytes to a piece of media.

        Raises:
            RequestRefused: 413, all together would be over their cap; 503, the disk is full or fails.
        """
        self._bytes += len(data)
        if self._bytes > self.limits.max_media_bytes:
            raise RequestRefused(413, f"The media are larger than the limit of {self.limits.max_media_bytes} bytes")
        spool.write(data)

    def check_count(self, count: int) -> None:
        """Check the number of media.

        Raises:
            RequestRefused: 413, there are too many.
        """
        if count > self.limits.max_media_items:
            raise RequestRefused(413, f"More than {self.limits.max_media_items} media")

    def overfull(self) -> list[Spool]:
        """Return the spools to be flushed; only the last still grows."""
        return [spool for spool in self._spools[-1:] if spool.overfull]

    def close(self) -> None:
        """Forget all media. May be called again; never waits for the loop."""
        for spool in self._spools:
            spool.close()
