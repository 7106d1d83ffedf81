"""Both forms of schema that Gemini takes."""

import copy
from typing import Literal

import pytest

from backstream.errors import UnsupportedFeatureError
from backstream.schema import gemini_json_schema, gemini_schema, schema_for

from .test_schema_types import Tree, Week

TEXT = {"type": "STRING"}


def test_the_schema_of_a_type_in_the_own_form():
    day = {
        "title": "Day",
        "description": "One day.",
        "type": "OBJECT",
        "properties": {
            "degrees": {"description": "in Celsius", "type": "INTEGER", "minimum": -90},
            "sky": {"type": "STRING", "format": "enum", "enum": ["clear", "cloudy"], "default": "clear"},
        },
        "required": ["degrees"],
        "propertyOrdering": ["degrees", "sky"],
    }
    assert gemini_schema(schema_for(Week)) == (
        {
            "title": "Week",
            "type": "OBJECT",
            "properties": {"days": {"type": "ARRAY", "items": day}},
            "required": ["days"],
            "propertyOrdering": ["days"],
        },
        [],
    )


@pytest.mark.parametrize(
    ("schema", "expected", "dropped"),
    [
        ({"type": "null"}, {"type": "NULL"}, []),
        ({"type": ["null"]}, {"type": "NULL", "nullable": True}, []),
        ({"type": ["string", "null"]}, {**TEXT, "nullable": True}, []),
        ({"type": ["string", "integer"]}, {"anyOf": [TEXT, {"type": "INTEGER"}]}, []),
        (
            {"type": ["string", "integer", "null"], "enum": ["a", 1, None]},
            {"anyOf": [{**TEXT, "nullable": True}, {"type": "INTEGER", "nullable": True}]},
            ["$.enum"],
        ),
        (
            {"description": "x", "anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            {**TEXT, "description": "x", "nullable": True, "default": None},
            [],
        ),
        ({"anyOf": [{"type": "null"}]}, {"type": "NULL"}, []),
        ({"anyOf": [{"type": ["string"]}]}, TEXT, []),
        ({"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}]}, {**TEXT, "nullable": True}, []),
        (
            {"description": "x", "anyOf": [{"type": "string"}, {"type": "integer", "description": "y"}], "default": 1},
            {"anyOf": [{**TEXT, "description": "x"}, {"type": "INTEGER", "description": "y"}]},
            ["$.default"],
        ),
        ({"const": "a"}, {**TEXT, "format": "enum", "enum": ["a"]}, []),
        ({"enum": ["a", None]}, {**TEXT, "format": "enum", "enum": ["a"], "nullable": True}, []),
        ({"enum": [1, 2]}, {"type": "INTEGER"}, ["$.enum"]),
        ({"enum": [None]}, {"type": "NULL", "nullable": True}, ["$.enum"]),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "number", "exclusiveMinimum": 1}},
                "additionalProperties": False,
            },
            {"type": "OBJECT", "properties": {"a": {"type": "NUMBER"}}, "propertyOrdering": ["a"]},
            ["$.additionalProperties", "$.properties.a.exclusiveMinimum"],
        ),
        ({"type": "string", "format": "uuid"}, TEXT, ["$.format"]),
        ({"type": "object", "properties": {}}, {"type": "OBJECT", "properties": {}}, []),
    ],
)
def test_the_own_form(schema, expected, dropped):
    before = copy.deepcopy(schema)
    assert gemini_schema(schema) == (expected, dropped)
    assert schema == before


def test_recursion_has_no_own_form():
    with pytest.raises(UnsupportedFeatureError, match="refers to itself"):
        gemini_schema(schema_for(Tree))


def test_the_newer_field_takes_references_and_tuples():
    schema = schema_for(Tree)
    assert gemini_json_schema(schema) == (
        {
            "title": "Tree",
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
            "required": [],
            "$defs": {
                "Tree": {
                    "title": "Tree",
                    "type": "object",
                    "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
                    "required": [],
                }
            },
        },
        ["$.properties.children.default", "$.$defs.Tree.properties.children.default"],
    )
    assert gemini_json_schema(schema_for(tuple[int, Literal["a"]]))[0]["prefixItems"] == [
        {"type": "integer"},
        {"type": "string", "enum": ["a"]},
    ]


def test_the_newer_field_has_one_place_for_definitions():
    assert gemini_json_schema(
        {
            "type": "array",
            "items": {"$ref": "#/definitions/A", "description": "x"},
            "definitions": {"A": {"oneOf": [{"type": "string"}]}},
        }
    ) == (
        {
            "type": "array",
            "items": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "x"},
            "$defs": {"A": {"anyOf": [{"type": "string"}]}},
        },
        [],
    )
