"""A request as a body of OpenAI's Responses API: parameters, tools, and what became of each; turns are elsewhere.

Source: https://platform.openai.com/docs/api-reference/responses/create; OpenAI's OpenAPI description 2.3.0;
https://platform.openai.com/docs/guides/migrate-to-responses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.extras import drop_foreign
from backstream.dialects.openai_responses.members import NAME
from backstream.dialects.openai_responses.request_items import render_items
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Receipts, Request, ResponseFormat, TextPart, Tool, ToolChoice, Turn

__all__ = ["ENCRYPTED", "LOGPROBS", "render_format", "render_members", "render_tool", "render_tool_choice"]

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"

_KEPT: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_logprobs",
        "parallel_tool_calls",
        "metadata",
        "service_tier",
        "store",
        "previous_response_id",
    }
)
_RENAMED: Final[Mapping[str, str]] = {"max_tokens": "max_output_tokens", "user": "safety_identifier"}
_CHAT: Final = "openai_chat"
_OF_CHAT: Final = frozenset({"safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Members that chat completions have too, with the same meaning."""
_NO_PLACE: Final[Mapping[str, str]] = {
    "safety_settings": "known to Gemini only",
    "modalities": "an image is asked for by the tool image_generation; there is no sound",
    "audio": "the Responses API makes no sound",
}
_EFFORTS: Final = ((2048, "low"), (8192, "medium"))  # a budget up to so many tokens → the effort nearest to it
_NEVER_REASON: Final = ("gpt-3.5", "gpt-4", "chatgpt-")


def render_members(request: Request, receipts: Receipts) -> dict[str, Any]:
    """Render the members of a request's body; some of them hold segments.

    Raises:
        UnsupportedFeatureError: Content that the back-end has no words for.
        InvalidRequestError: Something that cannot be said as it stands.
    """
    members: dict[str, Any] = {"model": request.model}
    _render_parameters(request, members, receipts)
    _render_conversation(request, members, receipts)
    _render_turns(request, members, receipts)
    if request.tools:
        tools = [render_tool(tool, f"tools[{index}]", receipts) for index, tool in enumerate(request.tools)]
        members["tools"] = [tool for tool in tools if tool is not None]
    if request.tool_choice is not None:
        members["tool_choice"] = render_tool_choice(request.tool_choice)
        receipts.kept("tool_choice")
    _render_text(request, members, receipts)
    if request.reasoning is not None:
        _render_reasoning(request.reasoning, members, receipts)
    _render_include(request, members)
    members["stream"] = request.stream
    _add_extra(request, members, receipts)
    return members


def _render_parameters(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    for name, value in request.parameters().items():
        if name in _ELSEWHERE:
            continue
        if name in _KEPT:
            members[name] = value
            receipts.kept(name)
        elif name == "user" and "safety_identifier" in request.extra and request.dialect in ("", _CHAT):
            members[name] = value  # the older name; ids of two kinds where a client gives both
            receipts.kept(name)
        elif name in _RENAMED:
            members[_RENAMED[name]] = value
            receipts.renamed(name, _RENAMED[name])
        elif name == "modalities" and tuple(value) == ("text",):
            receipts.kept(name)
        else:
            receipts.dropped(name, _NO_PLACE.get(name, "the Responses API has no such parameter"))


_ELSEWHERE: Final = frozenset({"conversation", "verbosity", "logprobs"})


def _render_conversation(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    state = request.conversation
    if state is None:
        return
    if isinstance(state, str):
        members["conversation"] = state
        receipts.kept("conversation")
    elif isinstance(state.get(NAME), Mapping):
        members.update(state[NAME])
        receipts.renamed("conversation", ", ".join(state[NAME]))
    elif isinstance(state.get("id"), str):
        members["conversation"] = state
        receipts.kept("conversation")
    else:
        receipts.dropped("conversation", "the state of another back-end", harmless=True)


def _render_turns(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    turns, first = request.turns, 0
    if turns and _is_instructions(turns[0]):
        members["instructions"] = turns[0].text
        turns, first = turns[1:], 1
    state = request.conversation
    if isinstance(state, Mapping) and isinstance(state.get(NAME), Mapping):
        known = max((index for index, turn in enumerate(turns, 1) if turn.role == "assistant"), default=0)
        if known:
            receipts.renamed(f"messages[{first}:{first + known}]", "conversation")
        turns, first = turns[known:], first + known
    members["input"] = render_items(turns, first, receipts, stored=request.store is not False)


def _is_instructions(turn: Turn) -> bool:
    """Tell whether a turn is one bare text of the system: what a back-end that keeps state is told anew each time."""
    bare = turn.role == "system" and len(turn.parts) == 1 and turn.name is None and not turn.opaque
    part = turn.parts[0] if bare else None
    return isinstance(part, TextPart) and not part.opaque and part.cache_control is None


def render_tool(tool: Tool, where: str, receipts: Receipts) -> dict[str, Any] | None:
    """Render a tool; ``None`` for one that only another back-end runs."""
    own = {**tool.opaque.get("", {}), **tool.opaque.get(NAME, {})}
    if not tool.name:
        if not own:
            receipts.dropped(where, "a tool that only another back-end runs")
        return own or None
    if tool.strict is not None:
        receipts.kept(f"{where}.strict")
    if tool.cache_control is not None:
        receipts.dropped(f"{where}.cache_control", "only content is marked", harmless=True)
    if set(tool.opaque) - {"", NAME}:
        receipts.dropped(f"{where}.opaque", "for another back-end", harmless=True)
    function: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    # both demanded; null leaves them to the back-end
    return {**function, "parameters": tool.parameters, "strict": tool.strict, **own}


def render_tool_choice(choice: ToolChoice) -> Any:
    """Render a tool choice.

    Raises:
        InvalidRequestError: It is for named tools, and names none.
    """
    if choice.mode == "tool" and len(choice.names) == 1:
        return {"type": "function", "name": choice.names[0]}
    if choice.names and choice.mode != "none":
        tools = [{"type": "function", "name": name} for name in choice.names]
        return {"type": "allowed_tools", "mode": "auto" if choice.mode == "auto" else "required", "tools": tools}
    if choice.mode == "tool":
        raise InvalidRequestError("tool_choice is 'tool' but names none", "name the tool, or use 'required'")
    return choice.mode


def _render_text(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    text: dict[str, Any] = {}
    if request.response_format is not None:
        text["format"] = render_format(request.response_format)
        receipts.renamed("response_format", "text.format")
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
        receipts.renamed("verbosity", "text.verbosity")
    if text:
        members["text"] = text


def render_format(form: ResponseFormat) -> dict[str, Any]:
    """Render the form of the answer.

    Raises:
        InvalidRequestError: It is for a schema, and has none.
    """
    if form.kind != "json_schema":
        return {"type": form.kind}
    if form.schema is None:
        raise InvalidRequestError("response_format is 'json_schema' but has no schema", "pass the schema")
    further = {"description": form.description, "strict": form.strict}
    named = {"type": "json_schema", "name": form.name or "answer", "schema": form.schema}  # a name is demanded
    return {**named, **{name: value for name, value in further.items() if value is not None}}


def _render_reasoning(settings: ReasoningSettings, members: dict[str, Any], receipts: Receipts) -> None:
    reasoning: dict[str, Any] = {}
    effort, budget = settings.effort, settings.budget_tokens
    if effort is not None:
        reasoning["effort"] = effort
        receipts.kept("reasoning.effort")
        if budget is not None:
            receipts.dropped("reasoning.budget_tokens", "only an effort can be said")
    elif settings.enabled is False:
        reasoning["effort"] = "none"
        receipts.renamed("reasoning.enabled", "reasoning.effort=none")
    elif budget is not None:
        reasoning["effort"] = next((word for most, word in _EFFORTS if budget <= most), "high")
        receipts.approximated("reasoning.budget_tokens", "reasoning.effort", "only an effort can be said")
    elif settings.enabled:
        receipts.dropped("reasoning.enabled", "models that reason do so unasked", harmless=True)
    if settings.summary is not None:
        if settings.summary != "none":
            reasoning["summary"] = settings.summary
        receipts.kept("reasoning.summary")
    if reasoning:
        members["reasoning"] = reasoning


def _render_include(request: Request, members: dict[str, Any]) -> None:
    """Ask for what is left out of answers by default; models that never reason refuse to be asked for reasoning."""
    include = []
    if request.store is False and not request.model.rpartition("/")[2].startswith(_NEVER_REASON):
        include.append(ENCRYPTED)
    if request.logprobs:
        include.append(LOGPROBS)
    if include:
        members["include"] = include


def _add_extra(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    if request.logprobs is not None:
        receipts.renamed("logprobs", "include")
    extra: Mapping[str, Any] = request.extra
    if request.dialect not in ("", NAME):
        known = _OF_CHAT & request.extra.keys() if request.dialect == _CHAT else frozenset[str]()
        drop_foreign(request, receipts, known=known)
        extra = {name: request.extra[name] for name in request.extra if name in known}
    for name, value in extra.items():
        receipts.kept(name)
        join = _JOINED.get(name)
        members[name] = join(members[name], value) if join is not None and name in members else value


def _join_objects(ours: Any, theirs: Any) -> Any:
    return {**ours, **theirs} if isinstance(theirs, Mapping) else theirs


def _join_lists(ours: Any, theirs: Any) -> Any:
    return [*ours, *(word for word in theirs if word not in ours)] if isinstance(theirs, list | tuple) else theirs


_JOINED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "text": _join_objects,
    "reasoning": _join_objects,
    "include": _join_lists,
}
