"""What one client key may use, and how many answers run here at the same time. Knows no route and no ledger."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from backstream.registry.server_config import KeyLimits
from backstream.server.asgi import Field, Refusal
from backstream.server.keys import KeyRecord
from backstream.server.ledger import Wait

__all__ = ["FURTHER_MODELS", "NO_LIMITS", "StreamLimits", "are_counted", "limits_of", "names_of", "refusal_of"]

NO_LIMITS: Final = KeyLimits()
"""The limits of who has none: every request of a server without keys."""

FURTHER_MODELS: Final = frozenset({"models", "fallbacks", "fallback_models"})
"""Members by which a back-end is told models to go on with, beside the one that was checked.

Source: https://openrouter.ai/docs/features/model-routing (``models``); LiteLLM's proxy takes ``fallbacks``.
"""

_TEXTS: Final = {
    "requests_per_minute": "Too many requests in a minute for this key",
    "concurrent_streams": "Too many streams for this key",
    "tokens_per_day": "This key has used its tokens of today; it has new ones at midnight, UTC",
}


def limits_of(key: KeyRecord | None, configured: Mapping[str, KeyLimits], default: KeyLimits) -> KeyLimits:
    """Return what a key may use: by its record, else by the configuration, else by the default."""
    if key is None:
        return NO_LIMITS
    named = configured.get(key.name)
    return (key.limits if named is None else key.limits.over(named)).over(default)


def are_counted(limits: KeyLimits) -> bool:
    """Tell whether a limit is there that needs counting."""
    return not (limits.requests_per_minute is limits.concurrent_streams is limits.tokens_per_day is None)


def names_of(provider: str, model: str, asked: str = "") -> Iterator[str]:
    """Return the names by which a key's patterns may mean a model.

    ``provider/model`` always; without the provider only what has no slash of its own, since ``openai/*`` must not mean
    another provider's model that begins so. Any of them in lower case too.

    Args:
        provider: The provider's name.
        model: The model, as the provider names it.
        asked: The name the client asked for.
    """
    bare = [name for name in (model, asked) if name and "/" not in name]
    for name in (f"{provider}/{model}", *bare):
        yield name
        yield name.lower()


def refusal_of(wait: Wait) -> Refusal:
    """Return the 429 of a limit that was met, which says when to come back."""
    return Refusal(429, _TEXTS[wait.limit], [_retry_after(wait.seconds)])


def _retry_after(seconds: float) -> Field:
    return b"retry-after", b"%d" % max(math.ceil(seconds), 1)


class StreamLimits:
    """The answers that run in this process.

    Attributes:
        running: How many.
    """

    def __init__(self) -> None:
        self.running = 0
        self._by_key: Counter[str] = Counter()

    def enter(self, key_name: str | None, in_all: int, per_key: int) -> None:
        """Let one more answer run, until :meth:`leave`.

        Args:
            key_name: Whose it is; ``None`` on a server without keys.
            in_all: How many may run.
            per_key: How many may run for one client key.

        Raises:
            Refusal: 429 where the key has too many, 503 where the server has; with ``Retry-After``.
        """
        if key_name is not None and self._by_key[key_name] >= per_key:
            raise Refusal(429, "Too many streams for this key", [_retry_after(1)])
        if self.running >= in_all:
            raise Refusal(503, "Too many streams", [_retry_after(1)])
        self.running += 1
        if key_name is not None:
            self._by_key[key_name] += 1

    def leave(self, key_name: str | None) -> None:
        """Note that an answer is over."""
        self.running -= 1
        if key_name is not None:
            self._by_key[key_name] -= 1
            if not self._by_key[key_name]:
                del self._by_key[key_name]
