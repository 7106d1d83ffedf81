"""What the configuration says of clocks, and of surviving trouble. Plain values: they run no clock and ask nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from backstream.options import Deadlines

__all__ = ["ClocksConfig", "OfRoutes", "RecoveryConfig"]

Clock: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Amount: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class ClocksConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table ``deadlines``: see :class:`backstream.Deadlines`; ``None`` where nothing is said, 0 for no limit.

    Attributes:
        connect: In seconds, as all of them; up to a day.
        headers: From the request to the answer's head.
        first_content: From the request to the first content.
        between_content: From one content to the next.
        total: The whole call.
        idle: No byte at all.
    """

    connect: Clock | None = None
    headers: Clock | None = None
    first_content: Clock | None = None
    between_content: Clock | None = None
    total: Clock | None = None
    idle: Clock | None = None

    def over(self, below: Deadlines) -> Deadlines:
        """Return the clocks of ``below`` with what is said here."""
        said = {name: seconds or None for name, seconds in msgspec.structs.asdict(self).items() if seconds is not None}
        return msgspec.structs.replace(below, **said) if said else below


class OfRoutes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for each route of a provider; ``None`` where nothing is said, 0 for none.

    Attributes:
        retries: How often a route is asked again.
        max_concurrent: Answers of a route at the same time.
        requests_per_minute: Requests to a route that begin within a minute.
        breaker_failures: After how many failures in a row a route rests.
        breaker_seconds: How long it rests.
    """

    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    max_concurrent: Amount | None = None
    requests_per_minute: Amount | None = None
    breaker_failures: Amount | None = None
    breaker_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None

    def changes(self) -> Mapping[str, Any]:
        """Return what is said, as attributes of ``backstream.Recovery``."""
        said = {name: getattr(self, name) for name in _NAMES}
        return {name: value or (0 if name == "retries" else None) for name, value in said.items() if value is not None}


class RecoveryConfig(OfRoutes, frozen=True, kw_only=True, omit_defaults=True):
    """What a call may do to survive trouble: the table ``[defaults.recovery]``, and the keys of a routing list.

    Attributes:
        switch_after: Seconds of silence after which the next route is asked; 0 for never.
        hedge_after: Seconds of silence after which the second route is asked too; 0 for never.
        mid_stream: What happens when an answer breaks after its first content.
    """

    switch_after: Clock | None = None
    hedge_after: Clock | None = None
    mid_stream: Literal["fail", "restart", "continue", "whole"] | None = None

    def changes(self) -> Mapping[str, Any]:
        """Return what is said, as attributes of ``backstream.Recovery``."""
        more = {name: getattr(self, name) for name in ("switch_after", "hedge_after", "mid_stream")}
        return {**super().changes(), **{name: value or None for name, value in more.items() if value is not None}}


_NAMES = OfRoutes.__struct_fields__
