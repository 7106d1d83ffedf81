"""What every chunk is: the open base, the typed kind, and the kind that keeps whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union

import msgspec

__all__ = ["FIELDS", "KNOWN_TYPES", "Extra", "Maybe", "OpenResponse", "RawResponse", "Typed"]

T = TypeVar("T")

if TYPE_CHECKING:
    Maybe = Union[T, None]  # noqa: UP007 - a generic alias has to be spelt so
else:

    class Maybe:
        """``Maybe[str]`` reads as ``str | None`` and decodes as ``str``.

        An absent member is ``None``; an explicit null fails the fast decoder, takes the slow path, and is kept in
        ``extra``: so absent and null stay apart, and an event survives decoding and encoding unchanged.
        """

        def __class_getitem__(cls, item):
            return item


class RawResponse:
    """Any event of a back-end's answer.

    Members are attributes (``chunk.content``) and items (``chunk["content"]``). Methods win over members of the same
    name in attribute access; ``chunk["get_dict"]`` reaches such a member. ``str(chunk)`` is what a reader should see:
    the text of content, the empty string of everything else.

    Attributes:
        type: The event's type, ``""`` where it has none.
    """

    __slots__ = ()
    type: ClassVar[str] = ""

    @staticmethod
    def from_dict(members: Mapping[str, Any]) -> RawResponse:
        """Make the chunk for one event; the one open constructor.

        Args:
            members: The event's members, JSON values.

        Returns:
            The typed chunk of ``members["type"]`` where it fits; else an :class:`OpenResponse`. Never fails for a
            mapping with string keys.
        """
        kind = members.get("type")
        cls = KNOWN_TYPES.get(kind) if isinstance(kind, str) else None
        if cls is not None:
            known = FIELDS[cls]
            typed = {name: value for name, value in members.items() if value is not None and name in known}
            extra = {name: value for name, value in members.items() if name not in typed and name != "type"}
            try:
                chunk: Typed = msgspec.convert(typed, cls)
            except msgspec.ValidationError:
                pass
            else:
                return msgspec.structs.replace(chunk, extra=Extra(extra)) if extra else chunk
        return OpenResponse(members)

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event, ``type`` first, as a new dict (the values are not copied)."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        return self.get_dict()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.get_dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_dict())

    if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt member is an error there

        def __getattr__(self, name):
            if not name.startswith("__"):
                try:
                    return self.get_dict()[name]
                except KeyError:
                    pass
            raise AttributeError(f"{type(self).__name__} event has no member {name!r}")

    @property
    def text(self) -> str:
        """The text a reader should see; ``""`` for events that are not content."""
        return ""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shorten(value)}" for name, value in self.get_dict().items() if name != "type")
        return f"{type(self).__name__}({shown})"


def _shorten(value: object) -> str:
    """Show a member in a ``repr``: enough to recognise it, never a whole prompt, data URI or upload."""
    if isinstance(value, str):
        if value.startswith("data:"):
            return f"<data URI, {len(value)} characters>"
        return repr(value) if len(value) <= 60 else f"{value[:59] + '…'!r}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(str(name)[:40] for name in list(value)[:8]) + ("…" if len(value) > 8 else "") + "}"
    if isinstance(value, list):
        return f"[{len(value)} items]"
    return repr(value)


class Extra(Mapping[str, Any]):
    """Members of an event that its typed chunk does not declare, and explicit nulls. Read-only.

    A class of its own, because the JSON decoder can then never fill it from a hostile member.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    def __getitem__(self, name: str) -> Any:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extra) and self._members == other._members

    __hash__ = None  # type: ignore[assignment]  # its values may be lists and dicts

    def __repr__(self) -> str:
        return f"<{len(self)} members: {', '.join(list(self)[:8])}>"


class OpenResponse(RawResponse):
    """An event of a type this version does not know: every member kept, none interpreted.

    Args:
        members: The event's members; copied.
    """

    __slots__ = ("_members",)
    _members: dict[str, Any]

    def __init__(self, members: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_members", dict(members))

    if not TYPE_CHECKING:

        @property
        def type(self):
            """The event's type; ``""`` where it has none or it is no string."""
            kind = self._members.get("type")
            return kind if isinstance(kind, str) else ""

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event as a new dict, in the order they came."""
        members: dict[str, Any] = object.__getattribute__(self, "_members")
        return dict(members)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("chunks are immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenResponse) and self._members == other._members

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[OpenResponse], tuple[dict[str, Any]]]:
        return OpenResponse, (self._members,)


class Typed(
    RawResponse,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,  # members come from JSON, which has no cycles; sparing the collector is measurable
    repr_omit_defaults=True,
):
    """What the known event types share.

    Attributes:
        extra: Members this type does not declare, and explicit nulls; ``None`` where there are none.
    """

    extra: Maybe[Extra] = msgspec.field(name="(extra)", default=None)

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event, ``type`` first, as a new dict (the values are not copied)."""
        members: dict[str, Any] = {"type": self.type}
        for name, attribute in FIELDS[type(self)].items():
            value = getattr(self, attribute)
            if value is not None:
                members[name] = value
        members.update(self.extra or {})
        return members

    __repr__ = RawResponse.__repr__
    __str__ = RawResponse.__str__


KNOWN_TYPES: dict[str, type[Typed]] = {}
"""The typed chunk of each known event type; whole once :mod:`backstream.chunks` is imported."""

FIELDS: dict[type, Mapping[str, str]] = {}
"""Of each typed chunk: member on the wire → attribute."""
