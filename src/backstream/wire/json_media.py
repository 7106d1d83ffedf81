"""A JSON request taken apart while it arrives: large base64 media on one side, the small rest of the JSON on the other.

Only strings where the backend-api protocol has media are taken out: ``{"media": [["data:…;base64,…", name], …]}``.
Checks no more of the JSON than it must: what remains is valid exactly if the whole was, and is decoded elsewhere.
Knows nothing of media types, and makes no randomness: the caller brings the token that marks the gaps.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import msgspec

from backstream.errors import InvalidRequestError
from backstream.wire.multipart import Base64Decoder

__all__ = ["JSONMediaDecoder", "MediaBegin", "MediaData", "MediaEnd", "MediaEvent"]

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE

_WINDOW_BYTES: Final = 256 * KIBIBYTE
_LONGEST_HEADER_BYTES: Final = KIBIBYTE
_LONGEST_PARTIAL_ESCAPE: Final = 5

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_LEAF = rb'[^"\[\]{}]++|' + _STRING
_TO_STRING_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_TO_TOKEN = re.compile(rb'[^"\[\]{}]*+')
_TO_BRACKET = re.compile(rb"(?:%b)*+" % _LEAF, re.DOTALL)
_TO_OUTER_BRACKET = re.compile(rb"(?:%b|\[(?:%b)*+\]|\{(?:%b)*+\})*+" % (_LEAF, _LEAF, _LEAF), re.DOTALL)
_HEADER = re.compile(r"data:([ -+\--~]*);base64,", re.IGNORECASE)

_QUOTE, _OPEN_LIST, _OPEN_OBJECT = b'"[{'
_IN_ENTRY: Final = b"{[["


class MediaBegin(msgspec.Struct, frozen=True):
    """Media begins.

    Attributes:
        index: Its position among the media taken out, counted from 0.
        header: What stood between ``data:`` and ``;base64,``: the media type and its parameters.
        placeholder: The string that stands in its place in the remaining JSON.
    """

    index: int
    header: str
    placeholder: str


class MediaData(msgspec.Struct, frozen=True):
    """Bytes of the media that began last, decoded; never empty.

    Attributes:
        data: The bytes.
    """

    data: bytes

    def __repr__(self) -> str:
        return f"<MediaData {len(self.data)} bytes>"


class MediaEnd(msgspec.Struct, frozen=True):
    """The media that began last is whole."""


MediaEvent: TypeAlias = MediaBegin | MediaData | MediaEnd
"""What is taken out of the JSON."""


class JSONMediaDecoder:
    """Take large media out of a JSON text while it arrives.

    A string is taken out if it stands in a list in the list that is the top-level member ``media``, begins with
    ``data:`` … ``;base64,`` (within its first KiB, and within ``min_divert_bytes``) and is at least
    ``min_divert_bytes`` long as written. All other strings stay. Work is linear, whatever the cuts.

    Args:
        token: What placeholders begin with: ASCII letters and digits that no client can guess.
        min_divert_bytes: Shorter strings stay in the JSON. Default 64 KiB.
        max_json_bytes: Cap on what remains, in bytes as written. Default 64 MiB.
        max_depth: Cap on how deep objects and lists may be nested. Default 64.
        max_values: Cap on the number of values, roughly: commas, and brackets that are not innermost, outside
            strings. It bounds time here and memory where the rest is decoded (up to 100 bytes a value). Default
            1,000,000.
    """

    def __init__(
        self,
        token: str,
        *,
        min_divert_bytes: int = 64 * KIBIBYTE,
        max_json_bytes: int = 64 * MEBIBYTE,
        max_depth: int = 64,
        max_values: int = 1_000_000,
    ) -> None:
        self._token: Final = token
        self._min_divert_bytes: Final = min_divert_bytes
        self._max_json_bytes: Final = max_json_bytes
        self._max_depth: Final = max_depth
        self._json = bytearray()
        self._mode: Literal["between", "string", "candidate", "media"] = "between"
        self._open = bytearray()  # the brackets that are open, outermost first
        self._escaped = False  # a string was cut behind a backslash
        self._string_at = 0  # where in the remaining JSON the last string began, behind its quote
        self._last_string = ""  # of the outermost object; the key, when a list opens
        self._in_media = False  # of what is open at the second level
        self._values_left = max_values
        self._count = 0
        self._base64 = Base64Decoder()
        self._held = b""  # an escape cut in two
        self._to_skip = 0  # characters of the header that still pass

    @property
    def too_large(self) -> bool:
        """Whether what remains is over its cap, in bytes or values; tells why an error is."""
        decided = self._string_at if self._mode == "candidate" else len(self._json)
        return decided > self._max_json_bytes or self._values_left < 0

    @property
    def inside_media(self) -> bool:
        """Whether the text stands inside media that is being taken out; tells why an error is."""
        return self._mode == "media"

    def feed(self, data: bytes) -> list[MediaEvent]:
        """Take the next bytes of the JSON text; return the media they brought.

        Raises:
            InvalidRequestError: Media is not clean base64 (``inside_media``), what remains is over a cap
                (``too_large``), or the text is nested too deeply or is no JSON.
        """
        events: list[MediaEvent] = []
        for start in range(0, len(data), _WINDOW_BYTES):
            self._scan(data[start : start + _WINDOW_BYTES], events)
            if self.too_large:
                raise InvalidRequestError(f"the JSON is larger than the limit of {self._max_json_bytes} bytes")
        return events

    def finish(self) -> bytearray:
        """Say that the text is over; return what remains of it, with placeholders in the gaps.

        Raises:
            InvalidRequestError: It ended inside media.
        """
        if self._mode == "media":
            raise InvalidRequestError("the JSON ended inside a data URI")
        return self._json

    def _scan(self, block: bytes, events: list[MediaEvent]) -> None:
        position = 0
        while position < len(block):
            if self._mode == "between":
                position = self._between(block, position)
            elif self._mode == "media":
                position = self._media(block, position, events)
            else:
                position = self._string(block, position, events)
        if self._mode == "candidate" and len(self._json) - self._string_at >= self._min_divert_bytes:
            self._decide(events, whole=False)

    # --- what stays ---

    def _between(self, block: bytes, start: int) -> int:
        depth = len(self._open)
        if depth < 2 or self._in_media:
            pattern = _TO_TOKEN
        else:
            pattern = _TO_OUTER_BRACKET if depth < self._max_depth else _TO_BRACKET
        end = pattern.match(block, start).end()  # type: ignore[union-attr] # matches the empty string
        passed = block[start : end + 1]
        self._json += passed
        self._values_left -= (passed if pattern is _TO_TOKEN else _WHOLE_STRING.sub(b"", passed)).count(b",")
        self._values_left -= end < len(block)
        if self._values_left < 0:
            raise InvalidRequestError("the JSON has too many values")
        if end == len(block):
            return end
        if block[end] == _QUOTE:
            self._string_at = len(self._json)
            self._mode = "candidate" if self._in_media and self._open == _IN_ENTRY else "string"
        else:
            self._bracket(block[end])
        return end + 1

    def _bracket(self, bracket: int) -> None:
        if bracket in (_OPEN_LIST, _OPEN_OBJECT):
            if len(self._open) == self._max_depth:
                raise InvalidRequestError(f"the JSON is nested deeper than {self._max_depth}")
            self._open.append(bracket)
            if len(self._open) == 2:
                self._in_media = self._open == _IN_ENTRY[:2] and self._last_string == "media"
        elif self._open:
            self._open.pop()
        else:
            raise InvalidRequestError("the JSON closes what it never opened")

    def _string(self, block: bytes, start: int, events: list[MediaEvent]) -> int:
        begin = start + self._escaped
        end = _TO_STRING_END.match(block, begin).end()  # type: ignore[union-attr] # matches the empty string
        self._escaped = end < len(block) and block[end] != _QUOTE
        self._json += block[start : end + self._escaped]
        if end + self._escaped == len(block):
            return len(block)
        if self._mode == "candidate" and len(self._json) - self._string_at >= self._min_divert_bytes:
            self._decide(events, whole=True)
        elif len(self._open) == 1:
            self._last_string = _read_string(bytes(self._json[self._string_at : self._string_at + 64])) or ""
        self._json += b'"'
        self._mode = "between"
        return end + 1

    # --- what is taken out ---

    def _decide(self, events: list[MediaEvent], *, whole: bool) -> None:
        """Take the string out whose beginning was kept so far, if it is media."""
        kept = bytes(self._json[self._string_at :])
        head, _ = _split_escape(kept[: min(_LONGEST_HEADER_BYTES, self._min_divert_bytes)])
        header = _HEADER.match(_read_string(head) or "")
        if header is None:
            self._mode = "string"
            return
        begin = MediaBegin(self._count, header[1], f"{self._token}:{self._count}")
        self._json[self._string_at :] = begin.placeholder.encode("ascii")
        events.append(begin)
        self._count += 1
        self._mode, self._escaped = "media", False
        self._base64, self._held, self._to_skip = Base64Decoder(), b"", header.end()
        self._decode(kept, events, whole=whole)

    def _media(self, block: bytes, start: int, events: list[MediaEvent]) -> int:
        end = block.find(b'"', start)  # an escaped quote is no base64 either
        if end < 0:
            self._decode(block[start:], events, whole=False)
            return len(block)
        self._decode(block[start:end], events, whole=True)
        self._json += b'"'
        self._mode = "between"
        return end + 1

    def _decode(self, raw: bytes, events: list[MediaEvent], *, whole: bool) -> None:
        raw, self._held = self._held + raw, b""
        if not whole:
            raw, self._held = _split_escape(raw)
        if b"\\" in raw:
            text = _read_string(raw)
            if text is None or not text.isascii():
                raise InvalidRequestError("not valid base64")
            raw = text.encode("ascii")
        if self._to_skip:
            skipped = min(self._to_skip, len(raw))
            raw, self._to_skip = raw[skipped:], self._to_skip - skipped
        if data := self._base64.feed(raw):
            events.append(MediaData(data))
        if whole:
            self._base64.finish()
            events.append(MediaEnd())


def _split_escape(raw: bytes) -> tuple[bytes, bytes]:
    """Split off an escape that may be incomplete."""
    at = raw.rfind(b"\\", max(0, len(raw) - _LONGEST_PARTIAL_ESCAPE))
    return (raw, b"") if at < 0 else (raw[:at], raw[at:])


def _read_string(raw: bytes) -> str | None:
    """Undo the escapes of a JSON string without its quotes; ``None`` if it is no valid one."""
    try:
        return msgspec.json.decode(b'"%b"' % raw, type=str)
    except ValueError:
        return None
