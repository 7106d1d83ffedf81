"""One Python function as a tool of a model."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, overload

import msgspec

from backstream.errors import ConfigurationError, DecodeError
from backstream.request.values import Tool
from backstream.schema.answer import leave_out_nulls
from backstream.schema.check import Problem, find_problems
from backstream.schema.types import decode_hook
from backstream.tools.docstring import parse_docstring
from backstream.tools.signature import arguments_schema, arguments_type, positional_names
from backstream.wire.json_text import decode_json

__all__ = ["FunctionTool", "collect_tools", "tool"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_MOST_PROBLEMS: Final = 5


class FunctionTool:
    """A Python function that a model may call.

    Its parameters need annotations: anything ``schema_for`` takes, ``Annotated[…, msgspec.Meta(description=…)]`` among
    it. A parameter with a default may be left out. The description is the docstring before its first section, and
    those of the parameters are its ``Args`` (Google, NumPy or reST form).

    Args:
        function: ``async`` or not. One that is not runs in a thread, and goes on there when its time is over: Python
            cannot stop a thread.
        name: Default the function's own. Letters, digits, ``_`` and ``-``, at most 64, no digit first.
        description: Default that of the docstring.

    Raises:
        ConfigurationError: It cannot be a tool; the text says why.

    Attributes:
        name: The tool's name.
        description: What it is for.
        parameters: The JSON schema of its arguments.
        function: The function.
    """

    __slots__ = ("_positional", "_type", "description", "function", "name", "parameters")

    def __init__(
        self, function: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> None:
        given: object = function
        if not callable(given) or isinstance(given, type | FunctionTool):
            raise ConfigurationError(f"a tool is a {type(function).__name__}", "pass a function or a bound method")
        own_name = getattr(function, "__name__", "")
        self.name: Final[str] = name if name is not None else own_name
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"a tool cannot be named {self.name[:80]!r}", "pass name= with letters, digits, _ and -, at most 64"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"tool {self.name!r} is a generator", "return a list")
        text, descriptions = parse_docstring(_docstring(function))
        self.function: Final = function
        self.description: Final[str] = description if description is not None else text
        self._type: Final = arguments_type(function, self.name)
        self._positional: Final = positional_names(function)
        self.parameters: Final = arguments_schema(function, self._type, descriptions, self.name)

    @property
    def definition(self) -> Tool:
        """What a request says of it."""
        return Tool(name=self.name, description=self.description or None, parameters=self.parameters)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function itself."""
        return self.function(*arguments, **keywords)

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}>"

    def parse_arguments(self, arguments: str) -> dict[str, Any]:
        """Read the arguments that a model wrote, as the types of the parameters.

        Args:
            arguments: JSON text; ``""`` and ``null`` are no arguments. Where they do not fit, a null where none is
                taken counts as left out: that is how the strict form of a schema says it.

        Raises:
            DecodeError: They are no JSON, or not what the function takes. The text is fit for the model: it names the
                paths and what would be right, never what was written.
        """
        try:
            value = decode_json(arguments) if arguments.strip() else {}
        except DecodeError as error:
            raise DecodeError(f"wrong arguments: {error.problem}") from None  # the cause would show them
        if value is None:
            value = {}
        problems: list[Problem] = []
        try:
            problems = find_problems(value, self.parameters)
            if problems:
                value = leave_out_nulls(value, self.parameters)
                problems = find_problems(value, self.parameters)
            decoded = msgspec.convert(value, self._type, str_keys=True, dec_hook=decode_hook)
        except RecursionError:
            raise DecodeError("wrong arguments: nested too deeply") from None
        except ValueError as error:
            where = str(error).rpartition(" - at `")[2].rstrip("`") if " - at `" in str(error) else "$"
            told = [_told(problem) for problem in problems[:_MOST_PROBLEMS]] or [f"{where}: not taken by its type"]
            raise DecodeError("wrong arguments: " + "; ".join(told)) from None  # the cause would show them
        named = {name: getattr(decoded, name) for name in self._type.__struct_fields__}
        return {name: given for name, given in named.items() if given is not msgspec.UNSET}

    async def run(self, arguments: str) -> Any:
        """Call the function with the arguments that a model wrote, and return what it returns.

        Raises:
            DecodeError: The arguments are wrong.
            Exception: What the function raises.
        """
        return await self.call(self.parse_arguments(arguments))

    async def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function and return what it returns.

        Args:
            arguments: By name, as :meth:`parse_arguments` returns them.

        Raises:
            Exception: What the function raises.
        """
        given = dict(arguments)
        signature = inspect.signature(self.function).parameters
        by_position = [given.pop(name, signature[name].default) for name in self._positional]
        if inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(type(self.function).__call__):
            return await self.function(*by_position, **given)
        result = await asyncio.to_thread(_call, self.function, by_position, given)
        return await result if inspect.isawaitable(result) else result


def _call(function: Callable[..., Any], by_position: list[Any], given: dict[str, Any]) -> Any:
    try:
        return function(*by_position, **given)
    except StopIteration as error:  # no future can hold one: it would never be over
        raise RuntimeError(f"StopIteration: {error}") from error


def _docstring(function: Any) -> str | None:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    if inspect.isroutine(function):
        return inspect.getdoc(function)
    return type(function).__call__.__doc__ or inspect.getdoc(type(function))


def _told(problem: Problem) -> str:
    if not problem.allowed:
        return str(problem)
    listed = ", ".join(msgspec.json.encode(value).decode() for value in problem.allowed[:20])
    return f"{problem.path}: must be one of {listed}"


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None
) -> Callable[[Callable[..., Any]], FunctionTool]: ...


def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, description: str | None = None
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a function a tool, as ``@tool`` or ``@tool(name=…, description=…)``; it can still be called.

    Args:
        function: The function.
        name: See :class:`FunctionTool`.
        description: See :class:`FunctionTool`.

    Raises:
        ConfigurationError: It cannot be a tool.
    """
    if function is not None:
        return FunctionTool(function)
    return lambda decorated: FunctionTool(decorated, name=name, description=description)


def collect_tools(tools: Iterable[FunctionTool | Callable[..., Any]]) -> dict[str, FunctionTool]:
    """Make tools of functions where they are none yet, and return them by name.

    Raises:
        ConfigurationError: One cannot be a tool, or two have one name.
    """
    given: object = tools
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError(f"tools is a {type(tools).__name__}", "pass a list of functions")
    collected: dict[str, FunctionTool] = {}
    for function in tools:
        found = function if isinstance(function, FunctionTool) else FunctionTool(function)
        if found.name in collected:
            raise ConfigurationError(f"two tools are named {found.name!r}", "pass name= for one of them")
        collected[found.name] = found
    return collected
