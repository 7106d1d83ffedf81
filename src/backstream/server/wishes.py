"""What a request may say of how its answer is made, in header fields: clocks, and what happens when it breaks.

A request may be less patient than the server, never more. Knows no provider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, get_args

import msgspec

from backstream.options import Deadlines, MidStreamPolicy
from backstream.server.asgi import Refusal, Request

__all__ = ["DEADLINES", "MID_STREAM", "Wishes", "parse_wishes"]

DEADLINES: Final = b"x-backstream-deadlines"
MID_STREAM: Final = b"x-backstream-mid-stream"

_LONGEST_SECONDS: Final = 86_400.0
_CLOCKS: Final = Deadlines.__struct_fields__
_POLICIES: Final = get_args(MidStreamPolicy)
_CLOCK: Final = re.compile(r"[ \t]*([a-z_]{1,20})[ \t]*=[ \t]*([0-9]{1,5}(?:\.[0-9]{1,6})?)[ \t]*")


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of how its answer is made.

    Attributes:
        deadlines: The clocks it names, in seconds.
        mid_stream: What is to happen when the answer breaks after its first content; ``None`` where it does not say.
        takes_restart: Whether its client can be told that what it has of the answer is void.
    """

    deadlines: Mapping[str, float] = {}
    mid_stream: MidStreamPolicy | None = None
    takes_restart: bool = False

    def within(self, own: Deadlines) -> Deadlines:
        """Return the server's own clocks, shortened to those that the request names."""
        if not self.deadlines:
            return own
        known = ((name, getattr(own, name), seconds) for name, seconds in self.deadlines.items())
        return msgspec.structs.replace(
            own, **{name: seconds if most is None else min(most, seconds) for name, most, seconds in known}
        )

    def policy(self, own: MidStreamPolicy) -> MidStreamPolicy:
        """Return what happens when the answer breaks: what the request says, else the server's own.

        A ``restart`` that the client cannot be told of is a ``fail``.
        """
        chosen = self.mid_stream or own
        return "fail" if chosen == "restart" and not self.takes_restart else chosen


def parse_wishes(request: Request, *, takes_restart: bool = False) -> Wishes:
    """Read ``X-Backstream-Deadlines`` and ``X-Backstream-Mid-Stream``.

    Args:
        request: The request.
        takes_restart: Whether its client can be told that what it has of an answer is void.

    Raises:
        Refusal: 400 where one of them is malformed, or asks for what this client cannot be told.
    """
    clocks = {name: seconds for value in request.values(DEADLINES) for name, seconds in _parse_clocks(value)}
    policies = [value.decode("latin-1").strip().lower() for value in request.values(MID_STREAM)]
    if not clocks and not policies:
        return Wishes(takes_restart=takes_restart)
    if policies and (len(policies) > 1 or policies[0] not in _POLICIES):
        raise Refusal(400, f"X-Backstream-Mid-Stream must be sent once, as one of {', '.join(_POLICIES)}")
    if policies == ["restart"] and not takes_restart:
        raise Refusal(400, "This client cannot be told that what it has is void; use fail, continue or whole")
    policy = msgspec.convert(policies[0], MidStreamPolicy) if policies else None
    return Wishes(deadlines=clocks, mid_stream=policy, takes_restart=takes_restart)


def _parse_clocks(value: bytes) -> list[tuple[str, float]]:
    clocks = []
    for part in value.decode("latin-1").split(","):
        found = _CLOCK.fullmatch(part)
        seconds = float(found[2]) if found is not None else 0.0
        if found is None or found[1] not in _CLOCKS or not 0 < seconds <= _LONGEST_SECONDS:
            raise Refusal(
                400,
                "X-Backstream-Deadlines must be like total=60, first_content=20: seconds up to a day for "
                + ", ".join(_CLOCKS),
            )
        clocks.append((found[1], seconds))
    return clocks
