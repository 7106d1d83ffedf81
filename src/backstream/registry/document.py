"""A TOML file whose errors name file, line and key. Knows nothing of what its keys mean, and never shows a value."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from backstream.credentials import Secret
from backstream.errors import ConfigurationError

__all__ = ["Document", "parse_document"]

_T = TypeVar("_T")

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_AT: Final = re.compile(r"(.*?)\s*\(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_WHERE: Final = re.compile(r"(.*) - at `\$\.?([^`\[]*)[^`]*`\Z", re.DOTALL)


def parse_document(path: Path, raw: bytes) -> tuple[Document, dict[str, Any]]:
    """Parse a TOML file.

    Args:
        path: What errors call it.
        raw: Its bytes.

    Returns:
        Where its keys are, and what it holds.

    Raises:
        ConfigurationError: It is no UTF-8 or no TOML; the text names file and line.
    """
    try:
        text = raw.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8", "save the file as UTF-8") from None
    try:
        return Document(path, text), tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _AT.fullmatch(str(error))
        problem = found[1] if found else "nested too deeply"
        line = int(found[2]) if found and found[2] else text.rstrip("\n").count("\n") + 1
        raise ConfigurationError(f"{path}:{line}: {_first_small(problem)}", "see https://toml.io") from None


class Document:
    """A TOML file as errors need it: its path, and where each key is. It keeps no text, which may hold keys.

    Args:
        path: What errors call it.
        text: What it holds.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = _index(text)

    def line(self, keys: Sequence[str]) -> int:
        """Return the line of a key, counted from 1; else that of the nearest table around it."""
        depths = range(len(keys), 0, -1)
        return next((line for depth in depths if (line := self._lines.get(tuple(keys[:depth])))), 1)

    def error(self, keys: Sequence[str], problem: str, remedy: str = "") -> ConfigurationError:
        """Return an error that names the file, the line of a key, and the key."""
        name = ".".join(map(_shown, keys))
        return ConfigurationError(f"{self.path}:{self.line(keys)}: {name} {problem}", remedy)

    def table(self, keys: Sequence[str], value: object) -> Mapping[str, Any]:
        """Return a value that must be a table.

        Raises:
            ConfigurationError: It is none.
        """
        if not isinstance(value, dict):
            raise self.error(keys, "is no table", f"write [{'.'.join(map(_shown, keys))}]")
        return value

    def place(self, keys: Sequence[str], file: Path | None) -> Path | None:
        """Return where a file is that a key names: from this file's own folder; ``~`` is the home folder.

        Raises:
            ConfigurationError: The home folder is unknown.
        """
        try:
            return file and self.path.parent / file.expanduser()
        except RuntimeError:
            raise self.error(keys, "names an unknown home folder", "write the path") from None

    def check_names(self, keys: Sequence[str], found: Iterable[str], known: Sequence[str]) -> None:
        """Refuse unknown keys of a table.

        Raises:
            ConfigurationError: There is one; the text names the nearest known ones, or all.
        """
        for name in found:
            if name not in known:
                raise self.error([*keys, name], "is unknown", _nearest(name, known))

    def check_value(self, keys: Sequence[str], value: str, known: Sequence[str]) -> None:
        """Refuse a value that is none of the known ones.

        Raises:
            ConfigurationError: It is none; the text names the nearest known ones, or all.
        """
        if value not in known:
            raise self.error(keys, "has an unknown value", _nearest(value, known))

    def convert(self, keys: Sequence[str], value: object, type_: type[_T]) -> _T:
        """Convert a table to a struct of that type.

        Raises:
            ConfigurationError: A key is unknown, or a value is of another type.
        """
        table = self.table(keys, value)
        self.check_names(keys, table, [field.encode_name for field in msgspec.structs.fields(type_)])  # type: ignore[arg-type]
        return self.typed(keys, table, type_)

    def typed(self, keys: Sequence[str], value: object, type_: type[_T]) -> _T:
        """Convert a value to that type.

        Raises:
            ConfigurationError: It is of another type.
        """
        try:
            return msgspec.convert(value, type_, dec_hook=_decode)
        except msgspec.ValidationError as error:
            found = _WHERE.fullmatch(str(error))
            problem, inner = (found[1], found[2]) if found else (str(error), "")
            if problem.startswith("Invalid enum value"):  # it goes on with the value
                known = _choices(get_type_hints(type_)[inner])
                raise self.error([*keys, inner], "has an unknown value", f"use one of: {', '.join(known)}") from None
            raise self.error(
                [*keys, *filter(None, inner.split("."))], f"is wrong: {_in_plain_words(problem)}"
            ) from None


def _nearest(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {', '.join(nearest)}?" if nearest else f"use one of: {', '.join(sorted(known))}"


def _choices(type_: Any) -> Sequence[str]:
    """Return the values of a ``Literal``, also of an optional one."""
    return [each for one in get_args(type_) for each in ([one] if isinstance(one, str) else get_args(one))]


def _first_small(text: str) -> str:
    return text[:1].lower() + text[1:]


_WORDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "text",
}


def _in_plain_words(problem: str) -> str:
    """Say what was expected in the words of people who write the file, who have never heard of ``null``."""

    def words(found: re.Match[str]) -> str:
        names = [name for name in found[1].split(" | ") if name != "null"]
        return " or ".join(_WORDS.get(name, name) for name in names)

    return _first_small(re.sub("`([^`]+)`", words, problem))


def _decode(type_: type, value: object) -> object:
    """Make what msgspec does not know; a key is wrapped at once."""
    if not isinstance(value, str):
        raise ConfigurationError("expected `str`")
    return Secret(value) if type_ is Secret else Path(value)


def _shown(key: str) -> str:
    bare = re.fullmatch("[A-Za-z0-9_-]+", key)
    return key if bare else '"' + "".join(c if c.isprintable() and c not in '"\\' else "?" for c in key[:80]) + '"'


def _index(text: str) -> Mapping[tuple[str, ...], int]:
    """Find the lines of the keys of a TOML text.

    Exact for what people write; a line of a multi-line text that looks like a key is taken for one.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, written in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(written):
            here = table = _parts(header[1])
        elif key := _KEY.match(written):
            here = table + _parts(key[1])
        else:
            continue
        for depth in range(1, len(here) + 1):
            lines.setdefault(here[:depth], number)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(next(iter(tomllib.loads(f"{part} = 0"))) for part in re.findall(_PART, dotted))
