"""One HTTP/1.x answer, parsed as its bytes arrive. No socket, no clock; knows nothing of what the body means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import httptools

from backstream.errors import FramingError, ProviderError, TooLargeError
from backstream.wire.http import Headers

__all__ = ["MAX_FIELDS", "MAX_HEAD_BYTES", "Answer", "Framing"]

Framing = Literal["chunked", "length", "close", "none"]
"""How the end of a body is told: by its last chunk, its length, the end of the connection; or there is no body."""

MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 200


class _StopError(Exception):
    """Makes the parser stop; why is on the answer."""


class Answer:
    """The answer to one request.

    Args:
        method: The request's method; an answer to ``HEAD`` has no body whatever its head says.

    Attributes:
        status: The status, 0 until the whole head is there; interim answers (1xx) are passed over.
        reason: The reason phrase.
        fields: Header fields in order.
        framing: How the body ends.
        blocks: Pieces of the body that nobody has taken yet; the reader clears the list.
        complete: The message has come to the end that its framing announced.
        keep_alive: The server lets the connection be used again.
        surplus: Bytes came after the end of the message.
        begun: At least one byte has come.
    """

    __slots__ = (
        "_fault",
        "_head_bytes",
        "_method",
        "_named",
        "_parser",
        "_pending_fields",
        "_pending_reason",
        "begun",
        "blocks",
        "complete",
        "fields",
        "framing",
        "keep_alive",
        "on_body",
        "reason",
        "status",
        "surplus",
    )

    def __init__(self, method: str) -> None:
        self._method = method
        self.status = 0
        self.reason = ""
        self.fields: list[tuple[str, str]] = []
        self.framing: Framing = "none"
        self.blocks: list[bytes] = []
        self.complete = False
        self.keep_alive = False
        self.surplus = False
        self.begun = False
        self._head_bytes = 0
        self._named = False
        self._pending_fields: list[tuple[str, str]] = []
        self._pending_reason = b""
        self._fault: ProviderError | None = None
        # The parser looks its callbacks up once; body pieces go into the list without a Python frame between.
        self.on_body: Callable[[bytes], None] = self.blocks.append
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def headers(self) -> Headers:
        """The header fields as a mapping."""
        return Headers(self.fields)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the connection.

        Raises:
            FramingError: They are no HTTP answer.
            TooLargeError: The head is larger than 64 KiB or has more than 200 fields.
        """
        self.begun = True
        parser = self._parser
        if parser is None:
            self.surplus = True
            return
        if not self.status:
            self._head_bytes += len(data)
            # The parser would take an RTSP or ICE answer too. Blank lines before an answer are no harm (RFC 9112 §2.2).
            if not self._named and (start := bytes(data).lstrip(b"\r\n")):
                self._named = True
                if not start.startswith(b"H"):
                    self._parser = None
                    raise FramingError("malformed HTTP answer: it does not begin with HTTP/", phase="headers")
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._parser = None
            if self.complete:
                self.surplus = True
                return
            raise self._explain(error) from None
        if not self.status and self._head_bytes > MAX_HEAD_BYTES:
            self._parser = None
            raise TooLargeError("answer head", MAX_HEAD_BYTES, phase="headers")

    def release(self) -> None:
        """Let go of the parser; it and the answer hold each other, and nothing more will be fed."""
        self._parser = None

    def _explain(self, error: Exception) -> ProviderError:
        if self._fault is not None:
            return self._fault
        phase: Literal["headers", "body"] = "body" if self.status else "headers"
        return FramingError(f"malformed HTTP answer: {error.args[0] if error.args else 'unknown'}", phase=phase)

    def _stop(self, fault: ProviderError | None = None) -> _StopError:
        self._fault = fault
        return _StopError()

    # --- called by the parser ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:  # noqa: D102 - the parser's names
        if self.complete:
            raise self._stop()

    def on_status(self, reason: bytes) -> None:  # noqa: D102
        self._pending_reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        if self.status:  # a trailer: counted, then dropped
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > 2 * MAX_HEAD_BYTES:
                raise self._stop(TooLargeError("answer trailers", MAX_HEAD_BYTES))
            return
        fields = self._pending_fields
        fields.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))
        if len(fields) > MAX_FIELDS:
            raise self._stop(FramingError(f"answer head with more than {MAX_FIELDS} fields", phase="headers"))

    def on_headers_complete(self) -> None:  # noqa: D102
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        fields, self._pending_fields = self._pending_fields, []
        reason, self._pending_reason = self._pending_reason, b""
        if sum(len(name) + len(value) + 4 for name, value in fields) + len(reason) > MAX_HEAD_BYTES:
            raise self._stop(TooLargeError("answer head", MAX_HEAD_BYTES, phase="headers"))
        if 100 <= status < 200:
            if status == 101:
                raise self._stop(FramingError("answer switches protocols, which was not asked for", phase="headers"))
            return
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"} or status < 200:
            raise self._stop(FramingError(f"answer of HTTP version {version}, status {status}", phase="headers"))
        self.fields = fields
        self.framing = self._find_framing(status, version)
        self.reason = reason.decode("latin-1")
        self.keep_alive = parser.should_keep_alive() and self.framing != "close"
        self.status = status
        if self._method == "HEAD":
            # The parser cannot be told that no body follows; so it is stopped, and the connection with it.
            self.keep_alive = False
            self.complete = True
            raise self._stop()

    def _find_framing(self, status: int, version: str) -> Framing:
        if self._method == "HEAD" or status in {204, 304}:
            return "none"
        codings = [value for name, value in self.fields if name.lower() == "transfer-encoding"]
        if codings:
            # RFC 9112 §6.1: a server must not send Transfer-Encoding to or as HTTP/1.0, and we ask for no coding.
            if [coding.strip().lower() for coding in codings] != ["chunked"] or version == "1.0":
                raise self._stop(FramingError("answer with a transfer coding that was not asked for", phase="headers"))
            return "chunked"
        return "length" if any(name.lower() == "content-length" for name, _ in self.fields) else "close"

    def on_message_complete(self) -> None:  # noqa: D102
        if self.status:
            self.complete = True
