"""What one back-end does otherwise than OpenAI's chat completions; data, so that a new back-end needs no code."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

__all__ = ["NAME", "Quirks"]

NAME: Final = "openai_chat"


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one back-end differs. The defaults suit an unknown server: what most of them take.

    Attributes:
        max_tokens: The member that says the most tokens of answer.
        system_role: ``system`` and ``developer``: turns of both roles are sent as that; ``auto``: as they are.
        stream_options: Whether it can be asked for the usage of a streamed answer.
        seed: The member that says the seed.
        reasoning_field: The member of a delta or message that holds reasoning, as we write it; read are both.
        reasoning_effort: How it is told how much to reason: a word, an object as OpenRouter takes it, or ``None``.
        think_tags: Whether its models write their reasoning into the text, between ``<think>`` tags.
        send_reasoning: Whether it takes the reasoning of earlier turns back.
        unsupported: Names of parameters it refuses; they are dropped, with a receipt. ``name`` is that of a speaker.
        citations: The member of an event that lists the URLs the answer rests on; ``None`` to pass over it.
        done: Whether it promises ``[DONE]``; told only, since a finish reason is a word for done too.
        tool_choice_required: Its word for "some tool must be called".
        video: Whether it takes videos (``video_url``), and sounds by URL.
        json_schema: Whether an answer can be held to a JSON schema.
        cache_control: Whether it takes the marks of other back-ends for caching.
        document_urls: Whether it fetches documents by their URL.
        prefix: How it is told that its answer goes on with a last message of the assistant: it does so anyway
            (``plain``), by ``prefix`` in the message (``member``), or by ``continue_final_message`` in the body
            (``final_message``). ``None``: it does not, or that is not known.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system_role: Literal["system", "developer", "auto"] = "system"
    stream_options: bool = True
    seed: str = "seed"
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    reasoning_effort: Literal["reasoning_effort", "reasoning"] | None = "reasoning_effort"
    think_tags: bool = False
    send_reasoning: bool = False
    unsupported: tuple[str, ...] = ()
    citations: Literal["citations"] | None = "citations"
    done: bool = True
    tool_choice_required: Literal["required", "any"] = "required"
    video: bool = False
    json_schema: bool = True
    cache_control: bool = False
    document_urls: bool = False
    prefix: Literal["plain", "member", "final_message"] | None = None
