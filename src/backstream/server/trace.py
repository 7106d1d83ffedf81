"""The client's trace: its header fields checked, and what the provider gets of them. Pure; knows no tracing library.

Source: W3C Trace Context, Recommendation of 2021-11-23, sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from backstream.server.asgi import Request

__all__ = ["PassedOn", "Trace", "TraceContext", "parse_trace"]

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]*)?")
_KEY: Final = r"(?:[a-z0-9][a-z0-9_\-*/@]{0,255})"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(f"({_KEY})=({_VALUE})")
_MOST_MEMBERS: Final = 32
_MOST_CHARACTERS: Final = 8192  # of a tracestate; the rule asks for at least 512
_LONGEST_PARENT: Final = 256  # of a version we do not know


class TraceContext(msgspec.Struct, frozen=True):
    """A valid place in a trace.

    Attributes:
        traceparent: The field as it came.
        tracestate: The vendors' state, joined to one field; ``""`` for none.
        trace_id: The trace, 32 hexadecimal digits.
        parent_id: The client's span, 16 hexadecimal digits.
        sampled: Whether the client may have recorded its part.
    """

    traceparent: str
    tracestate: str
    trace_id: str
    parent_id: str
    sampled: bool

    @property
    def fields(self) -> Mapping[str, str]:
        """The header fields that pass it on."""
        return {"traceparent": self.traceparent} | ({"tracestate": self.tracestate} if self.tracestate else {})


class Trace(Protocol):
    """What a request carries through the gateway."""

    def ask(self) -> Mapping[str, str]:
        """Return the header fields for the provider; called when it is asked, and harmless when repeated."""
        ...


class PassedOn:
    """A trace that goes to the provider as it came; a :class:`Trace`.

    Args:
        context: The client's.
    """

    __slots__ = ("_context",)

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    def ask(self) -> Mapping[str, str]:
        """Return the client's header fields."""
        return self._context.fields


def parse_trace(request: Request) -> TraceContext | None:
    """Read the trace of a request; ``None`` where it names none, two, or none that is valid.

    A malformed ``tracestate`` is dropped, and the rest stays.
    """
    parents = request.values(b"traceparent")
    if len(parents) != 1:
        return None
    parent = parents[0].decode("latin-1").strip(" \t")
    match = _PARENT.fullmatch(parent) if len(parent) <= _LONGEST_PARENT else None
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    state = _parse_state(request.values(b"tracestate"))
    return TraceContext(parent, state, trace_id, parent_id, sampled=bool(int(flags, 16) & 1))


def _parse_state(values: Sequence[bytes]) -> str:
    text = ",".join([value.decode("latin-1") for value in values])
    if len(text) > _MOST_CHARACTERS:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match is not None}
    if len(members) > _MOST_MEMBERS or len(keys) != len(members):  # malformed ones, or a key twice
        return ""
    return ",".join(members)
