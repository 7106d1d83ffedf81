"""The form of schema that Anthropic takes."""

import copy

import pytest

from backstream.errors import UnsupportedFeatureError
from backstream.schema import anthropic_schema, schema_for

from .test_schema_types import Tree, Week

TEXT = {"type": "string"}


def test_the_schema_of_a_type():
    assert anthropic_schema(schema_for(Week)) == (
        {
            "title": "Week",
            "type": "object",
            "properties": {"days": {"type": "array", "items": {"$ref": "#/$defs/Day"}}},
            "required": ["days"],
            "additionalProperties": False,
            "$defs": {
                "Day": {
                    "title": "Day",
                    "description": "One day.",
                    "type": "object",
                    "properties": {
                        "degrees": {"description": "in Celsius", "type": "integer"},
                        "sky": {"type": "string", "enum": ["clear", "cloudy"], "default": "clear"},
                    },
                    "required": ["degrees"],
                    "additionalProperties": False,
                }
            },
        },
        ["$.$defs.Day.properties.degrees.minimum"],
    )


@pytest.mark.parametrize(
    ("schema", "expected", "dropped"),
    [
        ({"type": "array", "items": TEXT, "minItems": 1}, {"type": "array", "items": TEXT, "minItems": 1}, []),
        (
            {"type": "array", "items": {**TEXT, "format": "regex"}, "minItems": 3, "maxItems": 4},
            {"type": "array", "items": TEXT, "minItems": 1},
            ["$.maxItems", "$.items.format", "$.minItems"],
        ),
        (
            {"properties": {"a": TEXT}},
            {"properties": {"a": TEXT}, "additionalProperties": False},
            [],
        ),
        (
            {"type": "object", "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
            [],
        ),
    ],
)
def test_the_form(schema, expected, dropped):
    before = copy.deepcopy(schema)
    assert anthropic_schema(schema) == (expected, dropped)
    assert schema == before


@pytest.mark.parametrize(
    ("schema", "told"),
    [(schema_for(Tree), "refers to itself"), (schema_for(dict[str, int]), r"any members at \$;")],
)
def test_what_it_cannot_say_is_refused(schema, told):
    with pytest.raises(UnsupportedFeatureError, match=told):
        anthropic_schema(schema)
