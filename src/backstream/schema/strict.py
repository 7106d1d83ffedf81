"""The strict form of OpenAI: every object closed, every member required, what was optional nullable."""

from __future__ import annotations

from typing import Any, Final

from backstream.errors import UnsupportedFeatureError
from backstream.schema.check import fits
from backstream.schema.refs import DEFINITIONS, hoist_root
from backstream.schema.subset import Subset, narrow
from backstream.schema.walk import Schema, check_schema, iter_subschemas, map_subschemas, step, words

__all__ = ["WRAPPED", "is_object", "refuse_any_members", "strict_schema"]

WRAPPED: Final = "value"
"""The one member of the object put around an answer that is no object."""

STRICT: Final = Subset(
    keywords=words(
        "type properties required additionalProperties items anyOf enum const $ref $defs definitions description title "
        "pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems"
    ),
    formats=words("date-time time date duration email hostname ipv4 ipv6 uuid"),
)


def strict_schema(schema: Schema) -> tuple[Schema, list[str]]:
    """Bring a schema into the strict form, which back-ends hold to the letter.

    Each object is closed and requires all its members; what was optional may be null instead. A root that is no
    object becomes the member ``value`` of one. ``parse_answer`` reads both back.

    Returns:
        A new schema, and what was changed, each as ``path: change``.

    Raises:
        InvalidRequestError: It is no schema.
        UnsupportedFeatureError: It has something that the strict form cannot say: an object with any members, or a
            value of any type.

    Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    root, dropped = narrow(hoist_root(check_schema(schema)), STRICT)
    changes = [f"{path}: dropped" for path in dropped]

    def close(inner: Schema, path: str) -> Schema:
        closed = map_subschemas(inner, close, path)
        if "type" not in closed and "$ref" not in closed and "anyOf" not in closed:
            if "properties" not in closed:
                raise UnsupportedFeatureError(f"schema names no type at {path}", f"give it one, or {_LENIENT}")
            closed["type"] = "object"
        return _close_object(closed, path, root, changes) if is_object(closed) else closed

    strict = close(root, "$")
    if is_object(strict) and strict["type"] == "object" and "anyOf" not in strict:
        return strict, changes
    changes.append(f"$: made the member {WRAPPED!r} of an object")
    return _wrap(strict), changes


_LENIENT: Final = "ask without the strict form"


def is_object(schema: Schema) -> bool:
    """Whether a schema describes an object (perhaps among other types)."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def refuse_any_members(schema: Schema, path: str) -> None:
    """Refuse an object whose members have no names: closed, it could only be empty.

    Raises:
        UnsupportedFeatureError: It is one.
    """
    others = schema.get("additionalProperties")
    unnamed = not schema.get("properties") and (others is not None or "properties" not in schema)
    if unnamed and others is not False:
        raise UnsupportedFeatureError(
            f"schema has an object with any members at {path}",
            f"name its members, use a list of pairs, or {_LENIENT}",
        )


def _close_object(schema: Schema, path: str, root: Schema, changes: list[str]) -> Schema:
    others = schema.get("additionalProperties")
    properties: dict[str, Any] = schema.get("properties", {})
    refuse_any_members(schema, path)
    if others is not False:
        changes.append(f"{path}: closed to other members")
    required = frozenset(schema.get("required", ()))
    members: dict[str, Any] = {}
    for name, member in properties.items():
        members[name] = member
        if name not in required:
            changes.append(f"{path}.properties{step(name)}: required, null where it is left out")
            if not fits(None, member, root):
                members[name] = _nullable(member)
    return {**schema, "properties": members, "required": list(members), "additionalProperties": False}


def _nullable(schema: Schema) -> Schema:
    if "anyOf" in schema and "type" not in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "type" in schema and not {"anyOf", "const"} & schema.keys():
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        nullable = {**schema, "type": list(dict.fromkeys([*types, "null"]))}
        if None not in schema.get("enum", [None]):
            nullable["enum"] = [*schema["enum"], None]
        return nullable
    return {"anyOf": [schema, {"type": "null"}]}


def _wrap(schema: Schema) -> Schema:
    """Put an object around a schema; what it refers to moves along."""
    inner = {keyword: value for keyword, value in schema.items() if keyword not in DEFINITIONS}
    definitions = {keyword: schema[keyword] for keyword in DEFINITIONS if keyword in schema}
    wrapped: Schema = {
        "type": "object",
        "properties": {WRAPPED: inner},
        "required": [WRAPPED],
        "additionalProperties": False,
        **definitions,
    }
    kept = tuple(f"#/{keyword}/" for keyword in DEFINITIONS)
    if any(not found.get("$ref", "#/$defs/").startswith(kept) for found in iter_subschemas(schema)):
        return _move_refs(wrapped, kept)
    return wrapped


def _move_refs(schema: Schema, kept: tuple[str, ...], path: str = "$") -> Schema:
    moved = map_subschemas(schema, lambda inner, at: _move_refs(inner, kept, at), path)
    if "$ref" in moved and not moved["$ref"].startswith(kept):
        moved["$ref"] = f"#/properties/{WRAPPED}{moved['$ref'][1:]}"
    return moved
