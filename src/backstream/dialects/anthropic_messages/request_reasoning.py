"""Settings of reasoning as ``thinking`` and ``output_config.effort``.

Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, …/effort, …/extended-thinking: models
from 4.6 on decide themselves how much to think, guided by an effort; earlier ones must be given a budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from backstream.dialects.anthropic_messages.vendor import NAME, knows_adaptive_thinking, knows_budgets
from backstream.request import ReasoningSettings, Receipts, Request

__all__ = ["ThinkingStyle", "render_reasoning"]

ThinkingStyle = Literal["auto", "adaptive", "budget"]
"""How a model is told to think: ``adaptive`` with an effort, with a ``budget``, or ``auto``: by the model's name."""

_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024,  # the least the API takes
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
_DEFAULT_BUDGET: Final = _BUDGETS["medium"]
_LEAST_BUDGET: Final = 1024
_DISPLAYS: Final[Mapping[str, str]] = {
    "none": "omitted",
    "auto": "summarized",
    "concise": "summarized",
    "detailed": "summarized",
}


def render_reasoning(
    request: Request, members: dict[str, Any], receipts: Receipts, style: ThinkingStyle = "auto"
) -> None:
    """Add settings of reasoning to the members of a body, with receipts for each.

    Args:
        request: The request; its ``reasoning`` is set.
        members: What to add to.
        receipts: Where to note what became of things.
        style: See :data:`ThinkingStyle`.
    """
    settings = request.reasoning
    assert settings is not None
    adaptive = knows_adaptive_thinking(request.model) if style == "auto" else style == "adaptive"
    spoken = request.dialect == NAME
    thinking = _thinking(settings, members, receipts, adaptive=adaptive, spoken=spoken)
    if thinking is not None and not spoken:
        thinking = _fit(thinking, request, members, receipts, style)
    if thinking is None:
        return
    if settings.summary is not None and thinking["type"] != "disabled":
        _say_display(settings.summary, thinking, receipts)
    elif settings.summary is not None:
        receipts.dropped("reasoning.summary", "there is no reasoning to show", harmless=True)
    members["thinking"] = thinking


def _fit(
    thinking: dict[str, Any], request: Request, members: dict[str, Any], receipts: Receipts, style: ThinkingStyle
) -> dict[str, Any] | None:
    """Bring what is asked for into the bounds outside of which the API refuses the request."""
    if thinking["type"] == "disabled":
        return thinking
    if members.get("tool_choice", {}).get("type") in ("any", "tool"):
        receipts.dropped("reasoning", "a model that must call a tool cannot think first")
        return None
    if thinking["type"] == "adaptive":
        return thinking
    budget = thinking["budget_tokens"]
    if style == "auto" and not knows_budgets(request.model):
        why = "the model takes no budget"
        if "effort" not in members.get("output_config", {}):
            effort = next((word for word, most in _BUDGETS.items() if word != "minimal" and budget <= most), "max")
            members["output_config"] = {**members.get("output_config", {}), "effort": effort}
            receipts.approximated("reasoning.budget_tokens", f"output_config.effort={effort}", why)
        else:
            receipts.dropped("reasoning.budget_tokens", why)
        return {"type": "adaptive"}
    most = request.max_tokens
    if most is not None and most <= _LEAST_BUDGET:
        receipts.dropped("reasoning", f"thinking takes at least {_LEAST_BUDGET} tokens, and max_tokens leaves fewer")
        return None
    fitting = budget if most is None or budget < most else most // 2
    fitting = max(fitting, _LEAST_BUDGET)
    if fitting != budget:
        receipts.approximated(
            "reasoning.budget_tokens",
            f"thinking.budget_tokens={fitting}",
            f"a budget is at least {_LEAST_BUDGET}, and less than max_tokens",
        )
    return {**thinking, "budget_tokens": fitting}


def _thinking(
    settings: ReasoningSettings, members: dict[str, Any], receipts: Receipts, *, adaptive: bool, spoken: bool
) -> dict[str, Any] | None:
    if settings.enabled is False or settings.effort == "none":
        receipts.renamed("reasoning", "thinking.type=disabled")
        return {"type": "disabled"}
    if settings.effort is not None and (adaptive or spoken):
        _say_effort(settings.effort, members, receipts)
        if spoken and settings.enabled is None and settings.budget_tokens is None:
            return None  # in this dialect an effort alone asks for no thinking
    if settings.budget_tokens is not None:
        receipts.renamed("reasoning.budget_tokens", "thinking.budget_tokens")
        if settings.effort is not None and not (adaptive or spoken):
            receipts.dropped("reasoning.effort", "the budget says it", harmless=True)
        return {"type": "enabled", "budget_tokens": settings.budget_tokens}
    if adaptive:
        if settings.effort is None:
            receipts.renamed("reasoning", "thinking.type=adaptive")
        return {"type": "adaptive"}
    budget = _BUDGETS.get(settings.effort or "", _DEFAULT_BUDGET)
    receipts.approximated(
        "reasoning.effort" if settings.effort else "reasoning",
        f"thinking.budget_tokens={budget}",
        "the model must be given a budget",
    )
    return {"type": "enabled", "budget_tokens": budget}


def _say_effort(effort: str, members: dict[str, Any], receipts: Receipts) -> None:
    to = "low" if effort == "minimal" else effort
    members["output_config"] = {**members.get("output_config", {}), "effort": to}
    if to == effort:
        receipts.renamed("reasoning.effort", "output_config.effort")
    else:
        receipts.approximated("reasoning.effort", "output_config.effort=low", "the lowest effort is low")


def _say_display(summary: str, thinking: dict[str, Any], receipts: Receipts) -> None:
    display = _DISPLAYS.get(summary)
    if display is None:
        receipts.dropped("reasoning.summary", "thinking is shown as a summary, or not at all")
        return
    thinking["display"] = display
    if summary in ("auto", "none"):
        receipts.renamed("reasoning.summary", "thinking.display")
    else:
        receipts.approximated("reasoning.summary", f"thinking.display={display}", "summaries have one length")
