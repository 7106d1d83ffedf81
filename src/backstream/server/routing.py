"""Routes as data: path pattern, methods, and whether it is open to everybody. Knows no handler's work."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from backstream.dialects.backend_api import Framing
from backstream.options import CallOptions, Deadlines
from backstream.server.asgi import Push, Receive, Refusal, Request, Send, send_json
from backstream.server.backends import BackEnds
from backstream.server.catalog import Catalog
from backstream.server.keys import KeyRecord
from backstream.server.ledger import Ledger
from backstream.server.measures import Measures
from backstream.server.records import RequestRecord
from backstream.server.running import Interruption
from backstream.server.seen import SeenRoutes
from backstream.server.settings import Settings
from backstream.server.wishes import Wishes

if TYPE_CHECKING:
    from backstream.server.admission import Admission
    from backstream.server.tickets import Ticket

__all__ = ["Exchange", "Handler", "Route", "match_route", "methods_of", "path_below"]

_USUAL: Final = Deadlines()


@dataclasses.dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through a handler.

    Attributes:
        settings: The application's settings.
        catalog: Its providers.
        back_ends: Who answers for a model.
        seen: What is known of the routes that were asked.
        admission: The door of every route that asks a provider.
        ledger: What workers have in common.
        measures: What the application counts.
        request: The request's head.
        receive: ASGI's.
        send: ASGI's.
        body_bytes: The size of its body, once it was read.
        push: Sends a piece of a body at once; ``None`` where only ``send`` can.
        record: What will be logged.
        key: The client key; ``None`` on a server without keys.
        interruption: How the answer is told that the server stops; made by the admission.
        forced_framing: What the path says about framing.
        routed_as: The routing list that was asked for; ``""`` for none.
        wishes: What the request says of how its answer is made, once that was read.
        parameters: What the pattern's ``{names}`` matched.
        ticket: Its right to an answer, once it was admitted.
    """

    settings: Settings
    catalog: Catalog
    back_ends: BackEnds
    seen: SeenRoutes
    admission: Admission
    ledger: Ledger
    measures: Measures
    request: Request
    receive: Receive
    send: Send
    push: Push | None = None
    body_bytes: int = 0
    record: RequestRecord
    key: KeyRecord | None = None
    interruption: Interruption = dataclasses.field(default_factory=Interruption)
    forced_framing: Framing | None = None
    routed_as: str = ""
    wishes: Wishes = dataclasses.field(default_factory=Wishes)
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ticket: Ticket | None = None

    @property
    def key_name(self) -> str | None:
        """The name of the client key; ``None`` on a server without keys."""
        return None if self.key is None else self.key.name

    def ask(self) -> CallOptions | None:
        """Take note that a provider is asked; return the local options of that call: its clocks, and the trace."""
        self.record.note_asked()
        trace, deadlines = self.record.trace, self.wishes.within(self.settings.deadlines)
        if trace is None and deadlines == _USUAL:
            return None
        return CallOptions(deadlines=deadlines, extra_headers={} if trace is None else trace.ask())

    async def answer(self, value: object) -> None:
        """Answer with JSON and status 200."""
        self.record.status = 200
        await send_json(self.send, 200, value, head_only=self.request.method == "HEAD")


Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        name: Its name in the log.
        path: Its pattern; a ``{name}`` stands for one segment, or its begin; a last ``{*name}`` also for several.
        method: ``GET`` (then ``HEAD`` too), ``POST`` or ``DELETE``; a pattern may stand in the table once for each.
        handler: What answers.
        open: Whether it needs no key where keys exist. Routes are closed unless they say otherwise.
        closed_by: A parameter of the URL with which it is closed all the same.
        framing: The framing it forces.
        dialect: The dialect its refusals are written in; ``""`` for the backend-api's.
    """

    name: str
    path: str
    method: str
    handler: Handler
    open: bool = False
    closed_by: str = ""
    framing: Framing | None = None
    dialect: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it answers, as ``Allow`` lists them."""
        return ("GET", "HEAD", "OPTIONS") if self.method == "GET" else (self.method, "OPTIONS")

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return what the ``{names}`` of the pattern match in a path; ``None`` where it is another path."""
        wanted, given = self.path.split("/"), path.split("/")
        if wanted[-1].startswith("{*") and len(given) > len(wanted):
            given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
        if len(wanted) != len(given):
            return None
        found: dict[str, str] = {}
        for pattern, segment in zip(wanted, given, strict=True):
            if pattern.startswith("{") and segment:
                name, _, suffix = pattern.lstrip("{*").partition("}")
                if not segment.endswith(suffix):
                    return None
                found[name] = segment.removesuffix(suffix)
            elif pattern != segment:
                return None
        return found


def path_below(root: str, routes: Sequence[Route], path: str) -> str:
    """Return a path without the prefix that a proxy shows this server under, whether or not the proxy took it off.

    Args:
        root: The prefix; ``""`` for none.
        routes: The table: what is a route as it stands has no prefix.
        path: The path asked for.
    """
    if not root or not (path == root or path.startswith(root + "/")):
        return path
    if any(route.match(path) is not None for route in routes):
        return path
    return path[len(root) :] or "/"


def match_route(routes: Sequence[Route], path: str, method: str = "") -> tuple[Route, Mapping[str, str]]:
    """Return the route of a path and what its names match.

    The first pattern that fits decides; of several routes with that pattern, the method does.

    Args:
        routes: The table.
        path: The path asked for.
        method: The method; one that no route of the pattern has gives the first of them.

    Raises:
        Refusal: 404.
    """
    for route in routes:
        parameters = route.match(path)
        if parameters is not None:
            same = methods_of(routes, route.path)
            return next((each for each in same if method in each.methods), route), parameters
    raise Refusal(404, "Not found")


def methods_of(routes: Sequence[Route], pattern: str) -> Sequence[Route]:
    """Return the routes of one pattern, in the table's order."""
    return [route for route in routes if route.path == pattern]
