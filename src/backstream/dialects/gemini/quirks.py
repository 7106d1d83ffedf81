"""What a Gemini back-end may do otherwise than Google's own, and the names both directions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

__all__ = ["NAME", "Quirks", "overlay", "quirks_of", "to_camel"]

NAME: Final = "gemini"


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """What is odd about one back-end.

    Attributes:
        framing: How a streamed answer is asked for and rendered: ``sse`` (``alt=sse``), or ``array``, a JSON array that
            comes bit by bit. Answers are read in either.
        files_url: What stands before ``files/…`` in the URI of an uploaded file.
        json_schema: Whether it takes JSON Schema (``responseJsonSchema``, ``parametersJsonSchema``); else schemas are
            said in the older form of its own.
        media_in_results: Whether a tool's result may hold media (Gemini 3 and later); else they follow it.
        media_resolution: Whether a part may say how closely to look at it (Gemini 3 and later).
    """

    framing: Literal["sse", "array"] = "sse"
    files_url: str = "https://generativelanguage.googleapis.com/v1beta/"
    json_schema: bool = True
    media_in_results: bool = True
    media_resolution: bool = True


_OLD: Final = ("gemini-1", "gemini-2")


def quirks_of(model: str, quirks: Quirks) -> Quirks:
    """Return the quirks that hold for a model: those before Gemini 3 do not know all that later ones do."""
    if not model.removeprefix("models/").startswith(_OLD):
        return quirks
    return msgspec.structs.replace(quirks, media_in_results=False, media_resolution=False)


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay members over others: objects are joined member by member, of anything else the upper one stays."""
    joined = dict(below)
    for name, value in above.items():
        under = joined.get(name)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        joined[name] = overlay(under, value) if both else value  # type: ignore[arg-type]
    return joined


def to_camel(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return members by their names in camel case; servers of Google take names with underscores too."""
    return {_camel(name): value for name, value in members.items()}


def _camel(name: str) -> str:
    if "_" not in name:
        return name
    first, *further = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in further)
