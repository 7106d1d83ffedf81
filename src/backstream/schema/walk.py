"""Where a JSON schema holds other schemas, and whether it is one at all. Knows no vendor and no Python type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from backstream.errors import InvalidRequestError

__all__ = ["DEEPEST", "Schema", "check_schema", "iter_subschemas", "map_subschemas", "step", "words"]

Schema: TypeAlias = dict[str, Any]
"""A JSON schema (draft 2020-12, or the parts of older drafts that still mean the same)."""

DEEPEST: Final = 100
"""How many schemas may stand inside each other."""

TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


def words(text: str) -> frozenset[str]:
    """Return the set of the words of a text, for tables of keywords."""
    return frozenset(text.split())


_SINGLE: Final = words(
    "items additionalProperties contains propertyNames not if then else unevaluatedItems unevaluatedProperties"
)
_LISTED: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def step(name: str) -> str:
    """Return what a member adds to a path: ``.name``, or ``["odd name"]``."""
    return f".{name}" if name.removeprefix("$").replace("-", "_").isidentifier() else f"[{_quote(name)}]"


def _quote(name: str) -> str:
    return msgspec.json.encode(name.encode("utf-8", "replace").decode()).decode()


def map_subschemas(schema: Mapping[str, Any], visit: Callable[[Schema, str], Any], path: str = "$") -> Schema:
    """Copy a schema with every schema directly inside it replaced by ``visit(inner, path of inner)``.

    ``true`` and ``false`` are handed over as ``{}`` and ``{"not": {}}`` where a vendor would expect an object; as the
    value of ``items``, ``additionalProperties`` and the like they stay what they are.
    """
    copy: Schema = {}
    for keyword, value in schema.items():
        here = path + step(keyword)
        if keyword in _SINGLE and isinstance(value, dict):
            copy[keyword] = visit(value, here)
        elif keyword in _LISTED:
            copy[keyword] = [visit(_spelled(inner), f"{here}[{index}]") for index, inner in enumerate(value)]
        elif keyword in _NAMED:
            copy[keyword] = {name: visit(_spelled(inner), here + step(name)) for name, inner in value.items()}
        else:
            copy[keyword] = value
    return copy


def _spelled(schema: Any) -> Any:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return schema


def iter_subschemas(schema: Mapping[str, Any]) -> Iterator[Schema]:
    """Yield a schema and every schema inside it. It must have passed :func:`check_schema`."""
    waiting: list[Schema] = [dict(schema)]
    while waiting:
        inner = waiting.pop()
        yield inner
        map_subschemas(inner, lambda found, _: waiting.append(found))


def check_schema(schema: Any) -> Schema:
    """Check that a value has the shape of a JSON schema; what it demands is left to the back-end.

    Returns:
        The same object.

    Raises:
        InvalidRequestError: It has not, or is nested more than 100 deep, or holds values without a JSON form.
    """
    waiting: list[tuple[Any, str, int]] = [(schema, "$", 0)]
    while waiting:
        inner, path, depth = waiting.pop()
        if depth > DEEPEST:
            raise InvalidRequestError(f"schema is nested more than {DEEPEST} deep", "make it flatter")
        _check_one(inner, path)
        map_subschemas(inner, lambda found, at, deeper=depth + 1: waiting.append((found, at, deeper)), path)  # type: ignore[misc]
    try:
        msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequestError("schema holds values without a JSON form") from None
    checked: Schema = schema
    return checked


def _check_one(schema: Any, path: str) -> None:
    if not isinstance(schema, dict):
        raise InvalidRequestError(f"schema at {path} is a {type(schema).__name__}", "pass a dict")
    if not all(isinstance(keyword, str) for keyword in schema):
        raise InvalidRequestError(f"schema at {path} has a keyword that is no string")
    if isinstance(schema.get("json_schema"), dict) or ("schema" in schema and "name" in schema):
        raise InvalidRequestError(f"schema at {path} is a vendor's envelope", "pass the JSON schema inside it")
    for keyword, value in schema.items():
        if not _fits(keyword, value):
            raise InvalidRequestError(f"schema has a wrong value for {keyword!r} at {path}")


def _fits(keyword: str, value: Any) -> bool:
    if keyword == "type":
        names = value if isinstance(value, list) and value else [value]
        return all(isinstance(name, str) and name in TYPES for name in names)
    if keyword in _SINGLE:
        return isinstance(value, dict | bool)
    if keyword in _LISTED:
        return isinstance(value, list) and len(value) > 0
    if keyword in _NAMED:
        return isinstance(value, dict) and all(isinstance(name, str) for name in value)
    if keyword == "required":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if keyword == "enum":
        return isinstance(value, list) and len(value) > 0
    if keyword in _BOUNDS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return keyword not in {"$ref", "description", "title", "format"} or isinstance(value, str)


_BOUNDS: Final = words(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems "
    "minProperties maxProperties"
)
