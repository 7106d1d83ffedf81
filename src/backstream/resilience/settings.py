"""What a call may do to survive trouble, as one value. Knows no route and runs nothing."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec

from backstream.errors import ConfigurationError

__all__ = ["MidStreamPolicy", "Recovery"]

MidStreamPolicy: TypeAlias = Literal["fail", "restart", "continue", "whole"]
"""What happens when an answer breaks after its first content."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a call may do to survive trouble.

    Attributes:
        retries: How often the same route is asked again before its first content, for transient causes. 0 to 10,
            default 2.
        switch_after: Seconds without content after which a route is left for the next one, while one is left. Default
            10; ``None`` never leaves a silent route.
        hedge_after: Seconds without content after which the second route is asked too, and the first to speak is kept.
            Default ``None``: never.
        mid_stream: What happens when an answer breaks after its first content. Default ``fail``.
        max_concurrent: How many answers of one route may run at once. Default ``None``: any number.
        requests_per_minute: How many requests to one route may begin within a minute. Default ``None``: any number.
        breaker_failures: After how many failures in a row a route rests. Default 3; ``None`` never rests one.
        breaker_seconds: How long it rests before one call may try it again. Default 15.
    """

    retries: int = 2
    switch_after: float | None = 10.0
    hedge_after: float | None = None
    mid_stream: MidStreamPolicy = "fail"
    max_concurrent: int | None = None
    requests_per_minute: int | None = None
    breaker_failures: int | None = 3
    breaker_seconds: float = 15.0

    def __post_init__(self) -> None:
        if type(self.retries) is not int or not 0 <= self.retries <= 10:
            raise ConfigurationError(f"recovery retries={self.retries!r} is no whole number from 0 to 10")
        for name in ("max_concurrent", "requests_per_minute", "breaker_failures"):
            number = getattr(self, name)
            if number is not None and (type(number) is not int or number < 1):
                raise ConfigurationError(f"recovery {name}={number!r} is no whole number above 0", "use None for none")
        for name in ("switch_after", "hedge_after", "breaker_seconds"):
            seconds = getattr(self, name)
            if seconds is None and name != "breaker_seconds":
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise ConfigurationError(f"recovery {name}={seconds!r} is no positive number of seconds")
        if self.mid_stream not in _POLICIES:
            raise ConfigurationError(
                f"recovery mid_stream={self.mid_stream!r} is no policy", "use one of " + ", ".join(_POLICIES)
            )


_POLICIES = get_args(MidStreamPolicy)
