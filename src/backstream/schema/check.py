"""Does a JSON value fit a JSON schema, and if not, where. Problems name paths and types, never the value itself.

Checked are types, enumerations, required and unknown members, items, bounds, lengths, unions and references. ``format``
and ``pattern`` are not (both are notes to the back-end in most dialects, and ``pattern`` is not Python's syntax), nor
conditionals; ``oneOf`` counts as ``anyOf``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from backstream.schema.refs import resolve_ref
from backstream.schema.walk import Schema, step

__all__ = ["Problem", "find_problems", "fits"]


class Problem(msgspec.Struct, frozen=True):
    """One place where a value does not fit.

    Attributes:
        path: Where, as in ``$.days[2]``.
        problem: What is wrong, without the value.
        allowed: The values that would fit, where the schema lists them.
    """

    path: str
    problem: str
    allowed: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def find_problems(value: Any, schema: Schema, *, root: Schema | None = None) -> list[Problem]:
    """List where a JSON value does not fit a schema.

    Args:
        value: As decoded from JSON.
        schema: It must have passed ``check_schema``.
        root: What its references point into. Default the schema itself.

    Raises:
        InvalidRequestError: A reference to nothing.
        UnsupportedFeatureError: A reference to another document.
    """
    return list(_Checker(schema if root is None else root).check(value, schema, "$", frozenset()))


def fits(value: Any, schema: Schema, root: Schema) -> bool:
    """Whether a JSON value fits a schema with references into ``root``."""
    return not find_problems(value, schema, root=root)


_COMPARE: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}

_SIZES: Final = {
    "string": (("minLength", operator.ge, "at least"), ("maxLength", operator.le, "at most")),
    "array": (("minItems", operator.ge, "at least"), ("maxItems", operator.le, "at most")),
    "object": (("minProperties", operator.ge, "at least"), ("maxProperties", operator.le, "at most")),
}


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class _Checker:
    def __init__(self, root: Schema) -> None:
        self.root = root

    def check(self, value: Any, schema: Any, path: str, within: frozenset[str]) -> Iterator[Problem]:
        """``within`` holds the references on the way that did not yet go into the value: a circle ends there."""
        if isinstance(schema, bool):
            if not schema:
                yield Problem(path, "must not be there")
            return
        ref = schema.get("$ref")
        if ref is not None and ref not in within:
            yield from self.check(value, resolve_ref(self.root, ref), path, within | {ref})
        for inner in schema.get("allOf", ()):
            yield from self.check(value, inner, path, within)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield from self._any_of(value, schema[keyword], path, within)
        wrong = self._type_or_value(value, schema, path)
        if wrong is not None:
            yield wrong
            return
        yield from self._bounds(value, schema, path)
        if isinstance(value, list):
            yield from self._items(value, schema, path)
        elif isinstance(value, dict):
            yield from self._members(value, schema, path)

    def _any_of(self, value: Any, branches: list[Any], path: str, within: frozenset[str]) -> Iterator[Problem]:
        """Tell the problems of the branch that was nearest: the one that was followed furthest into the value."""
        nearest: list[Problem] = []
        for branch in branches:
            problems = list(self.check(value, branch, path, within))
            if not problems:
                return
            if len(problems[0].path) > len(nearest[0].path if nearest else path):
                nearest = problems
        yield from nearest or [Problem(path, f"{_type_of(value)} fits none of the forms allowed")]

    def _type_or_value(self, value: Any, schema: Schema, path: str) -> Problem | None:
        wanted = schema.get("type")
        if wanted is not None:
            names = [wanted] if isinstance(wanted, str) else wanted
            found = _type_of(value)
            if found not in names and not (found == "integer" and "number" in names):
                return Problem(path, f"expected {' or '.join(names)}, got {found}")
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if allowed is not None and not any(_same(value, choice) for choice in allowed):
            return Problem(path, "not one of the values allowed", tuple(allowed))
        return None

    def _bounds(self, value: Any, schema: Schema, path: str) -> Iterator[Problem]:
        kind = _type_of(value)
        if kind in ("integer", "number"):
            for keyword, (holds, words) in _COMPARE.items():
                if keyword in schema and not holds(value, schema[keyword]):
                    yield Problem(path, f"must be {words} {schema[keyword]}")
        for keyword, holds, words in _SIZES.get(kind, ()):
            if keyword in schema and not holds(len(value), schema[keyword]):
                yield Problem(path, f"must have a length of {words} {schema[keyword]}")

    def _items(self, value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
        first = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            inner = first[index] if index < len(first) else schema.get("items", True)
            yield from self.check(item, inner, f"{path}[{index}]", frozenset())

    def _members(self, value: dict[str, Any], schema: Schema, path: str) -> Iterator[Problem]:
        for name in schema.get("required", ()):
            if name not in value:
                yield Problem(path + step(name), "missing")
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True) if "patternProperties" not in schema else True
        for name, member in value.items():
            yield from self.check(member, properties.get(name, others), path + step(name), frozenset())
