r"""JSON as peers really write it: the one place that knows what to do with half characters. Pure.

Python's own ``json`` and JavaScript write half of a surrogate pair (an emoji cut in two) as an escape, ``\ud83d``, or
hold it in a string. It has no UTF-8 form and strict decoders refuse it: here it becomes U+FFFD, in both directions.
Knows nothing of what a text means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from backstream.errors import DecodeError

__all__ = ["HalfJoiner", "decode_json", "encode_json", "replace_half_pairs", "replace_halves"]

_BOM: Final = b"\xef\xbb\xbf"
_WELL_FORMED: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_MOST_HALF_PAIRS: Final = 100_000


def decode_json(text: str | bytes | bytearray, *, index: int | None = None) -> Any:
    """Decode JSON; escapes of half characters become U+FFFD, and a byte order mark is passed over.

    Work is linear. A text with 100,000 such escapes or more is not repaired.

    Args:
        text: The JSON text; bytes are UTF-8.
        index: The position of the event that it is, for the error.

    Raises:
        DecodeError: It is no JSON (``NaN`` is none either), no UTF-8, or nested too deeply for this process.
    """
    try:
        try:
            return msgspec.json.decode(text)
        except ValueError:  # msgspec's own, and UnicodeError
            raw = replace_half_pairs(text).encode() if isinstance(text, str) else text
            return msgspec.json.decode(_replace_escapes(raw.removeprefix(_BOM)))
    except ValueError:
        raise DecodeError("not JSON", index=index) from None
    except RecursionError:
        raise DecodeError("nested too deeply", index=index) from None


def encode_json(value: object) -> bytes:
    """Encode a value as JSON in UTF-8, compact; half characters in its text become U+FFFD.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: The same, or it is a number that JSON cannot hold.
        RecursionError: It is nested too deeply, or in itself.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(replace_halves(msgspec.to_builtins(value)))


def replace_half_pairs(text: str) -> str:
    """Write U+FFFD for each half of a surrogate pair; a pair in two halves becomes its character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def replace_halves(value: object) -> object:
    """Write U+FFFD for each half of a surrogate pair in every text of a tree of dicts, lists and tuples."""
    if isinstance(value, str):
        return replace_half_pairs(value)
    if isinstance(value, dict):
        return {replace_halves(name): replace_halves(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [replace_halves(item) for item in value]
    return value


class HalfJoiner:
    r"""Decodes the events of one stream; joins a character that was cut into two, half of it in each of two events.

    Servers written in JavaScript cut texts so: ``"\ud83d"`` ends one event's text, ``"\ude42"`` begins a later one's.
    The first half is held back; it is left out where the second never comes.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def decode(self, text: str) -> Any:
        """Decode an event; see :func:`decode_json`."""
        try:
            return msgspec.json.decode(text)
        except (ValueError, RecursionError):
            pass
        raw = text.encode("utf-8", "replace")
        held, self._held = self._held, b""
        joined = _replace_escapes(raw, lambda at: self._replace(raw, at, held))
        self._held = self._held or held
        return decode_json(joined or text)

    def _replace(self, raw: bytes, at: int, held: bytes) -> bytes:
        half = raw[at : at + 6]
        if half[3] in b"89abAB":
            if raw[at + 6 : at + 7] != b'"':
                return _REPLACEMENT
            self._held = half
            return b""
        begins = raw[at - 1 : at] == b'"' and raw[at - 2 : at - 1] != b"\\"
        return held + half if held and begins else _REPLACEMENT


_REPLACEMENT: Final = b"\\ufffd"


def _replace_escapes(
    text: bytes | bytearray,
    replace: Callable[[int], bytes] = lambda at: _REPLACEMENT,
) -> bytes:
    """Repair a JSON text; what cannot be repaired becomes empty, which is no JSON."""
    pieces: list[bytes] = []
    position = 0
    for _ in range(_MOST_HALF_PAIRS):
        end = _WELL_FORMED.match(text, position).end()  # type: ignore[union-attr] # matches the empty string
        pieces.append(bytes(text[position:end]))
        if end == len(text):
            return b"".join(pieces)
        if not _HALF_PAIR.match(text, end):
            break
        pieces.append(replace(end))
        position = end + 6
    return b""
