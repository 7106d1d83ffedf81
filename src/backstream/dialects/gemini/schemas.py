"""Gemini's older form of schemas, a part of OpenAPI 3.0's, back to JSON Schema; a JSON schema stays what it is.

Source: https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["from_own_form"]

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def from_own_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema: types in small letters, ``nullable`` as a type, counts sent as text as numbers."""
    said: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                said["type"] = value.lower() if value in _TYPES else value
        elif keyword in ("items", "additionalProperties") and isinstance(value, Mapping):
            said[keyword] = from_own_form(value)
        elif keyword in ("properties", "$defs") and isinstance(value, Mapping):
            said[keyword] = {name: _inner(inner) for name, inner in value.items()}
        elif keyword in ("anyOf", "prefixItems") and isinstance(value, list):
            said[keyword] = [_inner(inner) for inner in value]
        elif keyword in _COUNTS and isinstance(value, str) and value.isdecimal():
            said[keyword] = int(value)
        elif not (keyword == "nullable" or (keyword == "format" and value == "enum")):
            said[keyword] = value
    return _nullable(said) if schema.get("nullable") is True else said


def _inner(schema: object) -> Any:
    return from_own_form(schema) if isinstance(schema, Mapping) else schema


def _nullable(said: dict[str, Any]) -> dict[str, Any]:
    if isinstance(said.get("type"), str):
        said["type"] = [said["type"], "null"]
        if isinstance(said.get("enum"), list) and None not in said["enum"]:
            said["enum"] = [*said["enum"], None]
    elif isinstance(said.get("anyOf"), list):
        said["anyOf"] = [*said["anyOf"], {"type": "null"}]
    return said
