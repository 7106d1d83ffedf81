"""Checks of a client's members: each gives what it was asked for, or says where another shape stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backstream.dialects.gemini.quirks import to_camel
from backstream.errors import InvalidRequestError

__all__ = ["as_list", "as_members", "as_number", "as_text", "take"]


def _wrong(where: str, value: object, wanted: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where} is a {type(value).__name__}", f"use {wanted}")


def as_members(value: object, where: str) -> dict[str, Any]:
    """Return an object's members by their names in camel case; none for null.

    Raises:
        InvalidRequestError: It is no object.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "an object")
    return to_camel(value)


def as_list(value: object, where: str) -> Sequence[Any]:
    """Return a list; a single object stands for a list of one, as Google's servers read it, and null for none.

    Raises:
        InvalidRequestError: It is no list.
    """
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return (value,)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _wrong(where, value, "a list")
    return value


def as_text(value: object, where: str) -> str:
    """Return text; the empty one for null.

    Raises:
        InvalidRequestError: It is no text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(where, value, "text")
    return value


def as_number(value: object, where: str) -> int | float:
    """Return a number.

    Raises:
        InvalidRequestError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, value, "a number")
    return value


def take(members: dict[str, Any], name: str) -> Any:
    """Take a member out; ``None`` where there is none."""
    return members.pop(name, None)
