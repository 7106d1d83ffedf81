"""The clients of the matrix: which driver, in which environment, and what their SDKs call what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from conformance.sdk.scenarios import TOLD
from conformance.sdk.vendors.said import KEPT, THOUGHT


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


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_OPENAI_ERRORS: Mapping[Any, Mapping[str, Any]] = {
    "error_429": {"error_class": "RateLimitError", "request_id": _is_id},
    "error_401": {"error_class": "AuthenticationError", "request_id": _is_id},
    "error_400": {"error_class": "BadRequestError", "request_id": _is_id},
    "error_404": {"error_class": "NotFoundError", "request_id": _is_id},
    "error_in_stream": {"error_class": "APIError"},
    "cut": {"error_class": "APIError"},
}
_REFUSALS = ("error_429", "error_401", "error_400", "error_404")
_FAULTS = ("error_in_stream", "cut")
_SIGNED = "the reasoning comes back as it was signed"
_BREAKS_QUIETLY = "the package raises nothing; it hands out an event that says so"
_RESPONSES = {
    **_OPENAI_ERRORS,
    ("openai_responses", "reasoning_tools"): {"text": TOLD + KEPT},
    "error_in_stream": {"error_class": "ResponseFailedEvent"},
    "cut": {"error_class": "ResponseFailedEvent"},
}
_ANTHROPIC = {
    **_OPENAI_ERRORS,
    ("anthropic_messages", "reasoning_tools"): {"text": TOLD + KEPT},
    "error_in_stream": {"error_class": "APIStatusError"},
    "cut": {"error_class": "APIStatusError"},
}


def _errors(refused: str, broken: str, **of_429: Any) -> Mapping[Any, Mapping[str, Any]]:
    """Name the class of every refusal, that of an answer that breaks, and what is odd about a 429."""
    refusals = {name: {"error_class": refused} for name in _REFUSALS}
    faults = {name: {"error_class": broken} for name in _FAULTS}
    return {**refusals, **faults, "error_429": {"error_class": refused, **of_429}}


def _is_thought(value: Any) -> bool:
    return isinstance(value, str) and value.removesuffix("\n") in ("".join(THOUGHT), ECHO_THOUGHT)


ECHO_THOUGHT = "I look at what arrived: first the messages, then the media."
_G4F_CANCEL = "without curl_cffi, with which the package reads a stream that it leaves to its end"
_G4F_TRIMS = "the package takes spaces off the end of a whole answer"


def _g4f(**classes: str) -> Mapping[Any, Mapping[str, Any]]:
    """Name what is odd about g4f's client: it says of a refusal what its class tells, and no more."""
    hidden = {"status": ..., "retry_after": ...}
    named = {"error_429": "ResponseError", "error_401": "ResponseError", "error_400": "ResponseError"} | classes
    return {
        **_errors("ResponseError", "ResponseError", **hidden),
        "error_404": {"error_class": "ResponseError", **hidden},
        **{name: {"error_class": kind, **hidden} for name, kind in named.items()},
        "reasoning": {"reasoning": _is_thought},
        "tools": {"text": TOLD.rstrip()},
        "reasoning_tools": {"text": TOLD.rstrip()},
    }


_G4F_REMARKS = {
    "reasoning": "the package ends the reasoning with a line break",
    "tools": _G4F_TRIMS,
    "reasoning_tools": _G4F_TRIMS,
    **dict.fromkeys(
        ("error_429", "error_401", "error_400", "error_404"), "the package shows neither status nor header"
    ),
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
            _RESPONSES,
            remarks={
                "error_in_stream": _BREAKS_QUIETLY,
                "cut": _BREAKS_QUIETLY,
                ("openai_responses", "reasoning_tools"): _SIGNED,
            },
        ),
        Client(
            "anthropic",
            "anthropic (PyPI)",
            "anthropic",
            "anthropic_client.py",
            _ANTHROPIC,
            remarks={("anthropic_messages", "reasoning_tools"): _SIGNED},
        ),
        Client(
            "google-genai",
            "google-genai (PyPI)",
            "google_genai",
            "google_genai.py",
            {
                **_errors("ClientError", "ServerError"),
                "stream": {"pieces": ...},
                ("gemini", "reasoning_tools"): {"text": TOLD + KEPT},
            },
            remarks={"stream": "what arrives at once comes as one piece", ("gemini", "reasoning_tools"): _SIGNED},
        ),
        Client(
            "ollama",
            "ollama (PyPI)",
            "ollama",
            "ollama_client.py",
            _errors("ResponseError", "ResponseError", retry_after=...),
            remarks={"error_429": "the package does not show the time to wait"},
        ),
        Client(
            "mistralai",
            "mistralai (PyPI)",
            "mistralai",
            "mistralai_client.py",
            _errors("SDKError", "ResponseValidationError"),
            remarks=dict.fromkeys(_FAULTS, "the package has no class for an error event; it says that it is no chunk"),
        ),
        Client("openai-node-chat", "openai (npm), chat completions", "node", "openai_node_chat.mjs", _OPENAI_ERRORS),
        Client("openai-node-responses", "openai (npm), responses", "node", "openai_node_responses.mjs", _OPENAI_ERRORS),
        Client(
            "ai-sdk",
            "@ai-sdk/openai-compatible (npm), with the package ai",
            "node",
            "ai_sdk.mjs",
            _errors("AI_APICallError", "AI_StreamProviderError"),
        ),
        *(
            Client(
                f"g4f-{word}-api",
                "g4f (PyPI), its class BackendApi",
                environment,
                "g4f_api.py",
                {},
                remarks={"cancel": _G4F_CANCEL, **dict.fromkeys(_REFUSALS + _FAULTS, _BREAKS_QUIETLY)},
            )
            for word, environment in (("old", "g4f_674"), ("new", "g4f_886"))
        ),
        Client(
            "g4f-old-client",
            "g4f (PyPI), its client with its OpenaiTemplate",
            "g4f_674",
            "g4f_client.py",
            _g4f(),
            remarks=_G4F_REMARKS,
        ),
        Client(
            "g4f-new-client",
            "g4f (PyPI), its client with its OpenaiTemplate",
            "g4f_886",
            "g4f_client.py",
            _g4f(error_429="RateLimitError", error_401="MissingAuthError", error_400="BadRequestError"),
            remarks=_G4F_REMARKS,
        ),
    )
}
"""All of them, by name."""
