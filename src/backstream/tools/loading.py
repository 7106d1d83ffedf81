"""Tools by name: ``module:function``, as the command line gives them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from backstream.errors import CallerError, ConfigurationError
from backstream.tools.function import FunctionTool, collect_tools

__all__ = ["load_tools"]


def load_tools(name: str) -> list[FunctionTool]:
    """Import tools by name. Importing a module runs it: names must come from whoever runs this program.

    Args:
        name: ``module:function``, with ``package.module`` and ``object.method`` too; several functions of one module
            are divided by commas, and one may name a list of functions. The module is looked for where Python looks.

    Returns:
        At least one tool.

    Raises:
        ConfigurationError: The text names what is missing, or what cannot be a tool.
    """
    module_name, colon, attributes = name.partition(":")
    wanted = [attribute.strip() for attribute in attributes.split(",")]
    if not colon or not module_name.strip() or not all(wanted):
        raise ConfigurationError(f"{name[:80]!r} names no tool", "write module:function")
    module = _import(module_name.strip())
    found: list[Any] = []
    for attribute in wanted:
        value = _find(module, module_name.strip(), attribute)
        found.extend(value if isinstance(value, list | tuple | set | frozenset) else [value])
    try:
        tools = list(collect_tools(found).values())
    except CallerError as error:
        raise ConfigurationError(f"{name[:80]}: {error}") from error
    if not tools:
        raise ConfigurationError(f"{name[:80]!r} is an empty list of tools")
    return tools


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise ConfigurationError(f"there is no module {missing!r}", "is its folder in PYTHONPATH?") from error
        raise ConfigurationError(f"module {name!r} needs the module {missing!r}, which is not there") from error
    except Exception as error:  # whatever a foreign module raises while it is run
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigurationError(f"module {name!r} cannot be imported: {problem}") from error


def _find(module: Any, module_name: str, attribute: str) -> Any:
    value, way = module, module_name
    for part in attribute.split("."):
        if not hasattr(value, part):
            public: Iterable[str] = (known for known in dir(value) if not known.startswith("_"))
            nearest = difflib.get_close_matches(part, list(public), n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(nearest)}?" if nearest else "write module:function"
            raise ConfigurationError(f"{way!r} has no {part!r}", hint)
        value, way = getattr(value, part), f"{way}.{part}"
    return value
