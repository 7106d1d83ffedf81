"""A dialect and a transport, joined: one answer over HTTP, as a source of blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from ssl import SSLContext
from typing import Any

import msgspec

from backstream.credentials import Secret
from backstream.dialects.base import StreamParser
from backstream.dialects.relay import FrameRelay
from backstream.errors import ContentTypeError, IncompleteStream, ProviderError, RefusedError
from backstream.options import CallOptions
from backstream.providers.recorder import StreamLabel, TapedResponse, current_recorder
from backstream.providers.service import parse_service
from backstream.reply import Block, End, Service, has_content
from backstream.request.receipts import Receipt
from backstream.transport.exchange import secret_texts
from backstream.transport.session import StreamResponse, StreamSession
from backstream.wire.http import Body, media_type
from backstream.wire.status import redact

__all__ = [
    "BackendSpec",
    "HTTPSource",
    "ParseError",
    "Secrets",
    "blot_out",
    "blotting",
    "open_source",
    "reread",
    "secrets_of",
]

_STREAM_TYPES = frozenset(
    {"", "text/event-stream", "application/x-ndjson", "application/jsonl", "application/json", "text/plain"}
)


Secrets = Callable[[], Iterable[str]]
"""Gives texts that no error may show."""

ParseError = Callable[[int | None, Mapping[str, str], bytes], ProviderError]
"""Reads a refusal: see :meth:`backstream.dialects.base.Dialect.parse_error`."""

_ACCEPT = "text/event-stream"
_SHORTEST_SECRET = 8


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
    headers: Mapping[str, str | Secret] = {}
    ssl: SSLContext | str | PathLike[str] | bool | None = None

    def __repr__(self) -> str:
        return f"<BackendSpec {self.name} headers={list(self.headers)}>"


class HTTPSource:
    """One running answer; a :class:`backstream.providers.result.BlockSource`.

    Attributes:
        receipts: What became of each parameter of the request.
        relay: What keeps the frames of the answer; ``None`` where nobody passes them on.
        service: What the back-end's header fields said.
    """

    __slots__ = (
        "_kept",
        "_lingers",
        "_parser",
        "_response",
        "_said_done",
        "_secrets",
        "_watched",
        "receipts",
        "relay",
        "service",
    )

    def __init__(
        self, response: StreamResponse | TapedResponse, parser: StreamParser, *, watched: bool, secrets: Secrets
    ) -> None:
        self.receipts: tuple[Receipt, ...] = ()
        self.relay: FrameRelay | None = None
        self.service: Service | None = None
        self._response = response
        self._parser = parser
        self._said_done = False
        self._lingers = False
        self._kept: Block = []
        self._watched = watched
        self._secrets = secrets

    async def read_block(self) -> Block:
        """Parse what one read of the socket brought."""
        if self._kept:
            block, self._kept = self._kept, []
            return block
        try:
            data = await self._response.read_block()
        except ProviderError as error:
            blot_out(error, self._secrets)
            raise
        return self._parse(data)

    def _parse(self, data: bytes) -> Block:
        if data:
            block = self._parser.feed(data)
            if (self._lingers or self._parser.finished) and not (block and isinstance(block[-1], End)):
                self._near_the_end(block)
        else:
            block = self._parser.finish(framed=self._response.framing in ("chunked", "length"))
        if block and isinstance(last := block[-1], End):
            blot_out(last.error, self._secrets)
        if self._watched and has_content(block):
            self._response.note_content()
        return block

    def _near_the_end(self, block: Block) -> None:
        """End a whole answer where nothing can follow; where something can, wait no longer for it than a while."""
        if self._parser.done:
            block += self._parser.finish(framed=False)
            self._said_done = True
        elif self._parser.finished is not self._lingers:
            self._lingers = self._parser.finished
            self._response.linger(on=self._lingers)

    async def pump(self, take: Callable[[Block], bool]) -> None:
        """Give blocks to ``take`` as they arrive, without waking this task for each.

        Returns when ``take`` has had enough, and before the end: :meth:`read_block` goes on from there.

        Args:
            take: Takes a block; ``False`` ends this.

        Raises:
            Exception: Whatever ``take`` does.
        """
        failure: BaseException | None = None

        def parse(data: bytes) -> bool:
            nonlocal failure
            try:
                block = self._parse(data)
                if block and isinstance(block[-1], End):
                    self._kept = block
                    return False
                return take(block)
            except BaseException as error:  # noqa: BLE001 - raised below: a callback of the loop has nobody to tell
                failure = error
                return False

        if not self._kept:
            await self._response.pump(parse)
        if failure is not None:
            raise failure

    def abort(self) -> None:
        """Close the connection now."""
        self._response.abort()

    async def aclose(self) -> None:
        """Return the connection to its pool where the answer was read to its end, else close it."""
        if self._said_done:  # the end of the body may still be on its way
            self._response.leave()
        else:
            await self._response.aclose()


async def open_source(
    spec: BackendSpec,
    path: str,
    body: Body,
    parser: StreamParser | Callable[[str], StreamParser],
    options: CallOptions,
    *,
    query: Mapping[str, str] = {},
    body_secrets: Secrets = tuple,
    parse_error: ParseError | None = None,
    label: StreamLabel | None = None,
) -> HTTPSource:
    """POST a request and check that the answer can be a stream.

    Args:
        spec: Where the back-end is.
        path: What to append to its URL.
        body: The request's body.
        parser: What parses the answer; or what makes that, given the answer's media type.
        options: The local options of the call.
        query: Parameters of the URL; those of ``options`` are added.
        parse_error: Reads a refusal in the back-end's dialect; ``None`` goes by its status.
        body_secrets: Gives the keys in the body; they, and those in the header, are blotted out of whatever error the
            back-end puts them into.
        label: What a recording says of the answer; ``None`` for one that is never recorded.

    Raises:
        ProviderError: See :mod:`backstream.errors`: not connected, refused, redirected, of another content type.
    """
    sent_query = {**query, **options.extra_query}
    secrets = secrets_of([*spec.headers.items(), *options.extra_headers.items()], sent_query, body_secrets)
    headers: dict[str, Any] = {"Accept": _ACCEPT, "Content-Type": "application/json", **spec.headers}
    session = StreamSession(headers=headers, proxy=options.proxy, ssl=spec.ssl, deadlines=options.deadlines)
    with blotting(secrets):
        response = await session.post(
            spec.url + path,
            data=body,
            headers=dict(options.extra_headers),
            params=sent_query,
            on_progress=options.on_progress,
        )
        try:
            await _check_answer(response, parse_error)
            if callable(parser):
                parser = parser(media_type(response.headers.get("content-type", "")))
        except BaseException:  # also a cancelled caller must not leave the connection open
            response.abort()
            raise
    deadlines = options.deadlines
    watched = deadlines.first_content is not None or deadlines.between_content is not None
    recorder = current_recorder() if label is not None else None
    taped = (
        response if recorder is None or label is None else recorder.record(response, spec.name, path, label, secrets)
    )
    source = HTTPSource(taped, parser, watched=watched, secrets=secrets)
    source.service = _blot_service(parse_service(spec.name, response.headers), secrets)
    return source


def reread(refusal: RefusedError, response: StreamResponse, parse_error: ParseError) -> ProviderError:
    """Read a refusal again, in the back-end's dialect; how long to wait was read with the clock at hand."""
    error = parse_error(response.status, response.headers, refusal.body)
    if isinstance(error, RefusedError) and refusal.retry_after_seconds is not None:
        error.retry_after_seconds = refusal.retry_after_seconds
    return error


def blot_out(error: BaseException | None, secrets: Secrets) -> None:
    """Take secrets out of an error's text; out of the back-end's words also data URIs and whatever looks like a key."""
    if not isinstance(error, ProviderError):
        return
    texts = sorted(filter(None, secrets()), key=len, reverse=True)
    quotes = isinstance(error, RefusedError | ContentTypeError | IncompleteStream)
    error.problem = _blot_end(redact(error.problem, texts), texts) if quotes else _blot(error.problem, texts)
    error.args = (error.problem,)
    if isinstance(error, RefusedError) and error.kind:
        error.kind = redact(error.kind, texts)
    elif isinstance(error, ContentTypeError):
        error.content_type = _blot(error.content_type, texts)


@contextlib.contextmanager
def blotting(secrets: Secrets) -> Iterator[None]:
    """Blot secrets out of whatever error leaves the block; see :func:`blot_out`."""
    try:
        yield
    except ProviderError as error:
        blot_out(error, secrets)
        raise


def secrets_of(headers: Iterable[tuple[str, str | Secret]], query: Mapping[str, Any], more: Secrets = tuple) -> Secrets:
    """Return what gives the secrets of a request: those of its header fields, and keys in its URL's parameters."""

    def secrets() -> Iterable[str]:
        yield from more()
        yield from secret_texts(headers)
        for text in secret_texts((name, str(value)) for name, value in query.items()):
            if len(text) >= _SHORTEST_SECRET:  # max_tokens=5 is none
                yield text

    return secrets


def _blot(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return text


def _blot_service(service: Service, secrets: Secrets) -> Service:
    """Take secrets out of what a back-end's header fields say."""
    texts = sorted(filter(None, secrets()), key=len, reverse=True)
    limits = tuple(
        msgspec.structs.replace(limit, what=_blot(limit.what, texts), reset=limit.reset and _blot(limit.reset, texts))
        for limit in service.rate_limits
    )
    request_id = service.request_id and _blot(service.request_id, texts)
    return msgspec.structs.replace(service, request_id=request_id, rate_limits=limits)


def _blot_end(text: str, secrets: Iterable[str]) -> str:
    """Take the begin of a secret off the end of a text that was cut in it."""
    said = text.removesuffix("…")
    if said != text:
        for secret in secrets:
            for size in range(len(secret) - 1, 3, -1):
                if said.endswith(secret[:size]):
                    return said[:-size] + "…"
    return text


async def _check_answer(response: StreamResponse, parse_error: ParseError | None) -> None:
    if not response.ok:
        refusal = await response.refusal()
        raise refusal if parse_error is None else reread(refusal, response, parse_error)
    if response.status in (204, 205):
        raise IncompleteStream(f"the back-end answered {response.status}, without an answer")
    content_type = response.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _STREAM_TYPES:
        raise ContentTypeError(content_type, await response.snippet())
