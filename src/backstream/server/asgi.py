"""ASGI in our terms: one HTTP request as a value, and plain answers. Knows no route, provider or key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from backstream.server.refusals import RequestRefused

__all__ = [
    "Field",
    "Message",
    "Push",
    "Receive",
    "Refusal",
    "Request",
    "Scope",
    "Send",
    "push_of",
    "send_json",
    "send_plain",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Push: TypeAlias = Callable[[bytes], bool]
"""Sends a piece of a body that has begun, at once; tells whether the client takes more without waiting."""

Field: TypeAlias = tuple[bytes, bytes]
"""One header field: lower-case name, value."""

PUSH: Final = "backstream.push"
"""The ASGI extension of our own server: a :data:`Push`, and the ``send`` it stands for."""

_NOSNIFF: Final[Field] = (b"x-content-type-options", b"nosniff")


class Refusal(RequestRefused):
    """A refusal with header fields of its own.

    Args:
        status: The HTTP status.
        message: What the client is told; one line, nothing of the request in it.
        fields: Header fields, e.g. ``Retry-After``.
    """

    def __init__(self, status: int, message: str, fields: Iterable[Field] = ()) -> None:
        super().__init__(status, message)
        self.fields = tuple(fields)


class Request:
    """The head of one HTTP request.

    Args:
        scope: The ASGI scope, of type ``http``.

    Attributes:
        method: The method, upper case.
        path: The decoded path below the place where the application is mounted.
        fields: The header fields, names in lower case.
        scheme: ``http`` or ``https``.
        client_host: The client's address; ``None`` where there is none (a Unix socket).
        over_unix: Whether it came through a Unix socket.
        forwarded_host: The ``Host`` that a trusted proxy was asked for; ``None`` where none says.
    """

    __slots__ = ("_query", "client_host", "fields", "forwarded_host", "method", "over_unix", "path", "scheme")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path = _mounted_path(scope)
        self.fields: list[Field] = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        self.scheme: str = scope.get("scheme", "http")
        self._query: bytes = scope.get("query_string", b"")
        client = scope.get("client")
        self.client_host: str | None = client[0] if client else None
        server = scope.get("server")
        self.over_unix = server is not None and server[1] is None  # the ASGI specification: [path, None]
        self.forwarded_host: str | None = None

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of a header field, in order."""
        return [value for known, value in self.fields if known == name]

    def query(self, name: str) -> str:
        """Return the first value of a parameter of the URL; ``""`` where it is absent."""
        return next(iter(self.queries(name)), "")

    def queries(self, name: str) -> list[str]:
        """Return every value of a parameter of the URL, in order; none where there are more than 1,000 parameters."""
        text = self._query.decode("latin-1")[:65536]
        if text.count("&") >= 1000:
            return []
        return [value for known, value in parse_qsl(text, keep_blank_values=True) if known == name]

    def text(self, name: bytes) -> str:
        """Return the first value of a header field as text; ``""`` where it is absent."""
        return next((value.decode("latin-1") for known, value in self.fields if known == name), "")

    def field_map(self) -> dict[str, str]:
        """Return the header fields as a mapping; of repeated ones the first."""
        fields: dict[str, str] = {}
        for name, value in self.fields:
            fields.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        return fields


def push_of(scope: Scope, send: Send) -> Push | None:
    """Return what sends pieces of a body at once, where our own server runs the application and nothing is between.

    Args:
        scope: The ASGI scope.
        send: ASGI's; a middleware's own is one that must see every piece.
    """
    push, behind = (scope.get("extensions") or {}).get(PUSH, (None, None))
    return push if push is not None and behind == send else None


def _mounted_path(scope: Scope) -> str:
    """Take the mount prefix off the path, as the frameworks that mount applications expect.

    Source: the ASGI specification, HTTP scope: ``path`` holds ``root_path``; old frameworks leave it out.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :] or "/"
    return path


async def send_plain(send: Send, status: int, body: bytes, fields: Iterable[Field], *, head_only: bool = False) -> None:
    """Send a whole answer.

    Args:
        send: ASGI's.
        status: The HTTP status.
        body: The body.
        fields: Header fields beside ``Content-Length``.
        head_only: Leave the body out, for ``HEAD``.
    """
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*fields, length, _NOSNIFF]}
    await send(start)
    await send({"type": "http.response.body", "body": b"" if head_only else body, "more_body": False})


async def send_json(
    send: Send, status: int, value: object, fields: Iterable[Field] = (), *, head_only: bool = False
) -> None:
    """Send a whole answer in JSON: compact, keys sorted, one line end, as backend-api servers write it."""
    body = msgspec.json.encode(value, order="sorted") + b"\n"
    await send_plain(send, status, body, [(b"content-type", b"application/json"), *fields], head_only=head_only)
