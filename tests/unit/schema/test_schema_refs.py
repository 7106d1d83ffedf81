"""References: found, written out, moved from the root."""

import pytest

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.schema import inline_refs
from backstream.schema.refs import hoist_root, resolve_ref


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string"}),
        (
            {"items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "string"}}},
            {"items": {"type": "string"}},
        ),
        (
            {"items": {"$ref": "#/definitions/A", "description": "x"}, "definitions": {"A": {"description": "y"}}},
            {"items": {"description": "x"}},
        ),
        (  # one through another, twice
            {
                "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
                "$defs": {"A": {"items": {"$ref": "#/$defs/B"}}, "B": {"type": "null"}},
            },
            {"anyOf": [{"items": {"type": "null"}}, {"type": "null"}]},
        ),
        (
            {"properties": {"$ref": {"$ref": "#/$defs/a~1b%20c~0"}}, "$defs": {"a/b c~": {"type": "null"}}},
            {"properties": {"$ref": {"type": "null"}}},
        ),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/anyOf/0"}]}, {"anyOf": [{"type": "null"}, {"type": "null"}]}),
    ],
)
def test_references_are_written_out(schema, expected):
    assert inline_refs(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"items": {"$ref": "#/$defs/A"}}}},
    ],
)
def test_recursion_is_refused(schema):
    with pytest.raises(UnsupportedFeatureError, match="refers to itself at"):
        inline_refs(schema)


@pytest.mark.parametrize("ref", ["#/$defs/B", "#/anyOf/1", "#/anyOf/x", "#/$defs/A/type", "#A", "#A/$defs/A"])
def test_a_reference_to_nothing_is_refused(ref):
    with pytest.raises(InvalidRequestError, match="where no schema is"):
        inline_refs({"items": {"$ref": ref}, "anyOf": [{}], "$defs": {"A": {"type": "null"}}})


def test_other_documents_are_never_fetched():
    with pytest.raises(UnsupportedFeatureError, match="another document"):
        resolve_ref({}, "https://example.com/schema.json#/$defs/A")


def test_a_schema_that_explodes_is_refused():
    definitions = {f"L{n}": {"anyOf": [{"$ref": f"#/$defs/L{n + 1}"}] * 10} for n in range(10)}
    with pytest.raises(UnsupportedFeatureError, match="too large"):
        inline_refs({"$ref": "#/$defs/L0", "$defs": {**definitions, "L10": {"type": "null"}}})


def test_a_chain_that_becomes_too_deep_is_refused():
    definitions = {f"L{n}": {"items": {"items": {"$ref": f"#/$defs/L{n + 1}"}}} for n in range(60)}
    with pytest.raises(UnsupportedFeatureError, match="too large"):
        inline_refs({"$ref": "#/$defs/L0", "$defs": {**definitions, "L60": {}}})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "null"}, {"type": "null"}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "null"}, "B": {}}}, {"type": "null"}),
        (
            {"$ref": "#/$defs/A", "title": "x", "definitions": {"B": {}}, "$defs": {"A": {"type": "null"}}},
            {"type": "null", "title": "x"},
        ),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"items": {"$ref": "#/$defs/B"}}}},
            {"items": {"$ref": "#/$defs/B"}, "$defs": {"B": {"items": {"$ref": "#/$defs/B"}}}},
        ),
    ],
)
def test_a_reference_at_the_root_is_moved(schema, expected):
    assert hoist_root(schema) == expected


def test_a_circle_at_the_root_is_refused():
    with pytest.raises(InvalidRequestError, match="circle"):
        hoist_root({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}})
