"""Tools, the choice between them, and whether several may be called at once.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools, …/parallel-tool-use,
…/strict-tool-use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.dialects.anthropic_messages.vendor import NAME, own_members
from backstream.request import Receipts, Request, Tool, ToolChoice
from backstream.schema import anthropic_schema

__all__ = ["narrow_schema", "render_tools"]

_MODES: Final = {"auto": "auto", "required": "any", "none": "none"}


def render_tools(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    """Add ``tools`` and ``tool_choice`` to the members of a body, with receipts."""
    spoken = request.dialect == NAME
    rendered = [
        _render_tool(tool, f"tools[{index}]", receipts, spoken=spoken) for index, tool in enumerate(request.tools)
    ]
    tools = [tool for tool in rendered if tool is not None]
    choice = request.tool_choice
    if choice is not None:
        tools = _limit(tools, choice, receipts)
    if tools:
        members["tools"] = tools
    chosen = _render_choice(choice, receipts) if choice is not None else None
    if request.parallel_tool_calls is not None:
        chosen = _say_parallel(chosen, receipts, parallel=request.parallel_tool_calls, tools=bool(tools))
    if chosen is not None:
        members["tool_choice"] = chosen


def narrow_schema(schema: Mapping[str, Any], where: str, receipts: Receipts) -> dict[str, Any]:
    """Bring a schema that is to be kept to into the form the API takes, with a receipt for each keyword it refuses.

    Raises:
        UnsupportedFeatureError: It cannot be said in that form.
    """
    narrowed, lost = anthropic_schema(dict(schema))
    for path in lost:
        receipts.approximated(f"{where} {path}", "schema", "the API refuses the keyword")
    return narrowed


def _render_tool(tool: Tool, where: str, receipts: Receipts, *, spoken: bool) -> dict[str, Any] | None:
    own = own_members(tool.opaque, where, receipts, local=True)
    if not tool.name:
        if own:
            receipts.kept(where)
        else:
            receipts.dropped(where, "a tool of another back-end")
        return own or None
    block: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        block["description"] = tool.description
    schema = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    if tool.strict and not spoken:
        schema = narrow_schema(schema, f"{where}.parameters", receipts)
    block["input_schema"] = schema
    for name in ("strict", "cache_control"):
        if getattr(tool, name) is not None:
            block[name] = getattr(tool, name)
            receipts.kept(f"{where}.{name}")
    receipts.kept(where)
    return {**block, **own}


def _limit(tools: list[dict[str, Any]], choice: ToolChoice, receipts: Receipts) -> list[dict[str, Any]]:
    """Where the choice is limited to some tools, only those are sent: there is no other way to say it."""
    if not choice.names or (choice.mode == "tool" and len(choice.names) == 1):
        return tools
    receipts.approximated("tool_choice.names", "tools", "only the tools named are sent")
    return [tool for tool in tools if tool.get("name") in choice.names]


def _render_choice(choice: ToolChoice, receipts: Receipts) -> dict[str, Any]:
    if choice.mode == "tool" and len(choice.names) == 1:
        receipts.renamed("tool_choice", "tool_choice.name")
        return {"type": "tool", "name": choice.names[0]}
    receipts.renamed("tool_choice", "tool_choice.type")
    return {"type": _MODES.get(choice.mode, "any")}


def _say_parallel(
    chosen: dict[str, Any] | None, receipts: Receipts, *, parallel: bool, tools: bool
) -> dict[str, Any] | None:
    if not tools or (chosen is not None and chosen["type"] == "none"):
        receipts.dropped("parallel_tool_calls", "there is no tool to call", harmless=True)
        return chosen
    receipts.renamed("parallel_tool_calls", "tool_choice.disable_parallel_tool_use")
    return {**(chosen or {"type": "auto"}), "disable_parallel_tool_use": not parallel}
