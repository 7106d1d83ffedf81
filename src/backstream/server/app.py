"""The application: every request goes through the same doors, in the same order, to its route.

Host, origin, who may ask from where, key, route, handler. A plain ASGI application, to be run by any ASGI server or
mounted in another application. Nothing here knows what a conversation is.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import msgspec

from backstream.dialects.names import dialect_for
from backstream.errors import BackstreamError, CallerError, UnavailableError
from backstream.providers.recorder import recorded_by
from backstream.registry.recorder_config import RecorderConfig
from backstream.registry.registry import Registry
from backstream.server.admission import Admission
from backstream.server.asgi import (
    Field,
    Message,
    Push,
    Receive,
    Refusal,
    Request,
    Scope,
    Send,
    push_of,
    send_json,
    send_plain,
)
from backstream.server.auth import KeyRing, authenticate
from backstream.server.backends import BackEnds
from backstream.server.catalog import Catalog, Providers
from backstream.server.fallback import RoutedBackEnds
from backstream.server.forwarded import TrustedProxies, request_id_of
from backstream.server.gate import check_host, check_origin, cors_fields, is_loopback, is_preflight
from backstream.server.ledger import Ledger
from backstream.server.measures import Measures
from backstream.server.records import RequestRecord
from backstream.server.refusals import ClientGone, RequestRefused
from backstream.server.routes import ROUTES
from backstream.server.routes.answers import NO_RETRY, refuse_in
from backstream.server.routes.unknown import dialect_of, nearest_route, refusal_in
from backstream.server.routing import Exchange, Route, match_route, methods_of, path_below
from backstream.server.seen import SeenRoutes
from backstream.server.settings import Settings
from backstream.server.telemetry_choice import make_telemetry
from backstream.server.trace import PassedOn, parse_trace

__all__ = ["Gateway", "create_app"]

_LOGGER: Final = logging.getLogger("backstream.server")
_CLOSE: Final[Field] = (b"connection", b"close")


class Gateway:
    """The ASGI application. Make one with :func:`create_app`.

    Attributes:
        settings: Its settings.
        catalog: Its providers.
        registry: Where models that none of them has are looked up; ``None`` for nowhere.
        back_ends: Who answers for a model.
        keys: Its client keys.
        admission: The door of every route that asks a provider.
        ledger: What its workers have in common.
        measures: What it counts.
        telemetry: Its spans and metrics of OpenTelemetry; ``None`` for none.
        observers: Called with the record of every request when it is over.
        routes: Its routes.
        seen: What it knows of the providers' models that it asked; kept when its settings change.
    """

    def __init__(self, catalog: Catalog, settings: Settings, registry: Registry | None = None) -> None:
        self.settings = settings
        self.catalog = catalog
        self.registry = registry
        self.seen = SeenRoutes()
        self.back_ends: BackEnds = RoutedBackEnds(catalog, registry, settings, self.seen)
        self.keys = KeyRing(settings.keys_file, settings.key_digests)
        self.admission = Admission()
        self.ledger = Ledger(settings.state_file)
        self.measures = Measures(
            lambda: self.admission.running,
            lambda: self.ledger if self.settings.worker is not None else None,
            self.seen.measure,
        )
        self.observers: list[Callable[[RequestRecord], None]] = []
        self.telemetry = make_telemetry(settings.telemetry)
        self.routes = ROUTES
        self._proxies = TrustedProxies(settings.trusted_proxies)

    def with_settings(self, **changes: object) -> Gateway:
        """Return an application with the same providers and other settings; see :class:`Settings`."""
        settings = msgspec.structs.replace(self.settings, **changes)
        if settings.telemetry == self.settings.telemetry:  # one of a process, as it has threads and connections
            made = Gateway(self.catalog, msgspec.structs.replace(settings, telemetry="off"), self.registry)
            made.settings, made.telemetry = settings, self.telemetry
        else:
            made = Gateway(self.catalog, settings, self.registry)
        made.observers = self.observers
        if made.settings.state_file == self.settings.state_file:
            made.ledger = self.ledger
        return made

    def follow(self, settings: Settings, registry: Registry | None) -> None:
        """Have every request from now on answered by other settings; those that run keep theirs.

        Args:
            settings: The settings; what belongs to the process (``keys_file``, ``state_file``) stays as it was.
            registry: Where models are looked up.
        """
        self.settings = settings
        if registry is not None and self.registry is not None:
            registry.own_addresses |= self.registry.own_addresses
        self.registry = registry
        self.back_ends = RoutedBackEnds(self.catalog, registry, settings, self.seen)
        self.keys.configure(settings.key_digests)
        self._proxies = TrustedProxies(settings.trusted_proxies)

    async def aclose(self) -> None:
        """Close what it holds open; it may be used again."""
        await self.measures.aclose()
        if self.telemetry is not None:
            await self.telemetry.aclose()
        await self.ledger.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI calls it."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket here"})
        elif scope["type"] == "lifespan":
            await _live(receive, send)
            await self.aclose()
        else:
            raise RuntimeError(f"ASGI scope {scope['type']} is not served")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, record = self._receive(scope)
        self.measures.note_begin()
        answer = _Answer(send, record.id, push_of(scope, send), closing=self.admission.draining)
        try:
            with self._recorded():
                await self._dispatch(request, receive, answer, record)
        except ClientGone:
            record.end = "cancelled"
        except RequestRefused as refusal:
            if answer.started:
                raise
            record.note_failure(refusal, "refused")
            record.status = refusal.status
            await _refuse(answer, refusal, request)
        except BackstreamError as error:
            if answer.started:
                raise
            record.note_failure(error, "refused" if isinstance(error, CallerError) else None)
            record.status = await _refuse_in_dialect(answer, error, request)
        except Exception as error:
            # the edge: a defect of ours is a 500 without details; its text may quote the request, its place cannot
            record.note_failure(error)
            where = "".join(traceback.format_tb(error.__traceback__))
            _LOGGER.error("defect: %s at\n%s", type(error).__name__, where)
            if answer.started:
                raise
            record.status = 500
            await _refuse(answer, RequestRefused(500, "Internal error"), request)
        except BaseException:  # cancelled: the server stops
            record.end = "cancelled"
            raise
        finally:
            record.write()
            self.measures.note(record)
            if self.telemetry is not None:
                self.telemetry.finish(record)
            for observe in self.observers:
                observe(record)

    def _recorded(self) -> AbstractContextManager[None]:
        """Have what providers answer recorded, where that is configured."""
        config = RecorderConfig() if self.registry is None else self.registry.config.recorder
        recorder = config.recorder(self.settings.record)
        return nullcontext() if recorder is None else recorded_by(recorder)

    def _receive(self, scope: Scope) -> tuple[Request, RequestRecord]:
        """Return the request as it left its client, whatever proxies did to it, and its record."""
        request = Request(scope)
        record = RequestRecord(request.method)
        self._proxies.apply(request)
        request.path = path_below(self.settings.root_path, self.routes, request.path)
        record.client_request_id = request_id_of(request)
        context = parse_trace(request)
        if self.telemetry is not None:
            self.telemetry.begin(request, record, context)
        elif context is not None:
            record.trace = PassedOn(context)
        if self.settings.worker is not None:
            record.id = f"w{self.settings.worker}{record.id}"
        return request, record

    async def _dispatch(self, request: Request, receive: Receive, answer: _Answer, record: RequestRecord) -> None:
        host = check_host(request, self.settings.allowed_hosts, any_address=self.settings.any_address_host)
        origin = check_origin(request, host, self.settings.allow_origins)
        if origin is not None:
            answer.extra_fields = cors_fields(origin, request)
            if is_preflight(request):  # it carries no key, and says nothing but that the origin is allowed
                record.route, record.status = "preflight", 200
                await send_plain(answer.send, 200, b"", ())
                return
        await self.keys.refresh()
        exchange = Exchange(
            settings=self.settings,
            catalog=self.catalog,
            back_ends=self.back_ends,
            seen=self.seen,
            admission=self.admission,
            ledger=self.ledger,
            measures=self.measures,
            request=request,
            receive=receive,
            send=answer.send,
            push=answer.push,
            record=record,
        )
        try:
            route, exchange.parameters = match_route(self.routes, request.path, request.method)
        except Refusal as refusal:
            answer.dialect = dialect_of(request)
            self._check_key(exchange)  # what exists is not told to strangers either
            raise nearest_route(self.routes, request) or refusal from None
        record.pattern = route.path
        record.route, answer.dialect = route.name, dialect_of(request, route.dialect)
        if not route.open or (route.closed_by and request.query(route.closed_by)):
            self._check_key(exchange)
        if request.method == "OPTIONS":
            record.status = 200
            await send_plain(answer.send, 200, b"", [_allow(self.routes, route)])
            return
        if request.method not in route.methods:
            raise Refusal(405, "Method not allowed", [_allow(self.routes, route)])
        exchange.forced_framing = route.framing
        await route.handler(exchange)

    def _check_key(self, exchange: Exchange) -> None:
        """Let a request in: with a key where keys exist; else from this machine only."""
        if self.keys.required:
            exchange.key = authenticate(exchange.request, self.keys)
            exchange.record.key = exchange.key.name
            return
        peer = exchange.request.client_host
        if peer is not None and not self.settings.behind_own_auth and not is_loopback(peer):
            raise Refusal(403, "Without client keys this server answers its own machine only")


class _Answer:
    """The sending side of one request: adds the fields every answer needs, and knows if it started."""

    __slots__ = ("_closing", "_request_id", "_send", "dialect", "extra_fields", "push", "started")

    def __init__(self, send: Send, request_id: str, push: Push | None, *, closing: bool) -> None:
        self._send = send
        self.push = push
        self._request_id = (b"x-request-id", request_id.encode())
        self._closing = closing
        self.dialect = ""
        self.extra_fields: list[Field] = []
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            fields = [field for field in message["headers"] if field[0] != b"x-request-id"]
            closing = [_CLOSE] if self._closing and _CLOSE not in fields else []
            ids: list[Field] = [self._request_id]
            if self.dialect == "anthropic_messages":  # the name by which Anthropic's SDKs show it
                ids.append((b"request-id", self._request_id[1]))
            message["headers"] = [*fields, *ids, *closing, *self.extra_fields]
        await self._send(message)


def _allow(routes: Sequence[Route], route: Route) -> Field:
    methods = dict.fromkeys(method for each in methods_of(routes, route.path) for method in each.methods)
    return b"allow", ", ".join(methods).encode()


async def _refuse(answer: _Answer, refusal: RequestRefused, request: Request) -> None:
    fields = refusal.fields if isinstance(refusal, Refusal) else ()
    if answer.dialect:
        _, body, known = refuse_in(dialect_for(answer.dialect), refusal_in(answer.dialect, refusal))
        head_only = request.method == "HEAD"
        more = [field for field in fields if field[0] not in dict(known)]
        await send_plain(answer.send, refusal.status, body, [*known, *more], head_only=head_only)
        return
    value = {"error": {"message": refusal.message}}
    await send_json(answer.send, refusal.status, value, fields, head_only=request.method == "HEAD")


async def _refuse_in_dialect(answer: _Answer, error: BackstreamError, request: Request) -> int:
    if not answer.dialect:  # the backend-api tells a provider's errors in its stream; this is another
        status = error.status_hint
        lasting = isinstance(error, UnavailableError) and not error.retryable
        retry = [(b"retry-after", b"1")] if error.retryable else [NO_RETRY] if lasting else []
        await _refuse(answer, Refusal(status, str(error), retry), request)
        return status
    status, body, fields = refuse_in(dialect_for(answer.dialect), error)
    await send_plain(answer.send, status, body, fields, head_only=request.method == "HEAD")
    return status


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def create_app(
    providers: Providers | None = None, settings: Settings | None = None, *, registry: Registry | None = None
) -> Gateway:
    """Make the application.

    Args:
        providers: What answers: providers, the default one first, or a mapping from names to providers. Default the
            built-in ``Echo``.
        settings: See :class:`Settings`.
        registry: Where models that none of them has are looked up: every provider that is configured, found on this
            machine, or has a key. ``None`` for nowhere.

    Returns:
        An ASGI application, to be served or mounted.

    Raises:
        ConfigurationError: There is no provider, two have the same name, or the key file cannot be read.
    """
    return Gateway(Catalog(providers), settings or Settings(), registry)
