"""The options of a call as values: where, with what keys, how long. Reads options, sends nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, InvalidRequestError
from backstream.options import CallOptions, Deadlines, parse_timeout

if TYPE_CHECKING:
    from backstream.providers.backend_api import BackendApi

__all__ = ["Call", "backend_at", "check_text", "parse_deadlines", "parse_parameters", "read_key"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same through a conversation.

    Attributes:
        model: The model's name; ``""`` for the default.
        url: Where the server is; ``None`` for ``BACKSTREAM_URL`` or the embedded backend.
        provider: The provider's name; ``None`` leaves the choice to the server.
        api_key: The provider's key.
        server_key: The key of the server itself.
        parameters: Further members of the body.
        deadlines: See :class:`backstream.Deadlines`.
        proxy: A proxy's URL.
    """

    model: str = ""
    url: str | None = None
    provider: str | None = None
    api_key: Secret | None = None
    server_key: Secret | None = None
    parameters: dict[str, Any] = {}
    deadlines: Deadlines = Deadlines()
    proxy: str | None = None

    def __repr__(self) -> str:
        return f"<Call model={self.model!r}>"

    def backend(self) -> type[BackendApi]:
        """Return the provider to call."""
        return backend_at(self.url, self.server_key)

    def options(self, on_progress: Callable[[int, int | None], None] | None) -> CallOptions:
        """Return the local options of one call."""
        return CallOptions(
            deadlines=self.deadlines, proxy=self.proxy, on_progress=on_progress, extra_body=self.parameters
        )

    @property
    def is_embedded(self) -> bool:
        """Whether the embedded backend answers."""
        return self.url is None and not os.environ.get("BACKSTREAM_URL")


def backend_at(url: str | None, server_key: Secret | None = None) -> type[BackendApi]:
    """Return ``BackendApi``, pointed at a server.

    Args:
        url: Where the server is; ``None`` for ``BACKSTREAM_URL`` or the embedded backend.
        server_key: The key of the server itself.
    """
    from backstream.providers.backend_api import BackendApi

    if url is None:
        url = os.environ.get("BACKSTREAM_URL") or None
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


def parse_deadlines(timeout: float | None, pairs: Sequence[str]) -> Deadlines:
    """Read ``--timeout`` and ``name=seconds`` pairs.

    Raises:
        ConfigurationError: An unknown name, or no positive number.
    """
    deadlines = Deadlines() if timeout is None else parse_timeout(timeout)
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in deadlines.__struct_fields__:
            known = ", ".join(deadlines.__struct_fields__)
            raise ConfigurationError(f"there is no deadline {name!r}", f"use one of: {known}")
        try:
            seconds = None if value.lower() in ("none", "0") else float(value)
        except ValueError:
            raise ConfigurationError(
                f"--deadline {name} wants seconds", f"for example {name}=30, or {name}=none"
            ) from None
        deadlines = msgspec.structs.replace(deadlines, **{name: seconds})
        deadlines.__post_init__()
    return deadlines
