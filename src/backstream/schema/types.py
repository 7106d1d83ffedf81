"""Python types to JSON schemas. pydantic is looked for among the loaded modules and never imported."""

from __future__ import annotations

import hashlib
import re
import sys
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.errors import CallerError, InvalidRequestError
from backstream.schema.refs import hoist_root, inline_refs
from backstream.schema.walk import Schema, check_schema

__all__ = ["decode_hook", "encode_hook", "is_model", "schema_for", "schema_hook", "schema_name"]

_LONGEST_NAME: Final = 64


def is_model(type_: Any) -> bool:
    """Whether this is a pydantic model class."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and isinstance(type_, type) and issubclass(type_, base)


def schema_hook(type_: Any) -> Schema:
    """Describe a pydantic model inside of another type; a ``schema_hook`` for msgspec.

    Raises:
        NotImplementedError: It is none; msgspec then names the type.
        UnsupportedFeatureError: The model refers to itself.
    """
    if is_model(type_):
        return inline_refs(type_.model_json_schema())
    raise NotImplementedError


def decode_hook(type_: Any, value: Any) -> Any:
    """Validate a pydantic model inside of another type; a ``dec_hook`` for msgspec.

    Raises:
        NotImplementedError: It is none; msgspec then names the type.
    """
    if is_model(type_):
        return type_.model_validate_json(msgspec.json.encode(value))
    raise NotImplementedError


def encode_hook(value: Any) -> Any:
    """Give a pydantic model its JSON form; an ``enc_hook`` for msgspec.

    Raises:
        NotImplementedError: Anything else; msgspec then names the type.
    """
    if is_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    raise NotImplementedError


def schema_for(type_: Any) -> Schema:
    """Describe a type as a JSON schema whose root is no mere reference; ``$defs`` holds what it refers to.

    Args:
        type_: A msgspec Struct, dataclass, TypedDict, pydantic model, plain type (``list[int]``, ``Literal["a", "b"]``,
            ``int | None``), or a JSON schema as a dict, which is returned as it is.

    Raises:
        InvalidRequestError: A type that JSON cannot hold, or a dict that is no schema.
        UnsupportedFeatureError: A pydantic model of itself inside of another type.
    """
    if isinstance(type_, Mapping):
        return check_schema(type_ if isinstance(type_, dict) else dict(type_))
    try:
        schema = type_.model_json_schema() if is_model(type_) else msgspec.json.schema(type_, schema_hook=schema_hook)
    except CallerError:
        raise
    except (TypeError, ValueError, NameError, NotImplementedError, RecursionError) as error:
        raise InvalidRequestError(
            f"no JSON schema for the type {_label(type_)!r}", "use a Struct, dataclass, TypedDict or pydantic model"
        ) from error
    return hoist_root(check_schema(schema))


def _label(type_: Any) -> str:
    return str(getattr(type_, "__qualname__", None) or type(type_).__name__)[:80]


def schema_name(type_: Any) -> str:
    """Name the schema of a type: letters, digits, ``_`` and ``-``, at most 64 of them; the same in every process.

    A dict is named by its ``title``; what has no name is ``answer``.

    Source: the ``name`` of a response format in OpenAI's API reference.
    """
    words = _words(type_)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", "_".join(words)).strip("_") or "answer"
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 9] + "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name


def _words(type_: Any) -> list[str]:
    if isinstance(type_, Mapping):
        return [str(type_.get("title", ""))]
    origin = typing.get_origin(type_)
    if origin is typing.Annotated:
        return _words(typing.get_args(type_)[0])
    if origin is None or origin is typing.Literal:
        return [type_.__name__] if isinstance(type_, type) else []
    head = [origin.__name__] if isinstance(origin, type) and origin.__module__ != "types" else []
    return head + [word for inner in typing.get_args(type_) for word in _words(inner)]
