"""HTTP as plain values: header fields, request heads, and bodies made of segments. No sockets, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from backstream.errors import ConfigurationError

__all__ = ["Body", "Headers", "Segment", "check_field", "media_type", "render_head"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_TARGET = re.compile(r"[\x21-\x7e]+\Z")


@runtime_checkable
class Segment(Protocol):
    """A piece of a request body that is made only while it is being sent.

    Attributes:
        size: Its exact size in bytes; ``None`` where unknown, and then the body goes out chunked.
        replayable: Whether ``blocks`` may be called twice.
    """

    @property
    def size(self) -> int | None: ...  # noqa: D102 - see the class

    @property
    def replayable(self) -> bool: ...  # noqa: D102 - see the class

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes from the start, in blocks of at most 64 KiB."""
        ...


Body: TypeAlias = Sequence["bytes | Segment"]
"""A request body: bytes and segments, in order."""


class Headers(Mapping[str, str]):
    """Header fields as they came: names of any case, several of one name.

    Reading a name gives its values joined by ``", "``; :meth:`get_all` gives them apart. Its ``repr`` shows names only,
    since values may be secrets.

    Args:
        fields: Names and values, in order.
    """

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)
        self._values: dict[str, list[str]] = {}
        for name, value in self._fields:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._values)}>"

    def get_all(self, name: str) -> list[str]:
        """Return every value of ``name``, in order; ``[]`` where there is none."""
        return list(self._values.get(name.lower(), ()))

    def raw(self) -> tuple[tuple[str, str], ...]:
        """Return names and values exactly as they came, in order."""
        return self._fields


def media_type(content_type: str) -> str:
    """Return the bare, lower-case media type of a Content-Type value; ``""`` where it is none.

    Source: RFC 9110 §8.3.1; parameters, and a lone trailing semicolon, are dropped.
    """
    essence = content_type.partition(";")[0].strip().lower()
    main, slash, sub = essence.partition("/")
    return essence if slash and _TOKEN.match(main) and _TOKEN.match(sub) else ""


def check_field(name: str, value: str) -> None:
    """Refuse a header field that could end its line or its head.

    Raises:
        ConfigurationError: The name is no token, or the value holds control or non-latin characters. The text names
            the field, never its value.

    Source: RFC 9110 §5.1 and §5.5.
    """
    if not _TOKEN.match(name):
        raise ConfigurationError(f"header name {name[:40]!r} is no HTTP token", "use letters, digits and hyphens")
    if not _VALUE.match(value):
        raise ConfigurationError(
            f"the value of header {name!r} holds characters that no header can carry", "encode the value"
        )


def render_head(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Render the head of an HTTP/1.1 request, up to and with its blank line.

    Args:
        method: A token such as ``POST``.
        target: The request target, already percent-encoded.
        fields: Names and values, in order.

    Raises:
        ConfigurationError: Any part that could break out of its line.
    """
    if not _TOKEN.match(method):
        raise ConfigurationError("the method is no HTTP token")
    if not _TARGET.match(target):
        raise ConfigurationError("the request target holds spaces or control characters", "percent-encode them")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in fields:
        check_field(name, value)
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")
