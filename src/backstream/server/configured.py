"""What was configured, joined with what was given, as the settings of a gateway. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.errors import ConfigurationError, UnknownProviderError
from backstream.options import Deadlines, Recovery
from backstream.registry.config import Config
from backstream.server.bodies import MEBIBYTE, BodyLimits
from backstream.server.settings import Settings

__all__ = ["FIXED", "changed_settings", "configured_settings", "doubtful_routes", "needs_restart"]

_OF_SERVER: Final = (
    "framing",
    "keys_file",
    "state_file",
    "store_responses",
    "root_path",
    "trusted_proxies",
    "allow_origins",
    "allowed_hosts",
    "keepalive_seconds",
    "gate_seconds",
    "body_idle_seconds",
    "record",
)
_FOLLOWED: Final = (
    "framing",
    "store_responses",
    "key_digests",
    "key_limits",
    "default_key_limits",
    "allow_origins",
    "allowed_hosts",
    "trusted_proxies",
    "limits",
    "max_streams",
    "max_streams_per_key",
    "keepalive_seconds",
    "gate_seconds",
    "body_idle_seconds",
    "record",
    "recovery",
    "deadlines",
)
FIXED: Final = (
    "host",
    "port",
    "socket",
    "tls_cert",
    "tls_key",
    "root_path",
    "workers",
    "keys_file",
    "state_file",
    "grace_seconds",
    "log",
)
"""The keys of ``[server]`` that belong to the process."""
_OF_LIMITS: Final = ("max_streams", "max_streams_per_key")
_CAPS: Final = {"max_body_mib": "max_body_bytes", "max_media_mib": "max_media_bytes"}


def configured_settings(config: Config, given: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of a gateway.

    Args:
        config: What was configured.
        given: What wins over it, by the names of the attributes of :class:`Settings`, and ``max_body_mib`` and
            ``max_media_mib``; ``None`` is not given.

    Raises:
        ConfigurationError: A setting cannot work; names file, line and key where it was configured.
    """
    given = {name: value for name, value in (given or {}).items() if value is not None}
    found: dict[str, Any] = {}
    for table, keys, names in (
        (config.server, ("server",), _OF_SERVER),
        (config.server.limits, ("server", "limits"), _OF_LIMITS),
    ):
        for name in names:
            value = getattr(table, name)
            if value is not None and name not in given:
                found[name] = value
                _check(config, (*keys, name), {name: value})
    caps = {name: given.pop(name, None) or getattr(config.server.limits, name) for name in _CAPS}
    caps = {_CAPS[name]: amount * MEBIBYTE for name, amount in caps.items() if amount is not None}
    if caps:
        found["limits"] = BodyLimits(**caps)
    return Settings(
        key_digests={name: key.sha256 for name, key in config.keys.items() if key.sha256 is not None},
        key_limits={name: key.limits for name, key in config.keys.items()},
        default_key_limits=config.server.limits.of_keys,
        **{**_of_answers(config), **found, **given},
    )


def _of_answers(config: Config) -> Mapping[str, Any]:
    recovery = msgspec.structs.replace(Recovery(), **config.defaults.recovery.changes())
    return {"recovery": recovery, "deadlines": config.server.deadlines.over(Deadlines())}


def _check(config: Config, keys: Sequence[str], setting: Mapping[str, Any]) -> None:
    try:
        Settings(**setting)
    except ConfigurationError as error:
        raise config.error(keys, "is wrong", error.remedy) from None


def doubtful_routes(config: Config, providers: Sequence[str]) -> Sequence[ConfigurationError]:
    """Return the entries of routing lists that seem to name no provider: they are passed over when a client asks.

    Args:
        config: What was configured.
        providers: The providers there are.
    """
    doubts = []
    for route, listed in config.routes.items():
        for model in listed.to:
            provider, slash, _ = model.partition("/")
            named = model in config.aliases or model in config.routes or provider.lower() in providers
            if slash and not named and provider not in providers:
                remedy = UnknownProviderError(provider, providers).remedy
                doubts.append(config.error(["routes", route], "names a provider that is unknown", remedy))
    return doubts


def needs_restart(before: Config, after: Config) -> Sequence[str]:
    """Return the keys that differ from what the process was started with, and that a running gateway cannot follow."""
    return [f"server.{name}" for name in FIXED if getattr(before.server, name) != getattr(after.server, name)]


def changed_settings(before: Settings, after: Settings, running: Settings) -> Settings:
    """Return the settings of a running gateway with what changed in the configuration.

    Args:
        before: What was configured until now.
        after: What is configured now.
        running: What is in force: ``before``, and what was learned of where the gateway listens.
    """
    changed = {name: getattr(after, name) for name in _FOLLOWED if getattr(after, name) != getattr(before, name)}
    if "allowed_hosts" in changed:
        learned = (host for host in running.allowed_hosts if host not in before.allowed_hosts)
        changed["allowed_hosts"] = (*after.allowed_hosts, *learned)
    return msgspec.structs.replace(running, **changed)
