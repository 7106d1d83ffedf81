"""What is not there: in which dialect a refusal is written where no route says it. Pure; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backstream.errors import ModelNotFoundError, RefusedError
from backstream.server.asgi import Refusal, Request
from backstream.server.refusals import RequestRefused
from backstream.server.routing import Route
from backstream.wire.status import class_for

__all__ = ["dialect_of", "nearest_route", "refusal_in"]

_MODELS: Final = "/v1/models"
_PREFIXES: Final = (("/v1/", "openai_chat"), ("/v1beta/", "gemini"), ("/api/", "ollama"))

_KINDS: Final = {
    ("openai", 403): "permission_denied",
    ("openai", 404): "unknown_url",
    ("anthropic", 403): "permission_error",
}
"""Words that say more than the class of the status: by a dialect's vendor and the status."""


def dialect_of(request: Request, of_route: str | None = None) -> str:
    """Return the dialect of a request's refusals; ``""`` for the backend-api's.

    The path decides. What several vendors have below ``/v1/``, lists of models and paths that do not exist, is
    Anthropic's where its client says its version, and Gemini's where its client says its name or key.

    Args:
        request: The request.
        of_route: The dialect of its route; ``None`` where it has no route.
    """
    path = request.path
    found = of_route
    if found is None:
        found = next((dialect for prefix, dialect in _PREFIXES if path.startswith(prefix)), "")
    if found == "openai_chat" and (of_route is None or path == _MODELS or path.startswith(f"{_MODELS}/")):
        if request.values(b"anthropic-version"):
            return "anthropic_messages"
        if request.values(b"x-goog-api-client") or request.values(b"x-goog-api-key"):
            return "gemini"
    return found


def nearest_route(routes: Sequence[Route], request: Request) -> Refusal | None:
    """Return a refusal that names the path that was meant, where the base URL has a ``/v1`` too few or too many.

    Nothing of the request is repeated, so only paths without names in them are told.

    Args:
        routes: The table.
        request: A request that has no route.
    """
    path = request.path.rstrip("/")
    meant = path.removeprefix("/v1") if path.startswith("/v1/") else f"/v1{path}"
    for route in routes:
        if route.path == meant and request.method in route.methods and "{" not in meant:
            return Refusal(404, f"Not found; did you mean {meant}?")
    return None


def refusal_in(dialect: str, refusal: RequestRefused) -> RefusedError:
    """Return the error whose words in a dialect say a refusal best."""
    if refusal.status == 404 and not dialect.startswith("openai"):
        return ModelNotFoundError(refusal.message, status=404)  # the one class these dialects tell as "not found"
    fields = dict(refusal.fields) if isinstance(refusal, Refusal) else {}
    wait = fields.get(b"retry-after")
    return class_for(refusal.status)(
        refusal.message,
        status=refusal.status,
        kind=_KINDS.get((dialect.partition("_")[0], refusal.status)),
        retry_after_seconds=None if wait is None else float(wait),
    )
