"""Narrow a JSON schema to the keywords that a back-end takes, and tell what was lost. Knows no back-end by name."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from backstream.schema.refs import DEFINITIONS
from backstream.schema.walk import Schema, map_subschemas, step

__all__ = ["Subset", "narrow", "value_types"]


class Subset(msgspec.Struct, frozen=True, kw_only=True):
    """What a back-end takes of JSON Schema.

    Attributes:
        keywords: The keywords that it takes.
        formats: The values of ``format`` that it takes; ``None`` for all.
    """

    keywords: frozenset[str]
    formats: frozenset[str] | None = None


def narrow(schema: Schema, subset: Subset) -> tuple[Schema, list[str]]:
    """Keep what a back-end takes of a schema.

    First what it does not know is said in other words where there are some: ``oneOf`` as ``anyOf``, ``const`` as
    ``enum``, ``allOf`` of one as that one, ``prefixItems`` as ``items`` (which loses the order), members beside a
    ``$ref`` as an ``anyOf`` of one around it, a missing ``type`` as that of the ``enum``.

    Args:
        schema: It must have passed ``check_schema``.
        subset: What the back-end takes.

    Returns:
        A new schema, and the paths of the keywords that were dropped or lost meaning, such as
        ``$.properties.age.minimum``.
    """
    dropped: list[str] = []

    def visit(inner: Schema, path: str) -> Schema:
        said = _in_other_words(inner, subset.keywords)
        if "prefixItems" in inner and "prefixItems" not in subset.keywords:
            dropped.append(f"{path}.prefixItems")
        kept = {}
        for keyword, value in said.items():
            unknown_format = keyword == "format" and subset.formats is not None and value not in subset.formats
            if keyword in subset.keywords and not unknown_format:
                kept[keyword] = value
            else:
                dropped.append(path + step(keyword))
        return map_subschemas(kept, visit, path)

    return visit(schema, "$"), dropped


def value_types(values: list[Any]) -> list[str]:
    """Return the JSON types of these values, each once, in order."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", type(None): "null"}
    return list(dict.fromkeys(names.get(type(value), "object") for value in values))


_NOTES: Final = frozenset({"title", "description", "default", "examples"})


def _in_other_words(schema: Schema, keywords: frozenset[str]) -> Schema:
    said = dict(schema)
    only = said["allOf"][0] if len(said.get("allOf", ())) == 1 else None
    if isinstance(only, dict) and only.keys() & said.keys() <= _NOTES:
        said.pop("allOf")
        said = {**only, **said}
    if "oneOf" in said and "anyOf" not in said and "oneOf" not in keywords:
        said["anyOf"] = said.pop("oneOf")
    values = [said["const"]] if "const" in said else said.get("enum")
    if values and "type" not in said:
        types = value_types(values)
        said["type"] = types[0] if len(types) == 1 else types
    if "const" in said and "const" not in keywords:
        said["enum"] = [said.pop("const")]
    if "prefixItems" in said and "prefixItems" not in keywords:
        said = _without_prefix(said)
    beside = said.keys() - {"$ref", *DEFINITIONS}
    if "$ref" in said and beside and "anyOf" not in said:
        said["anyOf"] = [{"$ref": said.pop("$ref")}]
    return said


def _without_prefix(schema: Schema) -> Schema:
    said = dict(schema)
    kinds: list[Any] = []
    rest = said.pop("items", True)
    for kind in [*said.pop("prefixItems"), *([rest] if isinstance(rest, dict) else [])]:
        if kind not in kinds:
            kinds.append(kind)
    said["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return said
