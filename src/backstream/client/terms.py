"""What holds for a call: its clocks, and what it may do to survive trouble. Reads values, asks nobody.

The first that says something: the call, the client, the configuration; in that the routing list, the provider, the
defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.options import (
    RECOVERY_KEYWORDS,
    CallOptions,
    Deadlines,
    Recovery,
    recovery_changes,
    split_options,
)
from backstream.registry.config import Config, ProviderConfig
from backstream.registry.server_config import RouteList
from backstream.request import Policy

__all__ = ["Terms", "check_recovery", "without_recovery"]

_CLOCKS: Final = frozenset({"deadlines", "timeout", "stream_timeout"})
_NO_PROVIDER: Final = ProviderConfig()
_NO_LIST: Final = RouteList(to=())


def without_recovery(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call that a provider takes: it is asked once, whoever asks again."""
    return {name: value for name, value in parameters.items() if name not in RECOVERY_KEYWORDS}


def check_recovery(parameters: Mapping[str, Any]) -> None:
    """Check what a call says of recovery.

    Raises:
        ConfigurationError: A setting cannot work.
    """
    msgspec.structs.replace(Recovery(), **recovery_changes(parameters))


class Terms:
    """What holds for one call.

    Args:
        parameters: The keywords of the call.
        config: What was configured.
        route: The routing list that was asked for; ``None`` for none.
        deadlines: The client's clocks; ``None`` where it has none.
        recovery: What the client's calls may do; ``None`` where it does not say.
        receipts: The client's policy; ``None`` where it has none.

    Attributes:
        hurried: The clocks that were set for this call alone, in seconds by their names.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        config: Config,
        route: str | None,
        *,
        deadlines: Deadlines | None,
        recovery: Recovery | None,
        receipts: Policy | None,
    ) -> None:
        self._config = config
        self._list = _NO_LIST if route is None else config.routes[route]
        own = _clocks_of(parameters)
        self._deadlines = own or deadlines
        self.hurried: Mapping[str, float] = {} if own is None else _hurry(own, deadlines or Deadlines())
        self._recovery = parameters.get("recovery") or recovery
        self._changes = recovery_changes(parameters)
        self._receipts: Policy = receipts or config.defaults.receipts

    def deadlines(self, provider: str = "") -> Deadlines:
        """Return the clocks of a call.

        Args:
            provider: Who is asked; ``""`` while that is not known.
        """
        if self._deadlines is not None:
            return self._deadlines
        return self._list.deadlines.over(self._of(provider).deadlines.over(self._config.defaults.deadlines))

    def recovery(self, provider: str) -> Recovery:
        """Return what a call may do on a provider's routes."""
        found = self._recovery
        if found is None:
            defaults = self._config.defaults.recovery.changes()
            found = Recovery(**{**defaults, **self._of(provider).changes(), **self._list.changes()})
        return msgspec.structs.replace(found, **self._changes) if self._changes else found

    def fill(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the keywords for a provider, with the policy on receipts where the call has none."""
        options = parameters.get("options")
        said = parameters.get("receipts") or (isinstance(options, CallOptions) and options.receipts)
        return parameters if said else {**parameters, "receipts": self._receipts}

    def _of(self, provider: str) -> ProviderConfig:
        return self._config.providers.get(provider, _NO_PROVIDER)


def _clocks_of(parameters: Mapping[str, Any]) -> Deadlines | None:
    """Return the clocks that a call names itself."""
    if _CLOCKS & parameters.keys():
        return split_options(without_recovery(parameters))[0].deadlines
    given = parameters.get("options")
    return given.deadlines if isinstance(given, CallOptions) and given.deadlines != Deadlines() else None


def _hurry(own: Deadlines, usual: Deadlines) -> Mapping[str, float]:
    """Return the clocks of a call that are others than those of its client's other calls."""
    seconds = {name: getattr(own, name) for name in own.__struct_fields__}
    return {name: set_to for name, set_to in seconds.items() if set_to not in (None, getattr(usual, name))}
