"""One call of the client: whom it is for, and its tools and answer's form as a request says them. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, InvalidRequestError
from backstream.request import Tool
from backstream.schema import schema_for, schema_name
from backstream.tools import FunctionTool, collect_tools

__all__ = ["Call", "Models", "names_of", "split_format", "split_tools"]

Models: TypeAlias = str | Sequence[str] | None
"""The name of a model, or several, the preferred one first."""


class Call:
    """Whom a call is for, as it was named.

    Attributes:
        models: The names of models, the preferred one first; ``None`` or ``""`` for a default one.
        provider: The provider's name, the provider itself, or ``None``.
        url: The base URL of a server that has no name.
        dialect: How that server is spoken to; ``None`` as OpenAI's chat completions.
        api_key: A key, or keys by provider.
    """

    __slots__ = ("api_key", "dialect", "models", "provider", "url")

    def __init__(
        self, *, model: Models, provider: Any, url: str | None, api_key: Any, dialect: str | None = None
    ) -> None:
        if dialect is not None and url is None:
            raise ConfigurationError(
                "dialect is given without url", "pass url= too; a provider that has a name has its dialect with it"
            )
        if not isinstance(dialect, str | None):
            raise ConfigurationError(f"dialect is a {type(dialect).__name__}", "pass its name")
        if url is not None and provider is not None:
            raise InvalidRequestError("url and provider are both given", "pass one of them")
        if not isinstance(provider, str | None) and not callable(getattr(provider, "create_async_generator", None)):
            raise InvalidRequestError(
                f"provider is a {type(provider).__name__}", "pass a provider's name, or what has create_async_generator"
            )
        if api_key is not None and not isinstance(api_key, str | Secret | Mapping):
            raise InvalidRequestError(
                f"api_key is a {type(api_key).__name__}", "pass text, a Secret, or a dict of keys by provider"
            )
        if url is not None and isinstance(api_key, Mapping):
            raise InvalidRequestError("api_key is a dict, and a url has no provider's name", "pass the key itself")
        self.models = _names_in(model)
        self.provider = provider
        self.url = url
        self.dialect = dialect
        self.api_key = api_key

    def key_for(self, provider: str | None) -> str | Secret | None:
        """Return the key of the call for a provider; ``None`` where it brings none."""
        key = self.api_key
        return key.get(provider) if isinstance(key, Mapping) else key


def _names_in(model: object) -> tuple[str | None, ...]:
    if model is None or isinstance(model, str):
        return (model,)
    names = tuple(model) if isinstance(model, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequestError("model is neither a name nor a list of names", 'pass "provider/model", or several')
    return names


def split_format(response_format: Any) -> tuple[Any, Any]:
    """Give what to ask for, and the type the answer shall be."""
    if response_format is None or isinstance(response_format, Mapping):
        form = response_format
        schema = (form or {}).get("json_schema") if isinstance(form, Mapping) else None
        return form, schema.get("schema") if isinstance(schema, Mapping) else None
    if isinstance(response_format, msgspec.Struct) and not isinstance(response_format, type):
        return response_format, getattr(response_format, "schema", None)  # a ResponseFormat
    if isinstance(response_format, str):
        raise InvalidRequestError("response_format is text", 'pass {"type": "json_object"}, or a type')
    described = {"name": schema_name(response_format), "schema": schema_for(response_format)}
    return {"type": "json_schema", "json_schema": described}, response_format


def split_tools(tools: Sequence[Any] | None) -> tuple[Mapping[str, FunctionTool], list[Any]]:
    """Give the functions by name, and what the request says of every tool."""
    if isinstance(tools, Mapping | str):
        raise InvalidRequestError(f"tools is a {type(tools).__name__}", "pass a list")
    described: list[Any] = []
    functions: list[Any] = []
    for tool in tools or ():
        if isinstance(tool, FunctionTool) or callable(tool):
            functions.append(tool)
        else:
            described.append(tool)
    by_name = collect_tools(functions)
    return by_name, [*described, *(_describe(tool) for tool in by_name.values())]


def names_of(described: Sequence[Any]) -> list[str]:
    """Return the names of the functions among what a request says of its tools."""
    found: list[str] = []
    for tool in described:
        if isinstance(tool, Tool):
            found.append(tool.name)
        elif isinstance(tool, Mapping):
            function = tool.get("function", tool)
            name = function.get("name") if isinstance(function, Mapping) else None
            found += [name] if isinstance(name, str) else []
    return found


def _describe(tool: FunctionTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
