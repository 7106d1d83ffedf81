"""The strict form, and that answers to it are read back."""

import copy
from typing import Any, Literal

import msgspec
import pytest

from backstream.errors import UnsupportedFeatureError
from backstream.schema import find_problems, parse_answer, schema_for, strict_schema

from .test_schema_types import Tree, Week


def closed(properties, **more):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "expected", "changes"),
    [
        (closed({"a": TEXT}), closed({"a": TEXT}), []),
        ({"type": "object", "properties": {}}, closed({}), ["$: closed to other members"]),
        ({"type": "object", "additionalProperties": False}, closed({}), []),
        (
            {"properties": {"a": TEXT}, "required": ["a"], "additionalProperties": True},
            closed({"a": TEXT}),
            ["$: closed to other members"],
        ),
        (
            {
                "type": "object",
                "properties": {
                    "a b": {"type": "string", "default": "x", "minLength": 3},
                    "b": {"enum": ["x", "y"]},
                    "c": {"anyOf": [TEXT, {"type": "null"}]},
                    "d": {"anyOf": [TEXT, {"type": "integer"}]},
                    "e": {"const": "x"},
                    "f": {"$ref": "#/$defs/F"},
                    "g": {"type": ["integer", "string"], "format": "email"},
                    "h": {"type": "string", "format": "uri"},
                    "i": {"enum": ["x", None]},
                },
                "additionalProperties": False,
                "$defs": {"F": {"enum": [1, "a"]}},
            },
            closed(
                {
                    "a b": {"type": ["string", "null"]},
                    "b": {"type": ["string", "null"], "enum": ["x", "y", None]},
                    "c": {"anyOf": [TEXT, {"type": "null"}]},
                    "d": {"anyOf": [TEXT, {"type": "integer"}, {"type": "null"}]},
                    "e": {"anyOf": [{"type": "string", "const": "x"}, {"type": "null"}]},
                    "f": {"anyOf": [{"$ref": "#/$defs/F"}, {"type": "null"}]},
                    "g": {"type": ["integer", "string", "null"], "format": "email"},
                    "h": {"type": ["string", "null"]},
                    "i": {"type": ["string", "null"], "enum": ["x", None]},
                },
                **{"$defs": {"F": {"type": ["integer", "string"], "enum": [1, "a"]}}},
            ),
            [
                '$.properties["a b"].default: dropped',
                '$.properties["a b"].minLength: dropped',
                "$.properties.h.format: dropped",
                '$.properties["a b"]: required, null where it is left out',
                *(f"$.properties.{name}: required, null where it is left out" for name in "bcdefghi"),
            ],
        ),
        (  # members beside a reference
            closed({"a": {"$ref": "#/$defs/A", "description": "x"}}, **{"$defs": {"A": TEXT}}),
            closed({"a": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "x"}}, **{"$defs": {"A": TEXT}}),
            [],
        ),
        (
            closed({"a": {"oneOf": [TEXT], "discriminator": {}}, "b": {"allOf": [TEXT], "title": "B"}}),
            closed({"a": {"anyOf": [TEXT]}, "b": {**TEXT, "title": "B"}}),
            ["$.properties.a.discriminator: dropped"],
        ),
        (  # more than one, or one that says the same otherwise, cannot be merged
            closed({"a": {"type": "string", "allOf": [{"type": "string"}]}}),
            closed({"a": TEXT}),
            ["$.properties.a.allOf: dropped"],
        ),
        (
            closed(
                {
                    "a": {"type": "array", "prefixItems": [TEXT, {"type": "null"}, TEXT], "items": False},
                    "b": {"type": "array", "prefixItems": [TEXT], "items": TEXT},
                }
            ),
            closed(
                {
                    "a": {"type": "array", "items": {"anyOf": [TEXT, {"type": "null"}]}},
                    "b": {"type": "array", "items": TEXT},
                }
            ),
            ["$.properties.a.prefixItems: dropped", "$.properties.b.prefixItems: dropped"],
        ),
        (
            {"type": "array", "items": TEXT},
            closed({"value": {"type": "array", "items": TEXT}}),
            ["$: made the member 'value' of an object"],
        ),
        (
            {"anyOf": [{"$ref": "#/$defs/A"}, TEXT], "$defs": {"A": closed({})}},
            closed({"value": {"anyOf": [{"$ref": "#/$defs/A"}, TEXT]}}, **{"$defs": {"A": closed({})}}),
            ["$: made the member 'value' of an object"],
        ),
        (
            {"type": "array", "items": {"anyOf": [{"$ref": "#"}, TEXT]}},
            closed({"value": {"type": "array", "items": {"anyOf": [{"$ref": "#/properties/value"}, TEXT]}}}),
            ["$: made the member 'value' of an object"],
        ),
    ],
)
def test_the_strict_form(schema, expected, changes):
    before = copy.deepcopy(schema)
    strict, told = strict_schema(schema)
    assert strict == expected
    assert told == changes
    assert schema == before
    assert strict_schema(strict)[0] == strict


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (schema_for(dict[str, int]), r"any members at \$;"),
        ({"type": "object"}, r"any members at \$;"),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "any members"),
        (closed({"a": {}}), r"no type at \$\.properties\.a;"),
        (closed({"a": True}), r"no type at \$\.properties\.a;"),
        (closed({"a": False}), r"no type at \$\.properties\.a;"),
    ],
)
def test_what_the_strict_form_cannot_say_is_refused(schema, text):
    with pytest.raises(UnsupportedFeatureError, match=text):
        strict_schema(schema)


class Options(msgspec.Struct, omit_defaults=True):
    count: int = 5
    unit: Literal["c", "f"] = "c"
    note: str | None = "none"
    weeks: list[Week] = []
    tree: Tree | None = None
    pair: tuple[int, str] = (0, "")


@pytest.mark.parametrize(
    ("type_", "answer", "value"),
    [
        (
            Options,
            {"count": None, "unit": None, "note": None, "weeks": None, "tree": None, "pair": None},
            Options(note=None),
        ),
        (
            Options,
            {"count": 1, "unit": None, "note": "x", "weeks": [], "tree": None, "pair": [1, "a"]},
            Options(1, note="x", pair=(1, "a")),
        ),
        (list[int], {"value": [1, 2]}, [1, 2]),
        (int | None, {"value": None}, None),
        (
            list[Options],
            {
                "value": [
                    {
                        "count": None,
                        "unit": "f",
                        "note": None,
                        "weeks": [],
                        "tree": {"children": None},
                        "pair": None,
                    }
                ]
            },
            [Options(unit="f", note=None, tree=Tree())],
        ),
    ],
)
def test_an_answer_to_the_strict_form_is_read_back(type_: Any, answer, value):
    strict, _ = strict_schema(schema_for(type_))
    assert find_problems(answer, strict) == []
    assert parse_answer(msgspec.json.encode(answer).decode(), type_) == value
