"""Which framing a stream gets, and which event types. Pure; looks at the request only, opens nothing.

Clients of the protocol's first years read JSON lines and break on anything else; all clients ask for
``text/event-stream``. So the choice needs hints.

Source: ``docs/protocol.md``, section "Framing".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from backstream.dialects.backend_api import Framing
from backstream.server.asgi import Request
from backstream.server.settings import FramingChoice

__all__ = ["accepts_json_lines", "choose_framing", "looks_like_g4f", "wants_own_types"]

_G4F_AGENT: Final = re.compile(r"Python/\S+ aiohttp/\S+")
_G4F_ORDER: Final = ["model", "messages", "media", "api_key"]


def accepts_json_lines(request: Request) -> bool:
    """Tell whether the request asks for ``application/x-ndjson`` by name."""
    for value in request.values(b"accept"):
        for entry in value.decode("latin-1").lower().split(","):
            media_type, _, parameters = entry.partition(";")
            if media_type.strip() == "application/x-ndjson" and not re.search(r"\bq=0(\.0*)?\s*(;|$)", parameters):
                return True
    return False


def wants_own_types(request: Request) -> bool:
    """Tell whether the client knows the event types that only backstream has: ``X-Backstream-Events: all``."""
    return any(value.strip().lower() == b"all" for value in request.values(b"x-backstream-events"))


def looks_like_g4f(request: Request, members: Iterable[str]) -> bool:
    """Tell whether a g4f client asks, which reads JSON lines only.

    Args:
        request: The request.
        members: The names in its JSON body, in order.
    """
    if any(name == b"origin" or name.startswith(b"sec-fetch-") for name, _ in request.fields):
        return False
    agents = request.values(b"user-agent")
    if agents and _G4F_AGENT.fullmatch(agents[0].decode("latin-1")) is None:
        return False
    return list(members)[: len(_G4F_ORDER)] == _G4F_ORDER


def choose_framing(
    request: Request, members: Iterable[str], setting: FramingChoice, *, forced: Framing | None = None
) -> Framing:
    """Choose the framing: by ``Accept``, then path prefix, then setting, then by who seems to ask.

    Args:
        request: The request.
        members: The names in its JSON body, in order.
        setting: The server's.
        forced: What the path says.
    """
    if accepts_json_lines(request):
        return "jsonl"
    if forced is not None:
        return forced
    if setting != "auto":
        return setting
    return "jsonl" if looks_like_g4f(request, members) else "sse"
