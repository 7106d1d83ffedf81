"""What a back-end says: one chunk per event, a value that is also its own wire form.

A chunk *is* a backend-api event, ``{"type": "content", "content": "Hi"}``. Known types are typed, immutable, slotted
structs; an event of an unknown type, or one whose members have other types than expected, is an :class:`OpenResponse`
that keeps every member. Whatever was in an event is in its chunk: members that a typed chunk does not declare, and
explicit nulls, live in ``extra``. Knows JSON types, but neither JSON text nor any other dialect.

Source: ``docs/protocol.md``, section "Events".
"""

from __future__ import annotations

from backstream.chunks.answer import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from backstream.chunks.around import (
    AuthEvent,
    Continue,
    Conversation,
    ErrorEvent,
    Log,
    Login,
    Notice,
    Parameters,
    Preview,
    ProviderInfo,
    Suggestions,
    Switched,
    Synthesize,
    Title,
    UpstreamHeaders,
    UpstreamRequest,
    UpstreamResponse,
    Variant,
)
from backstream.chunks.base import FIELDS, KNOWN_TYPES, Extra, OpenResponse, RawResponse, Typed

__all__ = [
    "KNOWN_TYPES",
    "AuthEvent",
    "Citation",
    "Content",
    "Continue",
    "Conversation",
    "ErrorEvent",
    "Extra",
    "Finish",
    "Log",
    "Login",
    "Logprobs",
    "Media",
    "Notice",
    "OpenResponse",
    "Parameters",
    "PartEnd",
    "PartStart",
    "Preview",
    "ProviderInfo",
    "RawResponse",
    "Reasoning",
    "Refusal",
    "Start",
    "Suggestions",
    "Switched",
    "Synthesize",
    "Title",
    "ToolCallDelta",
    "ToolCalls",
    "UpstreamHeaders",
    "UpstreamRequest",
    "UpstreamResponse",
    "Usage",
    "Variant",
]

for _cls in Typed.__subclasses__():
    KNOWN_TYPES[_cls.type] = _cls
    _members = zip(_cls.__struct_encode_fields__, _cls.__struct_fields__, strict=True)
    FIELDS[_cls] = {member: attribute for member, attribute in _members if attribute != "extra"}
