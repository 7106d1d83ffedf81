"""What can be set about a server. Pure values; knows no route and opens nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from backstream.errors import ConfigurationError
from backstream.server.bodies import BodyLimits
from backstream.server.keys import default_keys_path

__all__ = ["FramingChoice", "Settings"]

FramingChoice = Literal["auto", "sse", "jsonl"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server.

    Attributes:
        framing: How streams are framed where the request does not say: ``sse``, ``jsonl`` (for every g4f client), or
            ``auto``, which looks at who asks. Default ``auto``.
        keys_file: Client keys; where it holds one, every route but ``/healthz`` needs one. ``None`` for no keys.
            Default ``$XDG_CONFIG_HOME/backstream/keys.json``.
        allow_origins: Origins (``https://example.org``) of pages that may use this server. Default none.
        allowed_hosts: ``Host`` names beside those of loopback, each with or without a port. Default none.
        any_address_host: Accept any IP address as ``Host``, for a server on all addresses. Default no.
        behind_own_auth: Serve other machines although there are no client keys, because the application this one is
            mounted in has checked who asks. Default no.
        limits: Caps on request bodies.
        max_streams: Streams at the same time; one more is answered with 503. Default 256.
        max_streams_per_key: The same for one client key, with 429. Default 64.
        keepalive_seconds: Silence after which an SSE stream gets a comment. Default 15.
        gate_seconds: How long a streamed answer waits for its first content before its head goes out without, so that
            a failure can still be a status. Not for backend-api. Default 5.
        body_idle_seconds: Silence after which an unfinished request body is refused with 408. Default 30.
    """

    framing: FramingChoice = "auto"
    keys_file: Path | None = msgspec.field(default_factory=default_keys_path)
    allow_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    any_address_host: bool = False
    behind_own_auth: bool = False
    limits: BodyLimits = msgspec.field(default_factory=BodyLimits)
    max_streams: int = 256
    max_streams_per_key: int = 64
    keepalive_seconds: float = 15.0
    gate_seconds: float = 5.0
    body_idle_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.framing not in ("auto", "sse", "jsonl"):
            raise ConfigurationError(f"framing is {str(self.framing)[:20]!r}", "use auto, sse or jsonl")
        if min(self.max_streams, self.max_streams_per_key) < 1:
            raise ConfigurationError("a limit on streams is below 1", "allow at least one")
        if not all(seconds > 0 for seconds in (self.keepalive_seconds, self.gate_seconds, self.body_idle_seconds)):
            raise ConfigurationError("a number of seconds is not positive", "use 15, 5 and 30, the defaults")
        for origin in self.allow_origins:
            if origin != origin.lower() or not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ConfigurationError(
                    f"{origin[:80]!r} is no origin", "use scheme://host or scheme://host:port in lower case; never *"
                )
        for host in self.allowed_hosts:
            if not host or host != host.lower() or any(c in host for c in "/*@ "):
                raise ConfigurationError(f"{host[:80]!r} is no host", "use name or name:port in lower case; never *")
