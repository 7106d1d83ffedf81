"""The parameters of a Python function, as a type whose JSON schema a model can be told. Calls nothing."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from backstream.errors import BackstreamError, ConfigurationError
from backstream.schema.check import fits
from backstream.schema.types import schema_for
from backstream.schema.walk import Schema

__all__ = ["arguments_schema", "arguments_type", "positional_names"]

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments (*{})",
    inspect.Parameter.VAR_KEYWORD: "takes arguments of any name (**{})",
}


def positional_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the parameters that can only be given by position."""
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    )


def arguments_type(function: Callable[..., Any], name: str) -> Any:
    """Make a Struct of a function's parameters; what has a default is ``UNSET`` where it is left out.

    Raises:
        ConfigurationError: A parameter without an annotation, ``*args``, ``**kwargs``, an annotation that cannot be
            found, or no signature at all.
    """
    fields: list[Any] = []
    hints = _hints(function, name)
    for parameter in _parameters(function, name):
        if parameter.kind in _REFUSED:
            what = _REFUSED[parameter.kind].format(parameter.name)
            raise ConfigurationError(f"tool {name!r} {what}", "name its parameters")
        if parameter.name not in hints:
            raise ConfigurationError(
                f"parameter {parameter.name!r} of tool {name!r} has no annotation",
                "annotate it; of a class, pass a bound method" if parameter.name in ("self", "cls") else "annotate it",
            )
        hint = hints[parameter.name]
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, typing.Union[hint, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
    return msgspec.defstruct("arguments", fields, kw_only=True, forbid_unknown_fields=True)


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"tool {name!r} has no signature", "wrap it in a function") from error


def _hints(function: Any, name: str) -> dict[str, Any]:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ConfigurationError(f"an annotation of tool {name!r} cannot be read: {error}") from error


def arguments_schema(function: Callable[..., Any], type_: Any, descriptions: Mapping[str, str], name: str) -> Schema:
    """Describe a function's parameters; descriptions in an annotation win over those of the docstring.

    Args:
        function: The function.
        type_: What :func:`arguments_type` made of it.
        descriptions: By the parameters' names.
        name: The tool's name, for the error.

    Raises:
        ConfigurationError: A parameter of a type that JSON cannot hold.
    """
    try:
        schema = dict(schema_for(type_))
    except BackstreamError as error:
        raise ConfigurationError(f"the parameters of tool {name!r} have no JSON schema: {error}") from error
    schema.pop("title", None)
    defaults = {parameter.name: parameter.default for parameter in inspect.signature(function).parameters.values()}
    members: dict[str, Any] = {}
    for member, found in schema["properties"].items():
        described = dict(found)
        if member in descriptions:
            described.setdefault("description", descriptions[member])
        default = defaults[member]  # a class of inspect's where there is none
        if isinstance(default, str | int | float | None) and fits(default, found, schema):
            described["default"] = default
        members[member] = described
    return {**schema, "properties": members}
