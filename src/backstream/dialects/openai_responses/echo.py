"""The response object around an answer: what was asked for, said back, as the Responses API does.

Source: https://platform.openai.com/docs/api-reference/responses/object; OpenAI's OpenAPI description 2.3.0
(``Response``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.chunks import Start
from backstream.dialects.base import Envelope
from backstream.dialects.openai_responses.members import NAME
from backstream.dialects.openai_responses.request import render_format, render_tool, render_tool_choice
from backstream.request import Receipts, Request

__all__ = ["response_of"]


def response_of(start: Start, envelope: Envelope) -> dict[str, Any]:
    """Make the response object of an answer that has just begun.

    ``store`` is what was asked for, and false where nothing was: what keeps answers is not known here.

    Args:
        start: What the back-end said of its answer.
        envelope: What the server says of it.
    """
    request = envelope.request
    return {
        "id": start.id or f"resp_{envelope.id}",
        "object": "response",
        "created_at": start.created if start.created is not None else envelope.created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": _instructions(request),
        "max_output_tokens": request.max_tokens,
        "model": start.model or envelope.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": _reasoning(request),
        "store": request.store is True,
        "temperature": request.temperature if request.temperature is not None else 1.0,
        "text": _text(request),
        "tool_choice": _tool_choice(request),
        "tools": _tools(request),
        "top_p": request.top_p if request.top_p is not None else 1.0,
        "truncation": "auto" if request.extra.get("truncation") == "auto" else "disabled",
        "metadata": dict(request.metadata or {}),
        **_tier(start, request),
    }


def _instructions(request: Request) -> str | None:
    first = request.turns[0] if request.turns else None
    return first.text if first is not None and first.role == "system" else None


def _reasoning(request: Request) -> dict[str, Any]:
    settings = request.reasoning
    summary = settings.summary if settings is not None and settings.summary != "none" else None
    return {"effort": settings.effort if settings is not None else None, "summary": summary}


def _text(request: Request) -> dict[str, Any]:
    form = request.response_format
    text: dict[str, Any] = {"format": {"type": "text"} if form is None else render_format(form)}
    return {**text, "verbosity": request.verbosity} if request.verbosity is not None else text


def _tool_choice(request: Request) -> Any:
    own = request.extra.get("tool_choice")  # a choice of the back-end's own tools
    if request.dialect == NAME and isinstance(own, Mapping):
        return own
    return "auto" if request.tool_choice is None else render_tool_choice(request.tool_choice)


def _tools(request: Request) -> list[dict[str, Any]]:
    receipts = Receipts()  # nobody asks for these
    tools = (render_tool(tool, "", receipts) for tool in request.tools)
    return [tool for tool in tools if tool is not None]


def _tier(start: Start, request: Request) -> dict[str, Any]:
    tier = start.service_tier or request.service_tier
    return {"service_tier": tier} if tier else {}
