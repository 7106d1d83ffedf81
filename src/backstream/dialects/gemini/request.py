"""A request as Gemini's ``generateContent``: where it goes, its tools, and what else is in its body.

Source: https://ai.google.dev/api/generate-content; https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from backstream.dialects.base import RenderedRequest
from backstream.dialects.extras import drop_foreign
from backstream.dialects.gemini.contents import render_contents
from backstream.dialects.gemini.quirks import NAME, Quirks, overlay, quirks_of
from backstream.dialects.gemini.settings import render_settings
from backstream.errors import InvalidRequestError
from backstream.request import Receipts, Request, Tool, ToolChoice
from backstream.schema import gemini_json_schema, gemini_schema
from backstream.wire.json_body import encode_body

__all__ = ["render_members", "render_request", "render_token_count", "resource_of"]

_KINDS: Final = ("models/", "tunedModels/", "projects/", "publishers/")
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}


def resource_of(model: str) -> str:
    """Return a model's name as a resource: ``models/…`` unless it says another kind, such as ``tunedModels/…``.

    Raises:
        InvalidRequestError: No model is named; or a path is, that would lead out of the back-end's models.
    """
    if not model:
        raise InvalidRequestError("gemini has no default model", "name one")
    if any(segment in (".", "..") for segment in model.split("/")):
        raise InvalidRequestError("a model's name has no segments of dots")
    return quote(model if model.startswith(_KINDS) else f"models/{model}", safe="/-._~@:")


def render_request(request: Request, receipts: Receipts, quirks: Quirks) -> RenderedRequest:
    """See :class:`backstream.dialects.base.Dialect`."""
    method = "streamGenerateContent" if request.stream else "generateContent"
    return RenderedRequest(
        path=f"/{resource_of(request.model)}:{method}",
        body=encode_body(render_members(request, receipts, quirks)),
        query={"alt": "sse"} if request.stream and quirks.framing == "sse" else {},
    )


def render_token_count(request: Request, receipts: Receipts, quirks: Quirks) -> RenderedRequest:
    """See :class:`backstream.dialects.base.Dialect`."""
    resource = resource_of(request.model)
    members = {"model": resource, **render_members(request, receipts, quirks)}
    return RenderedRequest(path=f"/{resource}:countTokens", body=encode_body({"generateContentRequest": members}))


def render_members(request: Request, receipts: Receipts, quirks: Quirks) -> dict[str, Any]:
    """Render the members of a request's body; some of them hold segments."""
    quirks = quirks_of(request.model, quirks)
    members = render_contents(request.turns, receipts, quirks)
    tools = _render_tools(request.tools, receipts, quirks)
    if tools:
        members["tools"] = tools
    calling = _render_calling(request.tools, request.tool_choice, receipts)
    if calling:
        members["toolConfig"] = {"functionCallingConfig": calling}
    render_settings(request, members, receipts, quirks)
    if request.dialect in ("", NAME):
        return overlay(members, request.extra)
    drop_foreign(request, receipts)
    return members


def _render_tools(tools: Sequence[Tool], receipts: Receipts, quirks: Quirks) -> list[dict[str, Any]]:
    """All functions stand in one tool: Google takes several tools only where the others are its own."""
    functions: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.cache_control is not None:
            receipts.dropped(f"{where}.cache_control", "gemini caches by itself", harmless=True)
        members = dict(tool.opaque.get(NAME, {}))
        if tool.name:
            functions.append(overlay(_render_function(tool, where, receipts, quirks), members))
        elif members or tool.opaque.get(""):
            own.append({**tool.opaque.get("", {}), **members})
        else:
            receipts.dropped(where, "another back-end's own tool")
    return ([{"functionDeclarations": functions}] if functions else []) + own


def _render_function(tool: Tool, where: str, receipts: Receipts, quirks: Quirks) -> dict[str, Any]:
    members: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        members["description"] = tool.description
    if not tool.parameters:
        return members
    if quirks.json_schema:
        member, (schema, lost) = "parametersJsonSchema", gemini_json_schema(dict(tool.parameters))
    elif tool.parameters.get("properties"):
        member, (schema, lost) = "parameters", gemini_schema(dict(tool.parameters))
    else:
        return members  # the older form cannot say an object without members
    members[member] = schema
    for path in lost:
        receipts.approximated(f"{where}.parameters {path}", member, "gemini does not know the keyword")
    return members


def _render_calling(tools: Sequence[Tool], choice: ToolChoice | None, receipts: Receipts) -> dict[str, Any]:
    """Render which tools may be called. Strict arguments and a choice out of some need the mode ``VALIDATED``."""
    names = list(choice.names) if choice is not None else []
    mode = _MODES[choice.mode] if choice is not None else ""
    strict = [f"tools[{index}].strict" for index, tool in enumerate(tools) if tool.name and tool.strict]
    if mode in ("", "AUTO") and (strict or names):
        mode = "VALIDATED"
    for index, tool in enumerate(tools):
        if tool.name and tool.strict is False:
            receipts.dropped(f"tools[{index}].strict", "what gemini does anyway", harmless=True)
    for what in strict:
        receipts.approximated(what, "functionCallingConfig.mode", "it holds for all functions")
    if choice is not None:
        receipts.renamed("tool_choice", "toolConfig.functionCallingConfig")
    config: dict[str, Any] = {"mode": mode} if mode else {}
    return config | ({"allowedFunctionNames": names} if names and mode != "NONE" else {})
