"""Answers back to types, with errors that do not show them."""

import dataclasses
import datetime as dt
from typing import TypedDict

import msgspec
import pydantic
import pytest

from backstream.errors import DecodeError, InvalidRequestError
from backstream.schema import parse_answer

from .test_schema_types import Book, Day, Point, Shelf, Tree, Week

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}


class Visit(TypedDict, total=False):
    on: dt.date
    people: int


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("5", int, 5),
        ('["a"]', list[str], ["a"]),
        ('{"degrees": 3}', Day, Day(3)),
        (' {"x": 1, "y": 2}\n', Point, Point(1, 2)),
        ('{"on": "2026-01-02"}', Visit, {"on": dt.date(2026, 1, 2)}),
        ('{"on": "2026-01-02", "people": null}', Visit, {"on": dt.date(2026, 1, 2)}),
        ('{"title": "a"}', Book, Book(title="a")),
        ('{"title": "a", "pages": null}', Book, Book(title="a", pages=1)),
        ('{"books": [{"title": "a", "pages": 2}]}', Shelf, Shelf([Book(title="a", pages=2)])),
        ('{"a": 1, "b": "x", "c": null}', SCHEMA, {"a": 1, "b": "x", "c": None}),
        ('{"a": 1, "b": null}', SCHEMA, {"a": 1}),
        ("1.1", {}, 1.1),
        ('```json\n{"degrees": 3}\n```', Day, Day(3)),
        ('\n```JSON\r\n{"degrees": 3}\n```\n', Day, Day(3)),
        ("```\n5```", int, 5),
        ('"```json\\n5\\n```"', str, "```json\n5\n```"),
        ('{"value": 5}', {"type": "object"}, {"value": 5}),
    ],
)
def test_an_answer_becomes_its_type(text, type_, value):
    parsed = parse_answer(text, type_)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_null_in_a_union_of_objects_is_left_out():
    branch = {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"]}
    other = {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}
    schema = {"oneOf": [other, {"$ref": "#/$defs/A"}, True], "$defs": {"A": branch}}
    assert parse_answer('{"kind": "a", "n": null}', {"anyOf": [other, branch]}) == {"kind": "a"}
    assert parse_answer('{"kind": "a", "n": null}', schema) == {"kind": "a", "n": None}  # anything is allowed


@dataclasses.dataclass
class Guarded:
    word: str

    def __post_init__(self) -> None:
        if self.word != "good":
            raise ValueError(f"refused {self.word}")


class GuardedModel(pydantic.BaseModel):
    words: list[str]

    @pydantic.field_validator("words")
    @classmethod
    def _check(cls, words: list[str]) -> list[str]:
        raise ValueError(f"refused {words}")


class Chained(pydantic.BaseModel):
    at: list[dt.date]


@pytest.mark.parametrize(
    ("text", "type_", "told"),
    [
        ("SECRET", int, "the answer is not JSON"),
        ("NaN", float, "the answer is not JSON"),
        ("[" * 100_000, list, "the answer is not JSON"),
        ('The answer: ```json\n{"SECRET": 5}\n```', int, "the answer is not JSON"),
        ('```json\n{"degrees": "SECRET"', Day, "the answer is not JSON"),
        ('{"degrees": "SECRET"}', Day, "$.degrees: expected integer, got string"),
        ('{"days": [{"degrees": 1}, {"degrees": 1, "sky": "SECRET"}]}', Week, "$.days[1].sky: not one of the values"),
        ('{"children": [' * 400 + "SECRET" + "]}" * 400, Tree, "the answer is not JSON"),
        ('{"children": [' * 400 + '"SECRET"' + "]}" * 400, Tree, "nested too deeply"),
        ("{}", Day, "$.degrees: missing"),
        ('{"word": "SECRET"}', Guarded, "$: refused by its type"),
        ('[{"word": "SECRET"}]', list[Guarded], "$[0]: refused by its type"),
        ('{"title": 5}', Book, "$.title: expected string, got integer"),
        ('{"words": ["SECRET"]}', GuardedModel, "$.words: refused by its type"),
        ('{"at": ["SECRET"]}', Chained, "$.at[0]: refused by its type"),
        ('{"a": "SECRET", "b": null}', SCHEMA, "$.a: expected integer, got string"),
        ('{"value": "SECRET"}', list[int], "$: expected array, got string"),
    ],
)
def test_an_answer_that_is_not_what_was_asked(text, type_, told):
    with pytest.raises(DecodeError) as caught:
        parse_answer(text, type_)
    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_type_without_a_schema_is_the_callers_fault():
    with pytest.raises(InvalidRequestError):
        parse_answer("5", complex)


def test_the_type_of_the_answer_is_known_to_checkers():
    day: Day = parse_answer('{"degrees": 3}', Day)
    assert isinstance(day, msgspec.Struct)
