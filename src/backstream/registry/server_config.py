"""What the configuration says of the gateway, as plain values. Pure; reads no file, and knows no server."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from backstream.registry.recovery_config import ClocksConfig, RecoveryConfig

__all__ = ["KeyConfig", "KeyLimits", "LimitsConfig", "RouteList", "ServerConfig"]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Grace: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one client key may use; ``None`` where nothing is said.

    Attributes:
        models: Patterns of models, such as ``openai/*`` or ``echo``; ``*`` stands for any text, ``?`` for one
            character. ``None`` for every model, an empty tuple for none.
        requests_per_minute: Requests that ask a provider, in a minute; at least 1.
        concurrent_streams: Answers at the same time; at least 1.
        tokens_per_day: Tokens, read and written, in a day of UTC; at least 1.
    """

    models: tuple[Text, ...] | None = None
    requests_per_minute: Count | None = None
    concurrent_streams: Count | None = None
    tokens_per_day: Count | None = None

    def over(self, below: KeyLimits) -> KeyLimits:
        """Return these limits, with those of ``below`` where they say nothing."""
        return KeyLimits(
            models=below.models if self.models is None else self.models,
            requests_per_minute=self.requests_per_minute or below.requests_per_minute,
            concurrent_streams=self.concurrent_streams or below.concurrent_streams,
            tokens_per_day=self.tokens_per_day or below.tokens_per_day,
        )

    def allows(self, names: Iterable[str]) -> bool:
        """Tell whether a model may be used.

        Args:
            names: What it can be called: ``provider/model``, and the name that was asked for.
        """
        if self.models is None:
            return True
        match = _matching(self.models)
        return any(match(name) for name in names)


@functools.lru_cache(maxsize=1024)
def _matching(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what tells whether one of the patterns fits: a list may have thousands of models to look at."""
    return re.compile("|".join(map(fnmatch.translate, patterns)) or "(?!)").match


class KeyConfig(KeyLimits, frozen=True, kw_only=True, omit_defaults=True):
    """A table ``[keys.NAME]``: the limits of a client key, and the key itself where no key file holds it.

    Attributes:
        sha256: The digest of the key: 64 hex digits.
    """

    sha256: Digest | None = None

    @property
    def limits(self) -> KeyLimits:
        """The limits alone."""
        return self.over(KeyLimits())


class LimitsConfig(KeyLimits, frozen=True, kw_only=True, omit_defaults=True):
    """The table ``[server.limits]``: of the whole gateway, and of every client key that has none of its own.

    Attributes:
        max_streams: Answers at the same time.
        max_streams_per_key: The same for one client key.
        max_body_mib: Cap on the JSON of a request, in MiB.
        max_media_mib: Cap on a request's media, in MiB.
    """

    max_streams: Count | None = None
    max_streams_per_key: Count | None = None
    max_body_mib: Count | None = None
    max_media_mib: Count | None = None

    @property
    def of_keys(self) -> KeyLimits:
        """The limits of a client key that has none of its own."""
        return self.over(KeyLimits())


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The table ``[server]``; ``None`` where nothing is said, for the gateway's own default.

    Attributes:
        host: Where to listen.
        port: The port; 0 for a free one.
        socket: The Unix socket to listen on.
        tls_cert: The certificate and its chain, PEM.
        tls_key: Its private key, PEM.
        root_path: What a proxy puts in front of every path.
        trusted_proxies: Addresses and networks whose forwarded fields are believed; ``unix`` for a Unix socket's peer.
        workers: Processes.
        keys_file: The file of client keys.
        state_file: What workers have in common.
        store_responses: Whether responses are kept for their clients to ask for again.
        framing: See ``--framing`` of ``backstream serve``.
        allow_origins: Origins of pages that may use the gateway.
        allowed_hosts: ``Host`` names that it answers to.
        grace_seconds: How long running answers may take when it stops.
        keepalive_seconds: Silence after which a stream gets a comment.
        gate_seconds: How long a streamed answer waits for its first content.
        body_idle_seconds: Silence after which an unfinished request body is refused.
        log: What is written for each request.
        record: The folder where the streams of providers are recorded; see ``[recorder]``.
        limits: How much there may be.
        deadlines: How long each stage of an answer may take.
    """

    host: Text | None = None
    port: Port | None = None
    socket: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    root_path: str | None = None
    trusted_proxies: tuple[str, ...] | None = None
    workers: Count | None = None
    keys_file: Path | None = None
    state_file: Path | None = None
    store_responses: bool | None = None
    framing: Literal["auto", "sse", "jsonl"] | None = None
    allow_origins: tuple[str, ...] | None = None
    allowed_hosts: tuple[str, ...] | None = None
    grace_seconds: Grace | None = None
    keepalive_seconds: Seconds | None = None
    gate_seconds: Seconds | None = None
    body_idle_seconds: Seconds | None = None
    log: Literal["text", "json", "off"] | None = None
    record: Path | None = None
    limits: LimitsConfig = LimitsConfig()
    deadlines: ClocksConfig = ClocksConfig()


class RouteList(RecoveryConfig, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of ``[routes]``: the models that a name stands for, the most wanted first.

    Attributes:
        to: Names of models: ``provider/model``, an alias, or another routing list.
        deadlines: How long each stage of an answer may take.
    """

    to: tuple[str, ...]
    deadlines: ClocksConfig = ClocksConfig()
