"""The body of a request that is a form with files, as OpenAI's audio routes take it. Knows no route."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from backstream.errors import InvalidRequestError
from backstream.media import HEAD_BYTES, MediaItem, base_name, sniff
from backstream.server.asgi import Refusal
from backstream.server.dialect_bodies import body_blocks
from backstream.server.refusals import RequestRefused
from backstream.server.routing import Exchange
from backstream.server.spool import Shelf, Spool
from backstream.wire.http import media_type
from backstream.wire.multipart import FormEvent, MultipartDecoder, PartBegin, PartData, parse_boundary

__all__ = ["Form", "open_form"]

_MOST_FIELDS: Final = 64
_LONGEST_NAME: Final = 255


class Form:
    """A form as it arrives.

    Args:
        shelf: Where its files lie, and their caps.

    Attributes:
        fields: Its plain fields: name → values, in order; ``[]`` behind a name is taken off.
        files: Its files: name → files, in order.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.fields: dict[str, list[str]] = {}
        self.files: dict[str, list[MediaItem]] = {}
        self._shelf = shelf
        self._part = PartBegin("")
        self._spool: Spool | None = None
        self._text = bytearray()

    def text(self, name: str) -> str | None:
        """Return a field's value; ``None`` where it is absent.

        Raises:
            InvalidRequestError: It was sent more than once.
        """
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise InvalidRequestError(f"the form has more than one field {name}")
        return values[0] if values else None

    def take(self, event: FormEvent) -> None:
        """Take what the decoder found."""
        if isinstance(event, PartBegin):
            self._part, self._text = event, bytearray()
            self._spool = self._shelf.begin() if event.filename is not None else None
        elif not isinstance(event, PartData):
            self._end()
        elif self._spool is not None:
            self._shelf.write(self._spool, event.data)
        else:
            self._text += event.data
            if len(self._text) > self._shelf.limits.max_field_bytes:
                raise RequestRefused(413, "A field of the form is too long")

    def _end(self) -> None:
        name = self._part.name.removesuffix("[]")
        if self._spool is None:
            self.fields.setdefault(name, []).append(self._text.decode("utf-8", "replace"))
            return
        if not self._spool.size:
            raise InvalidRequestError("a file of the form is empty")
        filename = (base_name(self._part.filename or "") or "")[-_LONGEST_NAME:] or None
        seen = sniff(self._spool.head(HEAD_BYTES), filename)
        kind = seen or media_type(self._part.content_type or "") or "application/octet-stream"
        self.files.setdefault(name, []).append(self._spool.item(kind, filename))


@contextlib.asynccontextmanager
async def open_form(exchange: Exchange) -> AsyncIterator[Form]:
    """Read the body of a request, a form; its files can be read while the context lasts.

    Raises:
        Refusal: 413 over a cap, 415 encoded or no form, 408 not there in time.
        InvalidRequestError: It is malformed.
        ClientGone: The client went away before it was whole.
    """
    limits = exchange.settings.limits
    content_type = exchange.request.text(b"content-type")
    if media_type(content_type) != "multipart/form-data":
        raise Refusal(415, "Send the body as multipart/form-data")
    shelf = Shelf(limits)
    try:
        decoder = MultipartDecoder(parse_boundary(content_type), max_parts=limits.max_media_items + _MOST_FIELDS)
        form = Form(shelf)
        async for block in body_blocks(exchange, limits.max_total_bytes):
            for event in decoder.feed(block):
                form.take(event)
            for spool in shelf.overfull():
                await asyncio.to_thread(spool.flush)
        decoder.finish()
        yield form
    finally:
        shelf.close()
