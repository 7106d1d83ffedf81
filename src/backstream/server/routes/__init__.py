"""Every route of the server, in one table; one file for each handler."""

from __future__ import annotations

from typing import Final

from backstream.server.description import tell_description
from backstream.server.routes.conversation import converse
from backstream.server.routes.dialects import DIALECT_ROUTES
from backstream.server.routes.health import tell_health, tell_ready
from backstream.server.routes.metrics import tell_metrics
from backstream.server.routes.models import list_all_models, list_models
from backstream.server.routes.providers import list_providers
from backstream.server.routes.version import tell_version
from backstream.server.routing import Route

__all__ = ["ROUTES"]

_BACKEND_API: Final = (
    Route("conversation", "/backend-api/v2/conversation", "POST", converse),
    Route("models", "/backend-api/v2/models", "GET", list_all_models),
    Route("provider-models", "/backend-api/v2/models/{provider}", "GET", list_models),
    Route("providers", "/backend-api/v2/providers", "GET", list_providers),
    Route("version", "/backend-api/v2/version", "GET", tell_version),
)

ROUTES: Final[tuple[Route, ...]] = (
    Route("health", "/healthz", "GET", tell_health, open=True),
    Route("ready", "/readyz", "GET", tell_ready, open=True, closed_by="verbose"),
    Route("metrics", "/metrics", "GET", tell_metrics),
    Route("description", "/openapi.json", "GET", tell_description(lambda: ROUTES)),
    *_BACKEND_API,
    *DIALECT_ROUTES,
    *(Route(route.name, "/jsonl" + route.path, route.method, route.handler, framing="jsonl") for route in _BACKEND_API),
)
"""The routes; the last ones have the same answers as the backend-api's, with streams in JSON lines."""
