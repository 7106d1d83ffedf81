"""Server-sent events, strictly by the standard: bytes to events and back. What an event's data means is not known here.

Source: WHATWG HTML, 9.2 Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.errors import MisuseError
from backstream.wire.json_text import replace_half_pairs
from backstream.wire.lines import MAX_BYTES, LineAssembler, LineDecoder, split_alike

__all__ = ["MAX_RETRY_MS", "SSEDecoder", "ServerSentEvent", "encode_sse"]

MAX_RETRY_MS = 2**63 - 1
"""The longest reconnection time, in milliseconds; a larger one in a stream counts as this."""


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as it is dispatched.

    Attributes:
        type: The event's type.
        data: Its data lines, joined by LF.
        id: The last event id at its dispatch; ``""`` where there is none.
        retry: The reconnection time in milliseconds that came within this event; ``None`` where none did.
    """

    type: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None


class SSEDecoder(LineDecoder[ServerSentEvent]):
    """Decode a ``text/event-stream``; bad UTF-8 becomes U+FFFD.

    ``finish`` drops an event whose blank line never came, as the standard demands; ``pending`` then tells so, because
    a back-end that was cut off looks just like that.

    Args:
        max_line_bytes: Cap of one line, in bytes, without its line end (default 32 MiB).
        max_event_bytes: Cap of one event's data and the line being read together, in bytes (default 32 MiB).
        on_comment: Called with the text of each comment, without its colon and one space after that.

    Attributes:
        last_event_id: The id to ask for when reconnecting.
        retry_ms: The last valid reconnection time, in milliseconds; ``None`` until there is one.
        comments: How many comments came.
    """

    __slots__ = ("_event_retry", "_id", "_on_comment", "_type", "comments", "last_event_id", "retry_ms")

    def __init__(
        self,
        *,
        max_line_bytes: int = MAX_BYTES,
        max_event_bytes: int = MAX_BYTES,
        on_comment: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(LineAssembler(bare_cr=True), max_line_bytes, max_event_bytes)
        self._on_comment = on_comment
        self._type = ""
        self._id: str | None = None
        self._event_retry: int | None = None
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments = 0

    @property
    def pending(self) -> bool:
        """Tell whether there is, or at the end was, a part of a line or of an event not dispatched."""
        return bool(self._lines.rest or self._in_event)

    @property
    def _in_event(self) -> bool:
        return self._data is not None or bool(self._type) or self._id is not None or self._event_retry is not None

    def _read(self, block: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if len(block) > self._room:
            self._read_lines(block, events)
            return events
        before, head, parts, after = split_alike(block, mid_event=self._in_event)
        self._read_lines(before, events)
        if parts:
            name = head[len(b"event:") : -len(b"\ndata: ")].removeprefix(b" ")
            type_, last_id = name.decode("utf-8", "replace") or "message", self.last_event_id
            events += [ServerSentEvent(type_, part.decode("utf-8", "replace"), last_id) for part in parts]
        self._read_lines(after, events)
        return events

    def _read_lines(self, block: bytes, events: list[ServerSentEvent]) -> None:
        lines = block.split(b"\n")
        lines.pop()
        for line in lines:
            if len(line) > self._room:
                self._fail()
                return
            if line.startswith(b"data: "):
                self._collect(line[6:])
            elif not line:
                self._dispatch(events)
            else:
                name, _, value = line.partition(b":")
                self._read_field(name, value.removeprefix(b" "))

    def _read_field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._collect(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry":
            # bytes.isdigit knows ASCII digits alone, as the standard does.
            if value.isdigit():
                digits = value.lstrip(b"0") or b"0"
                self._event_retry = self.retry_ms = min(int(digits[:20]), MAX_RETRY_MS)
        elif not name:
            self.comments += 1
            if self._on_comment is not None:
                self._on_comment(value.decode("utf-8", "replace"))

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        # An id counts from its event's blank line on, even if that event has no data and is dropped.
        if self._id is not None:
            self.last_event_id = self._id
        if self._data is not None:
            data = self._take_data().decode("utf-8", "replace")
            events.append(ServerSentEvent(self._type or "message", data, self.last_event_id, self._event_retry))
        self._type, self._id, self._event_retry = "", None, None

    def _end(self, rest: bytes) -> list[ServerSentEvent]:
        del rest  # the standard drops it
        return []


def encode_sse(
    data: str | bytes | None,
    *,
    type: str | None = None,  # noqa: A002 - the standard's word
    id: str | None = None,  # noqa: A002 - the standard's word
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    """Encode one event so that no value can break out of its field.

    Args:
        data: The data; each of its lines (LF, CR or CRLF) becomes a data line. ``None``: no data, so that only the
            comment, the id and the reconnection time are sent and no event is dispatched.
        type: The event's type; ``None`` or ``""`` for ``message``.
        id: The event's id; ``""`` takes back the last one, ``None`` leaves it.
        retry: Reconnection time in milliseconds, 0 to ``MAX_RETRY_MS``.
        comment: A comment before the event; may have several lines.

    Returns:
        The event's bytes, with the blank line that ends it.

    Raises:
        MisuseError: CR, LF or NUL in ``type`` or ``id``, or ``retry`` out of range.
    """
    if retry is not None and not 0 <= retry <= MAX_RETRY_MS:
        raise MisuseError("retry must be 0 to MAX_RETRY_MS milliseconds")
    lines: list[bytes] = []
    if comment is not None:
        lines += _fields(b": ", comment)
    if type:
        lines += _fields(b"event: ", _single_line("type", type))
    if id is not None:
        lines += _fields(b"id: ", _single_line("id", id))
    if retry is not None:
        lines.append(b"retry: %d\n" % retry)
    if data is not None:
        lines += _fields(b"data: ", data)
    lines.append(b"\n")
    return b"".join(lines)


def _fields(head: bytes, value: str | bytes) -> Iterator[bytes]:
    raw = value if isinstance(value, bytes) else _to_utf8(value)
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return (head + line + b"\n" for line in raw.split(b"\n"))


def _single_line(field: str, value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise MisuseError(f"the {field} of an event must not hold CR, LF or NUL")
    return value


def _to_utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_half_pairs(text).encode()
