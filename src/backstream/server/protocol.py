"""HTTP/1.1 on one connection: uvicorn's protocol, with the guards it lacks against slow, huge and malformed requests.

Uvicorn waits for ever for the rest of a request head, keeps a head of any size, and leaves a client that reads nothing
connected. Knows nothing of routes or providers.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backstream.server.asgi import PUSH, Message, Receive, Scope, Send

__all__ = ["ConnectionLimits", "GuardedProtocol"]

_LOGGER: Final = logging.getLogger("backstream.server.http")
_HOST: Final = re.compile(rb"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one connection.

    Attributes:
        max_head_bytes: Cap on a request head, above it 431; and on what comes between two pieces of a body, and behind
            the last one. Default 64 KiB.
        max_fields: Cap on the number of header fields. Default 200.
        head_seconds: From the connection, or the first byte of a further request, to the whole head. Default 10.
        stall_seconds: How long a client may take no byte of an answer that waits for it. Default 300.
        drain_seconds: How long the rest of a refused body is read and dropped, so that the client sees the answer.
            Default 2.
        max_connections: Connections at the same time; one more is answered with 503. Default 2,000.
    """

    max_head_bytes: int = 64 * 1024
    max_fields: int = 200
    head_seconds: float = 10.0
    stall_seconds: float = 300.0
    drain_seconds: float = 2.0
    max_connections: int = 2000


class _MalformedHead(Exception):
    """Leaves the parser's callback; the refusal is kept on the protocol."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection of the server.

    Args:
        config: Uvicorn's, loaded.
        server_state: Uvicorn's: the connections and tasks of one listener.
        limits: See :class:`ConnectionLimits`.
        on_gone: Called when the connection is gone.
    """

    def __init__(
        self, config: Config, server_state: ServerState, limits: ConnectionLimits, on_gone: Callable[[], None]
    ) -> None:
        super().__init__(config, server_state, {})
        self.logger = _LOGGER  # uvicorn's own loggers print where nobody has set them up
        self.access_log = False
        self.limits = limits
        self._on_gone = on_gone
        self._in_head = True
        self._lingers = False
        self._answering: RequestResponseCycle | None = None
        self._steps = 0  # heads, pieces of bodies and ends of messages
        self._overhead_bytes = 0  # since the last of these
        self._refusal = (400, "Malformed request")
        self.parser: Any  # uvicorn's annotation is lost where it forgets its parser
        self._clock: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.limits.max_connections:
            self._refuse(503, "Too many connections")
            return
        self._set_clock(self.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every clock."""
        self._stop_clock()
        self._stop_stall()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self._answering is not None:  # uvicorn tells the last request only, which may still wait for its turn
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._on_gone()

    def pause_writing(self) -> None:
        """Give a client that reads nothing a limited time."""
        super().pause_writing()
        self._watch_stall()

    def _watch_stall(self) -> None:
        self._stop_stall()
        waiting_bytes = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.limits.stall_seconds, self._end_stall, waiting_bytes)

    def _end_stall(self, waiting_bytes: int) -> None:
        if self.transport.get_write_buffer_size() < waiting_bytes:
            self._watch_stall()
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        """Let a client that reads again live."""
        self._stop_stall()
        super().resume_writing()

    def _set_clock(self, seconds: float) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(seconds, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # --- requests

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, with an eye on the size and age of an unfinished head."""
        if self.transport.is_closing():
            return
        if self._in_head and self._clock is None and self._answering is None:
            self._set_clock(self.limits.head_seconds)
        steps = self._steps
        super().data_received(data)
        if steps == self._steps and not self.transport.is_closing():
            self._overhead_bytes += len(data)
            if self._overhead_bytes > self.limits.max_head_bytes:
                self._refuse(431, "Request head too large")

    def _note_step(self) -> None:
        self._steps += 1
        self._overhead_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; a trailer field is dropped.

        Source: RFC 9112, section 7.1.2: a trailer field must not be merged into the header fields.
        """
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head as a whole, then start its request."""
        self._stop_clock()
        self._note_step()
        if self._lingers:
            raise _MalformedHead
        self._check_head()
        self._in_head = False
        self._date_answers()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser takes nothing that follows for HTTP

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._note_step()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the head of a further request."""
        self._note_step()
        super().on_message_complete()
        self._in_head = True
        if self.cycle.response_complete:
            self._stop_clock()  # the rest of a refused body has passed
        if self._lingers:
            self.transport.close()

    def linger(self, cycle: RequestResponseCycle) -> None:
        """Do not close with the end of this answer, because the body of its request still arrives.

        Source: RFC 9112, section 9.6: closing then would reset the connection, and the client might never read why.
        """
        cycle.keep_alive = True
        self._lingers = True

    def on_response_complete(self) -> None:
        """Read what is left of a body that was refused, for a short while; or go on with the next head."""
        self._answering = None
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._unset_keepalive_if_required()
            self._set_clock(self.limits.drain_seconds)
            if self._lingers and self.transport.can_write_eof():
                self.transport.write_eof()
        elif self._overhead_bytes and self._answering is None:
            self._set_clock(self.limits.head_seconds)

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_head_bytes or len(self.headers) > self.limits.max_fields:
            self._refusal = (431, "Request head too large")
            raise _MalformedHead
        hosts = self._values(b"host")
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None or not self.url.startswith(b"/"):
            raise _MalformedHead
        self._check_framing()

    def _check_framing(self) -> None:
        """Refuse bodies whose end another reader of the same bytes might see elsewhere."""
        codings = self._values(b"transfer-encoding")
        # Source: RFC 9112, section 6.1: HTTP/1.0 has none; a coding that is not known is not to be passed over.
        if codings and (
            self.parser.get_http_version() == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]
        ):
            raise _MalformedHead
        has_body = codings or any(length.strip(b"0 ") for length in self._values(b"content-length"))
        if has_body and self.parser.should_upgrade():  # the parser would take the body for a further request
            self._refusal = (400, "A request for an upgrade must have no body")
            raise _MalformedHead

    def _values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]

    def _date_answers(self) -> None:
        self.server_state.default_headers = [(b"date", _date_of(int(time.time())))]

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be parsed."""
        self._refuse(*self._refusal)

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close; where another answer is under way on this connection, or was given, just close."""
        self._stop_clock()
        if self.transport.is_closing():
            return
        if self._answering is not None:
            self.transport.abort()
            return
        if not self._in_head:  # the rest of a refused body
            self.transport.close()
            return
        request_id = secrets.token_hex(8)
        self.logger.info("refused id=%s status=%d: %s", request_id, status, message)
        body = msgspec.json.encode({"error": {"message": message}}) + b"\n"
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + b"x-request-id: %s\r\n\r\n" % request_id.encode() + body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade nobody offered is ignored; the request was served as it is."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        guarded: Any = _Guard(self, cycle, app)
        super()._start_asgi_task(cycle, guarded)


@functools.lru_cache(maxsize=1)
def _date_of(seconds: int) -> bytes:
    return email.utils.formatdate(seconds, usegmt=True).encode()


class _Guard:
    """The application of one request, ended without noise when the server stops or the answer broke."""

    __slots__ = ("_app", "_cycle", "_protocol", "_send")

    def __init__(self, protocol: GuardedProtocol, cycle: RequestResponseCycle, app: Any) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        scope.setdefault("extensions", {})[PUSH] = (self._push, self._pass_on)
        try:
            await self._app(scope, receive, self._pass_on)
        except BaseException:  # noqa: BLE001 - a task's edge, where uvicorn would log a text, and go on
            # cut, not ended: the client must see that the answer is not whole
            self._cycle.disconnected = True
            self._cycle.transport.abort()

    async def _pass_on(self, message: Message) -> None:
        cycle = self._cycle
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last and cycle.more_body and not cycle.keep_alive:
            self._protocol.linger(cycle)
        if cycle.scope["http_version"] == "1.0":
            self._end_by_closing(message, last=last)
        await self._send(message)

    def _push(self, data: bytes) -> bool:
        """Write a piece of a body that has begun, and is not the last; a :data:`backstream.server.asgi.Push`."""
        cycle = self._cycle
        if not data or cycle.disconnected:
            return not cycle.disconnected
        if cycle.chunked_encoding:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            cycle.expected_content_length -= len(data)
            cycle.transport.write(data)
        return not cycle.flow.write_paused

    def _end_by_closing(self, message: Message, *, last: bool) -> None:
        """Frame a body of unknown length by the end of the connection, as uvicorn does not.

        Source: RFC 9112, section 6.1: HTTP/1.0 knows no chunks.
        """
        cycle = self._cycle
        if message["type"] == "http.response.start":
            if all(name != b"content-length" for name, _ in message.get("headers", ())):
                cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
        elif last and cycle.expected_content_length > sys.maxsize // 2:
            cycle.expected_content_length = len(message.get("body", b""))
