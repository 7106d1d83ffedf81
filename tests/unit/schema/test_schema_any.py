"""Any schema and any answer: taken, or refused with a documented error."""

import contextlib
import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import DecodeError, InvalidRequestError, UnsupportedFeatureError
from backstream.schema import (
    anthropic_schema,
    check_schema,
    gemini_json_schema,
    gemini_schema,
    inline_refs,
    parse_answer,
    strict_schema,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b"]) | st.floats(-2, 2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "value"]), inner, max_size=2)
    ),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])


def larger(inner):
    inner = inner | st.booleans()
    some = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3),
            "properties": st.dictionaries(st.sampled_from(["a", "b", "$ref", "x y"]), inner, max_size=3),
            "required": st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": some,
            "anyOf": some,
            "oneOf": some,
            "allOf": some,
            "not": inner,
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "default": VALUES,
            "$ref": st.sampled_from(["#", "#/$defs/A", "#/$defs/B", "#/definitions/A", "other.json"]),
            "$defs": st.dictionaries(st.sampled_from(["A", "B"]), inner, max_size=2),
            "definitions": st.dictionaries(st.just("A"), inner, max_size=1),
            "description": st.just("words"),
            "minimum": st.integers(0, 2),
            "minItems": st.integers(0, 2),
            "format": st.sampled_from(["uuid", "other"]),
        },
    )


SCHEMAS = st.recursive(st.just({}), larger, max_leaves=8)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(SCHEMAS, VALUES)
def test_a_schema_is_taken_or_refused_and_never_changed(schema, value):
    before = copy.deepcopy(schema)
    for render in (check_schema, inline_refs, gemini_schema, gemini_json_schema, anthropic_schema, strict_schema):
        try:
            rendered = render(schema)
        except (InvalidRequestError, UnsupportedFeatureError):
            continue
        json.dumps(rendered)
        if render is strict_schema:
            assert strict_schema(rendered[0])[0] == rendered[0]
    with contextlib.suppress(DecodeError, InvalidRequestError, UnsupportedFeatureError):
        parse_answer(json.dumps(value), schema)
    assert schema == before
