"""A client's request to us in the form of OpenAI's chat completions, as a typed request.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    request = parse_call(model or "", members.get("messages", ()), (), rest)
    tools = members.get("tools") or ()
    return msgspec.structs.replace(
        request,
        stream=bool(stream),
        dialect=NAME,
        turns=tuple(map(_own_turn, request.turns)),
        tools=tuple(_own_tool(tool, given) for tool, given in zip(request.tools, tools, strict=True)),
    )


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
