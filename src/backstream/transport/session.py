"""Sessions: settings that several requests share, and the verbs. Connections live in the loop's pool, not here."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, Self, TypedDict, Unpack

from backstream._version import __version__
from backstream.credentials import Secret
from backstream.errors import ConfigurationError, InvalidRequestError, MisuseError
from backstream.options import Deadlines, Progress, parse_timeout
from backstream.transport.exchange import FieldValue, Request, exchange
from backstream.transport.response import StreamResponse
from backstream.transport.tls import SSLSetting
from backstream.transport.url import Params, parse_url
from backstream.wire.http import Body, Segment, check_field
from backstream.wire.json_text import encode_json
from backstream.wire.lines import MAX_BYTES

__all__ = ["HeaderMapping", "PendingResponse", "RequestOptions", "StreamResponse", "StreamSession", "check_url"]

HeaderMapping = Mapping[str, FieldValue]
"""Header names to values; a value may be a :class:`backstream.Secret`."""

USER_AGENT: Final = f"backstream/{__version__}"

_OURS = frozenset({"accept-encoding", "connection", "keep-alive", "proxy-connection"})
_FORBIDDEN = frozenset({"content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})


class RequestOptions(TypedDict, total=False):
    """The keywords of every verb of a :class:`StreamSession`.

    Attributes:
        json: A value to send as JSON (UTF-8); sets the content type.
        data: A body of bytes, or of bytes and segments; not together with ``json``.
        headers: Header fields that add to, or replace, those of the session.
        params: Query parameters to append to the URL.
        ssl: In place of the session's.
        on_progress: Called as ``on_progress(sent_bytes, total_bytes)`` while the body goes out.
        deadlines: In place of the session's.
    """

    json: Any
    data: bytes | bytearray | memoryview | Body | None
    headers: HeaderMapping | None
    params: Params | None
    ssl: SSLSetting
    on_progress: Progress | None
    deadlines: Deadlines | None


class PendingResponse:
    """A request not sent yet: await it, or enter it with ``async with``."""

    __slots__ = ("_response", "_send")

    def __init__(self, send: Callable[[], Awaitable[StreamResponse]]) -> None:
        self._send = send
        self._response: StreamResponse | None = None

    def __await__(self) -> Generator[Any, None, StreamResponse]:
        return self._send().__await__()

    async def __aenter__(self) -> StreamResponse:
        self._response = await self._send()
        return self._response

    async def __aexit__(self, *exc_info: object) -> None:
        if self._response is not None:
            await self._response.aclose()


class StreamSession:
    """Settings shared by several requests.

    Connections are kept by the event loop they belong to, for all sessions together, so that a session costs nothing
    and may be dropped without being closed. Used as ``async with``, it closes responses still open when it is left.

    Args:
        headers: Header fields of every request. ``Connection``, ``Keep-Alive`` and ``Accept-Encoding`` are ignored:
            how messages are framed is the transport's own business.
        timeout: Short form of ``deadlines``: seconds without a byte, or a pair (connect, idle).
        proxy: URL of an ``http``, ``https``, ``socks5`` or ``socks5h`` proxy; ``""`` for none; ``None`` takes the
            environment's. Loopback addresses are never reached through a proxy.
        proxies: Proxy URLs by scheme, or ``all``.
        ssl: ``None`` verifies by the operating system's store, ``False`` does not verify; an ``SSLContext`` or the path
            of a CA file verify by that.
        deadlines: The clocks of every request; wins over ``timeout``. Default: see :class:`backstream.Deadlines`.
        max_line_bytes: Cap on one line, or event, of an answer, in bytes. Default 32 MiB.

    Raises:
        ConfigurationError: Header fields, deadlines or sizes that cannot work.
    """

    def __init__(
        self,
        headers: HeaderMapping | None = None,
        timeout: float | tuple[float | None, float | None] | Deadlines | None = None,
        proxy: str | None = None,
        proxies: Mapping[str, str] | None = None,
        ssl: SSLSetting = None,
        *,
        deadlines: Deadlines | None = None,
        max_line_bytes: int = MAX_BYTES,
    ) -> None:
        self._fields = _check_headers(headers)
        if deadlines is None:
            deadlines = Deadlines() if timeout is None else parse_timeout(timeout)
        self._deadlines = _check_deadlines(deadlines)
        self._proxy = proxy
        self._proxies = dict(proxies or {})
        self._ssl = ssl
        self._max_line_bytes = _check_size(max_line_bytes)
        self._open: weakref.WeakSet[StreamResponse] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<StreamSession headers={[name for name, _ in self._fields.values()]}>"

    async def __aenter__(self) -> Self:
        if self._open is None:
            self._open = weakref.WeakSet()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the responses that are still open, if the session was entered; no request can follow."""
        self._closed = True
        for response in list(self._open or ()):
            await response.aclose()

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a request.

        Args:
            method: Its method.
            url: An absolute http or https URL.
            **options: See :class:`RequestOptions`.

        Returns:
            What gives the response when awaited, or when entered with ``async with``. Then are raised:
            ``ConfigurationError`` and ``InvalidRequestError`` before anything is sent; ``ConnectError``,
            ``DisconnectedError``, ``DeadlineError``, ``FramingError``, ``TooLargeError`` and ``RedirectError`` when no
            answer could be had. A status of refusal is no error until ``raise_for_status()``.

        Raises:
            TypeError: An unknown option.
        """
        request = self._prepare(method, url, **options)
        return PendingResponse(lambda: self._send(request))

    def get(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a GET; see :meth:`request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a HEAD; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare an OPTIONS; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a POST; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a PUT; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a PATCH; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Prepare a DELETE; see :meth:`request`."""
        return self.request("DELETE", url, **options)

    def _prepare(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Request:
        unknown = options.keys() - RequestOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown option {min(unknown)!r}")
        fields = {**self._fields, **_check_headers(options.get("headers"))}
        body = _check_body(options.get("data"))
        value = options.get("json")
        if value is not None:
            if body is not None:
                raise ConfigurationError("json and data are both given", "pass one of them")
            body = (_encode_json(value),)
            fields.setdefault("content-type", ("Content-Type", "application/json"))
        elif body is None and method in {"POST", "PUT", "PATCH"}:
            body = ()
        fields.setdefault("user-agent", ("User-Agent", USER_AGENT))
        fields.setdefault("accept", ("Accept", "*/*"))
        return Request(
            method=method,
            url=parse_url(url, options.get("params")),
            fields=(*fields.values(), ("Accept-Encoding", "identity")),
            body=body,
            deadlines=_check_deadlines(options.get("deadlines") or self._deadlines),
            proxy=self._proxy,
            proxies=self._proxies,
            ssl=options.get("ssl", self._ssl),
            on_progress=options.get("on_progress"),
            max_line_bytes=self._max_line_bytes,
        )

    async def _send(self, request: Request) -> StreamResponse:
        if self._closed:
            raise MisuseError("the session is closed")
        response = await exchange(request)
        if self._open is not None:
            self._open.add(response)
        return response


def check_url(url: str) -> str:
    """Return a base URL in its one form: ASCII host, no trailing slash, no query.

    Raises:
        ConfigurationError: No http or https URL, or one with user information, or with a query.
    """
    parsed = parse_url(url)
    if "?" in parsed.target:
        raise ConfigurationError("a base URL cannot have a query", "use extra_query")
    return str(parsed).rstrip("/")


def _check_size(size: object) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError("max_line_bytes is no positive number")
    return size


def _check_deadlines(deadlines: object) -> Deadlines:
    if not isinstance(deadlines, Deadlines):
        raise ConfigurationError(f"deadlines is a {type(deadlines).__name__}", "pass Deadlines(…)")
    return deadlines


def _check_headers(headers: Mapping[Any, Any] | None) -> dict[str, tuple[str, FieldValue]]:
    """Check header fields; by lower-case name, as names differ in case only for show."""
    fields: dict[str, tuple[str, FieldValue]] = {}
    for name, value in (headers or {}).items():
        if value is None or str(name).lower() in _OURS:
            continue
        if not isinstance(name, str) or not isinstance(value, str | Secret):
            raise ConfigurationError(f"header {str(name)[:40]!r} has a {type(value).__name__} as value", "pass a str")
        if name.lower() in _FORBIDDEN:
            raise ConfigurationError(f"header {name!r} belongs to the transport", "leave it out")
        check_field(name, value if isinstance(value, str) else "")
        fields[name.lower()] = (name, value.strip(" \t") if isinstance(value, str) else value)
    return fields


def _check_body(data: object) -> Body | None:
    if data is None:
        return None
    if isinstance(data, bytes | bytearray | memoryview):
        return (bytes(data),)
    if isinstance(data, Sequence) and not isinstance(data, str) and all(isinstance(p, bytes | Segment) for p in data):
        return tuple(data)
    raise ConfigurationError(f"data is a {type(data).__name__}", "pass bytes, or a sequence of bytes and segments")


def _encode_json(value: Any) -> bytes:
    try:
        return encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"json holds a value that JSON has no form for ({type(error).__name__})") from None
