"""A request as a body of OpenAI's chat completions: parameters, tools, and what became of each; turns are elsewhere.

Source: https://platform.openai.com/docs/api-reference/chat/create; OpenAI's OpenAPI description 2.3.0; for the object
``reasoning``, https://openrouter.ai/docs/use-cases/reasoning-tokens; for ``prefix``,
https://docs.mistral.ai/api and https://api-docs.deepseek.com/guides/chat_prefix_completion; for
``continue_final_message``, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.extras import drop_foreign
from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.dialects.openai_chat.request_turns import render_turns
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Receipts, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["PATH", "render_members"]

PATH: Final = "/chat/completions"

_NO_PLACE: Final[Mapping[str, str]] = {
    "previous_response_id": "chat completions keep no state",
    "conversation": "chat completions keep no state",
    "safety_settings": "known to Gemini only",
}
_EFFORTS: Final = ((2048, "low"), (8192, "medium"))  # a budget up to so many tokens → the effort nearest to it


def render_members(request: Request, receipts: Receipts, quirks: Quirks) -> dict[str, Any]:
    """Render the members of a request's body; some of them hold segments.

    Raises:
        UnsupportedFeatureError: Content that the back-end has no words for.
        InvalidRequestError: Something that cannot be said as it stands.
    """
    members: dict[str, Any] = {"model": request.model, "messages": render_turns(request.turns, receipts, quirks)}
    members |= _render_prefix(members["messages"], quirks)
    _render_parameters(request, members, receipts, quirks)
    if request.tools:
        tools = [_render_tool(tool, f"tools[{index}]", receipts, quirks) for index, tool in enumerate(request.tools)]
        if said := [tool for tool in tools if tool is not None]:  # an empty list is refused
            members["tools"] = said
    for name, render in _FORMS.items():
        value = getattr(request, name)
        if value is not None and name in quirks.unsupported:
            receipts.dropped(name, "the back-end refuses it")
        elif value is not None:
            members[name] = render(value, receipts, quirks)
    if request.reasoning is not None:
        _render_reasoning(request.reasoning, members, receipts, quirks)
    if request.stream:
        members["stream"] = True
    _add_extra(request, members, receipts, quirks)
    if request.stream and quirks.stream_options:
        given = members.get("stream_options")
        members["stream_options"] = {**(given if isinstance(given, Mapping) else {}), "include_usage": True}
    return members


def _render_prefix(messages: list[dict[str, Any]], quirks: Quirks) -> dict[str, Any]:
    """Say of a last message of the assistant, in place, that the answer begins with it; return members that say so."""
    last = messages[-1] if messages else {}
    if last.get("role") != "assistant" or "tool_calls" in last or not last.get("content"):
        return {}
    if quirks.prefix == "member":
        last.setdefault("prefix", True)
    return {"continue_final_message": True, "add_generation_prompt": False} if quirks.prefix == "final_message" else {}


def _render_parameters(request: Request, members: dict[str, Any], receipts: Receipts, quirks: Quirks) -> None:
    names = {"max_tokens": quirks.max_tokens, "seed": quirks.seed}
    for name, value in request.parameters().items():
        to = names.get(name, name)
        if name in _NO_PLACE:
            receipts.dropped(name, _NO_PLACE[name], harmless=name == "conversation")
        elif name in quirks.unsupported:
            receipts.dropped(name, "the back-end refuses it")
        else:
            members[to] = value
            if to == name:
                receipts.kept(name)
            else:
                receipts.renamed(name, to)


def _render_tool(tool: Tool, where: str, receipts: Receipts, quirks: Quirks) -> dict[str, Any] | None:
    own = {**tool.opaque.get("", {}), **tool.opaque.get(NAME, {})}
    if not tool.name:
        if not own:
            receipts.dropped(where, "a tool that only another back-end runs")
            return None
        return own
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        if "strict" in quirks.unsupported:
            receipts.dropped(f"{where}.strict", "the back-end refuses it")
        else:
            function["strict"] = tool.strict
            receipts.kept(f"{where}.strict")
    rendered: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache_control is not None:
        if quirks.cache_control:
            rendered["cache_control"] = tool.cache_control
        else:
            receipts.dropped(f"{where}.cache_control", "the back-end caches by itself", harmless=True)
    if set(tool.opaque) - {"", NAME}:
        receipts.dropped(f"{where}.opaque", "for another back-end", harmless=True)
    return {**rendered, **own}


def _render_tool_choice(choice: ToolChoice, receipts: Receipts, quirks: Quirks) -> Any:
    required = quirks.tool_choice_required
    if choice.mode == "tool" and len(choice.names) == 1:
        receipts.kept("tool_choice")
        return {"type": "function", "function": {"name": choice.names[0]}}
    if choice.names and choice.mode != "none":
        tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
        receipts.kept("tool_choice")
        mode = "auto" if choice.mode == "auto" else "required"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    if choice.mode == "tool":
        raise InvalidRequestError("tool_choice is 'tool' but names none", "name the tool, or use 'required'")
    if choice.mode == "required" != required:
        receipts.renamed("tool_choice", required)
        return required
    receipts.kept("tool_choice")
    return choice.mode


def _render_response_format(form: ResponseFormat, receipts: Receipts, quirks: Quirks) -> dict[str, Any]:
    if form.kind != "json_schema":
        receipts.kept("response_format")
        return {"type": form.kind}
    if form.schema is None:
        raise InvalidRequestError("response_format is 'json_schema' but has no schema", "pass the schema")
    if not quirks.json_schema:
        receipts.approximated("response_format", "json_object", "the back-end takes no JSON schema")
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": form.name or "answer", "schema": form.schema}  # OpenAI demands a name
    if form.description is not None:
        schema["description"] = form.description
    if form.strict is not None:
        schema["strict"] = form.strict
    receipts.kept("response_format")
    return {"type": "json_schema", "json_schema": schema}


_FORMS: Final[Mapping[str, Callable[[Any, Receipts, Quirks], Any]]] = {
    "tool_choice": _render_tool_choice,
    "response_format": _render_response_format,
}


def _render_reasoning(settings: ReasoningSettings, members: dict[str, Any], receipts: Receipts, quirks: Quirks) -> None:
    form = quirks.reasoning_effort
    if form is None or "reasoning" in quirks.unsupported or "reasoning_effort" in quirks.unsupported:
        receipts.dropped("reasoning", "the back-end refuses it")
    elif form == "reasoning":
        said = {
            "enabled": settings.enabled,
            "effort": settings.effort,
            "max_tokens": settings.budget_tokens,
            "summary": settings.summary,
        }
        members["reasoning"] = {name: value for name, value in said.items() if value is not None}
        receipts.kept("reasoning")
    else:
        _render_effort(settings, members, receipts)


def _render_effort(settings: ReasoningSettings, members: dict[str, Any], receipts: Receipts) -> None:
    to, budget = "reasoning_effort", settings.budget_tokens
    if settings.summary is not None:
        receipts.dropped("reasoning.summary", "chat completions show no summary")
    if settings.effort is not None:
        members[to] = settings.effort
        receipts.renamed("reasoning.effort", to)
        if budget is not None:
            receipts.dropped("reasoning.budget_tokens", "only an effort can be said")
    elif settings.enabled is False:
        members[to] = "none"
        receipts.renamed("reasoning.enabled", f"{to}=none")
    elif budget is not None:
        members[to] = next((effort for most, effort in _EFFORTS if budget <= most), "high")
        receipts.approximated("reasoning.budget_tokens", f"{to}={members[to]}", "only an effort can be said")
    elif settings.enabled:
        receipts.dropped("reasoning.enabled", "only an effort can be said; models that reason do so unasked")


def _add_extra(request: Request, members: dict[str, Any], receipts: Receipts, quirks: Quirks) -> None:
    if request.dialect not in ("", NAME):
        drop_foreign(request, receipts)
        return
    for name, value in request.extra.items():
        if name in quirks.unsupported:
            receipts.dropped(name, "the back-end refuses it")
        elif name == "stream_options" and not (request.stream and quirks.stream_options):
            receipts.dropped(name, "the back-end takes none" if request.stream else "nothing streams", harmless=True)
        elif name == "reasoning" and request.dialect and quirks.reasoning_effort != "reasoning":
            receipts.dropped(name, "the back-end takes no such object")
        else:
            ours = members.get(name)
            members[name] = {**ours, **value} if isinstance(ours, dict) and isinstance(value, Mapping) else value
            receipts.kept(name)
