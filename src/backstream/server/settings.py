"""What can be set about a server. Pure values; knows no route and opens nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from backstream.errors import ConfigurationError
from backstream.options import Deadlines, Recovery
from backstream.registry.server_config import KeyLimits
from backstream.server.bodies import BodyLimits
from backstream.server.forwarded import TrustedProxies
from backstream.server.keys import default_keys_path

__all__ = ["FramingChoice", "Settings", "TelemetryChoice"]

FramingChoice = Literal["auto", "sse", "jsonl"]
TelemetryChoice = Literal["off", "api", "sdk"]

_ROOT_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server.

    Attributes:
        framing: How streams are framed where the request does not say: ``sse``, ``jsonl`` (for every g4f client), or
            ``auto``, which looks at who asks. Default ``auto``.
        keys_file: Client keys; where it holds one, every route but ``/healthz`` needs one. ``None`` for no keys.
            Default ``$XDG_CONFIG_HOME/backstream/keys.json``.
        key_digests: Keys that no file holds: the name of each, and its SHA-256 as 64 hex digits. Default none.
        key_limits: What the client key of a name may use, where its record in the key file says nothing. Default none.
        default_key_limits: What every client key may use, where neither says anything. Default everything.
        state_file: The file of what workers have in common; ``None`` to keep it in memory. Default ``None``.
        store_responses: Whether responses are kept for a day, with what was asked, as OpenAI's Responses API does
            unless its client says ``"store": false``; where there is a ``state_file``, they lie in it. Default yes.
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
        body_idle_seconds: Silence after which an unfinished request body is refused with 408; also the time over which
            its rate is measured. Default 30.
        body_bytes_per_second: The least rate of a request body; a slower one is refused with 408. Default 1,024.
        root_path: Where a proxy shows this server, e.g. ``/llm``; it may pass that prefix on or take it off. Default
            none.
        trusted_proxies: Addresses, networks, or ``unix``, from which ``Forwarded`` and ``X-Forwarded-*`` are believed.
            Default none.
        record: The folder where the streams of providers are recorded, without what is said in them unless
            ``[recorder]`` says otherwise. Default none.
        worker: Which of several worker processes this is, from 0; its request ids begin with it. ``None`` for the only
            one.
        telemetry: Spans and metrics of OpenTelemetry: ``off``; ``api``, by the providers that the program around it
            sets; ``sdk``, by ones set up as the ``OTEL_…`` variables say. Needs the extra ``otel``. Default ``off``.
        recovery: What may be done for an answer to survive trouble, where the configuration says nothing of its
            provider or routing list. Default two retries and resting; with a list, leaving silent models too.
        deadlines: How long each stage of an answer may take, in the same case; requests may shorten it.
    """

    framing: FramingChoice = "auto"
    keys_file: Path | None = msgspec.field(default_factory=default_keys_path)
    key_digests: Mapping[str, str] = {}
    key_limits: Mapping[str, KeyLimits] = {}
    default_key_limits: KeyLimits = KeyLimits()
    state_file: Path | None = None
    store_responses: bool = True
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
    body_bytes_per_second: int = 1024
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    record: Path | None = None
    worker: int | None = None
    telemetry: TelemetryChoice = "off"
    recovery: Recovery = Recovery()
    deadlines: Deadlines = Deadlines()

    def __post_init__(self) -> None:
        if self.framing not in ("auto", "sse", "jsonl"):
            raise ConfigurationError(f"framing is {str(self.framing)[:20]!r}", "use auto, sse or jsonl")
        if min(self.max_streams, self.max_streams_per_key) < 1:
            raise ConfigurationError("a limit on streams is below 1", "allow at least one")
        if not all(seconds > 0 for seconds in (self.keepalive_seconds, self.gate_seconds, self.body_idle_seconds)):
            raise ConfigurationError("a number of seconds is not positive", "use 15, 5 and 30, the defaults")
        if self.root_path and _ROOT_PATH.fullmatch(self.root_path) is None:
            raise ConfigurationError(f"{self.root_path[:80]!r} is no root path", "write /prefix, without a last /")
        TrustedProxies(self.trusted_proxies)
        for origin in self.allow_origins:
            if origin != origin.lower() or not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ConfigurationError(
                    f"{origin[:80]!r} is no origin", "use scheme://host or scheme://host:port in lower case; never *"
                )
        for host in self.allowed_hosts:
            if not host or host != host.lower() or any(c in host for c in "/*@ "):
                raise ConfigurationError(f"{host[:80]!r} is no host", "use name or name:port in lower case; never *")
