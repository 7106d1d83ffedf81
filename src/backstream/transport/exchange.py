"""One request from the pool or a new connection to the head of its answer, over redirects within the origin."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, DisconnectedError, RedirectError
from backstream.options import Deadlines, Progress
from backstream.transport.answer import Answer
from backstream.transport.body import body_size, is_replayable, send_body
from backstream.transport.connect import Route, open_connection
from backstream.transport.connection import Connection
from backstream.transport.pool import IDLE_SECONDS, Pool, pool_of
from backstream.transport.proxy import choose_proxy
from backstream.transport.response import StreamResponse
from backstream.transport.timeouts import Watchdog, connect_timeout, connect_within
from backstream.transport.tls import SSLSetting, load_context
from backstream.transport.url import URL, join_url
from backstream.wire.http import Body, render_head

__all__ = ["MAX_REDIRECTS", "FieldValue", "Request", "exchange", "secret_texts"]

MAX_REDIRECTS = 3

FieldValue = str | Secret
"""A header value; a :class:`Secret` shows itself only while the head is written."""

_SECRET_WORDS = ("auth", "key", "token", "secret", "cookie")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A request, whole but for the connection.

    Attributes:
        method: Its method.
        url: Where it goes.
        fields: Header fields but for Host and those that frame the body.
        body: Its body; empty for none.
        deadlines: Its clocks.
        proxy: As :func:`choose_proxy` takes it.
        proxies: As :func:`choose_proxy` takes it.
        ssl: TLS as :func:`load_context` takes it.
        on_progress: Called while the body goes out.
        max_line_bytes: Cap on a line of the answer.
    """

    method: str
    url: URL
    fields: Sequence[tuple[str, FieldValue]]
    body: Body | None
    deadlines: Deadlines
    proxy: str | None
    proxies: Mapping[str, str] | None
    ssl: SSLSetting
    on_progress: Progress | None
    max_line_bytes: int

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.origin}>"

    def secrets(self) -> Iterable[str]:
        """Yield the values that must not be repeated in an error."""
        return secret_texts(self.fields)


def secret_texts(fields: Iterable[tuple[str, FieldValue]]) -> Iterator[str]:
    """Yield the values of header fields that must not be repeated in an error, also without ``Bearer`` and the like."""
    for name, value in fields:
        if isinstance(value, Secret) or any(word in name.lower() for word in _SECRET_WORDS):
            text = value.reveal() if isinstance(value, Secret) else value
            yield text
            yield text.rpartition(" ")[2]


async def exchange(request: Request) -> StreamResponse:
    """Send a request; return its answer as soon as its head is there, for a refusal also (most of) its body.

    Redirects: 307 and 308 within the origin, where the body can be sent again; for GET and HEAD also 301, 302 and 303;
    at most 3. Anything else that points elsewhere is an error, and nothing is sent there.

    A connection from the pool that turns out to be closed before the first byte of an answer is replaced once, where
    the body can be sent again: that is a server that gave up an idle connection just then.

    Raises:
        ConfigurationError: The request cannot be written.
        ProviderError: No answer; see :mod:`backstream.errors`.
    """
    started_at = asyncio.get_running_loop().time()
    hops = 0
    while True:
        response = await _send(request, started_at)
        target = _redirect_target(request, response)
        if target is None:
            if response.status >= 400:
                await response.gather()
            return response
        await response.aclose()
        hops += 1
        if hops > MAX_REDIRECTS:
            raise RedirectError(f"more than {MAX_REDIRECTS} redirects", status=response.status)
        request = dataclasses.replace(request, url=target)


def _redirect_target(request: Request, response: StreamResponse) -> URL | None:
    status = response.status
    if status not in {301, 302, 303, 307, 308}:
        return None
    try:
        if request.method not in {"GET", "HEAD"} and status not in {307, 308}:
            raise RedirectError(
                f"a redirect of status {status} would lose the request's method and body", status=status
            )
        locations = response.headers.get_all("location")
        if len(locations) != 1:
            raise RedirectError(f"a redirect of status {status} without one target", status=status)
        try:
            target = join_url(request.url, locations[0])
        except ConfigurationError:
            raise RedirectError(f"a redirect of status {status} with a malformed target", status=status) from None
        if target.origin != request.url.origin:
            raise RedirectError(
                f"a redirect of status {status} to another origin, {target.origin}, is not followed", status=status
            )
        if not is_replayable(request.body or ()):
            raise RedirectError("a redirect of a body that cannot be sent again", status=status)
    except RedirectError:
        response.abort()
        raise
    return target


async def _send(request: Request, started_at: float) -> StreamResponse:
    loop = asyncio.get_running_loop()
    pool = pool_of(loop)
    url = request.url
    began_at = loop.time()
    within = connect_within(request.deadlines, began_at - started_at)
    scope = asyncio.timeout(within)
    try:
        async with scope:
            context = await load_context(request.ssl) if url.scheme == "https" else None
            route = Route(url.host, url.port, context, choose_proxy(url, request.proxy, request.proxies))
            head = _render(request, route)
            connection = pool.take(route)
            reused = connection is not None
            if connection is None:
                connection = await open_connection(loop, route, _user_agent(request))
                pool.watch(connection)
    except TimeoutError:
        if scope.expired():
            raise connect_timeout(request.deadlines, began_at - started_at) from None
        raise
    try:
        answer = await _run(connection, request, head, started_at)
    except DisconnectedError:
        begun = connection.answer is None or connection.answer.begun
        if not reused or begun or not is_replayable(request.body or ()):
            raise
        connection = await _open_fresh(loop, request, route, started_at)
        pool.watch(connection)
        answer = await _run(connection, request, head, started_at)
    return _respond(request, route, pool, connection, answer)


async def _open_fresh(loop: asyncio.AbstractEventLoop, request: Request, route: Route, started_at: float) -> Connection:
    elapsed = loop.time() - started_at
    scope = asyncio.timeout(connect_within(request.deadlines, elapsed))
    try:
        async with scope:
            return await open_connection(loop, route, _user_agent(request))
    except TimeoutError:
        if scope.expired():
            raise connect_timeout(request.deadlines, elapsed) from None
        raise


async def _run(connection: Connection, request: Request, head: bytes, started_at: float) -> Answer:
    """Send the request on a connection and wait for the answer's head."""
    watch = Watchdog(connection.loop, request.deadlines, connection.fail, connection.is_waiting, started_at=started_at)
    answer = connection.begin(request.method, watch)
    watch.start()
    try:
        if await send_body(connection, answer, head, request.body or (), request.on_progress):
            connection.request_done = True
            watch.note_sent()
        while not answer.status and not connection.ended:
            await connection.arrival()
    except BaseException:  # also a cancelled task must not leave the connection open
        connection.abort()
        raise
    if not answer.status:
        connection.abort()
        assert connection.error is not None
        raise connection.error
    watch.note_head()
    return answer


def _respond(request: Request, route: Route, pool: Pool, connection: Connection, answer: Answer) -> StreamResponse:
    def release(done: Connection, answer: Answer) -> None:
        if not done.reusable:
            done.abort()
            return
        keep_seconds = _keep_seconds(answer)
        done.finish()
        pool.put(route, done, keep_seconds)

    response = StreamResponse(
        connection,
        answer,
        url=str(request.url),
        release=release,
        max_line_bytes=request.max_line_bytes,
        secrets=request.secrets,
    )
    if "content-encoding" in response.headers and response.ok:
        try:
            response.start_decoding()
        except BaseException:  # the caller never gets the response, so cannot close it
            response.abort()
            raise
    return response


def _keep_seconds(answer: Answer) -> float:
    """How long an idle connection may be kept; a second less than the server says, since its clock runs ahead."""
    for name, value in answer.fields:
        if name.lower() == "keep-alive":
            for parameter in value.split(","):
                key, _, seconds = parameter.partition("=")
                if key.strip().lower() == "timeout" and seconds.strip().isascii() and seconds.strip().isdigit():
                    return min(float(seconds[:9]) - 1.0, IDLE_SECONDS)
    return IDLE_SECONDS


def _user_agent(request: Request) -> str:
    return next(
        (value for name, value in request.fields if name.lower() == "user-agent" and isinstance(value, str)), ""
    )


def _render(request: Request, route: Route) -> bytes:
    fields: list[tuple[str, str]] = []
    if not any(name.lower() == "host" for name, _ in request.fields):
        fields.append(("Host", request.url.authority))
    for name, value in request.fields:
        fields.append((name, _reveal(value, request.url)))
    if request.body is not None:
        size = body_size(request.body)
        fields.append(("Content-Length", str(size)) if size is not None else ("Transfer-Encoding", "chunked"))
    target = request.url.target
    if route.forwards and route.proxy is not None:
        target = str(request.url)
        if route.proxy.authorization is not None:
            fields.append(("Proxy-Authorization", route.proxy.authorization))
    return render_head(request.method, target, fields)


def _reveal(value: FieldValue, url: URL) -> str:
    if isinstance(value, str):
        return value
    if value.origin is not None and value.origin != url.origin:
        raise ConfigurationError(f"a key bound to {value.origin} was about to be sent to {url.origin}")
    return value.reveal()
