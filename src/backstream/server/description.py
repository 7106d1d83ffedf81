"""``/openapi.json``: every route as OpenAPI 3.1 describes it, made of the table of routes. Knows no handler's work.

Source: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from backstream._version import __version__
from backstream.server.asgi import send_plain
from backstream.server.description_shapes import ANSWERS, COMPONENTS, ERRORS, FORMS, REQUESTS
from backstream.server.routing import Exchange, Handler, Route
from backstream.wire.json_text import encode_json

__all__ = ["SUMMARIES", "describe", "tell_description"]

SUMMARIES: Final[Mapping[str, str]] = {
    "health": "Whether the server runs",
    "ready": "Whether it takes new requests",
    "metrics": "What the server counts, for Prometheus",
    "description": "This description",
    "root": "What this is, in a line",
    "conversation": "One turn of a conversation, streamed as backend-api events",
    "models": "The models of every provider",
    "provider-models": "The models of one provider",
    "providers": "The providers",
    "version": "The version of this server",
    "chat-completions": "A conversation, in the form of OpenAI's chat completions",
    "responses": "A conversation, in the form of OpenAI's responses; kept for a day unless ``store`` is false",
    "response": "A response that was kept",
    "response-deletion": "Forget a response that was kept",
    "response-cancel": "Stop a response that runs in the background; none does here",
    "embeddings": "Texts as vectors",
    "images": "Pictures from a text",
    "image-edits": "Pictures from pictures and a text",
    "speech": "Speech from text",
    "transcriptions": "Text from speech",
    "messages": "A conversation, in the form of Anthropic's messages",
    "messages-count": "How many tokens such a conversation has",
    "gemini-generate": "A conversation, in the form of Gemini",
    "gemini-stream": "The same, streamed: a JSON array, or events with alt=sse",
    "gemini-count": "How many tokens such a conversation has",
    "gemini-embed": "A text as a vector",
    "gemini-batch-embed": "Texts as vectors",
    "v1-models": "The models, in the form the client's header fields ask for: OpenAI's, Anthropic's or Gemini's",
    "v1-model": "One model, likewise",
    "gemini-models": "The models, in the form of Gemini",
    "gemini-model": "One model",
    "ollama-chat": "A conversation, in the form of Ollama",
    "ollama-generate": "An answer to one prompt; without a prompt, nothing is asked of anybody",
    "ollama-show": "What a model can do",
    "ollama-embed": "Texts as vectors",
    "ollama-embeddings": "A text as a vector, on the route before",
    "ollama-ps": "The models that are loaded: none, here",
    "ollama-version": "The version of Ollama whose form is spoken",
    "ollama-tags": "The models, in the form of Ollama",
}
"""What a route is for, by its name."""

_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "g4f-api-key": {"type": "apiKey", "in": "header", "name": "g4f-api-key"},
}
_REFUSALS: Final[Mapping[int, str]] = {
    400: "The request is wrong",
    401: "No key, or none that is known",
    403: "The host, the origin, the address or the key may not",
    404: "There is no such model, provider, response or route",
    429: "The key, or the provider's account, has had enough",
    500: "A defect of the server",
    502: "The provider failed",
    503: "The server is full or stops, or the provider cannot answer",
    504: "The provider did not answer in time",
    529: "The provider is overloaded",
}
_REFUSALS_OF_BODIES: Final[Mapping[int, str]] = {
    402: "The provider's account is empty",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is of another type, or encoded",
    422: "The body, or its media, cannot be taken",
}
_WAITING: Final = frozenset({429, 503})
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
_EXAMPLES: Final = {"model": "echo", "provider": "Echo"}
_ALT: Final = {
    "name": "alt",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "``sse`` for events",
}


def describe(routes: Sequence[Route], *, keyed: bool) -> dict[str, Any]:
    """Return the description of routes.

    Args:
        routes: The table.
        keyed: Whether the server has client keys, so that every route that is not open needs one.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.replace("{*", "{")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, keyed=keyed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "backstream",
            "version": __version__,
            "description": "A gateway: clients of several vendors' APIs, any provider. A model may be named as "
            "``provider/model``, also in a path.",
        },
        "paths": paths,
        "components": {"schemas": COMPONENTS, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route, path: str, *, keyed: bool) -> dict[str, Any]:
    name = route.name.replace("gemini-v1-", "gemini-")
    secured = keyed and not route.open
    operation: dict[str, Any] = {
        "operationId": route.name if route.framing is None else f"{route.name}-{route.framing}",
        "summary": SUMMARIES[name],
        "tags": [route.dialect or "backstream"],
        "security": [{scheme: []} for scheme in _SCHEMES] if secured else [],
    }
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    parameters: list[Mapping[str, Any]] = [
        {
            "name": each,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **({"example": _EXAMPLES[each]} if each in _EXAMPLES else {}),
        }
        for each in names
    ]
    if name == "gemini-stream":
        parameters.append(_ALT)
    if parameters:
        operation["parameters"] = parameters
    content = {"application/json": REQUESTS.get(name), "multipart/form-data": FORMS.get(name)}
    content = {kind: {"schema": schema} for kind, schema in content.items() if schema is not None}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = _responses(route, name, has_body=bool(content), secured=secured)
    return operation


def _responses(route: Route, name: str, *, has_body: bool, secured: bool) -> dict[str, Any]:
    answers = {kind: {"schema": schema} for kind, schema in ANSWERS[name].items()}
    found: dict[str, Any] = {"200": {"description": "The answer", "content": answers}}
    shapes = [ERRORS[route.dialect]]
    if name in ("v1-models", "v1-model"):
        shapes += ["AnthropicError", "GeminiError"]
    # what is refused before the route is known is written in the server's own form
    shapes = list(dict.fromkeys([*shapes, "GatewayError"]))
    schema = {"anyOf": [{"$ref": f"#/components/schemas/{shape}"} for shape in shapes]}
    refusals = {**_REFUSALS, **(_REFUSALS_OF_BODIES if has_body else {})}
    for status, words in sorted(refusals.items()):
        if status == 401 and not (secured or has_body):  # a provider's refusal of the server's own key is one, too
            continue
        found[str(status)] = {"description": words, "content": {"application/json": {"schema": schema}}}
        if status in _WAITING:
            found[str(status)]["headers"] = _RETRY
    allow = {"Allow": {"description": "The methods there are", "schema": {"type": "string"}}}
    found["405"] = {
        "description": "There is no such method here",
        "headers": allow,
        "content": {"application/json": {"schema": schema}},
    }
    return found


def tell_description(routes: Callable[[], Sequence[Route]]) -> Handler:
    """Make the handler that answers ``GET /openapi.json``.

    Args:
        routes: Gives the table, which this route is part of.
    """

    @functools.cache
    def body(*, keyed: bool) -> bytes:
        return encode_json(describe(routes(), keyed=keyed))

    async def handle(exchange: Exchange) -> None:
        exchange.record.status = 200
        fields = [(b"content-type", b"application/json")]
        told = body(keyed=exchange.key is not None)
        await send_plain(exchange.send, 200, told, fields, head_only=exchange.request.method == "HEAD")

    return handle
