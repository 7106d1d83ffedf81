"""One answer as its reader sees it: status, headers, and a body read block by block. Knows no dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Self

from backstream.errors import (
    ContentTypeError,
    DecodeError,
    IncompleteStream,
    MisuseError,
    RedirectError,
    RefusedError,
    TooLargeError,
)
from backstream.transport.answer import Answer, Framing
from backstream.transport.connection import Connection
from backstream.transport.content import charset_of
from backstream.wire.encoding import ContentDecoder, make_decoder
from backstream.wire.http import Headers, media_type
from backstream.wire.json_text import decode_json
from backstream.wire.lines import LineAssembler
from backstream.wire.sse import SSEDecoder
from backstream.wire.status import describe, redact, refusal_for

__all__ = ["MAX_TEXT_BYTES", "StreamResponse"]

MAX_TEXT_BYTES = 64 * 1024 * 1024
"""Cap of a body read whole."""

_REFUSAL_BYTES = 64 * 1024
_GATHER_SECONDS = 5.0


class StreamResponse:
    """The answer to a request of a :class:`StreamSession`.

    Use it as ``async with session.post(…) as response:``; leaving that early closes the connection, leaving it after
    the end returns the connection to its pool. A response that is dropped closes its connection too.

    Attributes:
        status: The HTTP status.
        reason: The reason phrase.
        url: The URL that answered, without user information.
        framing: How the end of the body is told: ``chunked``, ``length``, ``close`` (by the end of the connection, so
            that a body cut short looks whole; also where its end was waited for no longer, see :meth:`linger`) or
            ``none`` (no body).
        secrets: Gives the values of the request's header fields that no error may show.
    """

    __slots__ = (
        "__weakref__",
        "_answer",
        "_blocks",
        "_closed",
        "_connection",
        "_decoder",
        "_headers",
        "_max_line_bytes",
        "_release",
        "framing",
        "reason",
        "secrets",
        "status",
        "url",
    )

    def __init__(
        self,
        connection: Connection,
        answer: Answer,
        *,
        url: str,
        release: Callable[[Connection, Answer], None],
        max_line_bytes: int,
        secrets: Callable[[], Iterable[str]],
    ) -> None:
        self._connection: Connection | None = connection
        self._answer = answer
        self._blocks = answer.blocks
        self._headers: Headers | None = None
        self._release = release
        self._max_line_bytes = max_line_bytes
        self.secrets = secrets
        self._decoder: ContentDecoder | None = None
        self._closed = False
        self.status: int = answer.status
        self.reason: str = answer.reason
        self.framing: Framing = answer.framing
        self.url = url

    def __repr__(self) -> str:
        return f"<StreamResponse {self.status} framing={self.framing}>"

    @property
    def ok(self) -> bool:
        """Whether the status is one of success (2xx)."""
        return 200 <= self.status < 300

    @property
    def headers(self) -> Headers:
        """The header fields, by names of any case."""
        if self._headers is None:
            self._headers = self._answer.headers
        return self._headers

    # --- reading ----------------------------------------------------------------------------------------------------

    async def read_block(self) -> bytes:
        """Return all bytes of the body that have arrived, waiting for some where there are none.

        Returns:
            At least one byte; ``b""`` at the end of the body, which is reached only where the framing says so.

        Raises:
            IncompleteStream: The connection ended before the body did. All bytes before that have been returned.
            DeadlineError: A clock ran out.
            FramingError: The body is badly framed.
            MisuseError: The response is closed, or another task is reading it.
        """
        blocks = self._blocks
        connection = self._connection
        while True:
            if not blocks:
                if connection is None or connection.ended:
                    return self._end()
                if connection.is_read():
                    raise MisuseError("the response is being read by another task")
                try:
                    await connection.arrival()
                except BaseException:  # a cancelled reader must not leave the connection open
                    self.abort()
                    raise
                continue
            block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            blocks.clear()
            if connection is not None:
                connection.taken()
            if self._decoder is None:
                return block
            block = self._decode(block)
            if block:
                return block

    async def pump(self, take: Callable[[bytes], bool]) -> None:
        """Give pieces of the body to ``take`` as they arrive, without waking this task for each.

        Returns when ``take`` has had enough, when the body is over or has failed, and where there is something that
        only :meth:`read_block` can give: call that next.

        Args:
            take: Takes a piece; ``False`` ends this. It must not raise.

        Raises:
            MisuseError: Another task is reading the response.
        """
        connection, blocks = self._connection, self._blocks
        if connection is None or connection.ended or blocks or self._decoder is not None:
            return
        if connection.is_read():
            raise MisuseError("the response is being read by another task")

        def take_all() -> bool:
            block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            blocks.clear()
            return take(block)

        try:
            await connection.pump(take_all)
        except BaseException:  # a cancelled reader must not leave the connection open
            self.abort()
            raise

    def _end(self) -> bytes:
        connection = self._connection
        if connection is None:
            if self._closed:
                raise MisuseError("the response is closed")
            return b""
        if connection.error is not None:
            raise connection.error
        if not self._answer.complete:  # it was waited for no longer
            self.framing = "close"
        elif self._decoder is not None:
            self._decoder.finish()
        self._connection = None
        self._release(connection, self._answer)
        return b""

    def start_decoding(self) -> None:
        """Undo the Content-Encoding, where there is one.

        Raises:
            DecodeError: It is not known here.
        """
        self._decoder = make_decoder(self.headers.get("content-encoding", ""))

    def _decode(self, block: bytes) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.feed(block)
        except (DecodeError, TooLargeError):
            self.abort()
            raise

    def note_content(self) -> None:
        """Tell the clocks ``first_content`` and ``between_content`` that real content came."""
        if self._connection is not None:
            self._connection.note_content()

    def linger(self, *, on: bool = True) -> None:
        """Tell the clocks that the answer is whole by what its body says, and only the end of the body is missing.

        It is waited for a short while more, whatever keep-alives come; then :meth:`read_block` gives ``b""`` as at an
        end, with ``framing`` ``close``, and the connection is closed.

        Args:
            on: ``False`` takes that back: the body went on.
        """
        if self._connection is not None:
            self._connection.linger(on=on)

    async def iter_content(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body, a block at a time, as it arrives; every block counts as content.

        Raises:
            ProviderError: As :meth:`read_block`.
        """
        while block := await self.read_block():
            self.note_content()
            yield block

    async def iter_lines(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the lines of the body, without LF or CRLF; blank lines are ``b""``.

        A last line without line end is given too; a byte order mark at the start is not.

        Raises:
            TooLargeError: A line is longer than ``max_line_bytes``.
            ProviderError: As :meth:`read_block`.
        """
        assembler = LineAssembler(bare_cr=False)
        while block := await self.read_block():
            self.note_content()
            whole = assembler.feed(block)
            if whole:
                lines = whole.split(b"\n")
                lines.pop()
                for line in lines:
                    self._check_line(len(line))
                    yield line.removesuffix(b"\r")
            self._check_line(assembler.rest_size)
        if assembler.rest_size:
            yield assembler.rest.removesuffix(b"\r")

    def _check_line(self, size: int) -> None:
        if size > self._max_line_bytes:
            self.abort()
            raise TooLargeError("line", self._max_line_bytes, setting="max_line_bytes")

    async def sse(self) -> AsyncGenerator[Any, None]:
        """Iterate over the data of server-sent events, each decoded as JSON, up to ``[DONE]``.

        Raises:
            RefusedError: The status is not 200.
            ContentTypeError: The body is no event stream.
            DecodeError: Data that are no JSON; the error names the event's index.
            IncompleteStream: The body ended inside an event, or, without framing, before ``[DONE]``.
            ProviderError: As :meth:`read_block`.
        """
        await self._check_event_stream()
        decoder = SSEDecoder(max_line_bytes=self._max_line_bytes, max_event_bytes=self._max_line_bytes)
        index = 0
        while block := await self.read_block():
            for event in decoder.feed(block):
                if event.data == "[DONE]":
                    self._discard()
                    return
                self.note_content()
                yield decode_json(event.data, index=index)
                index += 1
            if decoder.failure is not None:
                raise decoder.failure
        decoder.finish()
        if decoder.pending or self.framing == "close":
            raise IncompleteStream("the event stream ended without its end being told")

    async def _check_event_stream(self) -> None:
        if not self.ok:
            self.raise_for_status()
        if self.status != 200:
            self._discard()
            raise RefusedError(
                f"an answer of status {self.status} holds no event stream", status=self.status, phase="headers"
            )
        content_type = self.headers.get("content-type", "")
        if media_type(content_type) != "text/event-stream":
            raise ContentTypeError(content_type, await self.snippet())

    async def text(self, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
        """Read the whole body as text, by the charset it claims, else UTF-8; bad bytes become U+FFFD.

        Args:
            max_bytes: Cap in bytes (default 64 MiB).

        Raises:
            TooLargeError: The body is larger.
            ProviderError: As :meth:`read_block`.
        """
        return (await self._read_whole(max_bytes)).decode(charset_of(self.headers.get("content-type", "")), "replace")

    async def json(self, *, max_bytes: int = MAX_TEXT_BYTES) -> Any:
        """Read the whole body as JSON.

        Args:
            max_bytes: Cap in bytes (default 64 MiB).

        Raises:
            DecodeError: The body is no JSON.
            TooLargeError: The body is larger.
            ProviderError: As :meth:`read_block`.
        """
        return decode_json(await self._read_whole(max_bytes))

    async def _read_whole(self, max_bytes: int) -> bytes:
        blocks, size = [], 0
        while block := await self.read_block():
            self.note_content()
            blocks.append(block)
            size += len(block)
            if size > max_bytes:
                self.abort()
                raise TooLargeError("body", max_bytes, setting="max_bytes")
        return b"".join(blocks)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def raise_for_status(self) -> None:
        """Raise the error that the status stands for, unless it is one of success; the response is then closed.

        Raises:
            RefusedError: Its subclass for the status, with the back-end's words.
            RedirectError: The status is a redirect that carries no target to follow.
        """
        if self.ok:
            return
        if self.status < 400:
            self._discard()
            raise RedirectError(f"unexpected status {self.status}", status=self.status)
        raise self._refusal()

    async def refusal(self) -> RefusedError:
        """Return the error that this answer stands for, with the words of its body; the response is then closed."""
        await self.gather()
        return self._refusal()

    def _refusal(self) -> RefusedError:
        body = self._peek(_REFUSAL_BYTES)
        self._discard()
        return refusal_for(self.status, self.headers, body, now=time.time(), secrets=self.secrets())

    async def snippet(self) -> str:
        """Return up to 200 characters of a body that is not what was asked for, without markup, keys and data URIs.

        Waits for a block of it, at most some seconds; the response is then closed.
        """
        await self.gather(1)
        words, _ = describe(self.headers.get("content-type", ""), self._peek(8192))
        self._discard()
        return redact(words, self.secrets())[:200]

    async def gather(self, enough_bytes: int = _REFUSAL_BYTES) -> None:
        """Wait, at most some seconds, until the body is whole or ``enough_bytes`` of it are here; takes nothing."""
        connection = self._connection
        try:
            async with asyncio.timeout(_GATHER_SECONDS):
                while (
                    connection is not None
                    and not connection.ended
                    and sum(len(block) for block in self._blocks) < enough_bytes
                ):
                    await connection.arrival()
        except TimeoutError:
            return
        except BaseException:  # a cancelled reader must not leave the connection open
            self.abort()
            raise

    def _peek(self, limit: int) -> bytes:
        body = b"".join(self._blocks)[:limit]
        try:
            decoder = make_decoder(self.headers.get("content-encoding", ""))
            return body if decoder is None else decoder.feed(body)[:limit]
        except (DecodeError, TooLargeError):
            return b""

    # --- closing ----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the response: the connection goes back to its pool where the answer is whole, else it is closed."""
        self._discard()

    def leave(self) -> None:
        """Leave an answer that has said its last word: its connection is kept if the body ends soon, else closed."""
        connection = self._connection
        if connection is None or connection.ended:
            self._discard()
            return
        self._connection = None
        self._closed = True
        self._blocks.clear()
        release, answer = self._release, self._answer
        connection.leave(lambda: release(connection, answer))

    def abort(self) -> None:
        """Close the connection at once. Safe in finalizers and in other threads."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._closed = True
            self._blocks.clear()
            connection.abort_soon()

    def _discard(self) -> None:
        connection = self._connection
        if connection is not None and connection.reusable:
            self._connection = None
            self._closed = True
            self._blocks.clear()
            self._release(connection, self._answer)
        else:
            self.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._discard()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.abort()
