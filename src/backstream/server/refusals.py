"""Why a request gets no stream: reasons found before a provider is asked. Knows no route and sends nothing."""

from __future__ import annotations

__all__ = ["ClientGone", "RequestRefused"]


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
