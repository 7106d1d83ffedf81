"""Python types as JSON schemas, and their names."""

import dataclasses
import subprocess
import sys
from typing import Annotated, Literal, Optional, TypedDict

import msgspec
import pydantic
import pytest

from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.schema import check_schema, encode_hook, schema_for, schema_name


class Day(msgspec.Struct):
    """One day."""

    degrees: Annotated[int, msgspec.Meta(description="in Celsius", ge=-90)]
    sky: Literal["clear", "cloudy"] = "clear"


class Week(msgspec.Struct):
    days: list[Day]


class Tree(msgspec.Struct):
    children: list["Tree"] = []


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Film(TypedDict):
    title: str


class Book(pydantic.BaseModel):
    title: str
    pages: int = 1


class Chain(pydantic.BaseModel):
    following: Optional["Chain"] = None


class Shelf(msgspec.Struct):
    books: list[Book]


DAY = {
    "title": "Day",
    "description": "One day.",
    "type": "object",
    "properties": {
        "degrees": {"description": "in Celsius", "type": "integer", "minimum": -90},
        "sky": {"enum": ["clear", "cloudy"], "default": "clear"},
    },
    "required": ["degrees"],
}
BOOK = {
    "title": "Book",
    "type": "object",
    "properties": {
        "title": {"title": "Title", "type": "string"},
        "pages": {"title": "Pages", "type": "integer", "default": 1},
    },
    "required": ["title"],
}


@pytest.mark.parametrize(
    ("type_", "schema"),
    [
        (int, {"type": "integer"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Day, DAY),
        (list[Day], {"type": "array", "items": {"$ref": "#/$defs/Day"}, "$defs": {"Day": DAY}}),
        (
            Point,
            {
                "title": "Point",
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
                "required": ["x"],
            },
        ),
        (
            Film,
            {"title": "Film", "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
        ),
        (Book, BOOK),
        (list[Book], {"type": "array", "items": BOOK}),
        (
            Shelf,
            {
                "title": "Shelf",
                "type": "object",
                "properties": {"books": {"type": "array", "items": BOOK}},
                "required": ["books"],
            },
        ),
    ],
)
def test_a_type_has_a_schema(type_, schema):
    assert schema_for(type_) == schema


def test_what_the_root_refers_to_is_kept_beside_it():
    assert schema_for(Week) == {
        "title": "Week",
        "type": "object",
        "properties": {"days": {"type": "array", "items": {"$ref": "#/$defs/Day"}}},
        "required": ["days"],
        "$defs": {"Day": DAY},
    }


@pytest.mark.parametrize(("type_", "member"), [(Tree, "children"), (Chain, "following")])
def test_a_type_of_itself_keeps_its_definition(type_, member):
    schema = schema_for(type_)
    assert schema["type"] == "object"
    assert member in schema["$defs"][type_.__name__]["properties"]


def test_a_dict_is_a_schema_already():
    schema = {"type": "object", "properties": {"a": True, "$ref": {"type": "string"}}, "required": ["a"]}
    assert schema_for(schema) is schema
    assert schema_for(dataclasses.make_dataclass("Empty", []))["properties"] == {}


def test_another_mapping_is_a_schema_too():
    from types import MappingProxyType

    assert schema_for(MappingProxyType({"type": "string"})) == {"type": "string"}


@pytest.mark.parametrize("type_", [5, object, complex, "Day", Week(days=[]), list[complex]])
def test_what_json_cannot_hold_is_refused(type_):
    with pytest.raises(InvalidRequestError, match="no JSON schema for the type"):
        schema_for(type_)


def test_a_model_of_itself_inside_another_type_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="refers to itself"):
        schema_for(list[Chain])


def deep(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ([], "a list"),
        ({1: 2}, "keyword that is no string"),
        ({"type": "text"}, "'type' at \\$$"),
        ({"type": []}, "'type'"),
        ({"type": ["string", 5]}, "'type'"),
        ({"properties": {"a": {"items": 5}}}, r"'items' at \$\.properties\.a$"),
        ({"properties": {"a b": {"anyOf": []}}}, r"'anyOf' at \$\.properties\[\"a b\"\]$"),
        ({"properties": ["a"]}, "'properties'"),
        ({"required": "a"}, "'required'"),
        ({"enum": []}, "'enum'"),
        ({"minimum": True}, "'minimum'"),
        ({"$ref": 5}, "'\\$ref'"),
        ({"anyOf": [5]}, r"\$\.anyOf\[0\] is a int"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "envelope"),
        ({"name": "a", "strict": True, "schema": {}}, "envelope"),
        ({"default": object()}, "without a JSON form"),
        (deep(101), "more than 100 deep"),
    ],
)
def test_a_dict_that_is_no_schema_is_refused(schema, text):
    with pytest.raises(InvalidRequestError, match=text):
        check_schema(schema)


def test_a_schema_of_a_hundred_levels_is_taken():
    assert check_schema(deep(100)) == deep(100)


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (Day, "Day"),
        (list[Day], "list_Day"),
        (dict[str, Day], "dict_str_Day"),
        (Day | None, "Day_NoneType"),
        (Annotated[Day, msgspec.Meta(description="x")], "Day"),
        (Literal["a"], "answer"),
        ({"title": "The day's weather"}, "The_day_s_weather"),
        ({"type": "object"}, "answer"),
        ({"title": "日"}, "answer"),
    ],
)
def test_a_schema_has_a_name(type_, name):
    assert schema_name(type_) == name


def test_long_names_stay_apart():
    one, other = (schema_name({"title": "a" * 70 + end}) for end in "xy")
    assert len(one) == len(other) == 64
    assert one != other


def test_models_have_a_json_form():
    assert msgspec.json.encode([Book(title="a")], enc_hook=encode_hook) == b'[{"title":"a","pages":1}]'
    with pytest.raises(NotImplementedError):
        encode_hook(object())


def test_a_type_that_nobody_can_decode():
    from backstream.schema import decode_hook

    with pytest.raises(NotImplementedError):
        decode_hook(object, 5)


def test_pydantic_is_not_imported():
    code = (
        "import sys, dataclasses; from backstream.schema import schema_for\n"
        "schema_for(dataclasses.make_dataclass('A', [('a', int)])); assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
