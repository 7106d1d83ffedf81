"""Functions as tools: described, and called with what a model wrote."""

import asyncio
import dataclasses
import enum
import functools
import threading
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from backstream.errors import ConfigurationError, DecodeError
from backstream.tools import FunctionTool, collect_tools, tool


class Place(msgspec.Struct):
    town: str
    country: str = "NL"


class Tree(msgspec.Struct):
    children: list["Tree"] = []


class Window(TypedDict):
    start: int


class Style(enum.Enum):
    SHORT = "short"
    LONG = "long"


class Person(pydantic.BaseModel):
    name: str


NOBODY = Person(name="nobody")


class Chain(pydantic.BaseModel):
    following: "Chain | None" = None


@dataclasses.dataclass
class Size:
    width: int


def forecast(
    place: Place,
    days: Annotated[int, msgspec.Meta(ge=1, description="at most ten")] = 3,
    unit: Literal["celsius", "fahrenheit"] = "celsius",
    note: str | None = None,
    style: Style = Style.SHORT,
    window: Window | None = None,
    size: Size | None = None,
) -> str:
    """Tell the weather.

    Args:
        place: Where.
        days: How many.
        unit: Of degrees.
    """
    return f"{place.town} {days} {unit} {note} {style.value} {window} {size}"


def test_a_function_is_described():
    described = FunctionTool(forecast)
    assert described.name == "forecast"
    assert described.description == "Tell the weather."
    assert described.parameters == {
        "type": "object",
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "Where."},
            "days": {"type": "integer", "minimum": 1, "description": "at most ten", "default": 3},
            "unit": {"enum": ["celsius", "fahrenheit"], "description": "Of degrees.", "default": "celsius"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "style": {"$ref": "#/$defs/Style"},
            "window": {"anyOf": [{"$ref": "#/$defs/Window"}, {"type": "null"}], "default": None},
            "size": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}], "default": None},
        },
        "required": ["place"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "title": "Place",
                "type": "object",
                "properties": {"town": {"type": "string"}, "country": {"type": "string", "default": "NL"}},
                "required": ["town"],
            },
            "Style": {"title": "Style", "enum": ["long", "short"]},
            "Window": {
                "title": "Window",
                "type": "object",
                "properties": {"start": {"type": "integer"}},
                "required": ["start"],
            },
            "Size": {
                "title": "Size",
                "type": "object",
                "properties": {"width": {"type": "integer"}},
                "required": ["width"],
            },
        },
    }
    assert described.definition.parameters is described.parameters
    assert (described.definition.name, described.definition.description) == ("forecast", "Tell the weather.")
    assert repr(described) == "<FunctionTool forecast>"


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('{"place": {"town": "Delft"}}', "Delft 3 celsius None short None None"),
        (
            (
                '{"place": {"town": "Delft"}, "days": 1, "unit": "fahrenheit", "note": "x", "style": "long", '
                '"window": {"start": 1}, "size": {"width": 2}}'
            ),
            "Delft 1 fahrenheit x long {'start': 1} Size(width=2)",
        ),
        (
            '{"place": {"town": "Delft", "country": null}, "days": null, "unit": null, "style": null}',
            "Delft 3 celsius None short None None",
        ),
        ('{"place": {"town": "De\\ud83dlft"}}', "De\ufffdlft 3 celsius None short None None"),
    ],
)
async def test_arguments_arrive_as_their_types(arguments, result):
    assert await FunctionTool(forecast).run(arguments) == result


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("SECRET", "wrong arguments: not JSON"),
        ('{"place": {"town": "SEC', "wrong arguments: not JSON"),
        ("[]", "wrong arguments: $: expected object, got array"),
        ("", "wrong arguments: $.place: missing"),
        ("null", "wrong arguments: $.place: missing"),
        (
            '{"place": {"town": 5}, "unit": "SECRET", "days": 0, "other": "SECRET"}',
            (
                "wrong arguments: $.place.town: expected string, got integer; "
                '$.unit: must be one of "celsius", "fahrenheit"; $.days: must be at least 1; $.other: must not be there'
            ),
        ),
    ],
)
async def test_wrong_arguments_are_told_without_being_shown(arguments, told):
    with pytest.raises(DecodeError) as caught:
        await FunctionTool(forecast).run(arguments)
    assert str(caught.value) == told
    assert caught.value.__cause__ is None


async def test_what_only_the_type_refuses_is_told_by_its_path():
    def greet(people: list[Person]) -> str:
        return people[0].name

    class Checked(msgspec.Struct):
        word: str

        def __post_init__(self) -> None:
            raise ValueError("SECRET")

    def check(word: Checked) -> None: ...

    check.__annotations__ = {"word": Checked}
    assert await FunctionTool(greet).run('{"people": [{"name": "Ada"}]}') == "Ada"
    with pytest.raises(DecodeError, match=r"^wrong arguments: \$\.word: not taken by its type$"):
        await FunctionTool(check).run('{"word": {"word": "SECRET"}}')


async def test_arguments_that_are_nested_too_deeply_are_wrong():
    def count(tree: Tree) -> None: ...

    deep = '{"children": [' * 400 + "]}" * 400
    with pytest.raises(DecodeError, match=r"^wrong arguments: nested too deeply$"):
        await FunctionTool(count).run(f'{{"tree": {deep}}}')


async def test_a_model_is_taken_as_a_parameter():
    def greet(person: Person = NOBODY) -> str:
        return person.name

    assert await FunctionTool(greet).run('{"person": {"name": "Ada"}}') == "Ada"
    assert await FunctionTool(greet).run("") == "nobody"


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, number: int = 1) -> int:
        """Add to it."""
        self.count += number
        return self.count

    async def __call__(self, number: int) -> int:
        return self.add(number)


async def test_methods_partials_and_objects_are_tools():
    counter = Counter()
    assert await FunctionTool(counter.add).run('{"number": 2}') == 2
    assert await FunctionTool(counter, name="count", description="x").run('{"number": 2}') == 4
    assert FunctionTool(counter, name="count").description == "Counts."
    partial = FunctionTool(functools.partial(counter.add, number=3), name="three")
    assert partial.parameters["required"] == []
    assert partial.description == "Add to it."
    assert await partial.run("") == 7


async def test_parameters_that_have_no_name_are_given_by_position():
    def divide(a: float, b: float = 2, /, *, digits: int = 1) -> float:
        return round(a / b, digits)

    assert await FunctionTool(divide).run('{"a": 5}') == 2.5
    assert await FunctionTool(divide).run('{"digits": 0, "b": 5, "a": 15}') == 3


async def test_only_what_is_no_coroutine_runs_in_a_thread():
    def blocking() -> int:
        return threading.get_ident()

    async def waiting() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    def hidden() -> Any:
        return waiting()

    here = threading.get_ident()
    assert await FunctionTool(blocking).run("{}") != here
    assert await FunctionTool(waiting).run("{}") == here
    assert await FunctionTool(hidden).run("{}") == here


async def test_a_stop_iteration_in_a_thread_is_an_error_and_no_hang():
    def exhausted() -> int:
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await FunctionTool(exhausted).run("{}")


def any_number(*numbers: int) -> None: ...
def any_names(**names: int) -> None: ...
def untyped(number) -> None: ...
def unreadable(number: "Nowhere") -> None: ...  # noqa: F821
def of_objects(number: complex) -> None: ...
def of_chains(chain: Chain) -> None: ...
def generator(number: int) -> Any:
    yield number


async def async_generator(number: int) -> Any:
    yield number


def naïve(number: int) -> None: ...  # noqa: PLC2401


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (any_number, r"'any_number' takes any number of arguments \(\*numbers\); name"),
        (any_names, r"takes arguments of any name \(\*\*names\)"),
        (untyped, "parameter 'number' of tool 'untyped' has no annotation; annotate it"),
        (Counter.add, "parameter 'self' of tool 'add' has no annotation; .* bound method"),
        (unreadable, "annotation of tool 'unreadable' cannot be read: name 'Nowhere'"),
        (of_objects, "parameters of tool 'of_objects' have no JSON schema"),
        (of_chains, "no JSON schema: .* refers to itself"),
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (naïve, "cannot be named 'naïve'"),
        (lambda: None, "cannot be named '<lambda>'"),
        (functools.partial(forecast), "cannot be named ''"),
        (Counter, "a tool is a type"),
        (FunctionTool(forecast), "a tool is a FunctionTool"),
        (5, "a tool is a int"),
        (dict.fromkeys, "has no signature|no annotation"),
        (iter, "has no signature|no annotation"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function, told):
    with pytest.raises(ConfigurationError, match=told):
        FunctionTool(function)


def test_parameters_that_msgspec_cannot_tell_apart_are_refused():
    def either(one: Place | Size) -> None: ...

    with pytest.raises(ConfigurationError, match="'either' have no JSON"):
        FunctionTool(either)


def test_the_decorator():
    @tool
    def first(number: int) -> int:
        return number + 1

    @tool(name="other-name", description="Adds two.")
    def second(number: int) -> int:
        """Not this."""
        return number + 2

    assert (first.name, first(1)) == ("first", 2)
    assert (second.name, second.description, second(number=1)) == ("other-name", "Adds two.", 3)


def test_tools_are_collected_by_name():
    described = FunctionTool(forecast, name="other")
    assert list(collect_tools([forecast, described])) == ["forecast", "other"]
    assert collect_tools([described])["other"] is described
    with pytest.raises(ConfigurationError, match="two tools are named 'forecast'"):
        collect_tools([forecast, tool(forecast)])


@pytest.mark.parametrize("tools", ["forecast", forecast, None])
def test_tools_are_a_list(tools):
    with pytest.raises(ConfigurationError, match="pass a list of functions"):
        collect_tools(tools)


def test_a_default_that_does_not_fit_is_not_told():
    def odd(number: int = None) -> None: ...  # noqa: RUF013

    assert FunctionTool(odd).parameters["properties"] == {"number": {"type": "integer"}}
