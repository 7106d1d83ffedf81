"""Why a request gets no stream: reasons found before a provider is asked. Knows no route and sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["REASONS", "ClientGone", "RequestRefused", "reason_of"]

_REASONS: Final[Mapping[int | None, str]] = {
    400: "malformed",
    401: "key",
    403: "forbidden",
    404: "unknown",
    405: "method",
    408: "slow",
    413: "too_large",
    415: "media_type",
    421: "host",
    429: "limit",
    431: "too_large",
    503: "busy",
}
REASONS: Final = frozenset({*_REASONS.values(), "other"})
"""The words that the log and the counters have for why a request was refused."""


def reason_of(status: int | None) -> str:
    """Return the word for why a request was refused with a status."""
    return _REASONS.get(status, "other")


class RequestRefused(Exception):
    """The request is answered with a status instead of a stream. Stays inside the server.

    Args:
        status: The HTTP status, 400–599.
        message: One line for the client; shows no part of the request but a file name.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.status} {self.message}"


class ClientGone(Exception):
    """The client went away before its request was whole: there is nobody to answer."""
