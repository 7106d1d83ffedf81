"""What is known of one request when it is over: the source of its log line, its counters and its span.

Never content, never keys. The list of what is logged is closed; nothing else of a request can reach the log.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from backstream.chunks import Finish, Start, Switched, Usage
from backstream.errors import BackstreamError
from backstream.reply import End, has_content, state_after
from backstream.server.refusals import RequestRefused, reason_of

if TYPE_CHECKING:
    from backstream.server.tally import Tally
    from backstream.server.trace import Trace

__all__ = ["Ending", "RequestRecord", "render_line"]

_LOGGER: Final = logging.getLogger("backstream.server")

Ending = Literal["complete", "incomplete", "failed", "cancelled", "refused"]

_PLAIN: Final = re.compile(r'[^ "=\\]+')
_NAME: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,100}")  # of a model
_NOTED: Final = frozenset({Start, Usage, Finish, Switched, End})


class RequestRecord:
    """What is known of one request when it is over.

    Attributes:
        id: Made here; the client sees it as ``X-Request-Id``.
        client_request_id: The id that the client sent, where it is of a harmless form.
        method: The HTTP method, upper case.
        route: The route's name, never the path asked for; ``""`` where there is none.
        pattern: The route's pattern, e.g. ``/v1/models/{*model}``.
        key: The name of the client key.
        provider: The provider's registered name.
        model: The model, where the provider lists it or has answered for it; ``other`` for any other text, which might
            be anything.
        stream: Whether a stream was asked for; ``None`` on routes that have none.
        status: The HTTP status; ``None`` where the client went away first.
        end: How it ended.
        error: The class name of the error; of a refusal of the server's own the word for its reason.
        route_list: The routing list that was asked for; ``""`` for none.
        chunks: How many chunks were sent.
        usage: What the provider said it used.
        tally: Counts the answer's text where a budget may need it; never logged.
        answered_by: The model that really answered, as the provider says.
        finish: The provider's reason for the end of its answer.
        switches: Each change of who answers: from, to, and why; of routing lists alone.
        trace: What is passed on of the client's trace; ``None`` where it sent none and none is made.
        started_ns: When it began, in nanoseconds since the epoch.
        first_seconds: From its begin to the first content; ``None`` where there was none.
        seconds: From its begin to its end; ``None`` while it runs.
        asked_seconds: From its begin to the question to the provider; ``None`` where none was asked.
    """

    __slots__ = (
        "_start",
        "_tried",
        "_unlisted",
        "answered_by",
        "asked_seconds",
        "chunks",
        "client_request_id",
        "end",
        "error",
        "finish",
        "first_seconds",
        "id",
        "key",
        "method",
        "model",
        "pattern",
        "provider",
        "route",
        "route_list",
        "seconds",
        "started_ns",
        "status",
        "stream",
        "switches",
        "tally",
        "trace",
        "usage",
    )

    def __init__(self, method: str = "") -> None:
        self.id = secrets.token_hex(8)
        self.client_request_id: str | None = None
        self.method = method
        self.route = ""
        self.pattern = ""
        self.key: str | None = None
        self.provider: str | None = None
        self.model: str | None = None
        self.stream: bool | None = None
        self.status: int | None = None
        self.end: Ending = "complete"
        self.error: str | None = None
        self.route_list = ""
        self.chunks = 0
        self.usage: Usage | None = None
        self.tally: Tally | None = None
        self.answered_by: str | None = None
        self.finish: str | None = None
        self.switches: list[tuple[str, str, str]] = []
        self.trace: Trace | None = None
        self.started_ns = time.time_ns()
        self.first_seconds: float | None = None
        self.seconds: float | None = None
        self.asked_seconds: float | None = None
        self._tried = 0
        self._unlisted: str | None = None
        self._start = time.perf_counter()

    def note_model(self, model: str, known: Collection[str]) -> None:
        """Keep a model's name where it is one of the known ones."""
        self.model = model if model in known else "other"

    def note_back_end(self, provider: str, model: str, *, known: bool | None) -> None:
        """Keep who is asked, and the model's name where it is known; for ``None``, once its provider has answered."""
        self.provider, self.model = provider, model if known else "other"
        self._unlisted = model if known is None and _NAME.fullmatch(model) is not None else None

    def note_asked(self) -> None:
        """Keep when the provider is asked; the first time counts."""
        if self.asked_seconds is None:
            self.asked_seconds = time.perf_counter() - self._start

    def note_block(self, block: Sequence[object]) -> None:
        """Count the chunks of a block that is sent, and keep what it says of usage and the end.

        Runs for every block of every stream, so that only the types that matter cost more than a look.
        """
        for item in block:
            if type(item) in _NOTED:
                self._note(item)
        self.chunks += len(block)
        if self.tally is not None:
            self.tally.note_block(block)
        if self.first_seconds is None and has_content(block):
            self.first_seconds = time.perf_counter() - self._start

    def _note(self, item: object) -> None:
        if type(item) is Usage:
            self.note_usage(item)
        elif type(item) is Switched and item.from_ != item.to:
            self.switches.append((item.from_ or "", item.to or "", item.why or ""))
        elif type(item) is Finish:
            self.finish = item.reason or self.finish
        elif type(item) is Start:
            self.answered_by = item.model or self.answered_by
        else:
            self.chunks -= 1  # an End is no chunk

    def note_usage(self, usage: Usage) -> None:
        """Keep what was used; counts that come in pieces, as input first and output last, are joined."""
        known = self.usage
        if known is not None and known.usage:
            usage = msgspec.structs.replace(usage, usage=_joined(known, usage))
        self.usage = usage

    def note_failure(self, error: BaseException, end: Ending | None = None) -> None:
        """Keep an error's class, or why it was refused; its text may quote the request.

        Args:
            error: What went wrong.
            end: How the answer ended; without it, by the error and by whether chunks were sent.
        """
        self.error = reason_of(error.status) if isinstance(error, RequestRefused) else type(error).__name__
        self._tried = len(error.attempts) if isinstance(error, BackstreamError) else 0
        self.end = end or state_after(error, received=self.chunks > 0)

    def values(self) -> dict[str, Any]:
        """Return what the log tells: these members and no others."""
        usage, first, seconds = self.usage, self.first_seconds, self.seconds
        return {
            "id": self.id,
            "client_request_id": self.client_request_id,
            "route": self.route,
            "key": self.key,
            "provider": self.provider,
            "model": self.model,
            "list": self.route_list or None,
            "switches": max(len(self.switches), self._tried - 1) if self.route_list else None,
            "stream": self.stream,
            "status": self.status,
            "end": self.end,
            "error": self.error,
            "chunks": self.chunks,
            "input_tokens": None if usage is None else usage.input_tokens,
            "output_tokens": None if usage is None else usage.output_tokens,
            "first_content_seconds": None if first is None else round(first, 6),
            "seconds": None if seconds is None else round(seconds, 6),
        }

    def write(self) -> None:
        """End the record and write its line; the same values are the log record's ``request``."""
        self.seconds = time.perf_counter() - self._start
        if self._unlisted is not None and self.status == 200 and self.end == "complete":
            self.model = self._unlisted
        if _LOGGER.isEnabledFor(logging.INFO):
            values = self.values()
            _LOGGER.info("request %s", _Line(values), extra={"request": values})


class _Line:
    """The values as text, made only where somebody writes them so."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __str__(self) -> str:
        return render_line(self._values)

    __repr__ = __str__


def render_line(values: Mapping[str, Any]) -> str:
    """Write values as ``name=value`` with spaces between; what is not known is left out.

    Args:
        values: The values; text that could be taken for two is written as JSON.
    """
    return " ".join([f"{name}={_text(value)}" for name, value in values.items() if value is not None])


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ("yes" if value else "no") if isinstance(value, bool) else str(value)
    if value.isprintable() and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value)  # in ASCII: some line ends are none to JSON


def _joined(before: Usage, after: Usage) -> dict[str, Any]:
    """Join counts: the later ones win, and what they leave out stays."""
    counts: dict[str, Any] = dict(before.usage or {})
    for name, count in (after.usage or {}).items():
        earlier = counts.get(name)
        if isinstance(count, Mapping) and isinstance(earlier, Mapping):
            counts[name] = {**earlier, **count}
        elif count is not None:
            counts[name] = count
    return counts
