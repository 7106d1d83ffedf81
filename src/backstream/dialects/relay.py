"""Same dialect on both sides: whole frames are passed on as they came, while the parser looks on. Pure.

The parser still sees every byte, and so still tells content, usage and how the answer ended; what is saved is writing
everything anew, and what the parser has no words for reaches the client all the same. A frame that holds an error, or
no JSON, is never passed on: whoever relays says in its own words what went wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from backstream.dialects.base import Dialect, StreamParser
from backstream.dialects.openai_chat.stream_out import wants_usage
from backstream.errors import DecodeError, TooLargeError
from backstream.options import MEBIBYTE
from backstream.reply import Block, End
from backstream.request import Request
from backstream.wire.json_text import decode_json

__all__ = ["FrameRelay", "relay_for"]

_BLANK: Final = rb"(?:\n\n|\n\r\n?|\r\r)"  # \r\n\r\n ends with the second
_UP_TO_LAST: Final = re.compile(rb".*" + _BLANK, re.DOTALL)
_EVENT: Final = re.compile(rb".*?(?:" + _BLANK + rb"|\Z)", re.DOTALL)
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_NO_CHOICE: Final = re.compile(rb'"choices":\s*\[\s*\]')
_LONGEST_BLANK: Final = 4
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LAST: Final[Mapping[str, tuple[bytes, Callable[[Mapping[str, Any]], object]] | None]] = {
    "openai_chat": (b"[DONE]", lambda event: False),  # it is no JSON
    "anthropic_messages": (b"message_stop", lambda event: event.get("type") == "message_stop"),
    "gemini": None,  # its stream just ends
    "ollama": (b"true", lambda line: line.get("done") is True),
}
"""By dialect: what the last frame of an answer holds for sure, and whether an event is it."""


def relay_for(client: Dialect, provider: Dialect, request: Request) -> FrameRelay | None:
    """Return a relay where a provider's frames are what a client expects; else ``None``.

    They are not where the client's dialect is OpenAI's Responses, whose ids are the server's own, where the frames are
    the items of a JSON array, and where reasoning hides in the text.

    Args:
        client: The client's dialect.
        provider: The provider's.
        request: What the client asked for.
    """
    framings = {getattr(getattr(each, "quirks", None), "framing", "sse") for each in (client, provider)}
    hides = getattr(getattr(provider, "quirks", None), "think_tags", False)
    takes = getattr(client, "takes_frames", True)
    if client.name != provider.name or client.name not in _LAST or framings != {"sse"}:
        return None
    if hides or not takes or not request.stream:
        return None
    return FrameRelay(client.name, with_usage=client.name != "openai_chat" or wants_usage(request))


class FrameRelay:
    """Keeps the frames of one streamed answer until they are taken.

    Args:
        name: The name of both sides' dialect.
        with_usage: Whether the client expects an event without choices that tells the usage.
        max_bytes: Cap on what waits to be taken; above it the answer has failed. Default 64 MiB, twice the parser's cap
            of one event.
    """

    __slots__ = ("_begun", "_last", "_max_bytes", "_name", "_out", "_over", "_parser", "_rest", "_size", "_with_usage")

    def __init__(self, name: str, *, with_usage: bool = True, max_bytes: int = 64 * MEBIBYTE) -> None:
        self._name = name
        self._last = _LAST[name]
        self._with_usage = with_usage
        self._parser: StreamParser | None = None
        self._out: list[bytes] = []
        self._rest: list[bytes] = []
        self._over = False
        self._begun = False
        self._max_bytes = max_bytes
        self._size = 0

    @property
    def is_used(self) -> bool:
        """Whether the answer turned out to be a stream that can be passed on."""
        return self._parser is not None

    @property
    def finished(self) -> bool:
        """See :class:`backstream.dialects.base.StreamParser`."""
        return self._parser is not None and self._parser.finished

    @property
    def done(self) -> bool:
        """Whether the back-end has said its last word."""
        return (self._over or self._last is None) and self._parser is not None and self._parser.done

    def watch(self, parser: StreamParser) -> StreamParser:
        """Return this relay as a parser that has ``parser`` do the parsing."""
        self._parser = parser
        return self

    def take(self) -> bytes:
        """Return the whole frames that have arrived since the last call."""
        out, self._out = self._out, []
        self._size = sum(map(len, self._rest)) if self._rest else 0
        return out[0] if len(out) == 1 else b"".join(out)

    def feed(self, data: bytes) -> Block:
        """Parse what has arrived, and keep its frames; see :class:`backstream.dialects.base.StreamParser`."""
        assert self._parser is not None
        block = self._parser.feed(data)
        if self._over:
            return block
        self._size += len(data)
        if self._size > self._max_bytes:
            self._over = True
            return [End("failed", ("too large",), TooLargeError("what waits to be passed on", self._max_bytes))]
        usual = not self._rest and data.endswith(b"\n\n")  # a server that writes whole events
        frames = data if usual else self._whole_frames(data)
        if frames and not self._begun:  # it may be said at the very begin only, where a keep-alive may stand already
            self._begun = True
            frames = frames.removeprefix(_BYTE_ORDER_MARK)
        failed = bool(block) and isinstance(block[-1], End)
        if failed or (self._last is not None and self._last[0] in frames):
            frames = b"".join(self._sound(frames))
        if failed:
            self._over = True
        if self._over:
            self._rest.clear()
        if frames:
            self._keep(frames)
        return block

    def finish(self, *, framed: bool) -> Block:
        """Say how the answer ended; see :class:`backstream.dialects.base.StreamParser`."""
        assert self._parser is not None
        block = self._parser.finish(framed=framed)
        if block and isinstance(end := block[-1], End) and end.state == "complete" and self._rest:
            frames = b"".join(self._sound(b"".join(self._rest)))  # its last line end is missing
            if frames:
                self._keep(frames + (b"\n" if self._name == "ollama" else b"\n\n"))
        self._over = True
        self._rest.clear()
        return block

    def _whole_frames(self, data: bytes) -> bytes:
        """Return what is whole by now; keep the rest."""
        cut = self._end_of_last_frame(data)
        frames = b""
        if cut:
            frames = b"".join((*self._rest, data[:cut]))
            self._rest.clear()
        if cut < len(data):
            self._rest.append(data[cut:])
        return frames

    def _end_of_last_frame(self, data: bytes) -> int:
        """Return where in ``data`` the last whole frame ends; 0 where none does."""
        if self._name == "ollama":
            return data.rfind(b"\n") + 1
        if data.endswith(b"\n\n"):
            return len(data)
        before = b"".join(self._rest[-_LONGEST_BLANK:])[1 - _LONGEST_BLANK :]
        found = _UP_TO_LAST.match(before + data)
        return max(found.end() - len(before), 0) if found else 0

    def _keep(self, frames: bytes) -> None:
        if not self._with_usage and b'"usage"' in frames and _NO_CHOICE.search(frames):
            frames = b"".join(frame for frame in self._split(frames) if not self._tells_usage_only(frame))
        if self._name == "ollama" or b"data:" in frames:  # whoever passes it on has keep-alives of its own
            self._out.append(frames)

    def _split(self, frames: bytes) -> Iterator[bytes]:
        if self._name == "ollama":
            return iter(frames.splitlines(keepends=True))
        return filter(None, _EVENT.findall(frames))

    def _sound(self, frames: bytes) -> Iterator[bytes]:
        """Give the frames up to the first that holds an error or no JSON, or up to the last one of an answer."""
        for frame in self._split(frames):
            data = self._data(frame)
            if data == b"[DONE]":
                yield frame
                self._over = True
                return
            event: Any = {}
            if data:
                try:
                    event = decode_json(data.decode("utf-8", "replace"))  # as the parser reads it
                except DecodeError:
                    return
            if not isinstance(event, dict) or event.get("error") or event.get("type") == "error":
                return
            yield frame
            if self._last is not None and self._last[1](event):
                self._over = True
                return

    def _tells_usage_only(self, frame: bytes) -> bool:
        try:
            event = decode_json(self._data(frame).decode("utf-8", "replace"))
        except DecodeError:  # a comment, or the end
            return False
        return isinstance(event, dict) and event.get("choices") == [] and bool(event.get("usage"))

    def _data(self, frame: bytes) -> bytes:
        """Return what a frame says, without its framing."""
        if self._name == "ollama":
            return frame.strip()
        lines = (line for line in _LINE_END.split(frame) if line.startswith(b"data:"))
        return b"\n".join(line[5:].strip() for line in lines)
