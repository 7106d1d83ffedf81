"""A client's request to the Messages API, read into a :class:`backstream.request.Request`; turns are elsewhere.

Source: https://platform.claude.com/docs/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.dialects.anthropic_messages.turns_in import parse_turns
from backstream.dialects.anthropic_messages.vendor import NAME
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["parse_request"]


class _Plain(msgspec.Struct, frozen=True):
    """The plain parameters, checked; an explicit null says nothing."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: tuple[str, ...] | None = None
    stream: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    tool_choice: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] | None = None


_ELSEWHERE: Final = frozenset({"messages", "system"})
_DISPLAYS: Final = {"summarized": "auto", "omitted": "none"}


def parse_request(members: Mapping[str, Any]) -> Request:
    """Read a request; see :meth:`backstream.dialects.base.Dialect.parse_request`.

    Raises:
        InvalidRequestError: Another shape; the text says where.
    """
    plain = _convert(members)
    known: dict[str, Any] = {}
    extra = {
        name: value
        for name, value in members.items()
        if name not in _ELSEWHERE and name not in _Plain.__struct_fields__ and value is not None
    }
    for name in ("max_tokens", "temperature", "top_p", "top_k"):
        if getattr(plain, name) is not None:
            known[name] = getattr(plain, name)
    if plain.service_tier is not None:
        known["service_tier"] = "default" if plain.service_tier == "standard_only" else plain.service_tier
    _parse_metadata(plain.metadata or {}, known, extra)
    _parse_reasoning(plain.thinking or {}, dict(plain.output_config or {}), known, extra)
    if plain.tool_choice is not None:
        _parse_tool_choice(plain.tool_choice, known, extra)
    return Request(
        model=plain.model or "",
        turns=parse_turns(members.get("system"), members.get("messages")),
        tools=tuple(_parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(plain.tools or ())),
        stop=plain.stop_sequences or (),
        stream=plain.stream is True,
        dialect=NAME,
        extra=extra,
        **known,
    )


def _convert(members: Mapping[str, Any]) -> _Plain:
    given = {name: members[name] for name in _Plain.__struct_fields__ if name in members}
    try:
        return msgspec.convert(given, _Plain)
    except msgspec.ValidationError as error:
        problem = str(error).splitlines()[0]
    raise InvalidRequestError(f"a parameter: {problem}")


def _parse_metadata(metadata: dict[str, Any], known: dict[str, Any], extra: dict[str, Any]) -> None:
    rest = dict(metadata)
    if isinstance(rest.get("user_id"), str):
        known["user"] = rest.pop("user_id")
    if rest:
        extra["metadata"] = rest


def _parse_reasoning(
    thinking: dict[str, Any], config: dict[str, Any], known: dict[str, Any], extra: dict[str, Any]
) -> None:
    """What is no setting of ours stays in ``extra``, and is laid over what is when it is rendered."""
    settings: dict[str, Any] = {}
    rest = dict(thinking)
    kind, budget = rest.get("type"), rest.get("budget_tokens")
    if kind == "enabled" and isinstance(budget, int) and not isinstance(budget, bool):
        settings["budget_tokens"] = rest.pop("budget_tokens")
    elif kind in ("adaptive", "disabled"):
        settings["enabled"] = kind == "adaptive"
    if settings:
        del rest["type"]
        display = rest.get("display")
        if isinstance(display, str) and display in _DISPLAYS and kind != "disabled":
            settings["summary"] = _DISPLAYS[rest.pop("display")]
    if isinstance(config.get("effort"), str) and settings.get("enabled") is not False and config["effort"] != "none":
        settings["effort"] = config.pop("effort")
    if settings:
        known["reasoning"] = ReasoningSettings(**settings)
    form = config.get("format")
    if isinstance(form, dict) and set(form) == {"type", "schema"} and _is_schema(form):
        known["response_format"] = ResponseFormat(kind="json_schema", schema=form["schema"])
        del config["format"]
    extra |= {name: value for name, value in (("thinking", rest), ("output_config", config)) if value}


def _is_schema(form: dict[str, Any]) -> bool:
    return form["type"] == "json_schema" and isinstance(form["schema"], dict)


def _parse_tool_choice(choice: dict[str, Any], known: dict[str, Any], extra: dict[str, Any]) -> None:
    rest = {name: value for name, value in choice.items() if value is not None}
    kind, name = rest.pop("type", None), rest.pop("name", None)
    parallel = rest.pop("disable_parallel_tool_use", None)
    if kind == "tool" and isinstance(name, str):
        known["tool_choice"] = ToolChoice(mode="tool", names=(name,))
    elif kind in ("auto", "none"):
        known["tool_choice"] = ToolChoice(mode=kind)
    elif kind == "any":
        known["tool_choice"] = ToolChoice(mode="required")
    else:
        raise InvalidRequestError("tool_choice is none of auto, any, tool with a name, none")
    if isinstance(parallel, bool) and kind != "none":
        known["parallel_tool_calls"] = not parallel
    if rest:
        extra["tool_choice"] = rest


def _parse_tool(tool: dict[str, Any], where: str) -> Tool:
    rest = {name: value for name, value in tool.items() if value is not None}
    if rest.get("type", "custom") != "custom":  # a tool the back-end runs itself
        return Tool(opaque={NAME: rest})
    name, parameters = rest.pop("name", None), rest.pop("input_schema", None)
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{where} has no name")
    if not isinstance(parameters, dict | None):
        raise InvalidRequestError(f"{where}.input_schema is no object")
    known: dict[str, Any] = {}
    for member, kind in (("description", str), ("strict", bool), ("cache_control", dict)):
        if isinstance(rest.get(member), kind):
            known[member] = rest.pop(member)
    return Tool(name=name, parameters=parameters, opaque={NAME: rest} if rest else {}, **known)
