"""One log line for each request: who served it, how it ended, how long it took. Never content, never keys.

The list of what is logged is closed; nothing else of a request can reach the log.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Sequence
from typing import Final, Literal

from backstream.chunks import Usage
from backstream.reply import End

__all__ = ["Ending", "RequestRecord"]

_LOGGER: Final = logging.getLogger("backstream.server")

Ending = Literal["complete", "incomplete", "failed", "cancelled", "refused"]


class RequestRecord:
    """What is known of one request when it is over.

    Attributes:
        id: Made here; the client sees it as ``X-Request-Id``.
        route: The route's pattern, never the path asked for.
        key: The name of the client key.
        provider: The provider's registered name.
        model: The model, where the provider lists it; ``other`` for any other text, which might be anything.
        status: The HTTP status; ``None`` where the client went away first.
        end: How it ended.
        error: The class name of the error.
        chunks: How many chunks were sent.
        usage: What the provider said it used.
    """

    __slots__ = (
        "_first",
        "_start",
        "chunks",
        "end",
        "error",
        "id",
        "key",
        "model",
        "provider",
        "route",
        "status",
        "usage",
    )

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.route = ""
        self.key: str | None = None
        self.provider: str | None = None
        self.model: str | None = None
        self.status: int | None = None
        self.end: Ending = "complete"
        self.error: str | None = None
        self.chunks = 0
        self.usage: Usage | None = None
        self._start = time.perf_counter()
        self._first: float | None = None

    def note_model(self, model: str, known: Collection[str]) -> None:
        """Keep a model's name where it is one of the known ones."""
        self.model = model if model in known else "other"

    def note_block(self, block: Sequence[object]) -> None:
        """Count the chunks of a block that is sent, and keep what it says of usage."""
        count = len(block)
        if not count:
            return
        if self._first is None:
            self._first = time.perf_counter() - self._start
        self.chunks += count - isinstance(block[-1], End)
        for item in block:
            if type(item) is Usage:
                self.usage = item

    def note_failure(self, error: BaseException, end: Ending = "failed") -> None:
        """Keep an error's class; its text may quote the request."""
        self.error = type(error).__name__
        self.end = end

    def write(self) -> None:
        """Write the line; the same values are the log record's ``request``."""
        if not _LOGGER.isEnabledFor(logging.INFO):
            return
        seconds = round(time.perf_counter() - self._start, 6)
        values = {
            "id": self.id,
            "route": self.route,
            "key": self.key,
            "provider": self.provider,
            "model": self.model,
            "status": self.status,
            "end": self.end,
            "error": self.error,
            "chunks": self.chunks,
            "input_tokens": None if self.usage is None else self.usage.input_tokens,
            "output_tokens": None if self.usage is None else self.usage.output_tokens,
            "first_chunk_seconds": None if self._first is None else round(self._first, 6),
            "seconds": seconds,
        }
        text = " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
        _LOGGER.info("request %s", text, extra={"request": values})
