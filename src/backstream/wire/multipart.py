"""Forms as they arrive: ``multipart/form-data`` cut into parts while it passes, and ``x-www-form-urlencoded``.

Knows nothing of what the fields mean, and keeps no part's content: data leaves with the call that brought it.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, Literal, Protocol, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from backstream.errors import InvalidRequestError

__all__ = [
    "Base64Decoder",
    "FormEvent",
    "MultipartDecoder",
    "PartBegin",
    "PartData",
    "PartEnd",
    "parse_boundary",
    "parse_urlencoded",
]

KIBIBYTE: Final = 1024

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110's word for it
_FIELD = re.compile(rf"({_TOKEN}):(.*)", re.DOTALL)
_PARAMETER = re.compile(rf';[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^";\s]*+))[ \t]*')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
_AFTER_DELIMITER = re.compile(rb"--|[ \t]{0,64}\r\n")
_MAYBE_AFTER_DELIMITER = re.compile(rb"-?|[ \t]{0,64}\r?")


class PartBegin(msgspec.Struct, frozen=True):
    """A part begins.

    Attributes:
        name: Its field name; no control characters.
        filename: Its file name as sent, with folders where there are any; ``None`` where it has none.
        content_type: What it calls itself; ``None`` where it says nothing.
    """

    name: str
    filename: str | None = None
    content_type: str | None = None


class PartData(msgspec.Struct, frozen=True):
    """Content of the part that began last; never empty.

    Attributes:
        data: The bytes, with any content transfer encoding undone.
    """

    data: bytes

    def __repr__(self) -> str:
        return f"<PartData {len(self.data)} bytes>"


class PartEnd(msgspec.Struct, frozen=True):
    """The part that began last is whole."""


FormEvent: TypeAlias = PartBegin | PartData | PartEnd
"""What a form is made of."""


class MultipartDecoder:
    """Cut a ``multipart/form-data`` body into its parts while it arrives.

    Work is linear; what is kept between two calls is one part's head, or as much as may begin a delimiter.

    Args:
        boundary: The parameter of the content type, 1–70 bytes; see :func:`parse_boundary`.
        max_head_bytes: Cap on one part's header fields. Default 16 KiB.
        max_parts: Cap on the number of parts. Default 256.

    Source: RFC 7578; RFC 2046 §5.1.1. Stricter: no preamble but line ends, since nothing sends one over HTTP.
    """

    def __init__(self, boundary: bytes, *, max_head_bytes: int = 16 * KIBIBYTE, max_parts: int = 256) -> None:
        self._delimiter: Final = b"\r\n--" + boundary
        self._max_head_bytes: Final = max_head_bytes
        self._parts_left = max_parts
        self._state: Literal["preamble", "head", "body", "epilogue"] = "preamble"
        self._rest = b"\r\n"  # so that the first delimiter looks like all others
        self._to_skip = 2
        self._transfer: _TransferDecoder | None = None

    def feed(self, data: bytes) -> list[FormEvent]:
        """Take the next bytes of the body; return what they brought, in order.

        Raises:
            InvalidRequestError: The body is no valid form, or over a cap.
        """
        events: list[FormEvent] = []
        block = self._rest + data
        position: int | None = 0
        while position is not None:
            self._rest, start = b"", position
            if self._state == "epilogue":
                break
            position = self._head(block, start, events) if self._state == "head" else self._body(block, start, events)
        return events

    def finish(self) -> None:
        """Say that the body is over.

        Raises:
            InvalidRequestError: It ended before its closing boundary.
        """
        if self._state != "epilogue":
            raise InvalidRequestError("the form ended before its closing boundary")

    def _head(self, block: bytes, start: int, events: list[FormEvent]) -> int | None:
        end = block.find(b"\r\n\r\n", start)
        if (len(block) if end < 0 else end) - start > self._max_head_bytes:
            raise InvalidRequestError(f"a part of the form has a head over {self._max_head_bytes} bytes")
        if end < 0:
            self._rest = block[start:]
            return None
        begin, self._transfer = _parse_head(block[start + 2 : end])
        events.append(begin)
        self._state, self._to_skip = "body", 2
        return end + 2  # a part without content shares its line end with the delimiter

    def _body(self, block: bytes, start: int, events: list[FormEvent]) -> int | None:
        found, searched = start, start
        while (found := block.find(self._delimiter, searched)) >= 0:
            behind = found + len(self._delimiter)
            if after := _AFTER_DELIMITER.match(block, behind):
                self._content(block[start:found], events)
                return self._delimited(after, events)
            if _MAYBE_AFTER_DELIMITER.fullmatch(block, behind):
                break  # what follows decides
            searched = found + 2
        if found < 0:
            # A delimiter holds one CR, its first byte: only the last CR can begin one that is still incomplete.
            found = block.rfind(b"\r", max(start, len(block) - len(self._delimiter) + 1))
        if found < 0:
            found = len(block)
        self._content(block[start:found], events)
        self._rest = block[found:]
        return None

    def _content(self, data: bytes, events: list[FormEvent]) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            data, self._to_skip = data[skipped:], self._to_skip - skipped
        if self._state == "preamble":
            if data.strip(b"\r\n"):
                raise InvalidRequestError("the form does not begin with its boundary")
            return
        if self._transfer is not None:
            data = self._transfer.feed(data)
        if data:
            events.append(PartData(data))

    def _delimited(self, after: re.Match[bytes], events: list[FormEvent]) -> int:
        if self._state == "body":
            if self._transfer is not None:
                self._transfer.finish()
            events.append(PartEnd())
        if after[0] == b"--":
            self._state = "epilogue"
            return after.end()
        self._parts_left -= 1
        if self._parts_left < 0:
            raise InvalidRequestError("the form has too many parts")
        self._state = "head"
        return after.end() - 2  # the head's first line end, so that an empty head ends like all others


# --- heads ------------------------------------------------------------------------------------------------------------


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary that a ``multipart/form-data`` content type names.

    Raises:
        InvalidRequestError: It names none, or none that RFC 2046 §5.1.1 allows.
    """
    boundary = _parse_parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError("the content type names no valid boundary")
    return boundary.encode("ascii")


def parse_urlencoded(data: bytes, *, max_fields: int = 256) -> list[tuple[str, str]]:
    """Return the fields of an ``application/x-www-form-urlencoded`` body, in order; bad UTF-8 becomes U+FFFD.

    Raises:
        InvalidRequestError: There are more than ``max_fields`` of them.
    """
    text = data.decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=max_fields, errors="replace")
    except ValueError:
        raise InvalidRequestError(f"the form has more than {max_fields} fields") from None


def _parse_head(head: bytes) -> tuple[PartBegin, _TransferDecoder | None]:
    fields: dict[str, str] = {}
    for line in head.split(b"\r\n") if head else ():
        field = _FIELD.fullmatch(line.decode("utf-8", "replace"))
        if field is None or _CONTROL.search(field[2].replace("\t", " ")):
            raise InvalidRequestError("a part of the form has a malformed header field")
        name = field[1].lower()
        if name in fields:
            raise InvalidRequestError("a part of the form has a header field twice")
        fields[name] = field[2].strip(" \t")
    disposition = fields.get("content-disposition", "")
    parameters = _parse_parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in parameters:
        raise InvalidRequestError("a part of the form has no field name")
    filename = parameters.get("filename")
    if "filename*" in parameters:
        filename = _parse_extended(parameters["filename*"])
    begin = PartBegin(parameters["name"], filename, fields.get("content-type"))
    if _CONTROL.search(begin.name + (filename or "")):
        raise InvalidRequestError("a part of the form has control characters in its name")
    return begin, _transfer_decoder(fields.get("content-transfer-encoding", ""))


def _parse_parameters(value: str) -> dict[str, str]:
    """Split ``type; name=value; …``.

    In quotes only the quote and the backslash can be escaped: old browsers send file names with folders, as they are.
    """
    parameters: dict[str, str] = {}
    position = value.find(";")
    while 0 <= position < len(value):
        match = _PARAMETER.match(value, position)
        if match is None:
            if value[position:].strip(" \t;") == "":
                break
            raise InvalidRequestError("a header field has malformed parameters")
        name = match[1].lower()
        if name in parameters:
            raise InvalidRequestError("a header field has a parameter twice")
        # Source of %22: WHATWG HTML, "multipart/form-data encoding algorithm"; its %0D and %0A stay as they are.
        quoted = match[2]
        parameters[name] = match[3] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted).replace("%22", '"')
        position = match.end()
    return parameters


def _parse_extended(value: str) -> str:
    """Undo ``charset'language'percent-encoded`` of RFC 8187."""
    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote or charset.lower() not in {"utf-8", "iso-8859-1"}:
        raise InvalidRequestError("a part of the form has a malformed filename*")
    return unquote_to_bytes(encoded).decode(charset, "replace")


# --- content transfer encodings ---------------------------------------------------------------------------------------


class _TransferDecoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> None: ...


class Base64Decoder:
    """Undo base64 while it arrives: padded, of the standard alphabet, with nothing after the padding.

    Args:
        ignore: Bytes to pass over, such as the line ends of MIME. Default none.
    """

    def __init__(self, *, ignore: bytes = b"") -> None:
        self._ignore: Final = ignore
        self._rest = b""
        self._padded = False

    def feed(self, data: bytes) -> bytes:
        """Take the next characters; return the bytes they complete.

        Raises:
            InvalidRequestError: They are no base64.
        """
        if self._ignore:
            data = data.translate(None, self._ignore)
        if self._rest:
            data = self._rest + data
        whole = len(data) & ~3
        self._rest = data[whole:]
        if not whole:
            if self._padded and data:
                raise InvalidRequestError("base64 goes on after its padding")
            return b""
        quads = data if whole == len(data) else memoryview(data)[:whole]
        try:
            decoded = binascii.a2b_base64(quads, strict_mode=True)
        except binascii.Error:
            raise InvalidRequestError("not valid base64") from None
        if self._padded:
            raise InvalidRequestError("base64 goes on after its padding")
        self._padded = quads[-1] == 0x3D
        return decoded

    def finish(self) -> None:
        """Say that the base64 is over.

        Raises:
            InvalidRequestError: It ended inside a group of four.
        """
        if self._rest:
            raise InvalidRequestError("base64 ended inside a group of four characters")


class _QuotedPrintableDecoder:
    _BAD = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r\n)")

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        held = data.rfind(b"=", max(0, len(data) - 2))
        whole, self._rest = (data[:held], data[held:]) if held >= 0 else (data, b"")
        if self._BAD.search(whole):
            raise InvalidRequestError("not valid quoted-printable")
        return binascii.a2b_qp(whole)

    def finish(self) -> None:
        if self._rest:
            raise InvalidRequestError("quoted-printable ended inside an escape")


def _transfer_decoder(encoding: str) -> _TransferDecoder | None:
    match encoding.strip().lower():
        case "" | "7bit" | "8bit" | "binary":
            return None
        case "base64":
            return Base64Decoder(ignore=b" \t\r\n")
        case "quoted-printable":
            return _QuotedPrintableDecoder()
        case _:
            raise InvalidRequestError("a part of the form has an unknown content transfer encoding")
