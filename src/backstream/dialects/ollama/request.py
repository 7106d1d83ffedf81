"""A request as the body of Ollama's ``/api/chat``: parameters, tools, and what became of each; turns are elsewhere.

A member the caller gave beside the known parameters goes into the body as it is, but for the names of Ollama's runtime
options (``num_ctx`` …), which go into ``options``; an object ``options`` is laid over ours.

Source: https://docs.ollama.com/api/chat and https://docs.ollama.com/modelfile (names of the options).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.dialects.extras import drop_foreign
from backstream.dialects.ollama.request_turns import render_turns
from backstream.dialects.ollama.vendor import NAME, OPTIONS, RUNTIME_OPTIONS
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Receipts, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["PATH", "render_members"]

PATH: Final = "/api/chat"

_TOP: Final = frozenset({"logprobs", "top_logprobs"})
_NO_PLACE: Final[Mapping[str, str]] = {
    "parallel_tool_calls": "the model decides how many tools to call",
    "logit_bias": "Ollama has no such option",
    "modalities": "a model of Ollama answers in text",
    "audio": "a model of Ollama answers in text",
    "verbosity": "Ollama has no such option",
    "user": "Ollama keeps no record of users",
    "metadata": "Ollama keeps no record of answers",
    "service_tier": "Ollama has no tiers",
    "store": "Ollama keeps no record of answers",
    "previous_response_id": "Ollama keeps no state",
    "conversation": "Ollama keeps no state",
    "safety_settings": "known to Gemini only",
}
_HARMLESS: Final[Mapping[str, tuple[Any, ...]]] = {
    "modalities": (("text",),),
    "store": (False,),
    "parallel_tool_calls": (True,),
}
_NEAR_EFFORTS: Final[Mapping[str, str]] = {"minimal": "low", "xhigh": "max"}
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def render_members(request: Request, receipts: Receipts) -> dict[str, Any]:
    """Render the members of a request's body; some of them hold segments.

    Raises:
        UnsupportedFeatureError: Content that Ollama has no words for.
        InvalidRequestError: Something that cannot be said as it stands.
    """
    members: dict[str, Any] = {"model": request.model, "messages": render_turns(request.turns, receipts)}
    options = _render_parameters(request, members, receipts)
    tools = _chosen_tools(request, receipts)
    if tools:
        members["tools"] = tools
    if request.response_format is not None:
        _render_response_format(request.response_format, members, receipts)
    if request.reasoning is not None:
        _render_reasoning(request.reasoning, members, receipts)
    members["stream"] = request.stream
    _add_extra(request, members, options, receipts)
    if options:
        members["options"] = options
    return members


def _render_parameters(request: Request, members: dict[str, Any], receipts: Receipts) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in request.parameters().items():
        if name in OPTIONS:
            options[OPTIONS[name]] = value
            receipts.renamed(name, f"options.{OPTIONS[name]}")
        elif name in _TOP:
            members[name] = value
            receipts.kept(name)
        else:
            harmless = name == "conversation" or value in _HARMLESS.get(name, ())
            receipts.dropped(name, _NO_PLACE[name], harmless=harmless)
    return options


def _chosen_tools(request: Request, receipts: Receipts) -> list[dict[str, Any]]:
    choice = request.tool_choice or ToolChoice()
    if request.tool_choice is not None:
        _note_tool_choice(choice, receipts)
    rendered: list[dict[str, Any]] = []
    for index, tool in enumerate(request.tools):
        chosen = choice.mode != "none" and (not choice.names or tool.name in choice.names)
        if not tool.name and not _own_of(tool):
            why = "a tool that only another back-end runs"
            receipts.dropped(f"tools[{index}]", why, harmless=choice.mode == "none")
        elif chosen:
            rendered.append(_render_tool(tool, f"tools[{index}]", receipts))
    return rendered


def _note_tool_choice(choice: ToolChoice, receipts: Receipts) -> None:
    """Ollama has no such parameter; which tools it is told of is all that can be chosen."""
    if choice.mode in ("required", "tool"):
        receipts.dropped("tool_choice", "Ollama cannot be made to call a tool")
    elif choice.mode == "none":
        receipts.renamed("tool_choice", "no tools")
    elif choice.names:
        receipts.renamed("tool_choice", "only those tools")
    else:
        receipts.kept("tool_choice")


def _own_of(tool: Tool) -> dict[str, Any]:
    return {**tool.opaque.get("", {}), **tool.opaque.get(NAME, {})}


def _render_tool(tool: Tool, where: str, receipts: Receipts) -> dict[str, Any]:
    own = _own_of(tool)
    if not tool.name:
        return own
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters if tool.parameters is not None else dict(_NO_PARAMETERS)
    if tool.strict is not None:
        receipts.dropped(f"{where}.strict", "Ollama does not hold arguments to a schema", harmless=not tool.strict)
    if tool.cache_control is not None:
        receipts.dropped(f"{where}.cache_control", "Ollama caches by itself", harmless=True)
    if set(tool.opaque) - {"", NAME}:
        receipts.dropped(f"{where}.opaque", "for another back-end", harmless=True)
    return {"type": "function", "function": function, **own}


def _render_response_format(form: ResponseFormat, members: dict[str, Any], receipts: Receipts) -> None:
    """``strict`` needs no word: Ollama always holds the model to the schema."""
    if form.kind == "text":
        receipts.kept("response_format")
        return
    if form.kind == "json_object":
        members["format"] = "json"
    elif form.schema is None:
        raise InvalidRequestError("response_format is 'json_schema' but has no schema", "pass the schema")
    else:
        members["format"] = form.schema
        if form.description is not None:
            receipts.dropped("response_format.description", "Ollama has no place for it")
    receipts.renamed("response_format", "format")


def _render_reasoning(settings: ReasoningSettings, members: dict[str, Any], receipts: Receipts) -> None:
    effort, budget = settings.effort, settings.budget_tokens
    if settings.summary is not None:
        receipts.dropped(
            "reasoning.summary", "Ollama shows what the model thought", harmless=settings.summary != "none"
        )
    if settings.enabled is False or effort == "none":
        members["think"] = False
    elif effort is not None:
        members["think"] = _NEAR_EFFORTS.get(effort, effort)
    elif settings.enabled or budget is not None:
        members["think"] = settings.enabled or budget != 0
    if "think" not in members:
        return
    if budget is not None and (budget or members["think"]):
        receipts.dropped("reasoning.budget_tokens", "Ollama knows levels of thinking, but no budget")
    if effort in _NEAR_EFFORTS:
        receipts.approximated("reasoning", f"think={members['think']}", f"Ollama has no level {effort!r}")
    else:
        receipts.renamed("reasoning", "think")


def _add_extra(request: Request, members: dict[str, Any], options: dict[str, Any], receipts: Receipts) -> None:
    if request.dialect not in ("", NAME):
        drop_foreign(request, receipts)
        return
    for name, value in request.extra.items():
        if name == "options" and isinstance(value, Mapping):
            options.update(value)
            receipts.kept(name)
        elif request.dialect == "" and name in RUNTIME_OPTIONS:
            options[name] = value
            receipts.renamed(name, f"options.{name}")
        else:
            members[name] = value
            receipts.kept(name)
