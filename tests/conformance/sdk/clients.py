"""The clients of the matrix: which driver, in which environment, and what their SDKs call what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Client(NamedTuple):
    """One client.

    Attributes:
        name: Its name in results.
        package: The package and where it comes from, for people; begins with its name.
        environment: The environment it runs in: ``requirements/NAME.txt``, or for Node.js ``node``.
        driver: Its driver, in the folder ``drivers``.
        expected: What it sees other than others do, by scenario or by ``(provider, scenario)``; joined with what is
            expected of all. Names the classes of its errors; ``...`` stands for what it does not show.
        remarks: What a reader should know of a success, by scenario or by ``(provider, scenario)``.
        not_sayable: What it has no way to say, by scenario or by ``(provider, scenario)``: the reason.
    """

    name: str
    package: str
    environment: str
    driver: str
    expected: Mapping[Any, Mapping[str, Any]]
    not_sayable: Mapping[Any, str] = {}
    remarks: Mapping[Any, str] = {}

    @property
    def distribution(self) -> str:
        """The package's name."""
        return self.package.partition(" ")[0]


_OPENAI_ERRORS: Mapping[Any, Mapping[str, Any]] = {
    "error_429": {"error_class": "RateLimitError"},
    "error_401": {"error_class": "AuthenticationError"},
    "error_400": {"error_class": "BadRequestError"},
    "error_404": {"error_class": "NotFoundError"},
    "error_in_stream": {"error_class": "APIError"},
    "cut": {"error_class": "APIError"},
}
_RESPONSES_ERRORS = {
    **_OPENAI_ERRORS,
    "error_in_stream": {"error_class": "ResponseFailedEvent"},
    "cut": {"error_class": "ResponseFailedEvent"},
}
_ANTHROPIC_ERRORS = {
    **_OPENAI_ERRORS,
    "error_in_stream": {"error_class": "APIStatusError"},
    "cut": {"error_class": "APIStatusError"},
}

CLIENTS = {
    client.name: client
    for client in (
        Client("openai-chat", "openai (PyPI), chat completions", "openai", "openai_chat_client.py", _OPENAI_ERRORS),
        Client(
            "openai-responses",
            "openai (PyPI), responses",
            "openai",
            "openai_responses_client.py",
            _RESPONSES_ERRORS,
            remarks=dict.fromkeys(
                ("error_in_stream", "cut"), "the package raises nothing; it hands out an event that says so"
            ),
        ),
        Client("anthropic", "anthropic (PyPI)", "anthropic", "anthropic_client.py", _ANTHROPIC_ERRORS),
    )
}
"""All of them, by name."""
