"""What Anthropic's structured output and strict tools take: closed objects, no recursion, hardly any bounds."""

from __future__ import annotations

from typing import Final

from backstream.schema.refs import hoist_root, inline_refs
from backstream.schema.strict import is_object, refuse_any_members
from backstream.schema.subset import Subset, narrow
from backstream.schema.walk import Schema, check_schema, map_subschemas, words

__all__ = ["anthropic_schema"]

TAKEN: Final = Subset(
    keywords=words(
        "type properties required additionalProperties items minItems anyOf allOf enum const default $ref $defs "
        "definitions description title pattern format"
    ),
    formats=words("date-time time date duration email hostname uri ipv4 ipv6 uuid"),
)


def anthropic_schema(schema: Schema) -> tuple[Schema, list[str]]:
    """Bring a schema into the form of Anthropic's ``output_config.format`` and of tools with ``strict``.

    Each object is closed; what is optional stays so. Bounds that are dropped are still checked in the answer.

    Returns:
        A new schema, and the paths of the keywords that were dropped.

    Raises:
        InvalidRequestError: It is no schema.
        UnsupportedFeatureError: It refers to itself, or has an object with any members.

    Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
    """
    inline_refs(schema)  # for its refusals
    taken, dropped = narrow(hoist_root(check_schema(schema)), TAKEN)

    def close(inner: Schema, path: str) -> Schema:
        closed = map_subschemas(inner, close, path)
        if closed.get("minItems", 0) > 1:
            closed["minItems"] = 1
            dropped.append(f"{path}.minItems")
        if is_object(closed) or "properties" in closed:
            refuse_any_members(closed, path)
            closed = {**closed, "properties": closed.get("properties", {}), "additionalProperties": False}
        return closed

    return close(taken, "$"), dropped
