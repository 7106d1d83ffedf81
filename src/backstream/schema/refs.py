"""References inside a JSON schema: found, written out, or moved away from the root. Fetches nothing."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.schema.walk import DEEPEST, Schema, check_schema, iter_subschemas, map_subschemas

__all__ = ["DEFINITIONS", "hoist_root", "inline_refs", "resolve_ref"]

DEFINITIONS: Final[tuple[str, ...]] = ("$defs", "definitions")

MOST_SUBSCHEMAS: Final = 20_000
"""How many schemas one may become when its references are written out."""


def resolve_ref(root: Schema, ref: str) -> Schema:
    """Return the schema that a reference names.

    Args:
        root: The schema that holds it.
        ref: ``#`` or a JSON pointer behind it.

    Raises:
        UnsupportedFeatureError: It points outside of ``root``.
        InvalidRequestError: Nothing is there.

    Source: RFC 6901, section 6.
    """
    if not ref.startswith("#"):
        raise UnsupportedFeatureError("schema refers to another document", "move what it names into $defs")
    found: Any = root
    for part in unquote(ref[1:]).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            found = None
    if not isinstance(found, dict) or (ref != "#" and not ref.startswith("#/")):
        raise InvalidRequestError(f"schema refers to {ref[:80]!r}, where no schema is")
    return found


def inline_refs(schema: Schema) -> Schema:
    """Write every reference out, for back-ends that know no ``$ref``; ``$defs`` is gone then.

    Members beside a ``$ref`` win over those of what it names.

    Raises:
        InvalidRequestError: It is no schema, or refers to nothing.
        UnsupportedFeatureError: It refers to itself, to another document, or becomes too large.
    """
    root = check_schema(schema)
    written = 0

    def write(inner: Schema, path: str, within: frozenset[str], depth: int) -> Schema:
        nonlocal written
        written += 1
        if written > MOST_SUBSCHEMAS or depth > DEEPEST:
            raise UnsupportedFeatureError("schema becomes too large when its references are written out")
        kept = {keyword: value for keyword, value in inner.items() if keyword not in DEFINITIONS}
        ref = kept.pop("$ref", None)
        if ref is None:
            return map_subschemas(kept, lambda found, at: write(found, at, within, depth + 1), path)
        if ref in within or ref == "#":
            raise UnsupportedFeatureError(
                f"schema refers to itself at {path}", "this back-end takes no recursive schema; give each level a type"
            )
        return write({**resolve_ref(root, ref), **kept}, path, within | {ref}, depth)

    return write(root, "$", frozenset(), 0)


def hoist_root(schema: Schema) -> Schema:
    """Replace a reference at the root by what it names; many back-ends want to see an object there.

    Definitions that are still referred to stay in ``$defs``.

    Raises:
        InvalidRequestError: It refers to nothing, or in a circle.
        UnsupportedFeatureError: It refers to another document.
    """
    root = schema
    for _ in range(DEEPEST):
        if "$ref" not in root:
            break
        beside = {keyword: value for keyword, value in root.items() if keyword != "$ref"}
        root = {**resolve_ref(schema, root["$ref"]), **beside}
    else:
        raise InvalidRequestError("schema refers in a circle")
    if root is schema:
        return schema
    for keyword in DEFINITIONS:
        definitions = root.pop(keyword, None)
        if definitions:
            used = _used_definitions(root, definitions, f"#/{keyword}/")
            if used:
                root[keyword] = used
    return root


def _used_definitions(root: Schema, definitions: Schema, prefix: str) -> Schema:
    used: set[str] = set()
    waiting = [root]
    while waiting:
        for inner in iter_subschemas(waiting.pop()):
            ref = inner.get("$ref", "")
            name = unquote(ref).removeprefix(prefix).partition("/")[0].replace("~1", "/").replace("~0", "~")
            if ref.startswith(prefix) and name in definitions and name not in used:
                used.add(name)
                waiting.append(definitions[name])
    return {name: definition for name, definition in definitions.items() if name in used}
