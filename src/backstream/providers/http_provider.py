"""A dialect and a transport, joined: one answer over HTTP, as a source of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from ssl import SSLContext
from typing import Any

import msgspec

from backstream.dialects.base import StreamParser
from backstream.errors import ContentTypeError, IncompleteStream, RefusedError
from backstream.options import CallOptions
from backstream.reply import Block, End, has_content
from backstream.transport.exchange import secret_texts
from backstream.transport.session import StreamResponse, StreamSession
from backstream.wire.status import redact
from backstream.wire.http import Body

__all__ = ["BackendSpec", "HTTPSource", "open_source"]

_STREAM_TYPES = frozenset(
    {"", "text/event-stream", "application/x-ndjson", "application/jsonl", "application/json", "text/plain"}
)


Secrets = Callable[[], Iterable[str]]
"""Gives texts that no error may show."""


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

    __slots__ = ("_parser", "_response", "_secrets", "_watched")

    def __init__(self, response: StreamResponse, parser: StreamParser, *, watched: bool, secrets: Secrets) -> None:
        self._response = response
        self._parser = parser
        self._watched = watched
        self._secrets = secrets

    async def read_block(self) -> Block:
        """Parse what one read of the socket brought."""
        data = await self._response.read_block()
        if data:
            block = self._parser.feed(data)
        else:
            block = self._parser.finish(framed=self._response.framing in ("chunked", "length"))
        if block and isinstance(last := block[-1], End):
            _blot_out(last.error, self._secrets)
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
    spec: BackendSpec, path: str, body: Body, parser: StreamParser, options: CallOptions, *, body_secrets: Secrets
) -> HTTPSource:
    """POST a request and check that the answer can be a stream.

    Args:
        spec: Where the back-end is.
        path: What to append to its URL.
        body: The request's body.
        parser: What parses the answer.
        options: The local options of the call.
        body_secrets: Gives the keys in the body; they, and those in the header, are blotted out of whatever error the
            back-end puts them into.

    Raises:
        ProviderError: See :mod:`backstream.errors`: not connected, refused, redirected, of another content type.
    """
    fields = [*spec.headers.items(), *options.extra_headers.items()]

    def secrets() -> Iterable[str]:
        yield from body_secrets()
        yield from secret_texts(fields)

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
    except BaseException as error:
        response.abort()
        _blot_out(error, secrets)
        raise
    deadlines = options.deadlines
    watched = deadlines.first_content is not None or deadlines.between_content is not None
    return HTTPSource(response, parser, watched=watched, secrets=secrets)


def _blot_out(error: BaseException | None, secrets: Secrets) -> None:
    """Take secrets, data URIs and whatever looks like a key out of the back-end's words on an error."""
    if not isinstance(error, RefusedError | ContentTypeError | IncompleteStream):
        return
    texts = sorted(filter(None, secrets()), key=len, reverse=True)
    error.problem = _blot_end(redact(error.problem, texts), texts)
    error.args = (error.problem,)
    if isinstance(error, RefusedError) and error.kind:
        error.kind = redact(error.kind, texts)


def _blot_end(text: str, secrets: Iterable[str]) -> str:
    """Take the begin of a secret off the end of a text that was cut in it."""
    said = text.removesuffix("…")
    if said != text:
        for secret in secrets:
            for size in range(len(secret) - 1, 3, -1):
                if said.endswith(secret[:size]):
                    return said[:-size] + "…"
    return text


async def _check_answer(response: StreamResponse) -> None:
    if not response.ok:
        raise await response.refusal()
    if response.status in (204, 205):
        raise IncompleteStream(f"the back-end answered {response.status}, without an answer")
    content_type = response.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _STREAM_TYPES:
        raise ContentTypeError(content_type, await response.snippet())
