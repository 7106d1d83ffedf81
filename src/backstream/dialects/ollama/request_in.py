"""A client's request to us in the form of Ollama's ``/api/chat``, as a typed request.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import msgspec

from backstream.dialects.ollama.vendor import NAME, OPTIONS, sniff_base64
from backstream.errors import InvalidRequestError
from backstream.media import MediaItem, is_data_uri
from backstream.request import (
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningSettings,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.call import parse_call, parse_tool
from backstream.request.messages import media_from_url
from backstream.request.parts import Role
from backstream.wire.json_text import encode_json

__all__ = ["parse_request"]

_ROLES: Final = get_args(Role)
_PARSED: Final = frozenset(
    {"model", "messages", "stream", "tools", "format", "think", "options", "logprobs", "top_logprobs"}
)
_MESSAGE: Final = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"})
_FUNCTION: Final = frozenset({"name", "description", "parameters"})
_OURS: Final[Mapping[str, str]] = {theirs: ours for ours, theirs in OPTIONS.items()}


def parse_request(members: Mapping[str, Any]) -> Request:
    """See :meth:`backstream.dialects.base.Dialect.parse_request`."""
    model = _typed(members, "model", str) or ""
    stream = _typed(members, "stream", bool)
    parameters, options = _parse_options(members.get("options"))
    parameters |= {name: members.get(name) for name in ("logprobs", "top_logprobs")}
    extra = {name: value for name, value in members.items() if name not in _PARSED}
    if options:
        extra["options"] = options
    return msgspec.structs.replace(
        parse_call(model, (), (), parameters),
        stream=stream is not False,
        turns=tuple(_parse_message(message, f"messages[{index}]") for index, message in _list(members, "messages", "")),
        tools=tuple(_parse_tool(tool) for _, tool in _list(members, "tools", "")),
        response_format=_parse_format(members.get("format")),
        reasoning=_parse_think(members.get("think")),
        dialect=NAME,
        extra=extra,
    )


def _typed(members: Mapping[str, Any], name: str, cls: type, where: str = "") -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, cls):
        raise InvalidRequestError(f"{where}{name} is a {type(value).__name__}", f"use a {cls.__name__}")
    return value


def _list(members: Mapping[str, Any], name: str, where: str) -> Iterable[tuple[int, Any]]:
    values = members.get(name)
    if values is None:
        return ()
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise InvalidRequestError(f"{where}{name} is a {type(values).__name__}", "use a list")
    return enumerate(values)


def _parse_options(options: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell apart the options with names of ours, and the others."""
    if options is None:
        return {}, {}
    if not isinstance(options, Mapping):
        raise InvalidRequestError(f"options is a {type(options).__name__}", "use an object")
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for name, value in options.items():
        # a negative number of tokens is no limit but one of two special meanings
        special = name == "num_predict" and isinstance(value, int) and value < 0
        if name in _OURS and not special:
            ours[_OURS[name]] = value
        else:
            theirs[name] = value
    return ours, theirs


def _parse_format(form: object) -> ResponseFormat | None:
    if form in (None, ""):
        return None
    if form == "json":
        return ResponseFormat(kind="json_object")
    if isinstance(form, Mapping):
        return ResponseFormat(kind="json_schema", schema=form)
    raise InvalidRequestError("format is neither 'json' nor a JSON schema")


def _parse_think(think: object) -> ReasoningSettings | None:
    if isinstance(think, bool):
        return ReasoningSettings(enabled=think)
    if isinstance(think, str):
        return ReasoningSettings(effort=think) if think else None
    if think is None:
        return None
    raise InvalidRequestError(f"think is a {type(think).__name__}", "use true, false, or the name of a level")


def _parse_tool(given: object) -> Tool:
    tool = parse_tool(given)
    whole = cast("Mapping[str, Any]", given)
    if not tool.name:
        return Tool(opaque={NAME: dict(whole)})
    own = {name: value for name, value in whole.items() if name not in ("type", "function")}
    function = whole.get("function")
    if isinstance(function, Mapping) and set(function) - _FUNCTION:
        own["function"] = dict(function)
    return msgspec.structs.replace(tool, strict=None, cache_control=None, opaque={NAME: own} if own else {})


def _parse_message(message: object, where: str) -> Turn:
    if not isinstance(message, Mapping):
        raise InvalidRequestError(f"{where} is a {type(message).__name__}", "use an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequestError(f"{where} has no role that is known", "use " + ", ".join(_ROLES))
    speaker = cast("Role", role)
    rest = {name: value for name, value in message.items() if name not in _MESSAGE and value is not None}
    opaque = {NAME: rest} if rest else {}
    said = _parse_content(message, where)
    if role == "tool":
        result = ToolResultPart(
            tool_call_id=_typed(message, "tool_call_id", str, f"{where}.") or "",
            name=_typed(message, "tool_name", str, f"{where}.") or "",
            content=tuple(said),
        )
        return Turn(role=speaker, parts=(result,), opaque=opaque)
    parts: list[Part] = []
    thinking = _typed(message, "thinking", str, f"{where}.")
    if thinking:
        parts.append(ReasoningPart(text=thinking))
    parts += said
    parts += [_parse_call(call, f"{where}.tool_calls[{at}]") for at, call in _list(message, "tool_calls", f"{where}.")]
    return Turn(role=speaker, parts=tuple(parts), opaque=opaque)


def _parse_content(message: Mapping[str, Any], where: str) -> list[TextPart | MediaPart]:
    text = _typed(message, "content", str, f"{where}.")
    parts: list[TextPart | MediaPart] = [TextPart(text=text)] if text else []
    for at, image in _list(message, "images", f"{where}."):
        if isinstance(image, MediaItem):
            parts.append(MediaPart(kind="image", media_type=image.media_type, item=image))
        elif isinstance(image, str) and is_data_uri(image):
            parts.append(media_from_url(image, "image"))
        elif isinstance(image, str):
            parts.append(MediaPart(kind="image", media_type=sniff_base64(image), data=image))
        else:
            raise InvalidRequestError(f"{where}.images[{at}] is a {type(image).__name__}", "use text in base64")
    return parts


def _parse_call(call: object, where: str) -> ToolCallPart:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequestError(f"{where} names no function")
    arguments = function.get("arguments")
    rest = {name: value for name, value in call.items() if name not in ("id", "type", "function")}
    return ToolCallPart(
        id=_typed(call, "id", str, f"{where}.") or "",
        name=function["name"],
        arguments=arguments if isinstance(arguments, str) else encode_json(arguments or {}).decode(),
        opaque={NAME: rest} if rest else {},
    )
