"""The body of a conversation request, read from raw ASGI: JSON or a form, with media kept out of memory.

Knows the request's shape (``media``, ``files``, ``media_url``, ``json``) and no provider; fetches and opens nothing
that a request names.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from backstream.errors import DecodeError, InvalidMediaError, InvalidRequestError
from backstream.media import HEAD_BYTES, MediaItem, base_name, decode_data_uri, is_data_uri, sniff
from backstream.media.names import is_textual
from backstream.server.refusals import ClientGone, RequestRefused
from backstream.server.spool import BodyLimits, Shelf, Spool
from backstream.wire.json_media import JSONMediaDecoder, MediaBegin, MediaData
from backstream.wire.json_text import decode_json
from backstream.wire.multipart import (
    MultipartDecoder,
    PartBegin,
    PartData,
    parse_boundary,
    parse_urlencoded,
)

__all__ = ["BodyLimits", "ReceivedBody", "check_head", "read_request"]

MEBIBYTE: Final = 1024 * 1024

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
MediaEntry: TypeAlias = "tuple[MediaItem | str, str | None]"

_NO_JSON: Final = "Invalid JSON data"
_TEXT_URI_BYTES: Final = MEBIBYTE
_LARGEST_URLENCODED: Final = MEBIBYTE
_LONGEST_FILENAME: Final = 255
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


class ReceivedBody:
    """A request body, whole.

    Attributes:
        members: The JSON object, in the order it was sent; its ``media``, if any, is ``None``.
        media: The media, each with its file name or ``None``: bytes as an item, an http(s) URL as a string; ``None``
            where the request has none.
    """

    __slots__ = ("_shelf", "media", "members")

    def __init__(self, members: dict[str, Any], media: list[MediaEntry] | None, shelf: Shelf) -> None:
        self.members = members
        self.media = media
        self._shelf = shelf

    def __repr__(self) -> str:
        return f"<ReceivedBody with {len(self.members)} members, {len(self.media or ())} media>"

    def close(self) -> None:
        """Free the media; they cannot be read after that. May be called again; never waits for the loop."""
        self._shelf.close()


async def read_request(receive: Receive, headers: Mapping[str, str], limits: BodyLimits | None = None) -> ReceivedBody:
    """Read the body of one conversation request.

    ``multipart/form-data`` and ``application/x-www-form-urlencoded`` are read as forms; of any other type, and of
    none, the body is JSON. The caller closes the result.

    Args:
        receive: The ASGI callable, before its first body message.
        headers: The request's header fields, names in lower case.
        limits: Caps. Default ``BodyLimits()``.

    Raises:
        RequestRefused: 400 not the JSON or form it should be, 413 over a cap, 415 encoded, or media of no known type,
            422 media that are none, 503 no room for them.
        ClientGone: The client went away before the body was whole.
    """
    limits = limits or BodyLimits()
    left = check_head(headers, limits)
    shelf = Shelf(limits)
    try:
        body: _Body | None = None
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGone
            data, more = event.get("body", b""), event.get("more_body", False)
            left -= len(data)
            if left < 0:
                raise _too_large(limits)
            body = body or (_choose(headers, data, shelf) if data.strip() or not more else None)
            if body is not None:
                body.feed(data)
            for spool in shelf.overfull():
                await asyncio.to_thread(spool.flush)
        assert body is not None  # the last message chooses, if none before
        return body.finish()
    except BaseException:  # also cancellation: whoever leaves without a result leaves no file
        shelf.close()
        raise


def check_head(headers: Mapping[str, str], limits: BodyLimits) -> int:
    """Check what a request's head says of its body, and return how many bytes may come.

    Raises:
        RequestRefused: 400 no length, 413 over a cap, 415 encoded.
    """
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise RequestRefused(415, "Send the body without Content-Encoding")
    length = headers.get("content-length", "0").strip()
    if not (length.isascii() and length.isdigit()):
        raise RequestRefused(400, "Content-Length is no number")
    if len(length) > 18 or int(length) > limits.max_total_bytes:
        raise _too_large(limits)
    return limits.max_total_bytes


def _too_large(limits: BodyLimits) -> RequestRefused:
    return RequestRefused(413, f"The body is larger than the limit of {limits.max_total_bytes} bytes")


# --- the kinds of body ------------------------------------------------------------------------------------------------


class _Body(Protocol):
    def feed(self, data: bytes) -> None: ...

    def finish(self) -> ReceivedBody: ...


def _choose(headers: Mapping[str, str], data: bytes, shelf: Shelf) -> _Body:
    content_type = headers.get("content-type", "")
    match content_type.partition(";")[0].strip().lower():
        case "multipart/form-data":
            return _FormBody(content_type, shelf)
        # Precedent: curl calls any --data a form. No form begins with a brace, which it would percent-encode.
        case "application/x-www-form-urlencoded" if not data.lstrip().startswith(b"{"):
            return _URLEncodedBody(shelf)
        case _:
            return _JSONBody(shelf)


class _JSONBody:
    """JSON, on its own or in a form's ``json`` field."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._decoder = JSONMediaDecoder(secrets.token_hex(16), max_json_bytes=shelf.limits.max_body_bytes)
        self._taken: dict[str, tuple[Spool, str]] = {}
        self._spool: Spool | None = None
        self._text_uri_bytes_left = _TEXT_URI_BYTES

    def feed(self, data: bytes) -> None:
        try:
            events = self._decoder.feed(data)
        except InvalidRequestError as error:
            if self._decoder.too_large:
                raise RequestRefused(413, f"The request is too large: {error.problem}") from None
            if self._decoder.inside_media:
                raise RequestRefused(422, f"A data URI in media: {error.problem}") from None
            raise RequestRefused(400, _NO_JSON) from None
        for event in events:
            if isinstance(event, MediaBegin):
                self._spool = self._shelf.begin()
                self._taken[event.placeholder] = (self._spool, event.header)
            elif isinstance(event, MediaData) and self._spool is not None:
                self._shelf.write(self._spool, event.data)

    def members(self) -> dict[str, Any]:
        """Decode what remains of the JSON."""
        try:
            value = decode_json(self._decoder.finish())
        except (InvalidRequestError, DecodeError):
            raise RequestRefused(400, _NO_JSON) from None
        if not isinstance(value, dict):
            raise RequestRefused(400, _NO_JSON)
        return value

    def finish(self, instead: list[MediaEntry] | None = None) -> ReceivedBody:
        members = self.members()
        media = members.get("media")
        if "media" in members:
            members["media"] = None
        if instead:
            return ReceivedBody(members, instead, self._shelf)
        return ReceivedBody(members, self._media(media), self._shelf)

    def _media(self, value: object) -> list[MediaEntry] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            raise RequestRefused(422, "media is no list")
        self._shelf.check_count(len(value))
        return [self._entry(index, entry) for index, entry in enumerate(value)]

    def _entry(self, index: int, entry: object) -> MediaEntry:
        if not (isinstance(entry, list) and len(entry) in (1, 2) and isinstance(entry[0], str)):
            raise RequestRefused(422, f"media[{index}] is no pair of a data URI or URL and a file name")
        data, filename = entry[0], entry[1] if len(entry) == 2 else None
        if filename is not None and (not isinstance(filename, str) or filename in self._taken):
            raise RequestRefused(422, f"media[{index}] has a file name that is no text")
        filename = _read_filename(filename)
        if data in self._taken:
            spool, header = self._taken[data]
            return spool.item(
                _decide_type(spool, _read_uri(f"data:{header};base64,", index)[0], filename), filename
            ), filename
        if is_data_uri(data):
            if not data[: data.find(",")].lower().endswith(";base64"):  # without base64: slow to undo
                self._text_uri_bytes_left -= len(data)
                if self._text_uri_bytes_left < 0:
                    raise RequestRefused(422, f"media[{index}] is a large data URI without base64")
            media_type, content = _read_uri(data, index)
            spool = self._shelf.begin()
            self._shelf.write(spool, content)
            return spool.item(_decide_type(spool, media_type, filename), filename), filename
        if _is_web_url(data):
            return data, filename
        raise RequestRefused(422, f"media[{index}] is neither a data URI nor an http(s) URL; no file is opened for it")


class _FormBody:
    """``multipart/form-data``: fields ``json``, ``files`` (or ``files[]``) and ``media_url``."""

    def __init__(self, content_type: str, shelf: Shelf) -> None:
        self._shelf = shelf
        self._json: _JSONBody | None = None
        self._media: list[MediaEntry] = []
        self._part = PartBegin("")
        self._spool: Spool | None = None
        self._url = b""
        try:
            self._decoder = MultipartDecoder(parse_boundary(content_type), max_parts=shelf.limits.max_media_items + 64)
        except InvalidRequestError as error:
            raise RequestRefused(400, f"Invalid form: {error}") from None

    def feed(self, data: bytes) -> None:
        try:
            events = self._decoder.feed(data)
        except InvalidRequestError as error:
            raise RequestRefused(400, f"Invalid form: {error}") from None
        for event in events:
            if isinstance(event, PartBegin):
                self._begin(event)
            elif isinstance(event, PartData):
                self._data(event.data)
            else:
                self._end()

    def finish(self) -> ReceivedBody:
        try:
            self._decoder.finish()
        except InvalidRequestError as error:
            raise RequestRefused(400, f"Invalid form: {error}") from None
        if self._json is None:
            raise RequestRefused(400, _NO_JSON)
        return self._json.finish(self._media)

    def _begin(self, part: PartBegin) -> None:
        self._part, self._url = part, b""
        match part.name:
            case "json":
                if self._json is not None:
                    raise RequestRefused(400, "Invalid form: more than one field json")
                self._json = _JSONBody(self._shelf)
            case "files" | "files[]":
                self._spool = self._shelf.begin()
            case "media_url":
                pass
            case _ if part.filename:
                raise RequestRefused(422, f"The file {_show(part.filename)} came in another field than files")

    def _data(self, data: bytes) -> None:
        match self._part.name:
            case "json" if self._json is not None:
                self._json.feed(data)
            case "files" | "files[]" if self._spool is not None:
                self._shelf.write(self._spool, data)
            case "media_url":
                self._url += data
                if len(self._url) > self._shelf.limits.max_field_bytes:
                    raise RequestRefused(413, "The media_url is too long")

    def _end(self) -> None:
        match self._part.name:
            case "files" | "files[]" if self._spool is not None:
                # Browsers send a nameless empty file where none was chosen.
                if self._spool.size or self._part.filename:
                    filename = _read_filename(self._part.filename)
                    item = self._spool.item(_decide_type(self._spool, None, filename), filename)
                    self._media.append((item, filename))
            case "media_url":
                self._shelf.check_count(len(self._media) + 1)
                self._media.append((_read_media_url(self._url.decode("utf-8", "replace")), None))


class _URLEncodedBody:
    """``application/x-www-form-urlencoded``: the same fields, without files. For small things: it is slow to undo."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._text = bytearray()

    def feed(self, data: bytes) -> None:
        self._text += data
        if len(self._text) > _LARGEST_URLENCODED:
            raise RequestRefused(413, f"The form is larger than {_LARGEST_URLENCODED} bytes; send JSON or multipart")

    def finish(self) -> ReceivedBody:
        try:
            fields = parse_urlencoded(bytes(self._text))
        except InvalidRequestError as error:
            raise RequestRefused(400, f"Invalid form: {error}") from None
        texts = [value for name, value in fields if name == "json"]
        urls = [_read_media_url(value) for name, value in fields if name == "media_url"]
        if len(texts) != 1:
            raise RequestRefused(400, _NO_JSON)
        self._shelf.check_count(len(urls))
        body = _JSONBody(self._shelf)
        body.feed(texts[0].encode("utf-8", "replace"))
        return body.finish([(url, None) for url in urls])


# --- media ------------------------------------------------------------------------------------------------------------


def _decide_type(spool: Spool, declared: str | None, filename: str | None) -> str:
    """Return the media type: what the bytes say, then the name, then what a data URI declares.

    A file's declared type does not count: it is what some table of the client's makes of the name.
    """
    if not spool.size:
        raise RequestRefused(422, f"{_show(filename)} is empty")
    seen = sniff(spool.head(HEAD_BYTES), filename)
    if declared is not None:
        essence = declared.partition(";")[0]
        if seen == "text/plain" and is_textual(essence):
            return essence
        if seen is None and not is_textual(essence) and essence != "application/octet-stream":
            return essence
    if seen is None:
        raise RequestRefused(415, f"{_show(filename)} is of no known media type")
    return seen


def _read_uri(uri: str, index: int) -> tuple[str, bytes]:
    try:
        return decode_data_uri(uri, strict=True)
    except InvalidMediaError as error:
        raise RequestRefused(422, f"media[{index}]: {error}") from None


def _read_filename(filename: str | None) -> str | None:
    name = base_name(filename) if filename else None
    if name is not None and (len(name) > _LONGEST_FILENAME or not name.isprintable()):
        raise RequestRefused(422, f"The file name {_show(name)} is too long, or has control characters")
    return name


def _show(filename: str | None) -> str:
    return ascii(filename[:80]) if filename else "A file without a name"


def _read_media_url(url: str) -> str:
    if not _is_web_url(url):
        raise RequestRefused(422, "media_url is no http(s) URL")
    return url


def _is_web_url(text: str) -> bool:
    if _NOT_IN_URL.search(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
