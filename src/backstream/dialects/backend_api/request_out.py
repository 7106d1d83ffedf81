"""A typed request as a body of this protocol: OpenAI's names, and media of the last turn in the member ``media``.

Described in ``docs/protocol.md``, section "Request".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.dialects.backend_api.media_parts import kind_of_entry, render_entry, render_part
from backstream.dialects.call_ids import with_call_ids
from backstream.dialects.extras import drop_foreign
from backstream.errors import UnsupportedFeatureError
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningSettings,
    Receipts,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from backstream.request.messages import render_messages
from backstream.request.parts import Role

__all__ = ["NAME", "render_members"]

NAME = "backend_api"

_OWN: Final = ("", "openai_chat", NAME)  # parts of messages have the form of OpenAI's


def render_members(request: Request, receipts: Receipts) -> dict[str, Any]:
    """Render the members of a request's body; some of them hold segments.

    Every parameter is kept: which of them mean something is for the provider behind the server to say.

    Raises:
        UnsupportedFeatureError: Content this protocol has no words for.
    """
    turns, media = _take_media(with_call_ids(request.turns))
    members: dict[str, Any] = {
        "model": request.model,
        "messages": [
            message
            for index, turn in enumerate(turns)
            for message in _render_turn(turn, f"messages[{index}]", receipts)
        ],
    }
    if media:
        members["media"] = [render_entry(part) for part in media]
    for name, value in _structured(request):
        members[name] = value
        receipts.kept(name)
    for name, value in request.parameters().items():
        members[name] = value
        receipts.kept(name)
    if not request.stream:
        members["stream"] = False
    if request.dialect not in ("", NAME):
        drop_foreign(request, receipts)
        return members
    for name, value in request.extra.items():
        members[name] = value
        receipts.kept(name)
    return members


def _take_media(turns: Sequence[Turn]) -> tuple[Sequence[Turn], Sequence[MediaPart]]:
    """Take the media off the end of the last turn of the user; servers join the member ``media`` to it."""
    index = next((at for at in range(len(turns) - 1, -1, -1) if turns[at].role == "user"), None)
    if index is None:
        return turns, ()
    parts = turns[index].parts
    count = 0
    while count < len(parts) and _fits_entry(parts[-1 - count]):
        count += 1
    media = [part for part in parts[len(parts) - count :] if isinstance(part, MediaPart)]
    rest = msgspec.structs.replace(turns[index], parts=parts[: len(parts) - count])
    return (*turns[:index], rest, *turns[index + 1 :]), media


def _fits_entry(part: Part) -> bool:
    """Tell whether an entry of ``media`` says all of a part."""
    if not isinstance(part, MediaPart) or part.file_id is not None or part.opaque or part.cache_control is not None:
        return False
    return part.detail is None and part.transcript is None and kind_of_entry(part) == part.kind


def _render_turn(turn: Turn, where: str, receipts: Receipts) -> Iterator[dict[str, Any]]:
    results = [part for part in turn.parts if isinstance(part, ToolResultPart)]
    media = [part for part in turn.parts if isinstance(part, MediaPart)]
    if not media and not any(isinstance(piece, MediaPart) for part in results for piece in part.content):
        yield from render_messages((turn,))
        return
    if results and len(turn.parts) > 1:
        for part in results:
            yield from _render_turn(Turn(role="tool", parts=(part,)), where, receipts)
        rest = tuple(part for part in turn.parts if not isinstance(part, ToolResultPart))
        if rest:
            yield from _render_turn(msgspec.structs.replace(turn, parts=rest), where, receipts)
        return
    content = results[0].content if results else turn.parts
    message = _plain_message(turn, where, receipts)
    message["content"] = list(_render_content(content, turn.role, where))
    yield message


def _plain_message(turn: Turn, where: str, receipts: Receipts) -> dict[str, Any]:
    """Render a turn without its media; typed parts, which would hold the media's bytes once more, are left out."""
    parts = [
        msgspec.structs.replace(part, content=()) if isinstance(part, ToolResultPart) else part
        for part in turn.parts
        if not isinstance(part, MediaPart) and not (isinstance(part, OpaquePart) and _own(part))
    ]
    message = render_messages((msgspec.structs.replace(turn, parts=tuple(parts)),))[0]
    if message.pop("parts", None) is not None:
        message.pop("opaque", None)  # beside ``parts`` only it is a member of this protocol
        # what a model said beside its words only its own back-end wants; what a user said was meant
        harmless = turn.role in ("assistant", "tool") or not any(part.opaque for part in parts)
        receipts.dropped(f"{where}.parts", "a message with media has no place for them", harmless=harmless)
    return message


def _own(part: OpaquePart) -> dict[str, Any]:
    return {name: value for key in _OWN for name, value in part.opaque.get(key, {}).items()}


def _render_content(parts: Iterable[Part], role: Role, where: str) -> Iterator[dict[str, Any]]:
    for part in parts:
        if isinstance(part, TextPart):
            yield {"type": "text", "text": part.text}
        elif isinstance(part, OpaquePart):
            own = _own(part)
            if own:
                yield own
            elif role != "assistant":
                raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")
        elif isinstance(part, MediaPart):
            if part.file_id is not None and part.kind != "document":
                raise UnsupportedFeatureError(
                    f"{where} holds media ({part.kind}) by file id, and this protocol has a place for files only",
                    "pass its bytes",
                )
            yield render_part(part)


def _structured(request: Request) -> Iterator[tuple[str, Any]]:
    if request.tools:
        yield "tools", [_render_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        yield "tool_choice", _render_tool_choice(request.tool_choice)
    if request.response_format is not None:
        yield "response_format", _render_response_format(request.response_format)
    if request.reasoning is not None:
        yield from _render_reasoning(request.reasoning)


def _render_tool(tool: Tool) -> Mapping[str, Any]:
    if not tool.name:
        return {**tool.opaque.get("", {}), **tool.opaque.get(NAME, {})}
    members = {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    function = {name: value for name, value in members.items() if value is not None}
    mark = {} if tool.cache_control is None else {"cache_control": tool.cache_control}
    return {"type": "function", "function": function, **mark}


def _render_tool_choice(choice: ToolChoice) -> object:
    if choice.mode == "tool" and len(choice.names) == 1:
        return {"type": "function", "function": {"name": choice.names[0]}}
    if choice.names:
        tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
        mode = "auto" if choice.mode == "auto" else "required"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return "required" if choice.mode == "tool" else choice.mode


def _render_response_format(form: ResponseFormat) -> Mapping[str, Any]:
    if form.kind != "json_schema":
        return {"type": form.kind}
    members = {"name": form.name, "description": form.description, "schema": form.schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": {name: value for name, value in members.items() if value is not None}}


def _render_reasoning(settings: ReasoningSettings) -> Iterator[tuple[str, Any]]:
    """An effort alone goes by the name that most providers behind such servers know."""
    members = msgspec.to_builtins(settings)
    if set(members) == {"effort"}:
        yield "reasoning_effort", settings.effort
    else:
        yield "reasoning", members
