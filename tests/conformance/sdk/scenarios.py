"""What is asked of every client and provider, and how to tell that what the client saw is right."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from conformance.sdk.vendors.said import (
    ASKED,
    CALLS,
    HALF,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PARSED,
    PIECES,
    RETRY_AFTER_SECONDS,
    TEXT,
    THOUGHT,
)

Seen = Mapping[str, Any]
IMAGE_DIGEST = hashlib.sha256(b64decode(ASKED["image"]["base64"])).hexdigest()
TOLD = "".join(f"{call.arguments['city']}: {ASKED['tool_results'][call.name]}. " for call in CALLS)


class Scenario(NamedTuple):
    """One thing that clients do.

    Attributes:
        label: Its name for people.
        expected: What a client sees, member by member; a function judges a value, anything else is compared.
        echo: The model of Echo that shows it; ``""`` for none.
        echo_expected: What a client sees of that.
        asked: What drivers are asked to do; ``""`` for the scenario's own name.
    """

    label: str
    expected: Seen
    echo: str = ""
    echo_expected: Seen = {}
    asked: str = ""


def _error(status: int, **more: Any) -> Seen:
    return {"error_class": _is_error, "status": status, **more}


def _is_error(value: Any) -> bool:
    return isinstance(value, str) and bool(value)  # by its class: see CLASSES in clients.py


def _holds(text: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and text in value


def _begins(text: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value.startswith(text)


def _is_positive(value: Any) -> bool:
    return isinstance(value, Mapping) and value["input"] > 0 and value["output"] > 0


def _is_several(value: Any) -> bool:
    return isinstance(value, int) and value >= 2


_USAGE = {"input": INPUT_TOKENS, "output": OUTPUT_TOKENS}
_ECHOED = _holds(f"“{ASKED['text']}”")
SCENARIOS: Mapping[str, Scenario] = {
    "text": Scenario("text", {"text": TEXT, "complete": True}, "echo", {"text": _ECHOED, "complete": True}),
    "stream": Scenario(
        "stream",
        {"text": TEXT, "pieces": _is_several, "complete": True},
        "echo",
        {"text": _ECHOED, "pieces": _is_several, "complete": True},
    ),
    "reasoning": Scenario(
        "reasoning",
        {"reasoning": "".join(THOUGHT), "text": TEXT},
        "echo-reasoning",
        {"reasoning": _begins("I look at what arrived"), "text": _ECHOED},
    ),
    "tools": Scenario(
        "tools",
        {"tool_calls": [{"name": call.name, "arguments": call.arguments} for call in CALLS], "text": TOLD},
    ),
    "reasoning_tools": Scenario(
        "reasoning, then tools",
        {"tool_calls": [{"name": call.name, "arguments": call.arguments} for call in CALLS], "text": _begins(TOLD)},
        asked="tools",
    ),
    "image": Scenario("image in", {"text": IMAGE_DIGEST}, "echo", {"text": _holds(IMAGE_DIGEST)}),
    "structured": Scenario("structured", {"parsed": PARSED}),
    "usage": Scenario(
        "usage",
        {"usage": _USAGE, "usage_streamed": _USAGE},
        "echo",
        {"usage": _is_positive, "usage_streamed": _is_positive},
    ),
    "error_429": Scenario(
        "error 429",
        _error(429, retry_after=str(RETRY_AFTER_SECONDS)),
        "echo-fail-rate",
        _error(429, retry_after="1"),
    ),
    "error_401": Scenario("error 401", _error(401), "echo-fail-auth", _error(401)),
    "error_400": Scenario("error 400", _error(400)),
    "error_404": Scenario("error 404", _error(404), "Echo/none", _error(404)),
    "error_in_stream": Scenario(
        "error in stream",
        {"text": HALF, "error_class": _is_error, "complete": False},
        "echo-fail-middle",
        {"text": _begins("I am "), "error_class": _is_error, "complete": False},
    ),
    "cut": Scenario("cut", {"text": HALF, "error_class": _is_error, "complete": False}),
    "cut_clean": Scenario(
        "end without a word", {"text": HALF, "error_class": _is_error, "complete": False}, asked="cut"
    ),
    "cancel": Scenario("cancel", {"text": PIECES[0]}),
}


OF_PROVIDERS: Mapping[tuple[str, str], tuple[Seen, str]] = {
    ("backend_api", "error_429"): ({"retry_after": None}, "an error event of that protocol tells no time to wait"),
}
"""What is otherwise with a provider, by provider and scenario, and why; joined with what is expected of all."""

NOT_SAYABLE: Mapping[tuple[str, str], str] = {
    ("backend_api", "cut_clean"): "a body that HTTP ends is whole in that protocol, with or without another word",
}
"""What a provider cannot say, by provider and scenario, and why."""


def expected_of(provider: str, scenario: str, of_client: Mapping[Any, Seen]) -> Seen:
    """Return what a client shall see; ``...`` stands for what its SDK does not show."""
    known = SCENARIOS[scenario]
    wanted = known.echo_expected if provider == "echo" else known.expected
    of_provider, _ = OF_PROVIDERS.get((provider, scenario), ({}, ""))
    names = dict.fromkeys((known.asked or scenario, scenario))
    of_clients = [of_client.get(key, {}) for name in names for key in (name, (provider, name))]
    for other in (of_provider, *of_clients):
        wanted = {**wanted, **other}
    return {name: value for name, value in wanted.items() if value is not ...}


def judge(expected: Seen, seen: Seen) -> list[str]:
    """Return what is wrong with what a client saw; nothing where all is right."""
    problems = []
    for name, wanted in expected.items():
        value = seen.get(name)
        right = wanted(value) if callable(wanted) else value == wanted
        if not right:
            shown = "not that" if callable(wanted) else f"not {wanted!r}"
            problems.append(f"{name} is {value!r}, {shown}")
    return problems
