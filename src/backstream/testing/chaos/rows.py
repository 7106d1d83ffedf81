"""The faults that a streaming client must survive, by number, and which of them no server of answers can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ROWS", "UNSHOWABLE"]

ROWS: Final[Mapping[int, str]] = {
    1: "the name cannot be looked up",
    2: "the connection is refused",
    3: "the connection is never accepted",
    4: "a certificate that cannot be trusted",
    5: "closed before any byte",
    6: "reset before the head",
    7: "the head never comes",
    8: "the head comes a byte at a time",
    9: "a head that is too large, too long or malformed",
    10: "interim answers before the answer",
    11: "a body that ends with its connection",
    12: "a Content-Length that is too small or too large",
    13: "two lengths that do not agree",
    14: "chunks with extensions and trailers",
    15: "chunks that are badly framed",
    16: "the body comes a byte at a time",
    17: "characters of several bytes are cut",
    18: "bytes that are no UTF-8",
    19: "a byte order mark",
    20: "line ends of every kind",
    21: "keep-alives and nothing else",
    22: "silence in the middle",
    23: "a reset in the middle",
    24: "the end inside an event",
    25: "a clean end without the word for done",
    26: "done, but the connection stays open",
    27: "more after the word for done",
    28: "an error inside an answer of status 200",
    29: "an event that is no JSON, or JSON nested without end",
    30: "a line without end",
    31: "an event of many megabytes",
    32: "compressed bombs, and damage in what is compressed",
    33: "another content type",
    34: "no content",
    35: "redirects that would change the method",
    36: "redirects to another origin",
    37: "redirects in a loop, or to nowhere",
    38: "a request refused for good",
    39: "a request refused for now",
    40: "Retry-After beyond reason",
    41: "events doubled, out of order or left out",
    42: "the caller leaves",
    43: "a reader slower than the answer",
    44: "a disk that is full",
}
"""Number → what happens."""

UNSHOWABLE: Final[Mapping[int, str]] = {
    1: "there is no server yet; ask for http://name.invalid",
    2: "there is no server; ask a port that nobody listens on",
    3: "the system accepts connections for a server; fill the backlog of a socket that nobody accepts from",
    4: "this server speaks no TLS; put one in front whose certificate is of another name",
    41: "most dialects number nothing, so that no reader could tell",
    44: "the disk is the client's; give it a full one",
}
"""Number → why no model shows it, and how to see it otherwise."""
