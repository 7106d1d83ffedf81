"""A dialect and a transport, joined: one answer over HTTP, as a source of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from ssl import SSLContext
from typing import Any

import msgspec

from backstream.dialects.base import StreamParser
from backstream.errors import ContentTypeError, IncompleteStream
from backstream.options import CallOptions
from backstream.reply import Block, has_content
from backstream.transport.session import StreamResponse, StreamSession
from backstream.wire.http import Body

__all__ = ["BackendSpec", "HTTPSource", "open_source"]

_STREAM_TYPES = frozenset(
    {"", "text/event-stream", "application/x-ndjson", "application/jsonl", "application/json", "text/plain"}
)


class BackendSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Where a back-end is, frozen for one call.

    Attributes:
        name: The provider's name, for logs.
        url: Scheme, host and port, and perhaps a path; no trailing slash.
        headers: Header fields of every request.
        ssl: ``None`` verifies by the operating system's trust store, ``False`` does not verify; a context or the path
            of a CA file verify by that.
    """

    name: str
    url: str
    headers: Mapping[str, str] = {}
    ssl: SSLContext | str | PathLike[str] | bool | None = None

    def __repr__(self) -> str:
        return f"<BackendSpec {self.name} headers={list(self.headers)}>"


class HTTPSource:
    """One running answer; a :class:`backstream.providers.result.BlockSource`."""

    __slots__ = ("_parser", "_response", "_watched")

    def __init__(self, response: StreamResponse, parser: StreamParser, *, watched: bool) -> None:
        self._response = response
        self._parser = parser
        self._watched = watched

    async def read_block(self) -> Block:
        """Parse what one read of the socket brought."""
        data = await self._response.read_block()
        if not data:
            return self._parser.finish(framed=self._response.framing in ("chunked", "length"))
        block = self._parser.feed(data)
        if self._watched and has_content(block):
            self._response.note_content()
        return block

    def abort(self) -> None:
        """Close the connection now."""
        self._response.abort()

    async def aclose(self) -> None:
        """Return the connection to its pool where the answer was read to its end, else close it."""
        await self._response.aclose()


async def open_source(
    spec: BackendSpec, path: str, body: Body, parser: StreamParser, options: CallOptions
) -> HTTPSource:
    """POST a request and check that the answer can be a stream.

    Raises:
        ProviderError: See :mod:`backstream.errors`: not connected, refused, redirected, of another content type.
    """
    headers: dict[str, Any] = {"Accept": "text/event-stream", "Content-Type": "application/json", **spec.headers}
    session = StreamSession(headers=headers, proxy=options.proxy, ssl=spec.ssl, deadlines=options.deadlines)
    response = await session.post(
        spec.url + path,
        data=body,
        headers=dict(options.extra_headers),
        params=dict(options.extra_query),
        on_progress=options.on_progress,
    )
    try:
        await _check_answer(response)
    except BaseException:
        response.abort()
        raise
    deadlines = options.deadlines
    watched = deadlines.first_content is not None or deadlines.between_content is not None
    return HTTPSource(response, parser, watched=watched)


async def _check_answer(response: StreamResponse) -> None:
    if not response.ok:
        raise await response.refusal()
    if response.status in (204, 205):
        raise IncompleteStream(f"the back-end answered {response.status}, without an answer")
    content_type = response.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _STREAM_TYPES:
        raise ContentTypeError(content_type, await response.snippet())
