"""What a docstring says of a function and of its parameters: Google, NumPy and reST forms. Knows no function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["parse_docstring"]

_GOOGLE_HEAD: Final = re.compile(r"(Args|Arguments|Parameters|Params|Other Parameters|Keyword Args):\s*")
_OTHER_HEAD: Final = re.compile(
    r"(Returns?|Raises|Yields?|Examples?|Notes?|See Also|References|Warnings?|Attributes|Todo|Source):?\s*"
)
_NUMPY_HEADS: Final = frozenset({"Parameters", "Other Parameters"})
_RULE: Final = re.compile(r"-{3,}\s*")
_GOOGLE_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)")
_NUMPY_ENTRY: Final = re.compile(r"(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")
_REST_ENTRY: Final = re.compile(r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_REST_FIELD: Final = re.compile(r":[a-z]+(?:\s[^:]*)?:.*")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Split a docstring into what it says of the function and of each parameter.

    Args:
        docstring: As written, indented or not; ``None`` for none.

    Returns:
        The text before the first section, and the descriptions by the parameters' names, each folded to one line.
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    start = next((index for index in range(len(lines)) if _is_section(lines, index)), len(lines))
    found: dict[str, list[str]] = {}
    for name, text in _entries(lines[start:]):
        found.setdefault(name, []).append(text)
    described = {name: " ".join(" ".join(texts).split()) for name, texts in found.items()}
    return "\n".join(lines[:start]).strip(), {name: text for name, text in described.items() if text}


def _is_section(lines: list[str], index: int) -> bool:
    line = lines[index]
    if _REST_FIELD.fullmatch(line) or _is_numpy_head(lines, index):
        return True
    return bool(_GOOGLE_HEAD.fullmatch(line) or (line.rstrip().endswith(":") and _OTHER_HEAD.fullmatch(line)))


def _is_numpy_head(lines: list[str], index: int) -> bool:
    return bool(lines[index].strip() and index + 1 < len(lines) and _RULE.fullmatch(lines[index + 1]))


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of parameters with a piece of their description, a name as often as it has pieces."""
    form = ""  # of the section that we are in: google, numpy, or none that describes parameters
    names: list[str] = []
    depth = 0
    for index, line in enumerate(lines):
        rest = _REST_ENTRY.fullmatch(line)
        if rest or _is_section(lines, index):
            names = [rest[1]] if rest else []
            form = _form_of(lines, index)
            depth = 0
            yield from ((name, rest[2]) for name in names if rest)
            continue
        indent = len(line) - len(line.lstrip())
        entry = _entry(form, line, indent, depth)
        if entry is not None:
            names, text = entry
            depth = indent
            yield from ((name, text) for name in names)
        elif indent > depth:
            yield from ((name, line) for name in names)
        elif line.strip():
            names = []
            form = form if indent or form == "numpy" else ""


def _form_of(lines: list[str], index: int) -> str:
    line = lines[index].strip()
    if _is_numpy_head(lines, index):
        return "numpy" if line in _NUMPY_HEADS else ""
    if _REST_FIELD.fullmatch(line):
        return "rest"
    return "google" if _GOOGLE_HEAD.fullmatch(line) else ""


def _entry(form: str, line: str, indent: int, depth: int) -> tuple[list[str], str] | None:
    """Read the first line of a parameter's description."""
    if form == "google" and indent and (not depth or indent <= depth):
        google = _GOOGLE_ENTRY.fullmatch(line.strip())
        return ([google[1]], google[2]) if google else None
    if form == "numpy" and not indent and not _RULE.fullmatch(line):
        numpy = _NUMPY_ENTRY.fullmatch(line.strip())
        return ([name.strip() for name in numpy[1].split(",")], "") if numpy else None
    return None
