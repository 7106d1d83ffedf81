"""The options of a call as values: where, with what keys, how long. Reads options, sends nothing."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from backstream.cli.terminal import is_terminal
from backstream.credentials import Secret
from backstream.errors import ConfigurationError, InvalidRequestError
from backstream.options import LOCAL_KEYWORDS, Deadlines, MidStreamPolicy, Progress, parse_timeout
from backstream.request import Policy

if TYPE_CHECKING:
    from backstream.providers.backend_api import BackendApi

__all__ = [
    "Call",
    "backend_at",
    "check_text",
    "parse_deadlines",
    "parse_parameters",
    "parse_recovery",
    "read_key",
    "server_url",
]


# members of the body that share a name with an argument of ``Client.stream``
_ARGUMENTS: Final = frozenset(
    {"media", "tools", "run_tools", "response_format", "provider", "url", "api_key", "conversation", *LOCAL_KEYWORDS}
)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same through a conversation.

    Attributes:
        model: The model's name; ``""`` for the default.
        others: The models to ask where that one fails.
        url: Where the server is; ``None`` for ``BACKSTREAM_URL``, or for none.
        dialect: How the server at ``url`` is spoken to; ``None`` for the backend-api protocol.
        provider: The provider's name; with a server of the backend-api protocol one behind it.
        api_key: The provider's key.
        server_key: The key of the server itself.
        parameters: Further members of the body.
        deadlines: See :class:`backstream.Deadlines`; ``None`` for the configured ones.
        recovery: Keywords of ``Client.stream`` that say what may be done to survive trouble.
        proxy: A proxy's URL.
        receipts: What to do about parameters a back-end has no words for; ``None`` for the configured policy.
        tools: Functions the model may call.
        tool_rounds: Answers with calls of tools in them before it is enough.
        response_format: The form of the answer, in OpenAI's shape.
        as_events: Whether the answer is shown as raw events.
    """

    model: str = ""
    others: tuple[str, ...] = ()
    url: str | None = None
    dialect: str | None = None
    provider: str | None = None
    api_key: Secret | None = None
    server_key: Secret | None = None
    parameters: dict[str, Any] = {}
    deadlines: Deadlines | None = None
    recovery: Mapping[str, Any] = {}
    proxy: str | None = None
    receipts: Policy | None = None
    tools: tuple[Any, ...] = ()
    tool_rounds: int = 8
    response_format: dict[str, Any] | None = None
    as_events: bool = False

    def __repr__(self) -> str:
        return f"<Call model={self.model!r}>"

    def keywords(self, on_progress: Progress | None, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keywords of one call of ``Client.stream``.

        Args:
            on_progress: See :data:`backstream.options.Progress`.
            members: Further members of the body.
        """
        plain = {name: value for name, value in self.parameters.items() if name not in _ARGUMENTS and value is not None}
        rest = {name: value for name, value in self.parameters.items() if name not in plain}
        local = {
            "deadlines": self.deadlines,
            "proxy": self.proxy,
            "on_progress": on_progress,
            "extra_body": {**rest, **members} or None,
        }
        return plain | {name: value for name, value in local.items() if value is not None} | dict(self.recovery)


def server_url(url: str | None) -> str | None:
    """Return where a server was named: ``--url``, else ``BACKSTREAM_URL``; ``None`` where none was."""
    return url if url is not None else os.environ.get("BACKSTREAM_URL") or None


def backend_at(url: str | None, server_key: Secret | None = None) -> type[BackendApi]:
    """Return ``BackendApi``, pointed at a server.

    Args:
        url: Where the server is; ``None`` for ``BACKSTREAM_URL`` or the embedded backend.
        server_key: The key of the server itself.
    """
    from backstream.providers.backend_api import BackendApi

    url = server_url(url)
    if url is None:
        return BackendApi
    headers = {"Authorization": Secret(f"Bearer {server_key.reveal()}")} if server_key is not None else {}
    return type("Server", (BackendApi,), {"url": url, "headers": headers})


def read_key(variable: str | None) -> Secret | None:
    """Read a key from the variable that holds it.

    Raises:
        ConfigurationError: The variable is not set, or what it holds is no key.
    """
    if variable is None:
        return None
    value = os.environ.get(variable)
    # somebody may have given the key itself: only what looks like a variable's name is shown
    shown = f" {variable}" if re.fullmatch("[A-Z][A-Z0-9_]{0,63}", variable) else ""
    if value is None:
        raise ConfigurationError(
            f"the environment variable{shown} for the key is not set", "give its name, never the key itself"
        )
    if not value.strip():
        raise ConfigurationError(f"the environment variable{shown} for the key is empty", "put the key into it")
    check_text(f"the key in the environment variable{shown}", value)
    return Secret(value)


def check_text(what: str, text: str | None) -> None:
    """Check that an argument is text, and not just bytes; names of files may be any bytes.

    Raises:
        InvalidRequestError: It is not UTF-8.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{what} is not UTF-8", "convert it, or check the terminal's encoding") from None


def parse_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs; a value is JSON where it can be read so, else text.

    Raises:
        InvalidRequestError: A pair without ``=``, or a name that has an option of its own.
    """
    parameters: dict[str, Any] = {}
    own = {"model": "--model", "messages": "PROMPT", "media": "--media", "api_key": "--api-key-env"}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InvalidRequestError("--param wants name=value", "for example --param temperature=0.7")
        if name in own:
            raise InvalidRequestError(f"--param cannot set {name}", f"use {own[name]}")
        try:
            parameters[name] = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            parameters[name] = value
    return parameters


def parse_deadlines(timeout: float | None, pairs: Sequence[str]) -> Deadlines | None:
    """Read ``--timeout`` and ``name=seconds`` pairs; ``None`` where there are neither.

    Raises:
        ConfigurationError: An unknown name, or no positive number.
    """
    if timeout is None and not pairs:
        return None
    if timeout is not None and not 0 <= timeout < math.inf:
        raise ConfigurationError("--timeout wants seconds", "for example --timeout 30, or 0 to wait for ever")
    deadlines = Deadlines() if timeout is None else parse_timeout(timeout)
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in deadlines.__struct_fields__:
            known = ", ".join(deadlines.__struct_fields__)
            raise ConfigurationError(f"there is no deadline {name!r}", f"use one of: {known}")
        try:
            seconds = None if value.lower() in ("none", "0") else float(value)
        except ValueError:
            seconds = math.nan
        if seconds is not None and not 0 < seconds < math.inf:
            raise ConfigurationError(f"--deadline {name} wants seconds", f"for example {name}=30, or {name}=none")
        deadlines = msgspec.structs.replace(deadlines, **{name: seconds})
    return deadlines


def parse_recovery(
    retries: int | None,
    switch_after: float | None,
    hedge_after: float | None,
    mid_stream: MidStreamPolicy | None,
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Read the options that say what may be done to survive trouble.

    Args:
        retries: How often a model is asked again.
        switch_after: The longest silence before the next model; 0 for any.
        hedge_after: The silence after which a second model is asked too; 0 for never.
        mid_stream: What happens when an answer breaks. ``restart`` means ``whole`` where what was printed cannot be
            taken back: in a file or pipe of plain text.
        as_json: Whether the answer is printed as events, which say themselves what they void.

    Raises:
        ConfigurationError: No number of seconds.
    """
    given: dict[str, Any] = {}
    for option, seconds in (("switch_after", switch_after), ("hedge_after", hedge_after)):
        if seconds is None:
            continue
        if not 0 <= seconds < math.inf:
            name = "--" + option.replace("_", "-")
            raise ConfigurationError(f"{name} wants seconds", f"for example {name} 5, or 0 for never")
        given[option] = seconds or None
    if retries is not None:
        given["retries"] = retries
    if mid_stream is not None:
        final = mid_stream == "restart" and not as_json and not is_terminal(sys.stdout)
        given["mid_stream"] = "whole" if final else mid_stream
    return given
