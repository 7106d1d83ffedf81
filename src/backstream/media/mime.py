"""MIME types as values: parse and write them the way browsers do. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["MimeType", "parse_mime_type"]

_TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+\Z")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_WHITE: Final = "\t\n\r "


@dataclasses.dataclass(frozen=True, slots=True)
class MimeType:
    """A MIME type; ``str()`` writes it out.

    Attributes:
        type: What stands before the slash, in lower case.
        subtype: What stands after it, in lower case.
        parameters: Names in lower case, with their values; the first of equal names counts.
    """

    type: str
    subtype: str
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def essence(self) -> str:
        """The type without its parameters."""
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return self.essence + "".join(f";{name}={_quote(value)}" for name, value in self.parameters.items())


def parse_mime_type(text: str) -> MimeType | None:
    """Parse a MIME type.

    Args:
        text: For example ``text/plain; charset=utf-8``.

    Returns:
        The type, without the parameters that are malformed; ``None`` where type or subtype is no token.

    Source:
        https://mimesniff.spec.whatwg.org/#parsing-a-mime-type
    """
    essence, _, rest = text.strip(_WHITE).partition(";")
    kind, _, subtype = essence.partition("/")
    subtype = subtype.rstrip(_WHITE)
    if not _TOKEN.match(kind) or not _TOKEN.match(subtype):
        return None
    return MimeType(kind.lower(), subtype.lower(), _parse_parameters(rest))


def _parse_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        stop = _first_of(text, ";=", at)
        name = text[at:stop].lstrip(_WHITE).lower()
        if text[stop : stop + 1] != "=":
            at = stop + 1
            continue
        if text[stop + 1 : stop + 2] == '"':
            value, end = _parse_quoted(text, stop + 2)
            at = _first_of(text, ";", end) + 1
        else:
            end = _first_of(text, ";", stop + 1)
            value = text[stop + 1 : end].rstrip(_WHITE)
            at = end + 1
            if not value:
                continue
        if _TOKEN.match(name) and _VALUE.match(value):
            found.setdefault(name, value)
    return found


def _first_of(text: str, marks: str, at: int) -> int:
    return min((where for where in (text.find(mark, at) for mark in marks) if where >= 0), default=len(text))


def _parse_quoted(text: str, at: int) -> tuple[str, int]:
    """Read a quoted string whose opening quote ends at ``at``; return it and where it ends."""
    parts: list[str] = []
    while True:
        stop = _first_of(text, '"\\', at)
        parts.append(text[at:stop])
        if text[stop : stop + 1] != "\\":
            return "".join(parts), stop + 1
        parts.append(text[stop + 1 : stop + 2] or "\\")
        at = stop + 2


def _quote(value: str) -> str:
    if _TOKEN.match(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
