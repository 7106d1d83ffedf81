"""A client's request to us in the form of OpenAI's chat completions, as a typed request.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.errors import InvalidRequestError
from backstream.request import MediaPart, ReasoningPart, Request, Tool, Turn
from backstream.request.call import parse_call
from backstream.request.messages import parse_content

__all__ = ["parse_request"]

_TOOL_MEMBERS = frozenset({"type", "function", "cache_control"})
_FUNCTION_MEMBERS = frozenset({"name", "description", "parameters", "strict"})


def parse_request(members: Mapping[str, Any], quirks: Quirks) -> Request:
    """See :meth:`backstream.dialects.base.Dialect.parse_request`."""
    rest = {name: value for name, value in members.items() if name not in ("model", "messages", "stream", "n")}
    model, stream, number = members.get("model"), members.get("stream"), members.get("n")
    if not isinstance(model, str | None):
        raise InvalidRequestError(f"model is a {type(model).__name__}", "use the name of a model")
    if not isinstance(stream, bool | None):
        raise InvalidRequestError(f"stream is a {type(stream).__name__}", "use true or false")
    if number not in (None, 1):
        raise InvalidRequestError("n is not 1", "ask once for each answer")
    if quirks.seed != "seed" and quirks.seed in rest:
        rest["seed"] = rest.pop(quirks.seed)
    own = {name: take(rest) for name, take in _OWN.items() if rest.get(name) is not None}
    request = parse_call(model or "", _call_custom_tools(members.get("messages", ())), (), rest)
    tools = members.get("tools") or ()
    return msgspec.structs.replace(
        request,
        stream=bool(stream),
        dialect=NAME,
        extra={**request.extra, **{name: value for name, value in own.items() if value is not None}},
        turns=tuple(map(_own_turn, request.turns)),
        tools=tuple(_own_tool(tool, given) for tool, given in zip(request.tools, tools, strict=True)),
    )


def _take_tool_choice(rest: dict[str, Any]) -> Any:
    """Take out a choice of tools that are no functions: it has no place in a request of other dialects."""
    choice = rest["tool_choice"]
    if not isinstance(choice, Mapping):
        return None
    allowed = choice.get("allowed_tools", choice)
    tools = allowed.get("tools") if isinstance(allowed, Mapping) and choice.get("type") == "allowed_tools" else [choice]
    kinds = {tool.get("type", "function") for tool in tools or () if isinstance(tool, Mapping)}
    return rest.pop("tool_choice") if kinds - {"function", "allowed_tools"} else None


def _take_response_format(rest: dict[str, Any]) -> Any:
    """Take out a form that only some back-ends know (a grammar, JSON with a schema beside it)."""
    form = rest["response_format"]
    if not isinstance(form, Mapping) or not isinstance(form.get("type"), str):
        return None
    known = _FORMS.get(form["type"])
    return None if known is not None and set(form) <= known else rest.pop("response_format")


def _take_reasoning(rest: dict[str, Any]) -> Any:
    """Take what an object of OpenRouter's says beside what is known: ``exclude``."""
    given = rest["reasoning"]
    return {n: v for n, v in given.items() if n not in _REASONING} or None if isinstance(given, Mapping) else None


_FORMS: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"type"}),
    "json_object": frozenset({"type"}),
    "json_schema": frozenset({"type", "json_schema"}),
}
_REASONING: Final = frozenset({"enabled", "effort", "max_tokens", "budget_tokens", "summary"})
_OWN: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "tool_choice": _take_tool_choice,
    "response_format": _take_response_format,
    "reasoning": _take_reasoning,
}


def _call_custom_tools(messages: Any) -> Any:
    """Write calls of custom tools as calls of functions, their text as arguments; ``custom`` stays as a mark."""
    if not isinstance(messages, list | tuple):
        return messages
    return [_call_as_function(message) if _calls_custom(message) else message for message in messages]


def _calls_custom(message: Any) -> bool:
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    return isinstance(calls, list) and any(isinstance(call, Mapping) and "custom" in call for call in calls)


def _call_as_function(message: Mapping[str, Any]) -> dict[str, Any]:
    return {**message, "tool_calls": [_as_function(call) for call in message["tool_calls"]]}


def _as_function(call: Any) -> Any:
    custom = call.get("custom") if isinstance(call, Mapping) else None
    if not isinstance(custom, Mapping):
        return call
    rest = {name: value for name, value in custom.items() if name not in ("name", "input")}
    return {**call, "custom": rest, "function": {"name": custom.get("name"), "arguments": custom.get("input")}}


def _own_tool(tool: Tool, given: Mapping[str, Any]) -> Tool:
    """Keep what a tool holds beside what is known: for this dialect only."""
    if not tool.name:
        return Tool(opaque={NAME: dict(given)})
    own = {name: value for name, value in given.items() if name not in _TOOL_MEMBERS}
    function = given.get("function")
    if not isinstance(function, Mapping):  # the flat form of the Responses API
        return tool
    if set(function) - _FUNCTION_MEMBERS:
        own["function"] = dict(function)
    return msgspec.structs.replace(tool, opaque={NAME: own}) if own else tool


def _own_turn(turn: Turn) -> Turn:
    """Make parts of what a message holds of them beside its content: a sound by its id, images, marks of reasoning."""
    own = dict(turn.opaque.get(NAME, {}))
    if turn.role != "assistant" or not own.keys() & {"audio", "images", "reasoning_details"}:
        return turn
    parts = list(turn.parts)
    if "reasoning_details" in own:
        opaque = {NAME: {"reasoning_details": own.pop("reasoning_details")}}
        first = parts[0] if parts and isinstance(parts[0], ReasoningPart) else None
        parts[: first is not None] = [msgspec.structs.replace(first or ReasoningPart(), opaque=opaque)]
    audio = own.get("audio")
    if isinstance(audio, Mapping) and set(audio) == {"id"} and isinstance(audio["id"], str):
        del own["audio"]
        parts.append(MediaPart(kind="audio", file_id=audio["id"]))
    images = own.pop("images", None)
    if images is not None:
        if not isinstance(images, list):
            raise InvalidRequestError(f"images is a {type(images).__name__}", "use a list")
        mark = {NAME: {"type": "image_url"}}
        found = [part for part in parse_content(images, "images") if isinstance(part, MediaPart)]
        parts += [msgspec.structs.replace(part, opaque=mark) for part in found]
    return msgspec.structs.replace(turn, parts=tuple(parts), opaque={NAME: own} if own else {})
