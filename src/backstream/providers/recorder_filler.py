"""Takes what was said out of a recorded answer and leaves how it was said: sizes, cuts, framing, JSON, kinds of events.

Text becomes as many characters of the same size in UTF-8, so that every cut of the recording falls where it fell. What
is kept are codes (``type``, ``finish_reason``), counts and names of members; ids become other ids, the same everywhere.
Pure. Knows no dialect: what it does not know it takes out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from backstream.wire.json_text import encode_json

__all__ = ["blot_secrets", "fill", "scramble_keys"]

_STEP_BYTES: Final = 4096
_SHORTEST_SECRET: Final = 6  # a shorter one stands in everything
_LONGEST_SCRAMBLED: Final = 512

_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)?")
_TOKEN: Final = re.compile(
    rb'"(?:[^"\\\r\n]++|\\.)*+"|"[^\r\n]*|[{}\[\],:]|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\s+|[^\s"{}\[\],:]+'
)
_AFTER_NAME: Final = re.compile(rb"\s*:")
_NUMBER: Final = re.compile(rb"-?\d")
_LITERALS: Final = frozenset({b"true", b"false", b"null"})
_IS_EVENTS: Final = re.compile(rb"^(?:data|event):", re.MULTILINE)
_FIELD: Final = re.compile(rb"(data|event|id|retry|):? ?")
_PIECE: Final = re.compile(rb"\\u[0-9a-fA-F]{4}|\\.|</?think(?:ing)?>|[^\\<]+|.", re.DOTALL)
_PREFIX: Final = re.compile(rb"data:[a-z]+/[a-z0-9.+-]+;base64,|https?://")
_URL: Final = re.compile(rb"https?://")
_NAME: Final = re.compile(rb'"[A-Za-z_$@][A-Za-z0-9_.$-]{0,63}"')
_CODE: Final = re.compile(rb'"[A-Za-z][A-Za-z0-9_.:/-]{0,63}"')
_ERROR_CLASS: Final = re.compile(rb'"[A-Z][A-Za-z]{0,60}(?:Error|Exception|Timeout|Stream)"')
_ID_PREFIX: Final = re.compile(
    rb"(?:chatcmpl|cmpl|call|resp|msg|fc|rs|item|toolu|srvtoolu|req|run|gen|ws|ig|ci|fs|mcp|ctc)[_-]"
)
_ALNUM: Final = re.compile(rb"[A-Za-z0-9]")
_ODD_UTF8: Final = re.compile(rb"\xed[\xa0-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf4[\x90-\xbf]")
_LONG_RUN: Final = re.compile(rb"[A-Za-z0-9_\-.+/=*]{24,}")
_DIGITS: Final = bytes.maketrans(b"0123456789", b"1" * 10)

_CODES: Final = frozenset(
    b"type object role status finish_reason finishReason native_finish_reason stop_reason done_reason blockReason"
    b" reason code kind event phase format mime_type mimeType media_type model modelVersion service_tier severity"
    b" category probability effort".split()
)
_ERRORS: Final = frozenset({b"error", b"auth"})
_IDS: Final = frozenset(
    b"id call_id tool_call_id tool_use_id response_id responseId item_id request_id previous_response_id"
    b" system_fingerprint container_id name".split()
)
_JSON_TEXT: Final = frozenset({b"arguments", b"partial_json"})
_FREE: Final = frozenset(
    b"arguments args input parameters json schema metadata tools headers request top_logprobs tokens params"
    b" conversation".split()
)
"""Members that may hold anything; in them even names of members, and codes, are somebody's own."""
_COUNTED: Final = frozenset({b"usage", b"usageMetadata", b"usage_metadata"})
_NUMBERS: Final = re.compile(
    rb".*(?:[Tt]okens?|_count|Count|_index|Index|Indices|_duration)|index|created|created_at|completed_at|sequence_number"
    rb"|status|code"
)


def _make_table() -> bytes:
    table = bytearray(range(256))
    for byte in range(0x21, 0x7F):
        table[byte] = 0x78  # x
    for first, last, to in ((0x80, 0xBF, 0xA9), (0xC2, 0xDF, 0xC3), (0xE0, 0xEF, 0xE3), (0xF0, 0xF4, 0xF0)):
        for byte in range(first, last + 1):
            table[byte] = to
    for byte in (0xC0, 0xC1, *range(0xF5, 0x100)):
        table[byte] = 0xFF
    return bytes(table)


_TABLE: Final = _make_table()
"""A letter of one byte becomes x, of two é, of three 㩩, of four 𩩩; white space, and what is no UTF-8, stay such."""
_JSON_TABLE: Final = bytes(
    byte if byte in b'{}[]:,"' else 0x31 if byte in b"0123456789" else _TABLE[byte] for byte in range(256)
)


def blot_secrets(body: bytes, secrets: Iterable[str]) -> bytes:
    """Fill known secrets, however JSON may have written them."""
    for secret in sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True):
        inner = encode_json(secret)[1:-1]
        for written in {secret.encode("utf-8", "surrogatepass"), inner, inner.replace(b"/", b"\\/")}:
            body = body.replace(written, b"x" * len(written))
    return body


def scramble_keys(body: bytes, salt: bytes) -> bytes:
    """Replace whatever looks like a key (a long run of letters and digits) by as many other letters and digits."""

    def scramble(found: re.Match[bytes]) -> bytes:
        run = found[0]
        mixed = re.search(rb"[A-Za-z]", run) and re.search(rb"[0-9]", run)
        return _scramble(run, salt) if mixed else run

    return _LONG_RUN.sub(scramble, body)


def fill(body: bytes, salt: bytes) -> Iterator[bytes]:
    """Take the text out of a body; yields the result in pieces, so that whoever asks can let others run in between.

    Args:
        body: The bytes of a whole answer, or as much as was received.
        salt: Makes ids of this recording; one that is not kept, so that nobody can try what an id was.
    """
    try:
        body.decode()
    except UnicodeDecodeError:  # what is no UTF-8 must not become some
        body = _ODD_UTF8.sub(b"\xff\xff", body)
    filler = _Filler(salt)
    made = filler.events(body) if _IS_EVENTS.search(body) else filler.text(body)
    pieces: list[bytes] = []
    size = 0
    for piece in made:
        pieces.append(piece)
        size += len(piece)
        if size >= _STEP_BYTES:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    yield b"".join(pieces)


def _scramble(text: bytes, salt: bytes) -> bytes:
    """Replace letters and digits by others, the same for the same text; what else is in it stays."""
    if len(text) > _LONGEST_SCRAMBLED:
        return text.translate(_TABLE)
    prefix = _ID_PREFIX.match(text)
    begin = prefix.end() if prefix else 0
    digits = iter(hashlib.shake_128(salt + text).hexdigest(len(text)).encode())
    return text[:begin] + _ALNUM.sub(lambda found: b"%c" % next(digits), text[begin:])


def _fill_text(text: bytes, table: bytes = _TABLE) -> bytes:
    """Fill the inside of a JSON string: escapes stay escapes of their kind."""
    prefix = _PREFIX.match(text)
    begin = prefix.end() if prefix else 0
    if b"\\" not in text and b"<" not in text:
        return text[:begin] + text[begin:].translate(table)
    return text[:begin] + b"".join(_fill_piece(found[0], table) for found in _PIECE.finditer(text, begin))


def _fill_piece(piece: bytes, table: bytes) -> bytes:
    if piece.startswith(b"\\u"):
        number = int(piece[-4:], 16)
        if number < 0x20:
            return piece
        half = number >> 10
        return b"\\ud83d" if half == 0x36 else b"\\ude00" if half == 0x37 else b"\\u0078"
    if piece.startswith((b"\\", b"<t", b"</")):
        return piece
    return piece.translate(table)


class _Filler:
    """Fills one body; keeps track of where in the JSON it is."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._reset()

    def _reset(self) -> None:
        self._stack: list[tuple[bytes, bool, bool]] = []
        self._name, self._free, self._counted = b"", False, False

    def events(self, body: bytes) -> Iterator[bytes]:
        """Fill server-sent events, perhaps with lines of JSON among them."""
        for found in _LINE.finditer(body):
            line = found[0]
            if not line.strip(b"\r\n"):
                self._reset()
                yield line
                continue
            field = _FIELD.match(line)
            if field is None or (b":" not in field[0] and field[1] == b""):
                yield from self.text(line)
                continue
            yield field[0]
            value = line[field.end() :]
            if field[1] == b"data":
                yield from (value,) if value.strip() == b"[DONE]" else self.text(value)
            elif field[1] == b"event":
                yield value if _CODE.fullmatch(b'"%b"' % value.rstrip(b"\r\n")) else value.translate(_TABLE)
            elif field[1] == b"id":
                yield _scramble(value, self._salt)
            else:
                yield value if value.strip().isdigit() else value.translate(_TABLE)

    def text(self, text: bytes) -> Iterator[bytes]:
        """Fill JSON texts, and whatever stands between them."""
        for found in _TOKEN.finditer(text):
            token = found[0]
            mark = token[:1]
            if mark == b'"':
                if _AFTER_NAME.match(text, found.end()):
                    self._name = token[1:-1]
                    yield self._member(token)
                else:
                    yield self._string(token)
            elif mark in b"{[":
                self._open()
                yield token
            elif mark in b"}]":
                self._close()
                yield token
            elif mark in b",:" or token.isspace() or token in _LITERALS:
                yield token
            elif _NUMBER.match(token):
                keep = not self._free and (self._counted or _NUMBERS.fullmatch(self._name))
                yield token if keep else token.translate(_DIGITS)
            else:
                yield token.translate(_TABLE)

    def _open(self) -> None:
        self._stack.append((self._name, self._free, self._counted))
        self._free = self._free or self._name in _FREE
        self._counted = self._counted or self._name in _COUNTED

    def _close(self) -> None:
        if self._stack:
            self._name, self._free, self._counted = self._stack.pop()

    def _member(self, token: bytes) -> bytes:
        if self._free:
            return b'"' + _scramble(_fill_escapes(token[1:-1]), self._salt) + b'"'
        return token if _NAME.fullmatch(token) else b'"' + _fill_text(token[1:-1]) + b'"'

    def _string(self, token: bytes) -> bytes:
        inner, last = (token[1:-1], b'"') if len(token) > 1 and token.endswith(b'"') else (token[1:], b"")
        name = self._name
        if name in _JSON_TEXT:
            return b'"' + _fill_text(inner, _JSON_TABLE) + last
        if not self._free:
            if name in _CODES and _CODE.fullmatch(token):
                return token
            if name in _ERRORS and _ERROR_CLASS.fullmatch(token):
                return token
            if name in _IDS and b"\\" not in inner and inner.isascii():
                return b'"' + _scramble(inner, self._salt) + last
        if (url := _URL.match(inner)) and b"\\" not in inner and inner.isascii():  # two of them must stay two
            return b'"' + url[0] + _scramble(inner[url.end() :], self._salt) + last
        return b'"' + _fill_text(inner) + last


def _fill_escapes(text: bytes) -> bytes:
    """Leave a plain name as it is, to be scrambled; fill one that is not."""
    return text if text.isascii() and b"\\" not in text else _fill_text(text)
