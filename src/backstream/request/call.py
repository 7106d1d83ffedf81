"""What a caller passed to a call, as a typed request: model, messages, media, and keywords by OpenAI's names."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from backstream.errors import InvalidMediaError, InvalidRequestError
from backstream.media.item import MediaItem
from backstream.messages import Messages
from backstream.request.messages import kind_of, parse_messages, render_messages
from backstream.request.parts import MediaPart, Turn
from backstream.request.values import (
    PARAMETERS,
    ReasoningSettings,
    Request,
    ResponseFormat,
    Tool,
    ToolChoice,
)

__all__ = [
    "attach_media",
    "parse_call",
    "parse_reasoning",
    "parse_response_format",
    "parse_tool",
    "parse_tool_choice",
    "render_call",
]

_OTHER_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
    "repeat_penalty": "repetition_penalty",
}


def parse_call(
    model: str, messages: Messages, media: Sequence[MediaItem] = (), members: Mapping[str, Any] | None = None
) -> Request:
    """Make a request of what a caller passed.

    Args:
        model: The model, as the back-end names it.
        messages: The conversation.
        media: Joined to the last turn of the user.
        members: Every keyword of the call, by the names of OpenAI's chat completions; what is not known here becomes
            ``extra``. ``None`` values are left out.

    Raises:
        InvalidRequestError: A message or a parameter has another shape, or is given by two names that do not agree.
        InvalidMediaError: A ``data:`` URI in a message cannot be read.
    """
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    effort: object = None
    for given, value in (members or {}).items():
        if value is None:
            continue
        name = _OTHER_NAMES.get(given, given)
        if name in _PARSERS or name in PARAMETERS:
            parsed = _PARSERS[name](value) if name in _PARSERS else value
            if known.setdefault(name, parsed) != parsed:
                names = [word for word in members or () if _OTHER_NAMES.get(word, word) == name]
                raise InvalidRequestError(f"{' and '.join(names)} are one, and do not agree", "give one of them")
        elif name == "reasoning_effort":
            effort = value
        elif name == "stream":
            known["stream"] = value
        else:
            extra[given] = value
    if effort is not None:
        asked = known.get("reasoning", ReasoningSettings())
        known["reasoning"] = _make(ReasoningSettings, "reasoning_effort", **{**_members(asked), "effort": effort})
    turns = attach_media(parse_messages(messages), media)
    try:
        checked = msgspec.convert(known, _Checked)
    except msgspec.ValidationError as error:
        problem = str(error).splitlines()[0]
    else:
        given_names = {name: getattr(checked, name) for name in known}
        return Request(model=model, turns=turns, extra=extra, **given_names)
    raise InvalidRequestError(f"a parameter of the call: {problem}")


_Checked: Any = msgspec.defstruct(
    "_Checked",
    [
        (field.name, field.type, msgspec.field(default=None))
        for field in msgspec.structs.fields(Request)
        if field.name in (*PARAMETERS, "stream", "tools", "tool_choice", "response_format", "reasoning")
    ],
)


_ValueT = TypeVar("_ValueT", Tool, ToolChoice, ResponseFormat, ReasoningSettings)


def _make(kind: type[_ValueT], what: str, /, **members: Any) -> _ValueT:
    """Make a value of what a caller gave, checked."""
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as error:
        problem = str(error).splitlines()[0]
    raise InvalidRequestError(f"{what} has another shape: {problem}")


def _members(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def attach_media(turns: tuple[Turn, ...], media: Sequence[MediaItem]) -> tuple[Turn, ...]:
    """Join media to the last turn of the user; to a turn of their own where there is none."""
    if not media:
        return turns
    parts = tuple(
        MediaPart(kind=kind_of(item.media_type), media_type=item.media_type, url=item.url, filename=item.filename)
        if item.url is not None
        else MediaPart(kind=kind_of(item.media_type), media_type=item.media_type, item=item, filename=item.filename)
        for item in media
    )
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role == "user":
            whole = msgspec.structs.replace(turns[index], parts=(*turns[index].parts, *parts))
            return (*turns[:index], whole, *turns[index + 1 :])
    return (*turns, Turn(role="user", parts=parts))


def parse_tool(tool: object) -> Tool:
    """Read a tool in OpenAI's shape, nested (chat) or flat (Responses); one of another type is a back-end's own.

    Raises:
        InvalidRequestError: It is no object, or a function without a name.
    """
    if isinstance(tool, Tool):
        return tool
    if not isinstance(tool, Mapping):
        raise InvalidRequestError(f"a tool is a {type(tool).__name__}", "pass an object with a function")
    function = tool.get("function", tool) if tool.get("type", "function") == "function" else None
    if function is None:
        return Tool(opaque={"": tool})
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequestError("a tool of type 'function' has no name")
    parameters = function.get("parameters")
    if parameters is None:
        parameters = function.get("input_schema")  # as Anthropic calls it
    mark = tool.get("cache_control")
    return _make(
        Tool,
        f"tool {function['name'][:80]!r}",
        name=function["name"],
        description=function.get("description"),
        parameters=parameters,
        strict=function.get("strict"),
        cache_control=mark if isinstance(mark, Mapping) else None,
    )


def _parse_tools(tools: object) -> tuple[Tool, ...]:
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise InvalidRequestError(f"tools is a {type(tools).__name__}", "pass a list")
    return tuple(map(parse_tool, tools))


def parse_tool_choice(choice: object) -> ToolChoice:
    """Read a tool choice in OpenAI's shape.

    Raises:
        InvalidRequestError: Another shape.
    """
    if isinstance(choice, ToolChoice):
        return choice
    if choice == "any":
        return ToolChoice(mode="required")
    if choice in ("auto", "none", "required"):
        return ToolChoice(mode=choice)
    if isinstance(choice, Mapping):
        if choice.get("type") == "allowed_tools":
            allowed = choice.get("allowed_tools", choice)
            if isinstance(allowed, Mapping) and isinstance(allowed.get("tools"), Sequence):
                names = tuple(parse_tool(tool).name for tool in allowed["tools"])
                return ToolChoice(mode="required" if allowed.get("mode") == "required" else "auto", names=names)
        function = choice.get("function", choice)
        named = isinstance(function, Mapping) and isinstance(function.get("name"), str)
        if named and choice.get("type") != "allowed_tools":
            return ToolChoice(mode="tool", names=(function["name"],))
    raise InvalidRequestError("tool_choice has another shape", 'use "auto", "none", "required", or an object')


def parse_response_format(form: object) -> ResponseFormat:
    """Read a response format in OpenAI's shape.

    Raises:
        InvalidRequestError: Another shape.
    """
    if isinstance(form, ResponseFormat):
        return form
    if isinstance(form, Mapping):
        kind = form.get("type")
        if kind in ("text", "json_object"):
            return ResponseFormat(kind=kind)
        inner = form.get("json_schema", form)
        if kind == "json_schema" and isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping):
            return _make(
                ResponseFormat,
                "response_format",
                kind="json_schema",
                schema=inner["schema"],
                name=inner.get("name"),
                description=inner.get("description"),
                strict=inner.get("strict"),
            )
    raise InvalidRequestError("response_format has another shape", 'use {"type": "json_schema", "json_schema": {…}}')


def parse_reasoning(reasoning: object) -> ReasoningSettings:
    """Read settings of reasoning: an effort, or an object in the shape of OpenAI's Responses or of OpenRouter.

    Raises:
        InvalidRequestError: Another shape.
    """
    if isinstance(reasoning, ReasoningSettings):
        return reasoning
    if isinstance(reasoning, str):
        return ReasoningSettings(effort=reasoning)
    if isinstance(reasoning, bool):
        return ReasoningSettings(enabled=reasoning)
    if isinstance(reasoning, Mapping):
        budget = reasoning.get("budget_tokens", reasoning.get("max_tokens"))
        return _make(
            ReasoningSettings,
            "reasoning",
            enabled=reasoning.get("enabled"),
            effort=reasoning.get("effort"),
            budget_tokens=budget,
            summary=reasoning.get("summary"),
        )
    raise InvalidRequestError(f"reasoning is a {type(reasoning).__name__}", 'use {"effort": "low"}')


def _parse_stop(stop: object) -> tuple[str, ...]:
    if isinstance(stop, str):
        return (stop,)
    if isinstance(stop, Sequence) and all(isinstance(text, str) for text in stop):
        return tuple(stop)
    raise InvalidRequestError("stop is neither text nor a list of texts")


_PARSERS: Mapping[str, Any] = {
    "tools": _parse_tools,
    "tool_choice": parse_tool_choice,
    "response_format": parse_response_format,
    "reasoning": parse_reasoning,
    "stop": _parse_stop,
}


def render_call(request: Request) -> tuple[list[dict[str, Any]], list[MediaItem | str], dict[str, Any]]:
    """Write a request as a caller of the library would have passed it, for providers that are classes.

    Args:
        request: The request; its model is passed on its own.

    Returns:
        Messages; the media of the last turn of the user, to be passed as ``media``; and keywords, by the names of
        OpenAI's chat completions.

    Raises:
        InvalidMediaError: Base64 that is none.
    """
    media: list[MediaItem | str] = []
    turns = list(request.turns)
    last = next((index for index in reversed(range(len(turns))) if turns[index].role == "user"), -1)
    for index, turn in enumerate(turns):
        taken = [part for part in turn.parts if isinstance(part, MediaPart) and _is_taken(part, is_last=index == last)]
        if taken:
            media += map(_media_of, taken)
            kept = tuple(part for part in turn.parts if part not in taken)
            turns[index] = msgspec.structs.replace(turn, parts=kept)
    keywords: dict[str, Any] = {**request.extra, **request.parameters()}
    for name in ("stop", "modalities"):
        if name in keywords:
            keywords[name] = list(keywords[name])
    if request.tools:
        keywords["tools"] = [_render_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        keywords["tool_choice"] = _render_tool_choice(request.tool_choice)
    if request.response_format is not None:
        keywords["response_format"] = _render_format(request.response_format)
    if request.reasoning is not None and request.reasoning.effort is not None:
        keywords["reasoning_effort"] = request.reasoning.effort
    return render_messages(turns), media, keywords


def _is_taken(part: MediaPart, *, is_last: bool) -> bool:
    """Whether a part is passed as media: those of the last turn, which such providers know best, and unread ones."""
    return part.item is not None or (is_last and (part.data is not None or part.url is not None))


def _media_of(part: MediaPart) -> MediaItem | str:
    if part.item is not None:
        return part.item
    if part.data is None:
        return part.url or ""
    try:
        data = b64decode(part.data)
    except ValueError:
        raise InvalidMediaError("media of the request are no base64") from None
    return MediaItem(part.media_type, part.filename, size=len(data), blocks=lambda: iter((data,)))


def _render_tool(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        return dict(next(iter(tool.opaque.values()), {}))
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _render_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "tool" and choice.names:
        return {"type": "function", "function": {"name": choice.names[0]}}
    return choice.mode if choice.mode != "tool" else "required"


def _render_format(form: ResponseFormat) -> dict[str, Any]:
    if form.kind != "json_schema":
        return {"type": form.kind}
    members = {
        "name": form.name or "answer",
        "description": form.description,
        "schema": form.schema,
        "strict": form.strict,
    }
    return {"type": form.kind, "json_schema": {name: value for name, value in members.items() if value is not None}}
