"""What the configuration says of the gateway, as plain values. Pure; reads no file, and knows no server."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

__all__ = ["KeyLimits"]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one client key may use; ``None`` where nothing is said.

    Attributes:
        models: Patterns of models, such as ``openai/*`` or ``echo``; ``*`` stands for any text, ``?`` for one
            character. ``None`` for every model, an empty tuple for none.
        requests_per_minute: Requests that ask a provider, in a minute.
        concurrent_streams: Answers at the same time.
        tokens_per_day: Tokens, read and written, in a day of UTC.
    """

    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_day: int | None = None

    def over(self, below: KeyLimits) -> KeyLimits:
        """Return these limits, with those of ``below`` where they say nothing."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(below, **given)

    def allows(self, names: Iterable[str]) -> bool:
        """Tell whether a model may be used.

        Args:
            names: What it can be called: ``provider/model``, and the name that was asked for.
        """
        if self.models is None:
            return True
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.models)
