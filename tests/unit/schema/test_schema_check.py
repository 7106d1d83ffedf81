"""Values against schemas."""

import pytest

from backstream.schema import find_problems

TREE = {
    "$ref": "#/$defs/T",
    "$defs": {"T": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/T"}}}}},
}
PET = {
    "anyOf": [
        {"type": "object", "properties": {"bark": {"type": "integer"}}, "required": ["bark"]},
        {"type": "object", "properties": {"meow": {"type": "integer"}}, "required": ["meow"]},
        {"type": "null"},
    ]
}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"a": [1, "x", None]}, {}),
        (1, {"type": "integer"}),
        (1.0, {"type": "integer"}),
        (1, {"type": "number"}),
        (1.5, {"type": "number"}),
        (None, {"type": ["string", "null"]}),
        (True, {"type": "boolean"}),
        ("a", {"const": "a"}),
        ("b", {"enum": ["a", "b"]}),
        ({"kids": [{"kids": []}, {}]}, TREE),
        ({"meow": 1}, PET),
        (None, PET),
        ({"meow": 1}, {"oneOf": PET["anyOf"]}),
        ([1, "a", True], {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "boolean"}}),
        (5, {"minimum": 5, "maximum": 5, "exclusiveMinimum": 4, "exclusiveMaximum": 6}),
        ("abc", {"minLength": 3, "maxLength": 3, "minimum": 5, "pattern": "nonsense", "format": "uuid"}),
        ([1], {"minItems": 1, "maxItems": 1}),
        ({"a": 1}, {"minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "integer"}}),
        ({"ab": 1}, {"patternProperties": {"^a": {}}, "additionalProperties": False}),
        (1, {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}),  # a circle says nothing
    ],
)
def test_a_value_that_fits(value, schema):
    assert find_problems(value, schema) == []


@pytest.mark.parametrize(
    ("value", "schema", "problems"),
    [
        ("x", {"type": "integer"}, ["$: expected integer, got string"]),
        (True, {"type": "integer"}, ["$: expected integer, got boolean"]),
        (1.5, {"type": "integer"}, ["$: expected integer, got number"]),
        ({}, {"type": ["array", "null"]}, ["$: expected array or null, got object"]),
        (True, {"enum": [1]}, ["$: not one of the values allowed"]),
        ("b", {"const": "a"}, ["$: not one of the values allowed"]),
        (
            {"kids": [{}, {"kids": [5]}]},
            TREE,
            ["$.kids[1].kids[0]: expected object, got integer"],
        ),
        ({"meow": "x"}, PET, ["$.bark: missing"]),  # both went as far; the first is told
        ("x", PET, ["$: string fits none of the forms allowed"]),
        (
            [1, 5, 5],
            {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
            ["$[1]: expected string, got integer", "$[2]: must not be there"],
        ),
        (3, {"minimum": 5, "exclusiveMinimum": 3}, ["$: must be at least 5", "$: must be more than 3"]),
        (3.5, {"maximum": 2, "exclusiveMaximum": 3}, ["$: must be at most 2", "$: must be less than 3"]),
        ("abc", {"minLength": 5}, ["$: must have a length of at least 5"]),
        ([1, 2], {"maxItems": 1}, ["$: must have a length of at most 1"]),
        (
            {"a b": 1, "c": "x"},
            {"required": ["d", "a b"], "additionalProperties": False, "properties": {"c": {"type": "null"}}},
            ["$.d: missing", '$["a b"]: must not be there', "$.c: expected null, got string"],
        ),
        ({"a": 1}, {"allOf": [{"required": ["b"]}, {"required": ["c"]}]}, ["$.b: missing", "$.c: missing"]),
    ],
)
def test_a_value_that_does_not_fit(value, schema, problems):
    assert [str(problem) for problem in find_problems(value, schema)] == problems


def test_a_problem_lists_the_values_that_are_allowed():
    [problem] = find_problems("c", {"enum": ["a", "b"]})
    assert problem.allowed == ("a", "b")


def test_the_branch_that_went_furthest_is_told():
    schema = {"anyOf": [{"type": "null"}, {"properties": {"a": {"properties": {"b": {"type": "null"}}}}}]}
    assert [str(problem) for problem in find_problems({"a": {"b": 1}}, schema)] == ["$.a.b: expected null, got integer"]
