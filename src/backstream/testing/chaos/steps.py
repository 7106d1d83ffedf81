"""What a fault's script is made of: plain values. Knows no dialect and no socket; :mod:`.player` plays them."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal, TypeAlias

__all__ = [
    "ALL",
    "Begin",
    "Close",
    "Compressed",
    "Drip",
    "Ending",
    "Event",
    "Failure",
    "Framing",
    "Half",
    "Head",
    "Hold",
    "Junk",
    "KeepAlive",
    "LastChunk",
    "N",
    "Pause",
    "Pieces",
    "Raw",
    "Repeat",
    "Reset",
    "Rewrite",
    "Step",
]

N: Final = -1
"""In place of a count: the number in the fault's name."""

ALL: Final = -2
"""In place of a count: all that are left."""

Framing: TypeAlias = Literal["chunked", "close", "short", "long", "plain"]


@dataclasses.dataclass(frozen=True)
class Head:
    """Send the answer's head.

    Attributes:
        status: The status; :data:`N` for the number in the fault's name.
        framing: How the body's end is told: by chunks, by the end of the connection, by a length that is shorter or
            longer than the body, or, ``plain``, by fields of the fault's own.
        fields: Further header fields.
        content_type: In place of the dialect's.
        version: Of HTTP.
    """

    status: int = 200
    framing: Framing = "chunked"
    fields: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    version: str = "1.1"


@dataclasses.dataclass(frozen=True)
class Begin:
    """Send what the dialect says before the first text."""


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Send pieces of the text, each as one event.

    Attributes:
        count: How many.
        between: What to send after each: nothing, or the dialect's keep-alive.
        split: Send each event in two, cut inside its last character of several bytes, else in the middle.
    """

    count: int = ALL
    between: Literal["", "keep-alive"] = ""
    split: bool = False


@dataclasses.dataclass(frozen=True)
class Half:
    """Send the first half of the next event, cut inside its JSON."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """Send the dialect's words for done.

    Attributes:
        without_last: Leave out the very last event (``[DONE]``, ``message_stop``, …).
    """

    without_last: bool = False


@dataclasses.dataclass(frozen=True)
class Failure:
    """Send the dialect's error event; after a head of refusal, the body of the dialect's refusal."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Send one event whose data are these bytes, which are no JSON of the dialect."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Junk:
    """Send one more event of text, after everything."""


@dataclasses.dataclass(frozen=True)
class KeepAlive:
    """Send the dialect's keep-alive."""


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """From here on, change the bytes of the body.

    Attributes:
        old: What to replace.
        new: What to put there.
    """

    old: bytes
    new: bytes


@dataclasses.dataclass(frozen=True)
class Drip:
    """From here on, send the body in pieces of this many bytes, each on its own."""

    size: int = 1


@dataclasses.dataclass(frozen=True)
class Raw:
    """Send bytes as they are, outside of all framing."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Compressed:
    """Send zeros, compressed by gzip: so many MiB once they are inflated."""

    mebibytes: int = N


@dataclasses.dataclass(frozen=True)
class Pause:
    """Do nothing for one pace."""


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Take steps again and again, until the client leaves."""

    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class LastChunk:
    """End the body as its framing says; the connection can then be used again."""


@dataclasses.dataclass(frozen=True)
class Hold:
    """Send nothing more, until the client leaves."""


@dataclasses.dataclass(frozen=True)
class Reset:
    """Close with a reset (RST)."""


@dataclasses.dataclass(frozen=True)
class Close:
    """Close in good order (FIN)."""


Step: TypeAlias = (
    Head
    | Begin
    | Pieces
    | Half
    | Ending
    | Failure
    | Event
    | Junk
    | KeepAlive
    | Rewrite
    | Drip
    | Raw
    | Compressed
    | Pause
    | Repeat
    | LastChunk
    | Hold
    | Reset
    | Close
)
"""One step of a script."""
