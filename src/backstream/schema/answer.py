"""A model's answer back to the type that was asked for. What the answer says is in no error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, overload

import msgspec

from backstream.errors import DecodeError
from backstream.schema.check import find_problems, fits
from backstream.schema.refs import hoist_root, resolve_ref
from backstream.schema.strict import WRAPPED, is_object
from backstream.schema.types import decode_hook, is_model, schema_for
from backstream.schema.walk import Schema, step

__all__ = ["leave_out_nulls", "parse_answer"]

T = TypeVar("T")

_FENCE: Final = re.compile(r"```(?:json)?[ \t]*\r?\n(.*)\n?[ \t]*```", re.DOTALL | re.IGNORECASE)
_PATH: Final = re.compile(r" - at `(\$[^`]*)`$")


@overload
def parse_answer(text: str, type_: type[T]) -> T: ...


@overload
def parse_answer(text: str, type_: Any) -> Any: ...


def parse_answer(text: str, type_: Any) -> Any:
    """Read an answer as the type that was asked for.

    The answer is JSON, perhaps as a whole inside one Markdown fence (three backticks, with or without ``json``), as
    models write it that were only told to; JSON between other text is not looked for. Where an answer does not fit as
    it is, it is read as one to the strict form: a null where the schema takes none and the member may be left out is
    left out, and the member ``value`` of an object around an answer that is no object is that answer.

    A dict schema gives the JSON value, checked by :func:`backstream.schema.check.find_problems`. That knows less than
    all of JSON Schema, but the same in every installation; a check that came and went with another package being
    installed would not be one to build on.

    Args:
        text: The answer's text.
        type_: What ``schema_for`` takes.

    Returns:
        A value of that type; for a dict schema, the JSON value.

    Raises:
        DecodeError: The answer is no JSON, or not what was asked; the text names the path, such as ``$.days[2]``.
        InvalidRequestError: ``type_`` has no JSON schema.
    """
    schema = hoist_root(schema_for(type_))
    body = text.strip()
    fenced = _FENCE.fullmatch(body)
    if fenced:
        body = fenced[1]
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise DecodeError("the answer is not JSON") from None  # the cause would show it
    problem = ""
    try:
        for reading in _readings(value, schema):
            try:
                return _convert(body if reading is value else msgspec.json.encode(reading), type_, schema)
            except ValueError as error:  # msgspec's and pydantic's are
                problem = _describe(error, reading, schema)
    except RecursionError:
        problem = "nested too deeply"
    raise DecodeError(f"the answer is not what was asked: {problem}") from None  # the cause would show it


def _readings(value: Any, schema: Schema) -> Iterator[Any]:
    yield value
    inner = value
    if not is_object(schema) and isinstance(value, dict) and list(value) == [WRAPPED]:
        inner = value[WRAPPED]
        yield inner
    short = leave_out_nulls(inner, schema)
    if short != inner:
        yield short


def _convert(body: str | bytes, type_: Any, schema: Schema) -> Any:
    if isinstance(type_, Mapping):
        value = msgspec.json.decode(body)
        if not fits(value, schema, schema):
            raise ValueError
        return value
    if is_model(type_):
        return type_.model_validate_json(body)
    return msgspec.json.decode(body, type=type_, dec_hook=decode_hook)


def _describe(error: ValueError, value: Any, schema: Schema) -> str:
    """Say what is wrong in our own words: those of the libraries may quote the answer."""
    problems = find_problems(value, schema)
    if problems:
        return str(problems[0])
    where = _PATH.search(str(error))
    path = where[1] if where else "$"
    errors = getattr(error, "errors", None)  # pydantic's
    if errors is not None:
        first = errors(include_url=False, include_input=False, include_context=False)[0]
        path = "$" + "".join(f"[{part}]" if isinstance(part, int) else step(str(part)) for part in first["loc"])
    return f"{path}: refused by its type"


def leave_out_nulls(value: Any, schema: Schema) -> Any:
    """Leave out each null member that the schema does not require and that may not be null, at any depth.

    The strict form has a null where a member is left out; this takes that back.

    Args:
        value: As decoded from JSON; it is not changed.
        schema: The schema before it was made strict.

    Raises:
        InvalidRequestError: A reference to nothing.
        UnsupportedFeatureError: A reference to another document.
    """
    return _without_nulls(value, schema, schema, frozenset())


def _without_nulls(value: Any, schema: Any, root: Schema, within: frozenset[str]) -> Any:
    if not isinstance(schema, dict) or not isinstance(value, dict | list):
        return value
    ref = schema.get("$ref")
    if ref is not None and ref not in within:
        value = _without_nulls(value, resolve_ref(root, ref), root, within | {ref})
    for branch in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        short = _without_nulls(value, branch, root, within)
        if isinstance(branch, dict) and fits(short, branch, root):
            return short
    if isinstance(value, list):
        return [_without_nulls(item, schema.get("items"), root, frozenset()) for item in value]
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    return {
        name: _without_nulls(member, properties.get(name), root, frozenset())
        for name, member in value.items()
        if member is not None or name in required or name not in properties or _takes_null(properties[name], root)
    }


def _takes_null(schema: Any, root: Schema) -> bool:
    return not find_problems(None, schema, root=root)
