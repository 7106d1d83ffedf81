"""``--tools`` and ``--schema``: functions of the user's modules, and the form of an answer. Sends nothing."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from backstream.cli.exits import readable
from backstream.errors import BackstreamError, ConfigurationError
from backstream.schema import check_schema
from backstream.tools import FunctionTool, load_tools

__all__ = ["find_tools", "read_schema", "shown_tools"]

_SHOWN_CHARACTERS: Final = 200


def find_tools(names: Sequence[str]) -> tuple[FunctionTool, ...]:
    """Import tools by name, modules of the working folder too.

    Args:
        names: ``module:function[,function]``.

    Raises:
        ConfigurationError: One is not there, or cannot be a tool.
    """
    if names and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does; it stays, for what a tool imports when it is called
    found: dict[str, FunctionTool] = {}
    for name in names:
        for tool in load_tools(name):
            if tool.name in found:
                raise ConfigurationError(f"--tools {name[:80]}: two tools are named {tool.name!r}", "leave one out")
            found[tool.name] = tool
    return tuple(found.values())


def shown_tools(tools: Sequence[FunctionTool], show: Callable[[str], None]) -> list[FunctionTool]:
    """Return tools that tell each of their calls in a line.

    Args:
        tools: What to run.
        show: Takes the line.
    """
    return [_ShownTool(tool, show) for tool in tools]


class _ShownTool(FunctionTool):
    """A tool that tells what it was called with and what came of it, once that is known."""

    def __init__(self, tool: FunctionTool, show: Callable[[str], None]) -> None:
        super().__init__(tool.function, name=tool.name, description=tool.description)
        self._show = show

    def parse_arguments(self, arguments: str) -> dict[str, Any]:
        try:
            return super().parse_arguments(arguments)
        except BackstreamError as error:
            self._show(f"tool {self.name}({_short(arguments)}): {error}")
            raise

    async def call(self, arguments: Mapping[str, Any]) -> Any:
        given = ", ".join(f"{name}={_short(_text(value))}" for name, value in arguments.items())
        begun = asyncio.get_running_loop().time()
        try:
            result = await super().call(arguments)
        except BaseException as error:
            self._show(f"tool {self.name}({given}): {type(error).__name__}")
            raise
        seconds = asyncio.get_running_loop().time() - begun
        self._show(f"tool {self.name}({given}) gave {_short(_text(result))} in {seconds:.1f} s")
        return result


def _text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _short(text: str) -> str:
    folded = " ".join(text[: 4 * _SHOWN_CHARACTERS].split())
    return folded if len(folded) <= _SHOWN_CHARACTERS else folded[: _SHOWN_CHARACTERS - 1] + "…"


def read_schema(path: Path) -> dict[str, Any]:
    """Read a JSON schema, and return the ``response_format`` that asks for it.

    Raises:
        ConfigurationError: The file cannot be read, or holds no object.
        InvalidRequestError: The object has not the shape of a schema.
    """
    shown = f"--schema {readable(str(path))}"
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{shown}: {error.strerror}", "check the name") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{shown} is not JSON", "write a JSON schema") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{shown} holds no object", "write a JSON schema")
    if found.get("type") == "json_schema" and isinstance(found.get("json_schema"), dict):
        return found  # a response_format already
    check_schema(found)
    title = found.get("title")
    name = re.sub("[^A-Za-z0-9_-]+", "_", title if isinstance(title, str) else path.stem).strip("_")[:64]
    return {"type": "json_schema", "json_schema": {"name": name or "answer", "schema": found}}
