"""What Gemini takes: JSON Schema in newer fields (``responseJsonSchema``, ``parametersJsonSchema``), before that a form
of its own (``responseSchema``, ``parameters``). Prefer the newer: it knows references, tuples and closed objects.
"""

from __future__ import annotations

from typing import Any, Final

from backstream.schema.refs import hoist_root, inline_refs
from backstream.schema.subset import Subset, narrow
from backstream.schema.walk import Schema, check_schema, map_subschemas, step, words

__all__ = ["gemini_json_schema", "gemini_schema"]

JSON_SCHEMA: Final = Subset(
    keywords=words(
        "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum "
        "anyOf properties additionalProperties required propertyOrdering"
    )
)

OWN_FORM: Final = Subset(
    keywords=words(
        "type format title description nullable enum items minItems maxItems properties required propertyOrdering "
        "minProperties maxProperties minimum maximum minLength maxLength pattern example anyOf default"
    ),
    formats=words("enum date-time float double int32 int64"),
)


def gemini_json_schema(schema: Schema) -> tuple[Schema, list[str]]:
    """Keep what Gemini's ``responseJsonSchema`` and ``parametersJsonSchema`` know.

    ``definitions`` become ``$defs``. A reference to itself is taken by Gemini only in members that are not required.

    Returns:
        A new schema, and the paths of the keywords that were dropped.

    Raises:
        InvalidRequestError: It is no schema.

    Source: the field ``responseJsonSchema`` of https://ai.google.dev/api/generate-content#GenerationConfig
    """
    return narrow(_modern(hoist_root(check_schema(schema))), JSON_SCHEMA)


def gemini_schema(schema: Schema) -> tuple[Schema, list[str]]:
    """Bring a schema into the form of Gemini's ``responseSchema`` and ``parameters``: a part of OpenAPI 3.0's.

    References are written out, types in capitals, null is ``nullable``, members keep their order. An object without
    members cannot be said; leave ``parameters`` out for a function without any.

    Returns:
        A new schema, and the paths of the keywords that were dropped (in the schema with its references written out).

    Raises:
        InvalidRequestError: It is no schema.
        UnsupportedFeatureError: It refers to itself.

    Source: https://ai.google.dev/api/caching#Schema
    """
    kept, dropped = narrow(inline_refs(schema), OWN_FORM)
    return _own_form(kept, "$", dropped), dropped


def _modern(schema: Schema, path: str = "$") -> Schema:
    modern = map_subschemas(schema, _modern, path)
    if "definitions" in modern:
        modern["$defs"] = {**modern.pop("definitions"), **modern.get("$defs", {})}
    if modern.get("$ref", "").startswith("#/definitions/"):
        modern["$ref"] = "#/$defs/" + modern["$ref"].removeprefix("#/definitions/")
    return modern


def _own_form(schema: Schema, path: str, dropped: list[str]) -> Schema:
    said = dict(schema)
    types = said.get("type")
    if isinstance(types, list):
        _split_types(said, types, path, dropped)
    if None in said.get("enum", ()):
        said["nullable"] = True
        said["enum"] = [value for value in said["enum"] if value is not None]
    if "anyOf" in said:
        said, alone = _own_union(said, path, dropped)
        if alone:
            return _own_form(said, path, dropped)
    said = map_subschemas(said, lambda inner, at: _own_form(inner, at, dropped), path)
    _own_enum(said, path, dropped)
    if said.get("properties"):
        said.setdefault("propertyOrdering", list(said["properties"]))
    if "type" in said:
        said["type"] = said["type"].upper()
    return said


def _split_types(said: dict[str, Any], types: list[str], path: str, dropped: list[str]) -> None:
    """One type each: null goes to ``nullable``, more than one left become an ``anyOf``."""
    named = [name for name in types if name != "null"]
    if len(named) < len(types):
        said["nullable"] = True
    if len(named) > 1:
        said.pop("type")
        if said.pop("enum", None):
            dropped.append(f"{path}.enum")
        said["anyOf"] = [*said.get("anyOf", ()), *({"type": name} for name in named)]
    else:
        said["type"] = named[0] if named else "null"


def _own_union(said: Schema, path: str, dropped: list[str]) -> tuple[Schema, bool]:
    """An ``anyOf`` stands by itself: null becomes ``nullable``, the description goes into each branch.

    Returns:
        The schema, and whether it is that of the only branch left.
    """
    branches = [branch for branch in said["anyOf"] if branch.get("type") != "null"]
    nullable = len(branches) < len(said["anyOf"]) or said.get("nullable", False)
    beside = {keyword: value for keyword, value in said.items() if keyword not in ("anyOf", "nullable")}
    if nullable and branches:
        branches = [{**branch, "nullable": True} for branch in branches]
    if len(branches) <= 1:
        return {**(branches[0] if branches else {"type": "null"}), **beside}, True
    notes = {keyword: beside.pop(keyword) for keyword in ("title", "description") if keyword in beside}
    dropped.extend(path + step(keyword) for keyword in beside)
    return {"anyOf": [{**notes, **branch} for branch in branches]}, False


def _own_enum(said: Schema, path: str, dropped: list[str]) -> None:
    if "enum" not in said:
        return
    if said.get("type") == "string" and said["enum"]:
        said["format"] = "enum"
    else:
        said.pop("enum")
        dropped.append(f"{path}.enum")
