"""A request as a body of the Messages API: parameters, tools, and what became of each; turns are elsewhere.

Source: https://platform.claude.com/docs/en/api/messages, …/docs/en/build-with-claude/adaptive-thinking, …/effort,
…/extended-thinking, …/structured-outputs, …/docs/en/api/service-tiers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.anthropic_messages.request_parts import PartRenderer
from backstream.dialects.anthropic_messages.request_reasoning import ThinkingStyle, render_reasoning
from backstream.dialects.anthropic_messages.request_sampling import refused_sampling
from backstream.dialects.anthropic_messages.request_tools import narrow_schema, render_tools
from backstream.dialects.anthropic_messages.request_turns import render_turns
from backstream.dialects.anthropic_messages.vendor import (
    COUNT_PATH,
    FILES_BETA,
    NAME,
    PATH,
    VERSION,
    knows_system_turns,
)
from backstream.dialects.base import RenderedRequest
from backstream.dialects.extras import drop_foreign
from backstream.request import Receipts, Request, ResponseFormat
from backstream.wire.json_body import encode_body

__all__ = ["render_count_request", "render_members", "render_request"]

_Say = Callable[[Any, dict[str, Any], Receipts], None]

_NO_PLACE: Final[Mapping[str, str]] = {
    "min_p": "not known",
    "seed": "answers cannot be made to repeat",
    "frequency_penalty": "not known",
    "presence_penalty": "not known",
    "repetition_penalty": "not known",
    "logit_bias": "not known",
    "logprobs": "log probabilities are not reported",
    "top_logprobs": "log probabilities are not reported",
    "audio": "answers are text only",
    "verbosity": "not known",
    "metadata": "only the user's id is taken",
    "store": "answers are not stored",
    "previous_response_id": "the API keeps no state",
    "conversation": "the API keeps no state",
    "safety_settings": "known to Gemini only",
}
_HARMLESS: Final[Mapping[str, tuple[Any, ...]]] = {"logprobs": (False,), "store": (False,), "top_logprobs": (0,)}

_COUNTED: Final = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")


def _keep(name: str, to: str | None = None) -> _Say:
    def say(value: Any, members: dict[str, Any], receipts: Receipts) -> None:
        members[to or name] = list(value) if isinstance(value, tuple) else value
        if to is None:
            receipts.kept(name)
        else:
            receipts.renamed(name, to)

    return say


def _say_temperature(value: float, members: dict[str, Any], receipts: Receipts) -> None:
    members["temperature"] = min(value, 1.0)
    if value > 1:
        receipts.approximated("temperature", "temperature", "the scale ends at 1")
    else:
        receipts.kept("temperature")


def _say_user(value: str, members: dict[str, Any], receipts: Receipts) -> None:
    members["metadata"] = {"user_id": value}
    receipts.renamed("user", "metadata.user_id")


def _say_service_tier(value: str, members: dict[str, Any], receipts: Receipts) -> None:
    if value in ("flex", "scale"):
        receipts.dropped("service_tier", "tiers are auto and standard_only")
        return
    to = {"default": "standard_only", "priority": "auto"}.get(value, value)
    members["service_tier"] = to
    if to == value:
        receipts.kept("service_tier")
    elif value == "default":
        receipts.renamed("service_tier", "service_tier=standard_only")
    else:
        receipts.approximated("service_tier", "service_tier=auto", "priority is used where there is some")


def _say_modalities(value: tuple[str, ...], members: dict[str, Any], receipts: Receipts) -> None:
    del members
    if value == ("text",):
        receipts.kept("modalities")
    else:
        receipts.dropped("modalities", "answers are text only")


_SAY: Final[Mapping[str, _Say]] = {
    "max_tokens": _keep("max_tokens"),
    "temperature": _say_temperature,
    "top_p": _keep("top_p"),
    "top_k": _keep("top_k"),
    "stop": _keep("stop", "stop_sequences"),
    "user": _say_user,
    "service_tier": _say_service_tier,
    "modalities": _say_modalities,
}


def render_request(
    request: Request,
    receipts: Receipts,
    *,
    default_max_tokens: int,
    thinking: ThinkingStyle,
    system_turns: bool | None,
) -> RenderedRequest:
    """Render a request; see :meth:`backstream.dialects.base.Dialect.render_request`.

    Args:
        request: The request.
        receipts: Where to note what became of things.
        default_max_tokens: See :class:`backstream.dialects.anthropic_messages.AnthropicMessages`.
        thinking: The same.
        system_turns: The same.
    """
    parts = PartRenderer(receipts)
    members = render_members(request, receipts, parts, thinking=thinking, system_turns=system_turns)
    if "max_tokens" not in members:
        budget = members.get("thinking", {}).get("budget_tokens") or 0
        members["max_tokens"] = default_max_tokens + budget
        receipts.approximated("max_tokens", f"max_tokens={members['max_tokens']}", "the API demands it")
    return RenderedRequest(path=PATH, body=encode_body(members), headers=_headers(parts))


def render_count_request(
    request: Request, receipts: Receipts, *, thinking: ThinkingStyle, system_turns: bool | None
) -> RenderedRequest:
    """Render the question how many tokens a request has; the parameters that do not count are left out."""
    parts = PartRenderer(receipts)
    members = render_members(request, receipts, parts, thinking=thinking, system_turns=system_turns)
    counted = {name: members[name] for name in _COUNTED if name in members}
    return RenderedRequest(path=COUNT_PATH, body=encode_body(counted), headers=_headers(parts))


def _headers(parts: PartRenderer) -> dict[str, str]:
    return {"anthropic-version": VERSION, **({"anthropic-beta": FILES_BETA} if parts.names_files else {})}


def render_members(
    request: Request,
    receipts: Receipts,
    parts: PartRenderer,
    *,
    thinking: ThinkingStyle = "auto",
    system_turns: bool | None = None,
) -> dict[str, Any]:
    """Render the members of a request's body, ``max_tokens`` only where it is set; some of them hold segments.

    Raises:
        UnsupportedFeatureError: Content that the API has no words for.
        InvalidRequestError: Something that cannot be said as it stands.
    """
    at_places = knows_system_turns(request.model) if system_turns is None else system_turns
    system, messages = render_turns(request.turns, parts, receipts, system_turns=at_places)
    members: dict[str, Any] = {"model": request.model, "messages": messages}
    if system:
        members["system"] = system
    render_tools(request, members, receipts)
    if request.response_format is not None:
        _say_format(request.response_format, members, receipts, spoken=request.dialect == NAME)
    if request.reasoning is not None:
        render_reasoning(request, members, receipts, thinking)
    _render_parameters(request, members, receipts)
    if request.stream:
        members["stream"] = True
    _add_extra(request, members, receipts)
    return members


def _render_parameters(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    refused = refused_sampling(request, members)
    for name, value in request.parameters().items():
        if name in refused:
            receipts.dropped(name, refused[name])
        elif name in _SAY:
            _SAY[name](value, members, receipts)
        elif name != "parallel_tool_calls":
            receipts.dropped(name, _NO_PLACE[name], harmless=value in _HARMLESS.get(name, ()))


def _say_format(form: ResponseFormat, members: dict[str, Any], receipts: Receipts, *, spoken: bool) -> None:
    if form.kind == "text":
        receipts.kept("response_format")
        return
    if form.kind == "json_object":
        receipts.dropped("response_format", "JSON is promised by a schema only")
        return
    schema: Mapping[str, Any] = form.schema or {}
    if not spoken:  # a schema in this dialect's own request is taken as it is
        schema = narrow_schema(schema, "response_format.schema", receipts)
    members["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    receipts.renamed("response_format", "output_config.format")
    for name in ("name", "description"):
        if getattr(form, name) is not None:
            receipts.dropped(f"response_format.{name}", "a schema has no such member", harmless=True)
    if form.strict is False:
        receipts.approximated("response_format.strict", "output_config.format", "a schema is always kept to")
    elif form.strict:
        receipts.kept("response_format.strict")


def _add_extra(request: Request, members: dict[str, Any], receipts: Receipts) -> None:
    """Members the caller gave win; objects are laid over objects, since they share some with parameters."""
    if request.dialect not in ("", NAME):
        drop_foreign(request, receipts)
        return
    for name, value in request.extra.items():
        ours = members.get(name)
        members[name] = {**ours, **value} if isinstance(ours, dict) and isinstance(value, Mapping) else value
        receipts.kept(name)
