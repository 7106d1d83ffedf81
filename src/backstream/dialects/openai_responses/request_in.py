"""A client's request to us in the form of OpenAI's Responses API, as a typed request; items are elsewhere.

Source: https://platform.openai.com/docs/api-reference/responses/create; OpenAI's OpenAPI description 2.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from backstream.dialects.openai_responses.members import NAME, text_of, without
from backstream.dialects.openai_responses.request import ENCRYPTED, LOGPROBS
from backstream.dialects.openai_responses.request_items_in import parse_input
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Request, ResponseFormat, TextPart, Tool, ToolChoice, Turn
from backstream.request.call import parse_call

__all__ = ["parse_request"]

ValueT = TypeVar("ValueT")

_SAME: Final = (
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "metadata",
    "service_tier",
    "store",
    "previous_response_id",
    "conversation",
)
_RENAMED: Final = {"max_output_tokens": "max_tokens", "safety_identifier": "user"}
_ELSEWHERE: Final = frozenset(
    {"model", "input", "instructions", "stream", "tools", "tool_choice", "text", "reasoning", "include"}
)
_FUNCTION: Final = ("type", "name", "description", "parameters", "strict")
_FORMAT: Final = frozenset({"type", "name", "schema", "description", "strict"})


def parse_request(members: Mapping[str, Any]) -> Request:
    """Read a client's request; what it holds that there is no place for is in ``extra`` and ``opaque``.

    Raises:
        InvalidRequestError: Another shape; the text says where.
        InvalidMediaError: A ``data:`` URI in it cannot be read.
    """
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in members.items():
        if value is None or name in _ELSEWHERE:
            continue
        if name in _SAME:
            known[name] = value
        elif name in _RENAMED:
            known[_RENAMED[name]] = value
        else:
            extra[name] = value
    if "user" in extra and "user" not in known:  # the older name
        known["user"] = extra.pop("user")
    forms = _parse_tool_choice(members, extra) | _parse_text(members, known, extra)
    forms |= _parse_reasoning(members, extra)
    _parse_include(members, known, extra)
    request = parse_call(_text(members, "model") or "", (), (), known)
    return msgspec.structs.replace(
        request,
        turns=(*_parse_instructions(members), *parse_input(members.get("input"))),
        tools=_parse_tools(members),
        stream=_flag(members, "stream"),
        dialect=NAME,
        extra=extra,
        **forms,
    )


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if isinstance(value, str | None):
        return value
    raise InvalidRequestError(f"{name} is a {type(value).__name__}", "use text")


def _flag(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    if isinstance(value, bool | None):
        return bool(value)
    raise InvalidRequestError(f"{name} is a {type(value).__name__}", "use true or false")


def _object(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if isinstance(value, Mapping | None):
        return dict(value or {})
    raise InvalidRequestError(f"{name} is a {type(value).__name__}", "use an object")


def _parse_instructions(members: Mapping[str, Any]) -> tuple[Turn, ...]:
    instructions = _text(members, "instructions")
    return () if instructions is None else (Turn(role="system", parts=(TextPart(text=instructions),)),)


def _parse_tools(members: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = members.get("tools") or []
    if not isinstance(tools, list):
        raise InvalidRequestError(f"tools is a {type(tools).__name__}", "use a list")
    return tuple(_parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _parse_tool(tool: object, where: str) -> Tool:
    if not isinstance(tool, Mapping):
        raise InvalidRequestError(f"{where} is a {type(tool).__name__}", "use an object")
    if tool.get("type") != "function":
        return Tool(opaque={NAME: dict(tool)})
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise InvalidRequestError(f"{where} of type 'function' has no name")
    own = without(tool, *_FUNCTION)
    found = {name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name) is not None}
    return msgspec.structs.replace(_convert(found, Tool, where), opaque={NAME: own} if own else {})


def _convert(found: Mapping[str, Any], cls: type[ValueT], where: str) -> ValueT:
    try:
        return msgspec.convert(found, cls)
    except msgspec.ValidationError as error:
        problem = str(error).splitlines()[0]
    raise InvalidRequestError(f"{where}: {problem}")


def _parse_tool_choice(members: Mapping[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Read which function tools may be called; a choice of the back-end's own tools is kept as it is."""
    choice = members.get("tool_choice")
    if choice is None:
        return {}
    if choice in ("auto", "none", "required"):
        return {"tool_choice": ToolChoice(mode=choice)}
    if not isinstance(choice, Mapping):
        raise InvalidRequestError("tool_choice has another shape", 'use "auto", "none", "required", or an object')
    if choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return {"tool_choice": ToolChoice(mode="tool", names=(choice["name"],))}
    tools = choice.get("tools")
    if choice.get("type") == "allowed_tools" and isinstance(tools, list) and tools:
        names = [_name_of(tool) for tool in tools]
        if all(names):
            mode = choice.get("mode")
            found = {"mode": "auto" if mode is None else mode, "names": names}
            return {"tool_choice": _convert(found, ToolChoice, "tool_choice")}
    extra["tool_choice"] = dict(choice)
    return {}


def _name_of(tool: object) -> str | None:
    if isinstance(tool, Mapping) and set(tool) == {"type", "name"} and tool["type"] == "function":
        return text_of(tool, "name")
    return None


def _parse_text(members: Mapping[str, Any], known: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    text = _object(members, "text")
    if text.get("verbosity") is not None:
        known["verbosity"] = text["verbosity"]
    rest = without(text, "format", "verbosity")
    forms: dict[str, Any] = {}
    form = _object(text, "format")
    if form:
        if form.get("type") in ("text", "json_object", "json_schema") and not set(form) - _FORMAT:
            found = {"kind": form["type"], **{name: form[name] for name in _FORMAT - {"type"} if name in form}}
            forms["response_format"] = _convert(found, ResponseFormat, "text.format")
        else:
            rest["format"] = form
    if rest:
        extra["text"] = rest
    return forms


def _parse_reasoning(members: Mapping[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    reasoning = _object(members, "reasoning")
    found = {name: reasoning[name] for name in ("effort", "summary") if reasoning.get(name) is not None}
    rest = without(reasoning, "effort", "summary")
    if rest:
        extra["reasoning"] = rest
    return {"reasoning": _convert(found, ReasoningSettings, "reasoning")} if found else {}


def _parse_include(members: Mapping[str, Any], known: dict[str, Any], extra: dict[str, Any]) -> None:
    include = members.get("include") or []
    if not isinstance(include, list):
        raise InvalidRequestError(f"include is a {type(include).__name__}", "use a list")
    if LOGPROBS in include:
        known["logprobs"] = True
    implied = (LOGPROBS, ENCRYPTED) if known.get("store") is False else (LOGPROBS,)
    rest = [word for word in include if word not in implied]
    if rest:
        extra["include"] = rest
