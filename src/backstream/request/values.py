"""A request for an answer, as one value that every dialect renders and parses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from backstream.request.parts import Opaque, Turn

__all__ = ["PARAMETERS", "ReasoningSettings", "Request", "ResponseFormat", "Tool", "ToolChoice"]


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """What the values of a request share: frozen, made by keyword, shown without defaults."""


class Tool(_Value, frozen=True):
    """A tool the model may call.

    Attributes:
        name: Its name; ``""`` for a tool the back-end runs itself, which is whole in ``opaque``.
        description: What it does, for the model.
        parameters: The JSON schema of its arguments, an object.
        strict: Whether the arguments must fit the schema; ``None`` leaves that to the back-end.
        cache_control: See :class:`backstream.request.TextPart`.
        opaque: See :data:`backstream.request.parts.Opaque`.
    """

    name: str = ""
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None
    opaque: Opaque = {}


class ToolChoice(_Value, frozen=True):
    """Which tools the model may or must call.

    Attributes:
        mode: ``auto``: as it likes; ``none``: no tool; ``required``: some tool; ``tool``: the ones named.
        names: The tools, for ``tool``, or the ones ``auto`` and ``required`` are limited to.
    """

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    names: tuple[str, ...] = ()


class ResponseFormat(_Value, frozen=True):
    """The form of the answer.

    Attributes:
        kind: ``text``, ``json_object`` (any JSON object), ``json_schema``.
        schema: The JSON schema, for ``json_schema``.
        name: The schema's name; some back-ends demand one.
        description: What it is for.
        strict: Whether the back-end must hold the model to it; ``None`` leaves that to the back-end.
    """

    kind: Literal["text", "json_object", "json_schema"]
    schema: Mapping[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ReasoningSettings(_Value, frozen=True):
    """How much a model is to reason, and what it shows of that.

    Attributes:
        enabled: Whether to reason at all; ``None`` leaves that to the back-end.
        effort: ``none``, ``minimal``, ``low``, ``medium``, ``high``, or what the back-end further knows.
        budget_tokens: How many tokens it may take.
        summary: What to show: ``auto``, ``concise``, ``detailed``, ``none``.
    """

    enabled: bool | None = None
    effort: str | None = None
    budget_tokens: int | None = None
    summary: str | None = None


class Request(_Value, frozen=True):
    """A request for an answer. Every parameter is ``None`` (or empty) where the caller did not set it.

    Attributes:
        model: The model, as the back-end names it.
        turns: The conversation, oldest turn first; system turns stand where they were said.
        tools: The tools the model may call.
        tool_choice: See :class:`ToolChoice`.
        parallel_tool_calls: Whether it may call several at once.
        response_format: See :class:`ResponseFormat`.
        reasoning: See :class:`ReasoningSettings`.
        stream: Whether the answer is to come in pieces. Default true.
        max_tokens: The most tokens of answer.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        top_k: How many tokens to sample from.
        min_p: The least probability, relative to the likeliest token.
        stop: Texts that end the answer.
        seed: For answers that repeat.
        frequency_penalty: Against words said often.
        presence_penalty: Against words said at all.
        repetition_penalty: The multiplicative kind.
        logit_bias: Token id → bias.
        logprobs: Whether to report log probabilities.
        top_logprobs: Of how many tokens a place.
        modalities: What to answer in: ``("text", "audio")``, ``("text", "image")``.
        audio: How to speak: ``voice``, ``format``.
        verbosity: ``low``, ``medium``, ``high``.
        user: An id of the end user.
        metadata: Labels kept with the answer.
        service_tier: Which tier to be served by.
        store: Whether the back-end is to keep the answer.
        previous_response_id: The answer this request goes on from, where the back-end keeps state.
        conversation: State of the conversation as an earlier reply gave it, by dialect or provider.
        safety_settings: Thresholds of content filters, in Gemini's form.
        dialect: The dialect ``extra`` is written in; ``""`` for members a caller of this library gave, which go to
            whichever back-end is called.
        extra: Every further member of the body.
    """

    model: str = ""
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningSettings | None = None
    stream: bool = True
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: tuple[str, ...] = ()
    audio: Mapping[str, Any] | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: Mapping[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Mapping[str, Any] | str | None = None
    safety_settings: Sequence[Mapping[str, Any]] | None = None
    dialect: str = ""
    extra: Mapping[str, Any] = {}

    def parameters(self) -> dict[str, Any]:
        """Return the plain parameters the caller set: those of :data:`PARAMETERS`."""
        found = ((name, getattr(self, name)) for name in PARAMETERS)
        return {name: value for name, value in found if value is not None and value != ()}


_STRUCTURED = frozenset(
    {"model", "turns", "tools", "tool_choice", "response_format", "reasoning", "stream", "dialect", "extra"}
)

PARAMETERS: tuple[str, ...] = tuple(name for name in Request.__struct_fields__ if name not in _STRUCTURED)
"""The plain parameters: those a dialect keeps, renames or drops one by one."""
