"""The clients of the matrix: which driver, in which environment, and what their SDKs call what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Client(NamedTuple):
    """One client.

    Attributes:
        name: Its name in results.
        package: The package and where it comes from, for people.
        environment: The environment it runs in: ``requirements/NAME.txt``, or for Node.js ``node``.
        driver: Its driver, in the folder ``drivers``.
        expected: What it sees other than others do, by scenario or by ``(provider, scenario)``; joined with what is
            expected of all. Names the classes of its errors; ``...`` stands for what it does not show.
        not_sayable: What it has no way to say, by scenario or by ``(provider, scenario)``: the reason.
    """

    name: str
    package: str
    environment: str
    driver: str
    expected: Mapping[Any, Mapping[str, Any]]
    not_sayable: Mapping[str | tuple[str, str], str] = {}


_OPENAI_ERRORS: Mapping[Any, Mapping[str, Any]] = {
    "error_429": {"error_class": "RateLimitError"},
    "error_401": {"error_class": "AuthenticationError"},
    "error_400": {"error_class": "BadRequestError"},
    "error_404": {"error_class": "NotFoundError"},
    "error_in_stream": {"error_class": "APIError"},
    "cut": {"error_class": "APIError"},
}

CLIENTS = {
    client.name: client
    for client in (
        Client("openai-chat", "openai (PyPI), chat completions", "openai", "openai_chat_client.py", _OPENAI_ERRORS),
    )
}
"""All of them, by name."""
